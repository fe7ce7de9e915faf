//! Brings the world to what a command asks for: observe, plan, ask, run, report.

use super::failures;
use super::{Engine, Lock};
use crate::cli::exit::Failure;
use crate::event::Event;
use crate::model::Project;
use crate::plan::Plan;
use crate::scheduler::{BeforeStart, Execution, Report, Stage, Timings, execute};

/// What became of a plan.
#[derive(Debug)]
pub(in crate::cli) struct Converged {
    /// Where the time went.
    pub(in crate::cli) timings: Timings,
}

impl Engine<'_, '_> {
    /// Takes the lock of a project, and tells whom it waits for.
    pub(in crate::cli) async fn lock(&mut self, project: &Project) -> Result<Lock, Failure> {
        let progress = &self.progress;
        let waiting = |holder: &str| {
            progress.aside(&format!("waiting for {holder}, which works on this project\n"));
        };
        let taken = Lock::take(self.session.environment(), &project.name, waiting);
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
            return Ok(Converged { timings: Timings::default() });
        }
        let on_event = self.on_event();
        let how = Execution {
            parallel: self.session.parallel(),
            shutdown: self.interrupts.shutdown(),
            on_event: &on_event,
            before_start,
        };
        let report = execute(plan, &*self.runtime, &how).await;
        let timings = Timings::new(plan, &report.durations());
        self.conclude(plan, report).await?;
        Ok(Converged { timings })
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

    async fn conclude(&self, plan: &Plan, report: Report) -> Result<(), Failure> {
        if report.is_success() {
            return Ok(());
        }
        if report.is_interrupted() || self.interrupts.happened() {
            return Err(Failure::Interrupted);
        }
        let failures = failures::describe(&*self.runtime, plan, report).await;
        self.progress.finish();
        Err(Failure::Steps(failures))
    }
}
