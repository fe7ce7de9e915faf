//! The process that a lease belongs to.
//!
//! In: a process id. Out: an [`Owner`] that no later process of the same number is taken for.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, getpid, getppid, pidfd_open};
use serde::{Deserialize, Serialize};

use crate::runtime::native::state::boot;

/// A process, for as long as it lives.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Owner {
    /// Its number.
    pub pid: i32,
    /// The name of its program, as the kernel shortens it.
    pub program: String,
    /// When it was started, in ticks since the boot.
    started: u64,
    boot: String,
    /// The name space that its number is of.
    namespace: PathBuf,
}

/// A process stays the same when it executes another program.
impl PartialEq for Owner {
    fn eq(&self, other: &Self) -> bool {
        (self.pid, self.started, &self.boot, &self.namespace)
            == (other.pid, other.started, &other.boot, &other.namespace)
    }
}

impl Eq for Owner {}

impl Owner {
    /// The process that runs.
    ///
    /// # Errors
    ///
    /// The system does not tell about it.
    pub fn this_process() -> io::Result<Self> {
        Self::of(getpid().as_raw_pid())
    }

    /// The process that has started this one.
    ///
    /// # Errors
    ///
    /// It cannot be seen from here, or the system does not tell about it.
    pub fn parent() -> io::Result<Self> {
        Self::of(getppid().map_or(0, Pid::as_raw_pid))
    }

    /// The process of this number.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn of(pid: i32) -> io::Result<Self> {
        // Open it first: what is read then is about a process that cannot be mistaken any more.
        let process = open(pid)?;
        let (program, started) = look(pid)?;
        if has_ended(&process) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Self { pid, program, started, boot: boot(), namespace: namespace() })
    }

    /// The process itself; `None` if it has ended.
    pub(super) fn open(&self) -> Option<OwnedFd> {
        if self.boot != boot() || self.is_elsewhere() {
            return None;
        }
        let process = open(self.pid).ok()?;
        let (_, started) = look(self.pid).ok()?;
        (started == self.started && !has_ended(&process)).then_some(process)
    }

    /// Whether its number means nothing here.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.namespace != namespace()
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` (process {})", self.program.escape_debug(), self.pid)
    }
}

fn open(pid: i32) -> io::Result<OwnedFd> {
    let pid = Some(pid).filter(|pid| *pid > 0).and_then(Pid::from_raw);
    let pid = pid.ok_or(io::ErrorKind::NotFound)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// Its program and when it was started, as `/proc/PID/stat` says it: the name, which may hold
/// anything, stands in brackets before all the numbers.
fn look(pid: i32) -> io::Result<(String, u64)> {
    let mut stat = Vec::new();
    File::open(format!("/proc/{pid}/stat"))?.read_to_end(&mut stat)?;
    let stat = String::from_utf8_lossy(&stat);
    let parts = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')'));
    let started = parts.and_then(|(_, numbers)| numbers.split_whitespace().nth(19)?.parse().ok());
    let (Some((program, _)), Some(started)) = (parts, started) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    Ok((program.to_owned(), started))
}

/// Whether a process has ended, though its parent may not have asked yet how.
fn has_ended(process: &OwnedFd) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut polled = [PollFd::new(process, PollFlags::IN)];
    poll(&mut polled, Some(&now)).is_ok_and(|ready| ready > 0)
}

fn namespace() -> PathBuf {
    std::fs::read_link("/proc/self/ns/pid").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::Owner;

    #[test]
    fn a_process_is_itself_until_it_ends() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let owner = Owner::of(i32::try_from(child.id()).unwrap()).unwrap();
        assert!(owner.open().is_some());
        let later = Owner { started: owner.started + 1, ..owner.clone() };
        assert!(later.open().is_none(), "another process of the same number");
        let before = Owner { boot: "another".to_owned(), ..owner.clone() };
        assert!(before.open().is_none());
        child.kill().unwrap();
        let ended = owner.open();
        // The kernel may need a moment to end it.
        assert!(ended.is_none() || child.wait().is_ok() && owner.open().is_none());
        child.wait().unwrap();
        assert!(owner.open().is_none() && Owner::of(owner.pid).is_err());
    }

    #[test]
    fn what_is_no_process_owns_nothing() {
        for pid in [0, -1, i32::MIN, i32::MAX] {
            assert!(Owner::of(pid).is_err(), "{pid}");
        }
        assert!(Owner::this_process().unwrap().open().is_some());
    }
}
