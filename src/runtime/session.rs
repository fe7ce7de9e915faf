//! What flows between a runtime and a command: output, input, samples, events.

use std::fmt;
use std::pin::Pin;

use bytes::{Buf as _, BytesMut};
use futures_util::TryStreamExt as _;
use tokio::io::AsyncWrite;

use super::{Result, Stream};
use crate::model::{Dict, Hook, Output};

pub use bytes::Bytes;

/// A piece of output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Where it comes from.
    pub output: Output,
    /// What it is; lines may be cut anywhere.
    pub bytes: Bytes,
}

/// Which part of the logs or events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Go on when the past has been told.
    pub follow: bool,
    /// From here on: seconds since 1970 with up to nine decimals; empty: from the start.
    pub since: String,
    /// Up to here; empty: to the end.
    pub until: String,
    /// Number of last lines; `None`: all.
    pub tail: Option<u64>,
    /// Put the time before each line.
    pub timestamps: bool,
}

/// How to attach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttachOptions {
    /// Whether input goes in.
    pub stdin: bool,
    /// Keys that detach; empty: ctrl-p, ctrl-q.
    pub detach_keys: String,
}

/// A command to run in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "one independent switch for each flag of `exec`")]
pub struct ExecSpec {
    /// The command and its arguments.
    pub command: Vec<String>,
    /// `NAME=VALUE`.
    pub environment: Vec<String>,
    /// Empty: the container's.
    pub user: String,
    /// Empty: the container's.
    pub working_dir: String,
    /// Whether it may do nearly everything.
    pub privileged: bool,
    /// Whether it gets a terminal.
    pub tty: bool,
    /// Whether input goes in.
    pub stdin: bool,
    /// Whether nobody listens.
    pub detach: bool,
}

/// The streams of a process in a container.
pub struct Session {
    /// What it writes; ends with the process or when detached.
    pub output: Stream<'static, Chunk>,
    /// What it reads.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
    /// Whether it has a terminal.
    pub tty: bool,
}

impl From<&Hook> for ExecSpec {
    fn from(hook: &Hook) -> Self {
        let variable = |(name, value): (&String, &Option<String>)| match value {
            Some(value) => format!("{name}={value}"),
            None => name.clone(),
        };
        Self {
            command: hook.command.clone().unwrap_or_default(),
            environment: hook.environment.iter().map(variable).collect(),
            user: hook.user.clone(),
            working_dir: hook.working_dir.clone(),
            privileged: hook.privileged,
            ..Self::default()
        }
    }
}

impl Session {
    /// How much of a command's output is kept: as much as anybody reads.
    pub(super) const KEPT: usize = 64 * 1024;

    /// The end of what the command writes to both streams.
    pub(super) async fn last_output(mut self) -> Result<String> {
        let mut kept = BytesMut::new();
        while let Some(chunk) = self.output.try_next().await? {
            kept.extend_from_slice(&chunk.bytes);
            let surplus = kept.len().saturating_sub(Self::KEPT);
            kept.advance(surplus);
        }
        Ok(String::from_utf8_lossy(&kept).into_owned())
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("tty", &self.tty).finish_non_exhaustive()
    }
}

/// Whose terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Terminal {
    /// The container's own.
    Container(String),
    /// That of a command in it.
    Exec(String),
}

/// The size of a terminal in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Width.
    pub columns: u16,
    /// Height.
    pub rows: u16,
}

/// Something that happened to a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuntimeEvent {
    /// When, in nanoseconds since 1970.
    pub time: i64,
    /// Id of the container.
    pub container: String,
    /// What: `create`, `start`, `die`, `health_status: healthy` and so on.
    pub action: String,
    /// Labels of the container and details of the event.
    pub attributes: Dict,
}

/// What a runtime is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuntimeVersion {
    /// Its name, such as `docker`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Version of the API that is spoken; empty if there is none.
    pub api: String,
    /// Where it was reached.
    pub address: String,
}

/// The processes of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessTable {
    /// Titles of the columns.
    pub titles: Vec<String>,
    /// A row for each process.
    pub rows: Vec<Vec<String>>,
}

/// What lies at a path in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathInfo {
    /// Its last name.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Where it leads if it is a link.
    pub link: String,
}

/// How far a pull, push or build is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Layer or build step; empty: the whole.
    pub part: String,
    /// What is going on, in words; for builds a line of output.
    pub status: String,
    /// Bytes done.
    pub current: u64,
    /// Bytes to do; 0 if unknown.
    pub total: u64,
}
