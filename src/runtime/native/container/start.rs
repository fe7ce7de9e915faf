//! Starts a container.

use std::os::fd::OwnedFd;

use super::cgroup::Cgroup;
use super::config::Config;
use super::error::StartError;
use super::streams::Streams;
use crate::model::spec::InjectedFile;
use crate::runtime::Result;

/// What a start needs besides the config.
#[derive(Debug)]
pub struct Launch<'a> {
    /// What the streams of the process are connected to.
    pub streams: Streams,
    /// Namespaces of other containers.
    pub joined: Joined,
    /// Files to write into the container before its program runs.
    pub files: &'a [InjectedFile],
}

/// Processes (as pidfds) of the containers that `Config::namespaces` names with `Namespace::Of`.
#[derive(Debug, Default)]
pub struct Joined {
    /// Whose network is shared.
    pub network: Option<OwnedFd>,
    /// Whose processes are seen.
    pub pid: Option<OwnedFd>,
    /// Whose shared memory is used.
    pub ipc: Option<OwnedFd>,
    /// Whose host name is used.
    pub uts: Option<OwnedFd>,
}

/// A process that has started.
#[derive(Debug)]
pub struct Started {
    /// Its number as the caller sees it; a child of the caller, to be waited for.
    pub pid: i32,
    /// The same as a file: readable when the process has ended.
    pub pidfd: OwnedFd,
    /// The other end of its terminal.
    pub terminal: Option<OwnedFd>,
    /// The cgroup of the container.
    pub cgroup: Cgroup,
}

/// Starts a container: returns when its program has been executed.
///
/// `before_exec` gets the number of the process while its file systems are mounted; its namespaces
/// are there. The program runs after it has returned. When it or anything else fails, nothing of
/// the container remains.
///
/// The calling thread is the container's parent and must live as long as it: the kernel kills the
/// container when that thread ends. SIGCHLD is sent when the container ends.
///
/// # Errors
///
/// What failed, at which step.
pub fn start(
    config: &Config,
    launch: Launch<'_>,
    before_exec: impl FnOnce(i32) -> Result<()>,
) -> std::result::Result<Started, StartError> {
    let _ = (config, launch, before_exec);
    todo!()
}
