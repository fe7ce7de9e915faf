//! The loop that runs a plan.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use super::call::{Failure, Yield, call};
use super::ordering::Ordering;
use super::{Shutdown, Stage, StepError};
use crate::event::{Event, Outcome};
use crate::model::spec::Handed;
use crate::plan::{Op, Plan, Policy, Severity, Step, StepId};
use crate::runtime::{Progress, Runtime};

/// Does something right before the container of this name starts.
pub type BeforeStart<'a> = &'a dyn Fn(&str) -> BoxFuture<'static, ()>;

/// How a plan is run.
pub struct Execution<'a> {
    /// How many pulls, pushes, builds, creations and starts may run at the same time; `None`: all.
    pub parallel: Option<NonZeroUsize>,
    /// When to end before the plan is through.
    pub shutdown: Shutdown,
    /// Whom to tell.
    pub on_event: &'a dyn Fn(Event),
    /// What is done right before a container starts, such as attaching to its output.
    pub before_start: Option<BeforeStart<'a>>,
}

impl fmt::Debug for Execution<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Execution").field("parallel", &self.parallel).finish_non_exhaustive()
    }
}

/// What became of a plan.
#[derive(Debug, Default)]
pub struct Report {
    /// What became of each step; `None`: it was skipped.
    pub steps: Vec<Option<Ended>>,
    /// The steps that failed, in the order in which they did. Those that are only a warning are
    /// not among them.
    pub failures: Vec<StepError>,
    /// What providers have for the services that depend on theirs, by step.
    pub handed: BTreeMap<StepId, Handed>,
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
}

impl Report {
    /// Whether every step ran and none failed with more than a warning.
    pub fn is_success(&self) -> bool {
        let went_well = |step: &Option<Ended>| {
            step.as_ref()
                .is_some_and(|step| matches!(step.outcome, Outcome::Done | Outcome::Warned { .. }))
        };
        self.steps.iter().all(went_well)
    }

    /// Whether the command was ended from outside before all was done.
    pub fn is_interrupted(&self) -> bool {
        self.failures.is_empty() && !self.is_success()
    }

    /// The steps that did not run, in order.
    pub fn skipped(&self) -> impl Iterator<Item = StepId> {
        self.steps.iter().enumerate().filter(|(_, step)| step.is_none()).map(|(id, _)| id)
    }

    /// How long each step took; `None` for those that did not run.
    pub fn durations(&self) -> Vec<Option<Duration>> {
        self.steps.iter().map(|step| step.as_ref().map(|step| step.took)).collect()
    }
}

/// Runs a plan to its end and tells what happens.
///
/// Steps that fail are in the report. Dropping the future drops all that runs, without an event.
pub async fn execute<'a>(
    plan: &'a Plan,
    runtime: &'a dyn Runtime,
    how: &'a Execution<'a>,
) -> Report {
    let (progress, mut told) = unbounded_channel();
    let mut run = Run::new(plan, how);
    let mut running = FuturesUnordered::new();
    let mut stopping = pin!(how.shutdown.clone().reaches(Stage::Graceful));
    (how.on_event)(Event::planned(plan));
    for container in &plan.unchanged {
        let (name, message) = (container.clone(), "Running".to_owned());
        (how.on_event)(Event::Noted { kind: "container", name, message });
    }
    loop {
        while how.shutdown.stage() == Stage::Running
            && let Some(id) = run.start()
        {
            running.push(attempt((id, &plan.steps[id]), runtime, progress.clone(), how));
        }
        if how.shutdown.stage() > Stage::Running {
            run.stop();
        }
        if running.is_empty() {
            break;
        }
        tokio::select! {
            biased;
            Some(event) = told.recv() => (how.on_event)(event),
            Some(attempt) = running.next() => {
                run.tell_progress(&mut told);
                run.end(attempt);
            }
            () = &mut stopping, if !run.stopped => {}
        }
    }
    // Steps of a plan that is not in order can be left: nothing leads to them.
    run.stop();
    run.report
}

/// A step that ran.
struct Attempt {
    id: StepId,
    took: Duration,
    /// `None`: it was dropped.
    result: Option<Result<Yield, Failure>>,
}

/// Makes the call of a step, unless the shutdown is first.
async fn attempt(
    (id, step): (StepId, &Step),
    runtime: &dyn Runtime,
    events: UnboundedSender<Event>,
    how: &Execution<'_>,
) -> Attempt {
    let began = Instant::now();
    let progress = move |progress: Progress| {
        let Progress { part, status, current, total } = progress;
        // Nobody listens only when the run itself has been dropped.
        let _ = events.send(Event::Progress { step: id, part, status, current, total });
    };
    let dropped_at = if may_end_early(&step.op) { Stage::Graceful } else { Stage::Now };
    let work = async {
        if let (Some(prepare), Op::StartContainer { container, .. }) = (how.before_start, &step.op)
        {
            prepare(container).await;
        }
        call(&step.op, runtime, &progress).await
    };
    let result = tokio::select! {
        biased;
        result = work => Some(result),
        () = how.shutdown.clone().reaches(dropped_at) => None,
    };
    Attempt { id, took: began.elapsed(), result }
}

/// Whether a step may end at any time: who waits changes nothing, and an image is there when all of
/// it is; what was done for it is found again.
fn may_end_early(op: &Op) -> bool {
    matches!(op, Op::Wait { .. } | Op::PullImage(_) | Op::BuildImage(_) | Op::PushImage(_))
}

/// What is known while a plan runs.
struct Run<'a> {
    plan: &'a Plan,
    on_event: &'a dyn Fn(Event),
    ordering: Ordering,
    /// Whether nothing new starts.
    stopped: bool,
    report: Report,
}

impl<'a> Run<'a> {
    fn new(plan: &'a Plan, how: &Execution<'a>) -> Self {
        let room = how.parallel.map_or(usize::MAX, NonZeroUsize::get);
        let mut report = Report::default();
        report.steps.resize(plan.steps.len(), None);
        let ordering = Ordering::new(plan, room);
        Self { plan, on_event: how.on_event, ordering, stopped: false, report }
    }

    /// The next step that may start, told as started.
    fn start(&mut self) -> Option<StepId> {
        let step = self.ordering.hand_out()?;
        (self.on_event)(Event::Started { step });
        Some(step)
    }

    /// Lets nothing new start.
    fn stop(&mut self) {
        if !self.stopped {
            self.stopped = true;
            let rest = self.ordering.skip_rest();
            self.skip(rest);
        }
    }

    fn skip(&self, steps: Vec<StepId>) {
        for step in steps {
            (self.on_event)(Event::Skipped { step });
        }
    }

    /// Tells the progress that came before a step ended.
    fn tell_progress(&self, told: &mut UnboundedReceiver<Event>) {
        while let Ok(event) = told.try_recv() {
            (self.on_event)(event);
        }
    }

    fn end(&mut self, attempt: Attempt) {
        let Attempt { id: step, took, result } = attempt;
        self.ordering.release(step, self.plan);
        let failure = match result {
            None => return self.record(step, Outcome::Interrupted, took),
            Some(Ok(Yield { remarks, handed })) => {
                self.warn(step, remarks);
                self.report.handed.extend(handed.map(|handed| (step, handed)));
                self.record(step, Outcome::Done, took);
                return self.ordering.succeed(step, self.plan);
            }
            Some(Err(failure)) => StepError::new(self.plan, step, failure),
        };
        let message = failure.reason();
        if self.plan.steps[step].failure == Severity::Warning {
            self.record(step, Outcome::Warned { message }, took);
            return self.ordering.succeed(step, self.plan);
        }
        self.record(step, Outcome::Failed { message }, took);
        self.report.failures.push(failure);
        match self.plan.policy {
            Policy::StopAtFailure => self.stop(),
            Policy::CarryOn => {
                let lost = self.ordering.skip_after(step);
                self.skip(lost);
            }
        }
    }

    fn warn(&self, step: StepId, remarks: Vec<String>) {
        let name = self.plan.steps[step].op.subject().name();
        for remark in remarks {
            (self.on_event)(Event::Warned { message: format!("{name}: {remark}") });
        }
    }

    fn record(&mut self, step: StepId, outcome: Outcome, took: Duration) {
        self.report.steps[step] = Some(Ended { outcome: outcome.clone(), took });
        (self.on_event)(Event::Ended { step, outcome, took });
    }
}
