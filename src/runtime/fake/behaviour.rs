//! What containers do when nobody looks: the script of a fake world.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What the containers of an image, or one container, do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// What health checks find; `None`: they succeed at once.
    pub health: Option<Checkup>,
    /// Whether the image itself has a health check.
    pub has_healthcheck: bool,
    /// When its process ends by itself, counted from its start, and with which exit code.
    pub exits: Option<Exit>,
    /// What there is to remark when it is created.
    pub remarks: Vec<String>,
    /// Why it cannot be started.
    pub fails_to_start: Option<String>,
    /// Whether it ignores the signal to stop and has to be killed.
    pub ignores_stop: bool,
    /// How long it takes to stop when it does not ignore the signal.
    pub stops_after: Duration,
    /// What it writes when it starts, line by line, to standard output.
    pub lines: Vec<String>,
    /// Exit code of commands and hooks that run in it.
    pub exec_code: i64,
    /// What hooks print.
    pub hook_output: String,
}

/// What health checks find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Checkup {
    /// Healthy from this time after the start.
    HealthyAfter(Duration),
    /// Unhealthy from this time after the start.
    UnhealthyAfter(Duration),
    /// Neither, ever.
    NeverDone,
}

/// The end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// When, from its start.
    pub after: Duration,
    /// Its exit code.
    pub code: i64,
}

impl Behaviour {
    /// Healthy only after a time.
    pub fn healthy_after(time: Duration) -> Self {
        Self { health: Some(Checkup::HealthyAfter(time)), ..Self::default() }
    }

    /// Unhealthy after a time.
    pub fn unhealthy_after(time: Duration) -> Self {
        Self { health: Some(Checkup::UnhealthyAfter(time)), ..Self::default() }
    }

    /// Neither healthy nor unhealthy, ever.
    pub fn never_healthy() -> Self {
        Self { health: Some(Checkup::NeverDone), ..Self::default() }
    }

    /// Ends by itself.
    pub fn exits(after: Duration, code: i64) -> Self {
        Self { exits: Some(Exit { after, code }), ..Self::default() }
    }

    /// Cannot be started.
    pub fn fails_to_start(message: &str) -> Self {
        Self { fails_to_start: Some(message.to_owned()), ..Self::default() }
    }

    /// Ignores the signal to stop.
    pub fn ignores_stop() -> Self {
        Self { ignores_stop: true, ..Self::default() }
    }

    /// Writes these lines when it starts.
    pub fn writes(lines: &[&str]) -> Self {
        Self { lines: lines.iter().map(|line| (*line).to_owned()).collect(), ..Self::default() }
    }
}
