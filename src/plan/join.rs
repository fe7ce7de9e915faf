//! Plans that run one after the other, as one.

use super::step::{Plan, StepId};

impl Plan {
    /// Both plans as one: every step of `next` comes after all of these.
    #[must_use]
    pub fn then(mut self, next: Self) -> Self {
        let offset = self.steps.len();
        let last = self.last_steps();
        for mut step in next.steps {
            if step.after.is_empty() {
                step.after.clone_from(&last);
            } else {
                step.after.iter_mut().for_each(|id| *id += offset);
            }
            self.steps.push(step);
        }
        self.warnings.extend(next.warnings);
        self.unchanged.extend(next.unchanged);
        self.services.extend(next.services);
        Self { policy: next.policy, ..self }
    }

    /// The steps that no other one comes after.
    fn last_steps(&self) -> Vec<StepId> {
        let mut is_last = vec![true; self.steps.len()];
        for before in self.steps.iter().flat_map(|step| &step.after) {
            is_last[*before] = false;
        }
        (0..self.steps.len()).filter(|id| is_last[*id]).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::{Cause, Op, Plan, Step};

    fn plan(steps: &[(&str, &[usize])]) -> Plan {
        let mut plan = Plan::default();
        for (image, after) in steps {
            let op = Op::PushImage((*image).to_owned());
            plan.add(Step::new(op, Cause::Requested, after.to_vec()));
        }
        plan
    }

    #[test]
    fn the_second_plan_comes_after_the_first() {
        let first = plan(&[("a", &[]), ("b", &[0]), ("c", &[])]);
        let second = plan(&[("d", &[]), ("e", &[0])]);
        let joined = first.clone().then(second.clone());
        insta::assert_snapshot!(joined.to_string(), @"
        1 push image a (requested)
        2 push image b after 1 (requested)
        3 push image c (requested)
        4 push image d after 2 3 (requested)
        5 push image e after 4 (requested)
        ");
        assert_eq!(Plan::default().then(second.clone()), second);
        assert_eq!(first.clone().then(Plan::default()), first);
    }
}
