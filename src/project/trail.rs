//! The history of a value. Copies of a value share it, so that a long chain of `extends` costs one
//! step for each value and link, not the whole way again.

use std::sync::Arc;

use super::node::{Step, VariableSource};

/// What happened to a value on its way; a copy takes no room.
#[derive(Clone, Debug, Default)]
pub struct Trail(Option<Arc<Link>>);

/// The latest step, and those before it.
#[derive(Debug)]
struct Link {
    step: Step,
    length: usize,
    before: Trail,
}

impl Trail {
    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// How many steps there are.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |link| link.length)
    }

    /// The latest step.
    pub fn last(&self) -> Option<&Step> {
        self.0.as_ref().map(|link| &link.step)
    }

    /// All steps, the oldest first.
    pub fn steps(&self) -> Vec<&Step> {
        let mut links = Vec::with_capacity(self.len());
        let mut trail = self;
        while let Some(link) = &trail.0 {
            links.push(&link.step);
            trail = &link.before;
        }
        links.reverse();
        links
    }

    /// Whether there is enough: no real value goes further, and nobody reads more.
    pub fn is_long(&self) -> bool {
        const LONG: usize = 16;
        self.len() >= LONG
    }

    /// Adds the use of a variable, once.
    pub fn push_variable(&mut self, name: &str, from: VariableSource) {
        let step = Step::Variable { name: name.to_owned(), from };
        if !self.is_long() && !self.steps().contains(&&step) {
            self.push(step);
        }
    }

    /// Adds a step.
    pub fn push(&mut self, step: Step) {
        let before = std::mem::take(self);
        self.0 = Some(Arc::new(Link { step, length: before.len() + 1, before }));
    }

    /// Adds what happened later.
    pub fn append(&mut self, later: &Self) {
        if self.is_empty() {
            self.clone_from(later);
        } else {
            later.steps().into_iter().for_each(|step| self.push(step.clone()));
        }
    }
}

impl From<Step> for Trail {
    fn from(step: Step) -> Self {
        let mut trail = Self::default();
        trail.push(step);
        trail
    }
}

impl Drop for Link {
    /// Step by step: a trail may be longer than the stack is deep.
    fn drop(&mut self) {
        let mut before = self.before.0.take();
        while let Some(mut link) = before.and_then(Arc::into_inner) {
            before = link.before.0.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Step, Trail};

    const STEP: Step = Step::Default { rule: "a" };

    #[test]
    fn copies_share_what_they_have_in_common() {
        let mut first = Trail::default();
        assert!(first.is_empty());
        first.push(STEP);
        let mut second = first.clone();
        second.push(Step::Default { rule: "b" });
        assert_eq!((first.len(), second.len()), (1, 2));
        assert_eq!(second.steps(), [&STEP, &Step::Default { rule: "b" }]);
        assert!(std::ptr::eq(first.steps()[0], second.steps()[0]));
        assert_eq!(first.last(), Some(&STEP));
    }

    #[test]
    fn long_trails_end_well() {
        let mut trail = Trail::default();
        (0..1_000_000).for_each(|_| trail.push(STEP));
        assert_eq!(trail.clone().len(), 1_000_000);
    }
}
