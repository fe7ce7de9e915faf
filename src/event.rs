//! The words between scheduler and UI: what happened while a plan ran.
//!
//! # Invariants
//!
//! - A step that is [`Event::Started`] has exactly one [`Event::Ended`].
//! - As JSON, one event a line, this is `--progress json`; its schema is in `schemas/`.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::plan::{Plan, Role};

/// Something that happened while a plan ran.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A plan is about to run.
    Planned {
        /// Its steps.
        steps: Vec<StepLine>,
    },
    /// A step has begun.
    Started {
        /// Which: its place among the steps.
        step: usize,
    },
    /// A pull, push or build has come so far.
    Progress {
        /// Which step.
        step: usize,
        /// Layer or build step; empty: the whole.
        part: String,
        /// What is going on.
        status: String,
        /// Bytes done.
        current: u64,
        /// Bytes to do; 0 if unknown.
        total: u64,
    },
    /// A step is over.
    Ended {
        /// Which.
        step: usize,
        /// How it ended.
        outcome: Outcome,
        /// How long it took.
        #[serde(rename = "took_ms", serialize_with = "milliseconds")]
        #[schemars(with = "f64")]
        took: Duration,
    },
    /// A step will not run.
    Skipped {
        /// Which.
        step: usize,
    },
    /// Something needs no step, or goes on beside all steps.
    Noted {
        /// What kind of thing: `service`, `container`, `watch`.
        kind: &'static str,
        /// Its name; a watch has none.
        name: String,
        /// Why.
        message: String,
    },
    /// A watch has done something because files have changed.
    Watched {
        /// The service.
        service: String,
        /// What was done.
        deed: Deed,
        /// The files of the host because of which.
        files: Vec<String>,
        /// What was taken away from its containers.
        removed: Vec<String>,
        /// How long it took.
        #[serde(rename = "took_ms", serialize_with = "milliseconds")]
        #[schemars(with = "f64")]
        took: Duration,
    },
    /// The user should know.
    Warned {
        /// What.
        message: String,
    },
}

/// A step as it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StepLine {
    /// `container`, `network`, `volume`, `image`, `service` or `model`.
    pub kind: &'static str,
    /// What it is done to.
    pub name: String,
    /// What is done, such as `Creating`.
    pub doing: &'static str,
    /// What has been done then, such as `Created`.
    pub done: &'static str,
    /// Why.
    pub cause: String,
    /// Steps that come before.
    pub after: Vec<usize>,
    /// Its part in the replacement of a container.
    #[serde(skip)]
    pub role: Role,
}

/// A step that failed, and what is known about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepFailure {
    /// What failed: `start container shop-web-1`.
    pub what: String,
    /// Why: a lowercase fragment or the runtime's words; further causes on further lines.
    pub cause: String,
    /// Services that could not go on because of it.
    pub blocks: Vec<String>,
    /// What its health check printed last; empty if it has none.
    pub probe: String,
    /// What its container wrote last, oldest line first; at most 20 are shown.
    pub log: Vec<String>,
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum Outcome {
    /// As it should.
    Done,
    /// It failed, which is only a warning.
    Warned {
        /// Why.
        message: String,
    },
    /// It failed.
    Failed {
        /// Why.
        message: String,
    },
    /// The command was interrupted.
    Interrupted,
}

/// What a watch has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// Files were brought, or taken away.
    Synced,
    /// Containers were restarted.
    Restarted,
    /// A command was run in containers.
    Executed,
    /// An image was built, and is the same as before.
    Built,
    /// An image was built, and containers were replaced.
    Replaced,
}

impl Event {
    /// The event that begins the story of a plan.
    pub fn planned(plan: &Plan) -> Self {
        let line = |step: &crate::plan::Step| {
            let (doing, done) = step.op.words();
            let subject = step.op.subject();
            StepLine {
                kind: subject.kind(),
                name: subject.name().to_owned(),
                doing,
                done,
                cause: step.cause.to_string(),
                after: step.after.clone(),
                role: step.role,
            }
        };
        Self::Planned { steps: plan.steps.iter().map(line).collect() }
    }
}

fn milliseconds<S: serde::Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(took.as_secs_f64() * 1000.0)
}
