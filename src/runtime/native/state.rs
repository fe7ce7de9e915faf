//! What a container does, as a file tells it.
//!
//! In: what the shim sees. Out: `state.json`, read by everybody. Times are nanoseconds since 1970.
//!
//! # Invariants
//!
//! - One writer: who holds the lock of the container. Readers see a whole file, old or new.
//! - What the file says of a running container holds only while the lock is held.
//!
//! # Not here
//!
//! What the container is: `config.json` is written once.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::model::observed::{Health, State};
use crate::runtime::{Result, RuntimeError};

/// What stands in `state.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// What it does.
    pub phase: Phase,
    /// Its first process as the host numbers it; 0 if it has none.
    pub pid: i32,
    /// When it was started last.
    pub started: i64,
    /// When it ended last; 0 if it never did.
    pub finished: i64,
    /// Exit code, as a shell has it: 128 and the signal for one that was killed.
    pub exit_code: i64,
    /// Why it ended or could not be started, if the exit code alone does not say it.
    pub reason: String,
    /// Whether the kernel killed it, or a part of it, because memory ran out.
    pub out_of_memory: bool,
    /// Whether somebody asked it to stop: its restart policy has nothing to say then.
    pub stop_wanted: bool,
    /// How often its restart policy has started it.
    pub restarts: u32,
    /// What its health check says; `None` if it has none or does not run.
    pub health: Option<HealthReport>,
    /// Its published ports as they are bound.
    pub ports: Vec<BoundPort>,
    /// The boot in which this was written.
    pub boot: String,
}

impl Status {
    /// The container is about to be started by somebody: what was before is forgotten.
    pub fn begin(&mut self) {
        self.stop_wanted = false;
        self.restarts = 0;
        self.out_of_memory = false;
        self.boot = boot();
    }
}

/// The identity of this boot; empty if the kernel does not tell.
pub fn boot() -> String {
    let mut text = String::new();
    let read = File::open("/proc/sys/kernel/random/boot_id")
        .and_then(|mut file| file.read_to_string(&mut text));
    read.map(|_| text.trim().to_owned()).unwrap_or_default()
}

/// What a container does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Made and never started.
    #[default]
    Created,
    /// Runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// Somebody has asked it to end, and it has not yet.
    Stopping,
    /// Ended; its shim will start it again.
    Restarting,
    /// Ended.
    Exited,
    /// Being removed.
    Removing,
}

impl Phase {
    /// Whether its processes live.
    pub fn has_processes(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Stopping)
    }

    /// Whether a shim looks after it.
    pub fn is_up(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Stopping | Self::Restarting)
    }
}

impl From<Phase> for State {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Created => Self::Created,
            Phase::Running => Self::Running,
            Phase::Paused => Self::Paused,
            Phase::Stopping => Self::Stopping,
            Phase::Restarting => Self::Restarting,
            Phase::Exited => Self::Exited,
            Phase::Removing => Self::Removing,
        }
    }
}

/// What a health check has found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthReport {
    /// The verdict.
    pub verdict: Verdict,
    /// How many checks have failed since one succeeded.
    pub failures: u64,
    /// What the last check printed, or why it could not be run.
    pub output: String,
    /// The last checks that failed and counted, the oldest first.
    pub history: Vec<FailedCheck>,
}

/// A check that failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedCheck {
    /// When it ended, counted from the start of the container, in milliseconds.
    pub ended: u64,
    /// The beginning of what it printed, or why it could not be run.
    pub output: String,
}

/// The verdict of health checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing is known yet.
    #[default]
    Starting,
    /// The last check succeeded.
    Healthy,
    /// Too many have failed.
    Unhealthy,
}

impl Verdict {
    /// The word that Docker has for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

impl From<Verdict> for Health {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Starting => Self::Starting,
            Verdict::Healthy => Self::Healthy,
            Verdict::Unhealthy => Self::Unhealthy,
        }
    }
}

/// A port of the host that leads to one of the container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundPort {
    /// Address of the host.
    pub host_ip: String,
    /// Port of the host.
    pub published: u16,
    /// Port of the container.
    pub target: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
}

/// Reads a file of JSON; `None` if there is none.
///
/// # Errors
///
/// The file cannot be read, or is no such JSON.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let mut text = Vec::new();
    let whole = File::open(path).and_then(|mut file| file.read_to_end(&mut text));
    match whole {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed("read", path, source)),
    }
    let parsed = serde_json::from_slice(&text);
    parsed.map(Some).map_err(|error| failed("understand", path, error.into()))
}

/// How much a file must bear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// It outlives a crash of the system.
    Durable,
    /// It is of no use after one.
    Volatile,
}

/// Writes a file of JSON: readers see the old text or the new one.
///
/// # Errors
///
/// The file cannot be written.
pub fn write(path: &Path, value: &impl Serialize, durability: Durability) -> Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let text = serde_json::to_vec(value).map_err(|error| failed("write", path, error.into()))?;
    let attempt = || {
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(&text)?;
        if durability == Durability::Durable {
            file.as_file().sync_all()?;
        }
        file.persist(path).map_err(std::io::Error::from)
    };
    attempt().map(drop).map_err(|source| failed("write", path, source))
}

/// A file that could not be dealt with.
pub fn failed(action: &str, path: &Path, source: std::io::Error) -> RuntimeError {
    RuntimeError::Io { action: format!("{action} `{}`", path.display()), source }
}

#[cfg(test)]
mod tests {
    use super::{Durability, Phase, Status, read, write};

    #[test]
    fn what_is_written_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        assert_eq!(read::<Status>(&path).unwrap(), None);
        let status = Status { phase: Phase::Paused, exit_code: 3, ..Status::default() };
        write(&path, &status, Durability::Durable).unwrap();
        assert_eq!(read(&path).unwrap(), Some(status));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left");
        std::fs::write(&path, "{").unwrap();
        let error = read::<Status>(&path).unwrap_err();
        assert!(error.to_string().contains("state.json"), "{error}");
    }
}
