//! Which steps of a plan replace the same container.
//!
//! In: steps as they are told. Out: the name that the container keeps, for the steps that know it
//! by a temporary one.

use std::collections::HashMap;

use crate::event::StepLine;
use crate::plan::Role;

/// For each step that takes part in a replacement under a temporary name: the lasting one.
pub(super) fn lasting_names(steps: &[StepLine]) -> HashMap<usize, String> {
    let mut names = HashMap::new();
    for (begin, first) in steps.iter().enumerate() {
        if first.role != Role::Begins {
            continue;
        }
        let mut group = vec![begin];
        let mut ends = Vec::new();
        for (id, step) in steps.iter().enumerate().skip(begin + 1) {
            let follows = step.after.iter().any(|before| group.contains(before));
            match step.role {
                Role::GoesOn if follows => group.push(id),
                Role::Ends if follows => ends.push(&step.name),
                _ => {}
            }
        }
        // A temporary name is made of the lasting one, which tells two replacements apart that
        // depend on each other.
        let own = ends.iter().find(|name| first.name.ends_with(name.as_str()));
        if let Some(name) = own.or(ends.first()) {
            names.insert(begin, (*name).clone());
            let temporary = |id: &usize| steps[*id].name == first.name;
            names.extend(group.into_iter().filter(temporary).map(|id| (id, (*name).clone())));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::lasting_names;
    use crate::event::StepLine;
    use crate::plan::Role;

    #[test]
    fn replacements_that_depend_on_each_other_are_told_apart() {
        let step = |name: &str, role, after: &[usize]| StepLine {
            kind: "container",
            name: name.to_owned(),
            doing: "",
            done: "",
            cause: String::new(),
            after: after.to_vec(),
            role,
        };
        let steps = [
            step("x_db-1", Role::Begins, &[]),
            step("y_web-1", Role::Begins, &[0]),
            step("web-1", Role::GoesOn, &[1, 0]),
            step("web-1", Role::Ends, &[2]),
            step("db-1", Role::GoesOn, &[0, 3]),
            step("db-1", Role::Ends, &[4]),
            step("z-1", Role::Begins, &[]),
        ];
        let mut names: Vec<_> = lasting_names(&steps).into_iter().collect();
        names.sort();
        assert_eq!(names, [(0, "db-1".to_owned()), (1, "web-1".to_owned())]);
    }
}
