//! Brings the world to what a command asks for: observe, plan, ask, run, report.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::{Lock, OrchestrationError, Orchestrator, failures};
use crate::event::{Event, Outcome};
use crate::model::spec::Handed;
use crate::plan::{Op, Plan, StepId};
use crate::runtime::Runtime;
use crate::scheduler::{BeforeStart, Execution, Report, Stage, Timings, execute};

/// What became of a plan.
#[derive(Debug, Default)]
pub struct Converged {
    /// Where the time went.
    pub timings: Timings,
    /// Steps that failed, which is only a warning.
    pub warned: BTreeSet<StepId>,
    /// The last lines that builds printed.
    pub output: BuildLines,
    /// What providers have for the services that depend on theirs, by step.
    pub handed: BTreeMap<StepId, Handed>,
}

/// The last lines that builds printed, by step.
pub(super) type BuildLines = BTreeMap<StepId, VecDeque<String>>;

/// How many lines of a build are kept.
const KEPT_LINES: usize = 500;

impl Orchestrator<'_> {
    /// Takes the lock of a project for a command, and tells whom it waits for; what dead leases have
    /// left goes first. Who only pretends needs none.
    ///
    /// # Errors
    ///
    /// It cannot be had, or somebody wants an end meanwhile.
    pub async fn lock(&self, project: &str, command: &str) -> Result<Lock, OrchestrationError> {
        if self.pretends() {
            return Ok(Lock::unneeded());
        }
        self.sweep(project).await?;
        let waiting = |holder: &str| {
            let text = format!("waiting for {holder}, which works on this project\n");
            self.audience.aside(&text);
        };
        tokio::select! {
            lock = Lock::take(self.environment, (project, command), waiting) => lock,
            () = self.shutdown.clone().reaches(Stage::Graceful) => {
                Err(OrchestrationError::Interrupted)
            }
        }
    }

    /// Tells what a plan has to say and runs it; who pretends only tells what it would do.
    ///
    /// # Errors
    ///
    /// A step fails, or somebody wants an end.
    pub async fn run(&self, plan: &Plan) -> Result<Converged, OrchestrationError> {
        self.run_with(plan, None).await
    }

    /// The same, with something done right before each container starts.
    ///
    /// # Errors
    ///
    /// A step fails, or somebody wants an end.
    pub async fn run_with(
        &self,
        plan: &Plan,
        before_start: Option<BeforeStart<'_>>,
    ) -> Result<Converged, OrchestrationError> {
        let tell = |event: Event| self.audience.event(plan, event);
        for warning in &plan.warnings {
            tell(Event::Warned { message: warning.clone() });
        }
        if self.pretends() {
            pretend(plan, tell);
            return Ok(Converged::default());
        }
        self.audience.plan(plan);
        let how = Execution {
            parallel: self.parallel,
            shutdown: self.shutdown.clone(),
            on_event: &tell,
            before_start,
        };
        run_plan(plan, self.runtime, how).await
    }
}

/// Tells the events of a plan as if it ran.
fn pretend(plan: &Plan, tell: impl Fn(Event)) {
    tell(Event::planned(plan));
    for step in 0..plan.steps.len() {
        tell(Event::Started { step });
        tell(Event::Ended { step, outcome: Outcome::Done, took: Duration::ZERO });
    }
}

/// Runs a plan to its end; what is known about steps that failed is in the error.
///
/// # Errors
///
/// A step fails, or somebody wants an end.
pub async fn run_plan(
    plan: &Plan,
    runtime: &dyn Runtime,
    how: Execution<'_>,
) -> Result<Converged, OrchestrationError> {
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
        return Err(OrchestrationError::Interrupted);
    }
    Err(OrchestrationError::Steps(failures::describe(runtime, plan, report, &output).await))
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

    use super::{BuildLines, KEPT_LINES, keep_line};
    use crate::event::Event;
    use crate::model::spec::BuildSpec;
    use crate::plan::{Cause, Op, Plan, Step};

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
