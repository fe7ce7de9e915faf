//! A container from its start to its end.
//!
//! In: what it is. Out: a process, and what serves it: streams, names, ports, checks; then how it
//! ended.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus, pidfd_open, pidfd_send_signal,
    waitid,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::JoinSet;

use super::console::Console;
use super::network::Connected;
use super::{Shim, prober};
use crate::runtime::native::channel::register;
use crate::runtime::native::container::{self, Cgroup, Joined, Launch, Namespace, Started};
use crate::runtime::native::injected;
use crate::runtime::native::names;
use crate::runtime::native::state::{self, BoundPort, HealthReport, Status};
use crate::runtime::native::volume::{self, Hold};
use crate::runtime::signal::is_lost;
use crate::runtime::{Result, RuntimeError};

/// A container that runs.
#[derive(Debug)]
pub(super) struct Run {
    pid: i32,
    process: AsyncFd<OwnedFd>,
    pub(super) cgroup: Cgroup,
    pub(super) console: Rc<Console>,
    pub(super) network: Connected,
    tasks: RefCell<JoinSet<()>>,
    volumes: RefCell<Vec<Hold>>,
    is_checked: bool,
    /// The clock on the wall may be set while it runs.
    began: Instant,
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// Its exit code, as a shell has it.
    pub(super) code: i64,
    /// Whether the kernel killed something of it for lack of memory.
    pub(super) out_of_memory: bool,
    /// More about it.
    pub(super) reason: String,
    /// How long it ran.
    pub(super) ran: Duration,
}

impl Run {
    /// Starts the container. A failure comes with the exit code that the container gets.
    pub(super) async fn start(shim: &Rc<Shim>) -> std::result::Result<Self, (i64, RuntimeError)> {
        const FAILED: i64 = 128;
        let before = |error: RuntimeError| (FAILED, error);
        let network = Connected::reserve(shim).map_err(before)?;
        let streams = Console::new(&shim.record, &shim.place);
        let (console, streams) = streams.map_err(|error| before(no_streams(error)))?;
        let console = Rc::new(console);
        console.admit_waiting(&shim.place).await;
        let joined = joined(shim).map_err(before)?;
        let files = injected::read(&shim.place).map_err(before)?;
        let volumes = volume::hold(&shim.root, &shim.record.config.mounts).map_err(before)?;
        let launch = Launch { streams, joined, files: &files };
        let started =
            container::start(&shim.record.config, launch, |pid| network.attach(shim, pid));
        let started =
            started.map_err(|error| (i64::from(error.exit_code()), error.into_runtime_error()))?;
        Self::of(shim, started, (console, network, volumes)).map_err(before)
    }

    fn of(
        shim: &Shim,
        started: Started,
        parts: (Rc<Console>, Connected, Vec<Hold>),
    ) -> Result<Self> {
        let (console, network, volumes) = parts;
        let Started { pid, pidfd, terminal, cgroup } = started;
        let failed = |source| RuntimeError::Io { action: "watch the container".to_owned(), source };
        if let Some(terminal) = terminal {
            console.connect_terminal(terminal).map_err(failed)?;
        }
        let process = register(pidfd, Interest::READABLE).map_err(failed)?;
        let is_checked = shim.record.check.is_some();
        let tasks = RefCell::default();
        Ok(Self {
            pid,
            process,
            cgroup,
            console,
            network,
            tasks,
            volumes: volumes.into(),
            is_checked,
            began: Instant::now(),
        })
    }

    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    pub(super) fn pidfd(&self) -> BorrowedFd<'_> {
        self.process.get_ref().as_fd()
    }

    pub(super) fn ports(&self) -> Vec<BoundPort> {
        self.network.ports()
    }

    /// What is known of its health at the start.
    pub(super) fn health(&self) -> Option<HealthReport> {
        self.is_checked.then(HealthReport::default)
    }

    /// Begins to serve it.
    pub(super) fn begin(self: &Rc<Self>, shim: &Rc<Shim>) {
        let mut tasks = self.tasks.borrow_mut();
        let console = Rc::clone(&self.console);
        tasks.spawn_local(async move { console.run().await });
        let run = Rc::clone(self);
        tasks.spawn_local(async move { run.network.serve().await });
        if let Some(check) = shim.record.check.clone() {
            let (shim, run) = (Rc::clone(shim), Rc::clone(self));
            tasks.spawn_local(async move { prober::check(&shim, &run, check).await });
        }
    }

    /// Waits for the end of the container and tidies up.
    pub(super) async fn end(&self, shim: &Shim) -> Ended {
        self.wait().await;
        let status = self.status(WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        // What it has left behind (`pid: host`) ends with it.
        if let Err(error) = self.cgroup.kill() {
            tracing::debug!("cannot kill what {} left: {error}", shim.place.id);
        }
        // The tasks hold this very value.
        let mut tasks = self.tasks.take();
        tasks.abort_all();
        while tasks.join_next().await.is_some() {}
        self.network.close();
        self.console.finish().await;
        self.volumes.take();
        let kills = self.cgroup.oom_kills().unwrap_or(0);
        // The next start gets a new one: it counts from zero, and some kernels (6.14 and later) kill
        // at once what is cloned into one that was killed before.
        if let Err(error) = self.cgroup.remove() {
            tracing::debug!("the cgroup of {} stays: {error}", shim.place.id);
        }
        // Now that its end is known, its number may be given to others.
        self.status(WaitIdOptions::EXITED);
        ended(status.as_ref(), (kills, self.began.elapsed()))
    }

    /// Waits until the process has ended.
    pub(super) async fn wait(&self) {
        loop {
            match self.process.readable().await {
                Ok(mut guard) if self.has_ended() => return guard.retain_ready(),
                Ok(mut guard) => guard.clear_ready(),
                // There is no event loop any more.
                Err(_) => return,
            }
        }
    }

    fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        self.status(options).is_some()
    }

    fn status(&self, options: WaitIdOptions) -> Option<WaitIdStatus> {
        waitid(WaitId::PidFd(self.pidfd()), options).ok().flatten()
    }

    /// Sends a signal to the first process.
    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(self.pidfd(), signal) {
            Err(rustix::io::Errno::SRCH) => Ok(()),
            sent => Ok(sent?),
        }
    }

    /// Whether the first process can do anything about a signal.
    pub(super) fn takes(&self, signal: Signal) -> bool {
        !is_lost(self.pid.into(), signal.as_raw().unsigned_abs())
    }
}

fn ended(status: Option<&WaitIdStatus>, (kills, ran): (u64, Duration)) -> Ended {
    let code = status.and_then(WaitIdStatus::exit_status);
    let signal = status.and_then(WaitIdStatus::terminating_signal);
    let reason = match signal {
        _ if kills > 0 => "memory ran out".to_owned(),
        Some(signal) => format!("signal {signal}"),
        None => String::new(),
    };
    let code = code.or(signal.map(|signal| 128 + signal)).unwrap_or(255);
    Ended { code: i64::from(code), out_of_memory: kills > 0, reason, ran }
}

fn no_streams(source: io::Error) -> RuntimeError {
    RuntimeError::Io { action: "open the streams and the log of the container".to_owned(), source }
}

/// The processes of the containers whose namespaces are shared.
fn joined(shim: &Shim) -> Result<Joined> {
    let namespaces = &shim.record.config.namespaces;
    let open = |namespace: &Namespace| match namespace {
        Namespace::Of(container) => process_of(shim, container).map(Some),
        Namespace::Own | Namespace::Host => Ok(None),
    };
    Ok(Joined {
        network: open(&namespaces.network)?,
        pid: open(&namespaces.pid)?,
        ipc: open(&namespaces.ipc)?,
        uts: open(&namespaces.uts)?,
    })
}

fn process_of(shim: &Shim, container: &str) -> Result<OwnedFd> {
    let other = names::the(&shim.root, container)?;
    let status: Option<Status> = state::read(&shim.root.container(&other.id).state())?;
    let pid = status.filter(|status| status.phase.is_up()).map(|status| status.pid);
    let open = pid.and_then(Pid::from_raw).map(|pid| pidfd_open(pid, PidfdFlags::empty()));
    open.and_then(rustix::io::Result::ok).ok_or_else(|| {
        let said =
            format!("cannot share a namespace with container {}: it does not run", other.name);
        RuntimeError::Conflict(said)
    })
}
