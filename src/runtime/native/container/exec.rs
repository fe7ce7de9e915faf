//! Runs one more process in a container.

use std::os::fd::BorrowedFd;

use super::config::Config;
use super::error::StartError;
use super::start::Started;
use super::streams::Streams;

/// A command to run in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecConfig {
    /// The program and its arguments.
    pub args: Vec<String>,
    /// Variables besides those of the container: `NAME=VALUE`; a name alone takes one away.
    pub environment: Vec<String>,
    /// Its working directory; empty: that of the container.
    pub working_dir: String,
    /// Its user; empty: that of the container.
    pub user: String,
    /// Whether it may do all that the host may.
    pub privileged: bool,
}

/// Runs a command in a running container: returns when its program has been executed.
///
/// `init` is the container's first process. The command is a child of the calling thread, and in
/// the cgroup of the container; unlike the container it survives that thread.
///
/// # Errors
///
/// What failed, at which step.
pub fn exec(
    container: &Config,
    init: BorrowedFd<'_>,
    command: &ExecConfig,
    streams: Streams,
) -> Result<Started, StartError> {
    let _ = (container, init, command, streams);
    todo!()
}
