//! Starts a container.

use std::os::fd::{AsFd as _, OwnedFd};

use super::cgroup::Cgroup;
use super::config::{Config, Namespace};
use super::error::{StartError, kernel};
use super::layout::{self, Layout, Request};
use super::starting::{Place, Starting};
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
    let Launch { streams, joined, files } = launch;
    let laid = layout::lay_out(config, &joined)?;
    let cgroup = laid.cgroup.clone();
    let started = begin(config, laid, streams, &joined).and_then(|starting| {
        let (pid, pidfd) = (starting.pid, starting.child.try_clone());
        let pidfd = pidfd.map_err(kernel(|| "hold the process".to_owned()))?;
        let terminal = starting.finish(config, files, before_exec)?;
        Ok(Started { pid, pidfd, terminal, cgroup: cgroup.clone() })
    });
    if started.is_err() {
        let _ = cgroup.remove();
    }
    started
}

/// Makes the process.
fn begin(
    config: &Config,
    laid: Layout,
    streams: Streams,
    joined: &Joined,
) -> std::result::Result<Starting, StartError> {
    let Layout { steps, unified, terminal, user, .. } = laid;
    let stdio = layout::streams(streams, terminal.as_ref(), user.uid)?;
    let program = layout::program(Request {
        process: &config.process,
        user,
        stdio,
        seccomp: &config.security.seccomp,
        below_init: config.init,
        dies_with_parent: !config.init,
    })?;
    let place = Place {
        flags: layout::own_namespaces(&config.namespaces),
        cgroup: unified,
        processes: match &config.namespaces.pid {
            Namespace::Of(other) => Some(layout::process_of(joined.pid.as_ref(), other, "pid")?),
            Namespace::Own | Namespace::Host => None,
        },
    };
    let mut starting = Starting::new(steps, program, &place)?;
    starting.terminal = terminal.map(|terminal| terminal.ours);
    Ok(starting)
}

impl Starting {
    /// Does what has to be done before the program runs, and lets it run.
    fn finish(
        mut self,
        config: &Config,
        files: &[InjectedFile],
        before_exec: impl FnOnce(i32) -> Result<()>,
    ) -> std::result::Result<Option<OwnedFd>, StartError> {
        if let Some(score) = config.process.oom_score_adj {
            let path = format!("/proc/{}/oom_score_adj", self.pid);
            let written = std::fs::write(&path, score.to_string());
            written.map_err(kernel(|| format!("set `oom_score_adj: {score}`")))?;
        }
        before_exec(self.pid).map_err(StartError::Before)?;
        self.wait_until_ready(&config.process)?;
        if !files.is_empty() {
            let root = super::files::root_of(self.pid)?;
            super::files::inject(root.as_fd(), files)?;
        }
        self.go(&config.process)
    }
}
