//! Remembers what was done: plans, and the events of their steps.
//!
//! # Invariants
//!
//! - Values of environment variables that a cause may tell are left out when they come in.
//! - Progress of pulls and builds is kept in part only: it may be endless.

use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::event::{Event, Outcome};
use crate::plan::{Cause, Op, Plan, StepId};
use crate::scheduler::Timings;

/// How many events about progress are kept of each plan.
const PROGRESS: usize = 1000;

/// Remembers what was done since it was made.
#[derive(Debug)]
pub struct Recorder {
    began: (Instant, SystemTime),
    runs: Mutex<Vec<Run>>,
}

/// A plan that was run.
#[derive(Debug)]
struct Run {
    plan: Plan,
    events: Vec<(Duration, Event)>,
    progress: usize,
}

/// A step that failed, or that was not done when all was over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// What it was to do.
    pub(super) what: String,
    /// The container or other thing that it was about.
    pub(super) subject: String,
    /// Its service, if it is known.
    pub(super) service: Option<String>,
    /// Why it failed; empty if it was not done.
    pub(super) why: String,
    /// When, since the start.
    pub(super) at: Duration,
}

impl Default for Recorder {
    fn default() -> Self {
        Self { began: (Instant::now(), SystemTime::now()), runs: Mutex::default() }
    }
}

impl Recorder {
    /// A plan is about to run.
    pub fn plan(&self, plan: &Plan) {
        let mut plan = plan.clone();
        for step in &mut plan.steps {
            hide_values(&mut step.cause);
        }
        let run = Run { plan, events: Vec::new(), progress: 0 };
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).push(run);
    }

    /// Something happened while the last plan ran.
    pub fn event(&self, event: &Event) {
        let at = self.began.0.elapsed();
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(run) = runs.last_mut() else { return };
        let event = match event {
            Event::Progress { .. } if run.progress >= PROGRESS => return,
            Event::Progress { .. } => {
                run.progress += 1;
                event.clone()
            }
            // Without the values.
            Event::Planned { .. } => Event::planned(&run.plan),
            event => event.clone(),
        };
        run.events.push((at, event));
    }

    /// How long it is since the start.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.0.elapsed()
    }

    /// The start, in seconds since 1970, as runtimes take it.
    pub(super) fn began_at(&self) -> String {
        let began = self.began.1.duration_since(UNIX_EPOCH).unwrap_or_default();
        format!("{}.{:09}", began.as_secs(), began.subsec_nanos())
    }

    fn each<T>(&self, tell: impl Fn(&Run) -> T) -> Vec<T> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).iter().map(tell).collect()
    }

    /// All events, one object a line.
    pub(super) fn steps(&self) -> String {
        self.each(Run::lines).concat()
    }

    /// All plans.
    pub(super) fn plans(&self) -> String {
        self.each(|run| run.plan.to_string()).join("\n")
    }

    /// Where the time went.
    pub(super) fn timings(&self) -> String {
        let all = self.each(|run| Timings::new(&run.plan, &run.durations()).to_string());
        let mut text = all.join("\n");
        for trouble in self.unfinished() {
            let _ = writeln!(text, "not done: {} (since {:.1?})", trouble.what, trouble.at);
        }
        text
    }

    /// The steps that failed, in the order in which they did.
    pub(super) fn failed(&self) -> Vec<Trouble> {
        self.each(Run::failed).concat()
    }

    /// The steps that had begun and were not done, in order.
    pub(super) fn unfinished(&self) -> Vec<Trouble> {
        self.each(Run::unfinished).concat()
    }
}

impl Run {
    fn lines(&self) -> String {
        let line = |(at, event): &(Duration, Event)| {
            let mut value = serde_json::to_value(event).unwrap_or(Value::Null);
            if let Some(map) = value.as_object_mut() {
                map.insert("at_ms".to_owned(), json!(at.as_secs_f64() * 1000.0));
            }
            format!("{value}\n")
        };
        self.events.iter().map(line).collect()
    }

    fn durations(&self) -> Vec<Option<Duration>> {
        let mut all = vec![None; self.plan.steps.len()];
        for (_, event) in &self.events {
            if let Event::Ended { step, took, .. } = event
                && let Some(place) = all.get_mut(*step)
            {
                *place = Some(*took);
            }
        }
        all
    }

    fn failed(&self) -> Vec<Trouble> {
        let failed = self.events.iter().filter_map(|(at, event)| match event {
            Event::Ended { step, outcome: Outcome::Failed { message }, .. } => {
                self.trouble(*step, message, *at)
            }
            _ => None,
        });
        failed.collect()
    }

    fn unfinished(&self) -> Vec<Trouble> {
        let has_ended = |wanted: StepId| {
            self.events.iter().any(|(_, event)| {
                matches!(event, Event::Ended { step, outcome, .. }
                    if *step == wanted && *outcome != Outcome::Interrupted)
            })
        };
        let begun = self.events.iter().filter_map(|(at, event)| match event {
            Event::Started { step } if !has_ended(*step) => self.trouble(*step, "", *at),
            _ => None,
        });
        begun.collect()
    }

    fn trouble(&self, step: StepId, why: &str, at: Duration) -> Option<Trouble> {
        let op: &Op = &self.plan.steps.get(step)?.op;
        let subject = op.subject().name().to_owned();
        let service = self.plan.services.get(&subject).cloned();
        Some(Trouble { what: op.to_string(), subject, service, why: why.to_owned(), at })
    }
}

/// A cause may tell what a variable was and is.
fn hide_values(cause: &mut Cause) {
    let Cause::Changed(changes) = cause else { return };
    for change in changes {
        change.from = None;
        change.to = None;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Recorder;
    use crate::event::{Event, Outcome};
    use crate::model::observed::Milestone;
    use crate::plan::{Cause, Change, Op, Plan, Step};

    fn plan() -> Plan {
        let mut plan = Plan::default();
        let change = Change {
            attribute: "environment.KEY".to_owned(),
            from: Some("old-value".to_owned()),
            to: Some("new-value".to_owned()),
        };
        let start = Op::StartContainer { container: "a-db-1".to_owned(), files: [].into() };
        let first = plan.add(Step::new(start, Cause::Changed(vec![change]), Vec::new()));
        let wait = Op::Wait { container: "a-db-1".to_owned(), milestone: Milestone::Ready };
        plan.add(Step::new(wait, Cause::Requested, vec![first]));
        plan.services.insert("a-db-1".to_owned(), "db".to_owned());
        plan
    }

    #[test]
    fn what_failed_and_what_was_not_done_is_known() {
        let recorder = Recorder::default();
        let plan = plan();
        recorder.plan(&plan);
        let took = Duration::from_millis(5);
        recorder.event(&Event::planned(&plan));
        recorder.event(&Event::Started { step: 0 });
        recorder.event(&Event::Ended { step: 0, outcome: Outcome::Done, took });
        recorder.event(&Event::Started { step: 1 });
        let waiting = recorder.unfinished();
        assert_eq!(waiting.len(), 1);
        assert_eq!(waiting[0].what, "wait for container a-db-1 to be ready");
        let outcome = Outcome::Failed { message: "it exited".to_owned() };
        recorder.event(&Event::Ended { step: 1, outcome, took });
        let failed = recorder.failed();
        assert_eq!((failed.len(), recorder.unfinished().len()), (1, 0));
        assert_eq!(failed[0].service.as_deref(), Some("db"));
        assert_eq!(failed[0].why, "it exited");
        let all = [recorder.steps(), recorder.plans(), recorder.timings()].concat();
        assert!(all.contains("environment.KEY") && all.contains("at_ms"), "{all}");
        assert!(!all.contains("old-value") && !all.contains("new-value"), "{all}");
    }
}
