//! Which containers an attached `up` looks at, and what their ends mean. Pure.
//!
//! In: what happens to containers. Out: a [`Verdict`]: go on, or end with an exit code.

use std::collections::BTreeSet;

/// When an attached `up` ends by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum EndsWith {
    /// With the last container.
    #[default]
    All,
    /// With the first container that ends: `--abort-on-container-exit`.
    First,
    /// With the first container that fails: `--abort-on-container-failure`.
    FirstFailure,
}

/// The containers that are looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct Watched {
    ends_with: EndsWith,
    /// `--exit-code-from`.
    code_from: Option<String>,
    /// Names of the containers that have not ended for good.
    alive: BTreeSet<String>,
    code: Option<i64>,
}

/// What the end of a container means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing: others still run.
    GoOn,
    /// None is left, but while files are watched one may come back.
    Over,
    /// The command ends.
    End,
    /// The other containers are stopped.
    Abort,
}

impl Watched {
    pub(super) fn new(ends_with: EndsWith, code_from: Option<String>) -> Self {
        Self { ends_with, code_from, ..Self::default() }
    }

    /// A container runs.
    pub(super) fn started(&mut self, container: &str) {
        self.alive.insert(container.to_owned());
    }

    /// Whether a container is looked at and runs.
    pub(super) fn is_alive(&self, container: &str) -> bool {
        self.alive.contains(container)
    }

    /// Whether none is left.
    pub(super) fn is_over(&self) -> bool {
        self.alive.is_empty()
    }

    /// A container of a service has ended for good.
    pub(super) fn ended(&mut self, container: &str, service: &str, code: i64) -> Verdict {
        self.alive.remove(container);
        let aborts = match self.ends_with {
            EndsWith::All => false,
            EndsWith::First => true,
            EndsWith::FirstFailure => code != 0,
        };
        match &self.code_from {
            Some(from) if from == service => self.code = Some(code),
            None if aborts && self.code.is_none() => self.code = Some(code),
            _ => {}
        }
        match (aborts, self.is_over()) {
            (false, true) => Verdict::Over,
            (true, true) => Verdict::End,
            (true, false) => Verdict::Abort,
            (false, false) => Verdict::GoOn,
        }
    }

    /// The exit code of the command.
    pub(super) fn exit_code(&self) -> u8 {
        u8::try_from(self.code.unwrap_or(0)).unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use super::{EndsWith, Verdict, Watched};

    fn watched(ends_with: EndsWith, code_from: Option<&str>) -> Watched {
        let mut watched = Watched::new(ends_with, code_from.map(str::to_owned));
        watched.started("a-1");
        watched.started("b-1");
        watched
    }

    #[test]
    fn the_last_container_ends_the_command_whatever_the_codes() {
        let mut watched = watched(EndsWith::All, None);
        assert_eq!(watched.ended("a-1", "a", 3), Verdict::GoOn);
        assert_eq!(watched.ended("b-1", "b", 0), Verdict::Over);
        assert_eq!(watched.exit_code(), 0);
    }

    #[test]
    fn the_first_end_aborts_with_its_code() {
        let mut watched = watched(EndsWith::First, None);
        assert_eq!(watched.ended("a-1", "a", 3), Verdict::Abort);
        assert_eq!(watched.ended("b-1", "b", 137), Verdict::End);
        assert_eq!(watched.exit_code(), 3);
    }

    #[test]
    fn the_first_failure_aborts_and_others_do_not_matter() {
        let mut watched = watched(EndsWith::FirstFailure, None);
        assert_eq!(watched.ended("a-1", "a", 0), Verdict::GoOn);
        watched.started("c-1");
        assert_eq!(watched.ended("b-1", "b", 2), Verdict::Abort);
        assert_eq!(watched.exit_code(), 2);
    }

    #[test]
    fn one_service_gives_the_code() {
        let mut watched = watched(EndsWith::First, Some("b"));
        assert_eq!(watched.ended("a-1", "a", 3), Verdict::Abort);
        assert_eq!(watched.ended("b-1", "b", 143), Verdict::End);
        assert_eq!(watched.exit_code(), 143);
    }
}
