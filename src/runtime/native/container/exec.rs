//! Runs one more process in a container.
//!
//! # Invariants
//!
//! - The new process is hidden from those of the container until it is its program.
//! - What the container could have replaced (its `/dev/ptmx`, its `/etc/passwd`) is resolved
//!   beneath its root and looked at before it is used.

use std::os::fd::{AsFd as _, BorrowedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::thread::ThreadNameSpaceType;

use super::cgroup::Cgroup;
use super::child::Step;
use super::config::{CapabilitySet, Config, Process};
use super::error::{StartError, kernel};
use super::layout::{self, Request, Terminal};
use super::start::Started;
use super::starting::{Place, Starting};
use super::streams::Streams;

/// The number of the file system of terminals.
const DEVPTS: rustix::fs::FsWord = 0x1cd1;

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
/// `init` is the container's first process (a pidfd). The command is a child of the calling thread,
/// and in the cgroup of the container; unlike the container it survives that thread.
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
    let root = super::files::root_of(super::files::number_of(init)?)?;
    // The number could have become another's meanwhile: then this process has ended.
    still_runs(init)?;
    let mut process = process(container, command);
    if matches!(streams, Streams::Terminal(_)) {
        name_terminal(&mut process.environment);
    }
    let user = super::files::identify(root.as_fd(), &process.user, &process.groups)?;
    let terminal = match &streams {
        Streams::Terminal(_) => Some(terminal(root.as_fd(), user.uid)?),
        Streams::Files { .. } => None,
    };
    let stdio = layout::streams(streams, terminal.as_ref(), user.uid)?;
    let program = layout::program(Request {
        process: &process,
        user,
        stdio,
        seccomp: &container.security.seccomp,
        below_init: false,
        dies_with_parent: false,
    })?;
    let cgroup = Cgroup::open(container).map_err(kernel(|| "find the cgroup".to_owned()))?;
    let entrances = cgroup.entrances()?;
    let held = || init.try_clone_to_owned().map_err(kernel(|| "hold the container".to_owned()));
    let mut steps = vec![Step::Begin];
    if !entrances.old.is_empty() {
        steps.push(Step::EnterCgroups(entrances.old));
    }
    steps.push(Step::Join(held()?, NAMESPACES));
    steps.push(Step::KeepRoot);
    steps.extend(layout::limits(&process.rlimits)?);
    steps.extend(layout::apparmor(&container.security.apparmor)?);
    let place = Place { flags: 0, cgroup: entrances.unified, processes: Some(held()?) };
    let mut starting = Starting::new(steps, program, &place)?;
    starting.terminal = terminal.map(|terminal| terminal.ours);
    if let Some(score) = process.oom_score_adj {
        let path = format!("/proc/{}/oom_score_adj", starting.pid);
        let written = std::fs::write(&path, score.to_string());
        written.map_err(kernel(|| format!("set `oom_score_adj: {score}`")))?;
    }
    let pidfd = starting.child.try_clone();
    let pidfd = pidfd.map_err(kernel(|| "hold the process".to_owned()))?;
    let pid = starting.pid;
    let terminal = starting.wait_for_program(&process)?;
    Ok(Started { pid, pidfd, terminal, cgroup })
}

/// What a command enters; the namespace of processes is entered before.
const NAMESPACES: ThreadNameSpaceType = ThreadNameSpaceType::MOUNT
    .union(ThreadNameSpaceType::NETWORK)
    .union(ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION)
    .union(ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME)
    .union(ThreadNameSpaceType::CONTROL_GROUP);

/// The process of a command: what it does not say is as in the container's own.
fn process(container: &Config, command: &ExecConfig) -> Process {
    let own = &container.process;
    let or = |given: &String, own: &String| if given.is_empty() { own } else { given }.clone();
    let mut environment = own.environment.clone();
    if !command.user.is_empty() {
        // That of another user.
        environment.retain(|line| !line.starts_with("HOME="));
    }
    for line in &command.environment {
        let (name, value) =
            line.split_once('=').map_or((line.as_str(), None), |(n, v)| (n, Some(v)));
        environment.retain(|old| old.split('=').next() != Some(name));
        environment.extend(value.map(|_| line.clone()));
    }
    Process {
        args: command.args.clone(),
        environment,
        working_dir: or(&command.working_dir, &own.working_dir),
        user: or(&command.user, &own.user),
        capabilities: if command.privileged { CapabilitySet::all() } else { own.capabilities },
        ..own.clone()
    }
}

/// Says which kind of terminal there is, unless that is said.
fn name_terminal(environment: &mut Vec<String>) {
    if !environment.iter().any(|line| line.starts_with("TERM=")) {
        environment.push("TERM=xterm".to_owned());
    }
}

fn still_runs(init: BorrowedFd<'_>) -> Result<(), StartError> {
    use rustix::event::{PollFd, PollFlags, Timespec};
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let ended =
        rustix::event::poll(&mut [PollFd::from_borrowed_fd(init, PollFlags::IN)], Some(&now));
    match ended {
        Ok(0) => Ok(()),
        Ok(_) => Err(StartError::Invalid("the container does not run".to_owned())),
        Err(errno) => Err(kernel(|| "look at the container".to_owned())(errno)),
    }
}

/// A new terminal of the container.
fn terminal(root: BorrowedFd<'_>, uid: u32) -> Result<Terminal, StartError> {
    let failed = || "open `/dev/pts/ptmx` of the container".to_owned();
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let found = rustix::fs::openat2(root, c"dev/pts", flags, Mode::empty(), resolve);
    let found = found.map_err(kernel(failed))?;
    if rustix::fs::fstatfs(&found).map_err(kernel(failed))?.f_type != DEVPTS {
        let text = "`/dev/pts` of the container is no place for terminals".to_owned();
        return Err(StartError::Invalid(text));
    }
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let ours = rustix::fs::openat(&found, c"ptmx", flags, Mode::empty()).map_err(kernel(failed))?;
    Terminal::of(ours, uid)
}
