//! What the orchestrator tells, on the screen and in the record.

use super::{Engine, Quiet};
use crate::event::Event;
use crate::orchestrator::Audience;
use crate::plan::{Op, Plan};

impl Audience for Engine<'_, '_> {
    fn plan(&self, plan: &Plan) {
        if let Some(recorder) = &self.recorder {
            recorder.plan(plan);
        }
    }

    fn event(&self, plan: &Plan, event: Event) {
        if let Some(recorder) = &self.recorder {
            recorder.event(&event);
        }
        if !is_hushed(plan, &event, self.quiet) {
            self.progress.apply(&event);
        }
    }

    fn aside(&self, text: &str) {
        self.progress.aside(text);
    }
}

/// Whether an event is a detail that nobody wants to see.
fn is_hushed(plan: &Plan, event: &Event, quiet: Quiet) -> bool {
    let Event::Progress { step, .. } = event else { return false };
    match plan.steps.get(*step).map(|step| &step.op) {
        Some(Op::PullImage(_)) => quiet.pull,
        Some(Op::BuildImage(_)) => quiet.build,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Quiet, is_hushed};
    use crate::event::Event;
    use crate::model::spec::{BuildSpec, PullSpec};
    use crate::plan::{Cause, Op, Plan, Step};

    #[test]
    fn quiet_pulls_and_builds_are_told_without_their_details() {
        let mut plan = Plan::default();
        let build = Op::BuildImage(Arc::new(BuildSpec::default()));
        for op in [Op::PullImage(PullSpec::default()), build] {
            plan.add(Step::new(op, Cause::Missing, Vec::new()));
        }
        let detail = |step| {
            let (part, status) = (String::new(), "layer".to_owned());
            Event::Progress { step, part, status, current: 0, total: 0 }
        };
        let pull = Quiet { pull: true, build: false };
        assert!(is_hushed(&plan, &detail(0), pull) && !is_hushed(&plan, &detail(1), pull));
        let build = Quiet { pull: false, build: true };
        assert!(!is_hushed(&plan, &detail(0), build) && is_hushed(&plan, &detail(1), build));
        assert!(!is_hushed(&plan, &Event::Started { step: 0 }, pull));
    }
}
