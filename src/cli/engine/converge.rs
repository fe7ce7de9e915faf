//! Brings the world to what a command asks for: observe, plan, ask, run, report.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::failures;
use super::{Engine, Lock, Quiet};
use crate::cli::exit::Failure;
use crate::event::{Event, Outcome};
use crate::model::Project;
use crate::model::spec::Handed;
use crate::plan::{Op, Plan, StepId};
use crate::runtime::Runtime;
use crate::scheduler::{BeforeStart, Execution, Report, Stage, Timings, execute};

/// What became of a plan.
#[derive(Debug, Default)]
pub(in crate::cli) struct Converged {
    /// Where the time went.
    pub(in crate::cli) timings: Timings,
    /// Steps that failed, which is only a warning.
    pub(in crate::cli) warned: BTreeSet<StepId>,
    /// The last lines that builds printed.
    pub(in crate::cli) output: BuildLines,
    /// What providers have for the services that depend on theirs, by step.
    pub(in crate::cli) handed: BTreeMap<StepId, Handed>,
}

/// The last lines that builds printed, by step.
pub(super) type BuildLines = BTreeMap<StepId, VecDeque<String>>;

/// How many lines of a build are kept.
const KEPT_LINES: usize = 500;

impl Engine<'_, '_> {
    /// Takes the lock of a project, and tells whom it waits for. Who only pretends needs none.
    pub(in crate::cli) async fn lock(&mut self, project: &Project) -> Result<Lock, Failure> {
        if self.session.global.dry_run {
            return Ok(Lock::unneeded());
        }
        let progress = &self.progress;
        let waiting = |holder: &str| {
            progress.aside(&format!("waiting for {holder}, which works on this project\n"));
        };
        let taken = Lock::take(
            self.session.environment(),
            (&project.name, self.session.command()),
            waiting,
        );
        let mut shutdown = std::pin::pin!(self.interrupts.shutdown().reaches(Stage::Graceful));
        tokio::select! {
            lock = taken => lock,
            () = &mut shutdown => Err(Failure::Interrupted),
        }
    }

    /// Tells what a plan has to say and runs it; with `--dry-run` only tells what it would do.
    pub(in crate::cli) async fn run(&self, plan: &Plan) -> Result<Converged, Failure> {
        self.run_with(plan, None).await
    }

    /// The same, with something done right before each container starts.
    pub(in crate::cli) async fn run_with(
        &self,
        plan: &Plan,
        before_start: Option<BeforeStart<'_>>,
    ) -> Result<Converged, Failure> {
        for warning in &plan.warnings {
            (self.on_event())(Event::Warned { message: warning.clone() });
        }
        if self.session.global.dry_run {
            self.pretend(plan);
            return Ok(Converged::default());
        }
        let show = self.on_event();
        if let Some(recorder) = &self.recorder {
            recorder.plan(plan);
        }
        let on_event = |event: Event| {
            if let Some(recorder) = &self.recorder {
                recorder.event(&event);
            }
            if !is_hushed(plan, &event, self.quiet) {
                show(event);
            }
        };
        let how = Execution {
            parallel: self.session.parallel(),
            shutdown: self.interrupts.shutdown(),
            on_event: &on_event,
            before_start,
        };
        let done = run_plan(plan, &*self.runtime, how).await;
        if matches!(done, Err(Failure::Steps(_))) {
            self.progress.finish();
        }
        done
    }

    fn on_event(&self) -> impl Fn(Event) {
        |event| self.progress.apply(&event)
    }

    /// Tells the events of a plan as if it ran.
    fn pretend(&self, plan: &Plan) {
        let tell = self.on_event();
        tell(Event::planned(plan));
        for step in 0..plan.steps.len() {
            tell(Event::Started { step });
            let outcome = crate::event::Outcome::Done;
            tell(Event::Ended { step, outcome, took: std::time::Duration::ZERO });
        }
    }
}

/// Runs a plan to its end; what is known about steps that failed is in the failure.
pub(in crate::cli) async fn run_plan(
    plan: &Plan,
    runtime: &dyn Runtime,
    how: Execution<'_>,
) -> Result<Converged, Failure> {
    let output = RefCell::new(BuildLines::new());
    let tell = how.on_event;
    let on_event = |event: Event| {
        keep_line(plan, &event, &mut output.borrow_mut());
        tell(event);
    };
    let shutdown = how.shutdown.clone();
    let how = Execution { on_event: &on_event, ..how };
    let mut report = execute(plan, runtime, &how).await;
    let handed = std::mem::take(&mut report.handed);
    let timings = Timings::new(plan, &report.durations());
    let warned = warned(&report);
    let output = output.take();
    if report.is_success() {
        return Ok(Converged { timings, warned, output, handed });
    }
    if report.is_interrupted() || shutdown.stage() > Stage::Running {
        return Err(Failure::Interrupted);
    }
    Err(Failure::Steps(failures::describe(runtime, plan, report, &output).await))
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

/// Keeps a line that a build printed.
fn keep_line(plan: &Plan, event: &Event, output: &mut BuildLines) {
    let Event::Progress { step, part, status, total: 0, .. } = event else { return };
    let is_build = plan.steps.get(*step).is_some_and(|it| matches!(it.op, Op::BuildImage(_)));
    // What BuildKit does for itself tells nobody why a step failed.
    let is_own = part.starts_with("[internal]") || part.starts_with("[context ");
    let is_dull = is_own || status.starts_with("ERROR: ");
    if !is_build || is_dull || status.is_empty() || is_end(status) {
        return;
    }
    let lines = output.entry(*step).or_default();
    if lines.len() == KEPT_LINES {
        lines.pop_front();
    }
    lines.push_back(status.clone());
}

/// Whether a line only says that a step has ended, perhaps with its time.
fn is_end(status: &str) -> bool {
    let is_time = |rest: &str| rest.strip_suffix('s').is_some_and(|it| it.parse::<f64>().is_ok());
    matches!(status, "DONE" | "CACHED") || status.strip_prefix("DONE ").is_some_and(is_time)
}

fn warned(report: &Report) -> BTreeSet<StepId> {
    let is_warned = |(id, step): (StepId, &Option<crate::scheduler::Ended>)| {
        let outcome = &step.as_ref()?.outcome;
        matches!(outcome, Outcome::Warned { .. }).then_some(id)
    };
    report.steps.iter().enumerate().filter_map(is_warned).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{BuildLines, KEPT_LINES, Quiet, is_hushed, keep_line};
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

    #[test]
    fn the_last_lines_of_builds_are_kept() {
        let mut plan = Plan::default();
        let build = Op::BuildImage(Arc::new(BuildSpec::default()));
        for op in [build, Op::PushImage("x".to_owned())] {
            plan.add(Step::new(op, Cause::Missing, Vec::new()));
        }
        let mut output = BuildLines::new();
        let mut tell = |step, part: &str, status: String| {
            let part = part.to_owned();
            let event = Event::Progress { step, part, status, current: 0, total: 0 };
            keep_line(&plan, &event, &mut output);
        };
        tell(1, "layer", "Pushed".to_owned());
        tell(0, "[internal] load", "transferring".to_owned());
        tell(0, "[context more] load from client", "transferring more:".to_owned());
        tell(0, "RUN", "CACHED".to_owned());
        (0..=KEPT_LINES).for_each(|line| tell(0, "RUN", line.to_string()));
        let lines = &output[&0];
        assert_eq!((output.len(), lines.len(), lines[0].as_str()), (1, KEPT_LINES, "1"));
    }
}
