//! A process between its clone and its program.
//!
//! In: a script. Out: the process, its program running, or why it did not.
//!
//! # Invariants
//!
//! - A process that does not become its program is killed and reaped: dropping a [`Starting`]
//!   leaves nothing.

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Pid, Signal, WaitOptions};
use rustix::thread::ThreadNameSpaceType;

use super::child::{self, PROGRAM, Program, Report, Script, Step, WAITING};
use super::config::Process;
use super::error::{StartError, kernel};
use super::layout;
use super::sys::{self, Side};

/// A process that is not its program yet.
#[derive(Debug)]
pub(super) struct Starting {
    /// Its number.
    pub(super) pid: i32,
    /// The process.
    pub(super) child: OwnedFd,
    /// The other end of its terminal.
    pub(super) terminal: Option<OwnedFd>,
    line: OwnedFd,
    /// What each step is called.
    steps: Vec<String>,
    is_over: bool,
}

/// Where a process is made.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// The namespaces that are made for it.
    pub(super) flags: c_int,
    /// Its cgroup of version 2.
    pub(super) cgroup: Option<OwnedFd>,
    /// A process whose namespace of processes it is in.
    pub(super) processes: Option<OwnedFd>,
}

impl Starting {
    /// Makes the process, which begins with its steps at once.
    pub(super) fn new(
        steps: Vec<Step>,
        program: Program,
        place: &Place,
    ) -> Result<Self, StartError> {
        let failed = || "make the process".to_owned();
        let kind = SocketType::SEQPACKET;
        let pair = rustix::net::socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None);
        let (line, theirs) = pair.map_err(kernel(failed))?;
        // The three streams are replaced in the child: this must not be one of them.
        let theirs = rustix::io::fcntl_dupfd_cloexec(&theirs, 3).map_err(kernel(failed))?;
        let names = steps.iter().map(ToString::to_string).collect();
        let script = Script { line: theirs, steps, program };
        let side = place.inside(|| {
            let cgroup = place.cgroup.as_ref().map(|cgroup| cgroup.as_fd());
            // SAFETY: the child runs the script, which allocates nothing and ends in `execve` or
            // `_exit`; the flags are namespaces.
            match unsafe { sys::clone(place.flags, cgroup) } {
                Ok(Side::Child) => child::run(&script),
                side => side,
            }
        });
        let (pid, child) = match side.map_err(kernel(failed))? {
            Side::Parent { pid, pidfd } => (pid, pidfd),
            Side::Child => sys::exit(1),
        };
        Ok(Self { pid, child, terminal: None, line, steps: names, is_over: false })
    }

    /// Waits until the process has done all that it can do alone.
    pub(super) fn wait_until_ready(&mut self, process: &Process) -> Result<(), StartError> {
        match self.report()? {
            Some(report) if report.step == WAITING => Ok(()),
            Some(report) => Err(self.failure(report, process)),
            None => Err(StartError::Invalid("the container ended while it started".to_owned())),
        }
    }

    /// Lets the process go on; returns when its program runs, with the terminal.
    pub(super) fn go(self, process: &Process) -> Result<Option<OwnedFd>, StartError> {
        match rustix::io::write(&self.line, b"!") {
            // Who has failed reads no more; why, is told below.
            Ok(_) | Err(rustix::io::Errno::PIPE) => {}
            Err(errno) => return Err(kernel(|| "start the program".to_owned())(errno)),
        }
        self.wait_for_program(process)
    }

    /// Returns when the program runs.
    pub(super) fn wait_for_program(
        mut self,
        process: &Process,
    ) -> Result<Option<OwnedFd>, StartError> {
        match self.report()? {
            Some(report) => Err(self.failure(report, process)),
            // The line is closed when a program is executed.
            None => {
                self.is_over = true;
                Ok(self.terminal.take())
            }
        }
    }

    fn report(&self) -> Result<Option<Report>, StartError> {
        let mut bytes = [0; Report::SIZE];
        let read = rustix::io::retry_on_intr(|| rustix::io::read(&self.line, &mut bytes));
        match read {
            Ok(Report::SIZE) => Ok(Some(Report::from_bytes(bytes))),
            Ok(_) | Err(rustix::io::Errno::CONNRESET) => Ok(None),
            Err(errno) => Err(kernel(|| "hear from the process".to_owned())(errno)),
        }
    }

    /// What a report means.
    fn failure(&self, report: Report, process: &Process) -> StartError {
        let source = io::Error::from_raw_os_error(report.errno);
        if report.step == PROGRAM {
            let program = process.args.first().cloned().unwrap_or_default();
            if report.errno == libc::ENOENT {
                let is_path = program.contains('/');
                let path = if is_path { "" } else { layout::search_path(process) }.to_owned();
                return StartError::ProgramMissing { program, path };
            }
            return StartError::ProgramRefused { program, source };
        }
        let step = usize::try_from(report.step).ok().and_then(|step| self.steps.get(step));
        let action = step.cloned().unwrap_or_else(|| "start the process".to_owned());
        StartError::Kernel { action, source }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let _ = rustix::process::pidfd_send_signal(&self.child, Signal::KILL);
        let pid = Pid::from_raw(self.pid);
        let _ = rustix::io::retry_on_intr(|| rustix::process::waitpid(pid, WaitOptions::empty()));
    }
}

impl Place {
    /// Makes processes of this thread members of another namespace for a moment.
    fn inside(&self, make: impl FnOnce() -> sys::Result<Side>) -> sys::Result<Side> {
        let Some(process) = &self.processes else { return make() };
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let own = rustix::fs::open(c"/proc/self/ns/pid_for_children", flags, Mode::empty())?;
        let kind = ThreadNameSpaceType::PROCESS_ID;
        rustix::thread::move_into_thread_name_spaces(process.as_fd(), kind)?;
        let made = make();
        let kind = rustix::thread::LinkNameSpaceType::ProcessID;
        rustix::thread::move_into_link_name_space(own.as_fd(), Some(kind))?;
        made
    }
}
