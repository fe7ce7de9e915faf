//! What a container may use, what it uses, and all its processes at once.
//!
//! In: [`Limits`]. Out: directories in the cgroup hierarchies of the host, version 1, 2 or both
//! side by side (hybrid).
//!
//! # Invariants
//!
//! - A controller is used where it is mounted; on a hybrid host the hierarchy of version 2 serves
//!   to freeze, kill and wait, which version 1 does badly.
//! - A cgroup that is gone has no processes: killing, signalling and removing it succeed.
//!
//! # Not here
//!
//! Which limits a container has (`configure`).

mod create;
mod device;
mod hierarchy;
mod limits;
mod setting;
mod support;
mod text;
mod usage;
mod warm;

pub use limits::{BlockRate, BlockWeight, DeviceRule, Limits};
pub use usage::Usage;
pub use warm::Warm;

pub(super) use create::{Entrances, Views};
pub(super) use support::describe;
pub(super) use support::lacks;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, Signal};

use super::config::Config;
use hierarchy::Hierarchies;

/// How long the kernel may take to freeze or to kill.
const PATIENCE: Duration = Duration::from_secs(10);

/// The cgroup of a container, in all hierarchies.
#[derive(Clone, Debug)]
pub struct Cgroup {
    at: Hierarchies,
}

impl Cgroup {
    /// The cgroup of a container, which may be gone: then there is nothing to kill or remove.
    ///
    /// # Errors
    ///
    /// If the mount table cannot be read.
    pub fn open(config: &Config) -> io::Result<Self> {
        let place = hierarchy::place(&config.cgroup_parent, &config.id)?;
        Ok(Self { at: Hierarchies::find()?.at(&place) })
    }

    /// Kills all processes, also frozen ones.
    ///
    /// # Errors
    ///
    /// If the kernel does not.
    pub fn kill(&self) -> io::Result<()> {
        if let Some(unified) = &self.at.unified {
            match text::write(&unified.join("cgroup.kill"), "1") {
                Ok(()) => return self.thaw(),
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Err(_) => {}
            }
        }
        // Frozen, none can make another.
        let frozen = self.freeze();
        self.signal(Signal::KILL.as_raw())?;
        if frozen.is_ok() { self.thaw() } else { Ok(()) }
    }

    /// Sends a signal to all processes.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        for pid in self.processes()? {
            // SAFETY: kill touches no memory. A pid that was used again meanwhile would have to be
            // in this cgroup, which only our own processes are.
            if unsafe { libc::kill(pid, signal) } != 0 {
                let error = io::Error::last_os_error();
                if error.raw_os_error() != Some(libc::ESRCH) {
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Freezes all processes; returns when none runs.
    ///
    /// # Errors
    ///
    /// If the kernel cannot.
    pub fn freeze(&self) -> io::Result<()> {
        if let Some(unified) = self.unified_with("cgroup.freeze") {
            text::write(&unified.join("cgroup.freeze"), "1")?;
            return wait_for_event(unified, "frozen", 1);
        }
        let freezer = self.freezer()?;
        let deadline = Instant::now() + PATIENCE;
        while text::read(&freezer)?.trim() != "FROZEN" {
            // Asking again takes in processes that were made meanwhile.
            text::write(&freezer, "FROZEN")?;
            pause(deadline)?;
        }
        Ok(())
    }

    /// Lets frozen processes go on.
    ///
    /// # Errors
    ///
    /// If the kernel cannot.
    pub fn thaw(&self) -> io::Result<()> {
        let done = match self.unified_with("cgroup.freeze") {
            Some(unified) => text::write(&unified.join("cgroup.freeze"), "0"),
            None => self.freezer().and_then(|file| text::write(&file, "THAWED")),
        };
        done.or_else(gone_is_well)
    }

    /// Whether its processes are frozen.
    pub fn is_frozen(&self) -> bool {
        match self.unified_with("cgroup.freeze") {
            Some(unified) => text::read(&unified.join("cgroup.events"))
                .is_ok_and(|events| text::value(&events, "frozen") == Some(1)),
            None => self
                .freezer()
                .and_then(|file| text::read(&file))
                .is_ok_and(|state| state.trim() == "FROZEN"),
        }
    }

    /// The numbers of its processes, as the caller sees them.
    ///
    /// # Errors
    ///
    /// If they cannot be read.
    pub fn processes(&self) -> io::Result<Vec<i32>> {
        let Some(path) = self.listing() else { return Ok(Vec::new()) };
        match text::read(&path.join("cgroup.procs")) {
            Ok(text) => Ok(text.lines().filter_map(|line| line.parse().ok()).collect()),
            Err(error) => gone_is_well(error).map(|()| Vec::new()),
        }
    }

    /// What it uses.
    ///
    /// # Errors
    ///
    /// If it is gone.
    pub fn usage(&self) -> io::Result<Usage> {
        usage::of(&self.at)
    }

    /// How many processes were killed because memory ran out.
    ///
    /// # Errors
    ///
    /// If it is gone.
    pub fn oom_kills(&self) -> io::Result<u64> {
        usage::oom_kills(&self.at)
    }

    /// Removes it; what still runs in it is killed first.
    ///
    /// # Errors
    ///
    /// If the kernel does not let go of it.
    pub fn remove(&self) -> io::Result<()> {
        if !self.processes()?.is_empty() {
            self.kill()?;
        }
        let deadline = Instant::now() + PATIENCE;
        for path in self.at.paths() {
            remove(path, deadline)?;
        }
        Ok(())
    }

    fn unified_with(&self, file: &str) -> Option<&Path> {
        self.at.unified.as_deref().filter(|path| path.join(file).exists())
    }

    /// Where the processes are listed.
    fn listing(&self) -> Option<&Path> {
        self.at.unified.as_deref().or_else(|| self.at.paths().next())
    }

    fn freezer(&self) -> io::Result<PathBuf> {
        let none = || io::Error::new(io::ErrorKind::Unsupported, "this host has no freezer");
        Ok(self.at.old("freezer").ok_or_else(none)?.join("freezer.state"))
    }
}

/// A cgroup that is not there is as good as empty.
fn gone_is_well(error: io::Error) -> io::Result<()> {
    let is_gone =
        error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV);
    if is_gone { Ok(()) } else { Err(error) }
}

/// Waits until an entry of `cgroup.events` has a value.
fn wait_for_event(cgroup: &Path, key: &str, wanted: u64) -> io::Result<()> {
    let path = cgroup.join("cgroup.events");
    let deadline = Instant::now() + PATIENCE;
    let file = fs::File::open(&path)?;
    loop {
        if text::value(&text::read(&path)?, key) == Some(wanted) {
            return Ok(());
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        // A change wakes every watcher; a second covers one that came before we watched.
        let wait = left.min(Duration::from_secs(1));
        let wait = Timespec::try_from(wait).map_err(io::Error::other)?;
        rustix::event::poll(&mut [PollFd::new(&file, PollFlags::PRI)], Some(&wait))?;
    }
}

/// Lets the kernel go on for a moment, unless the time is up.
fn pause(deadline: Instant) -> io::Result<()> {
    if Instant::now() > deadline {
        return Err(io::ErrorKind::TimedOut.into());
    }
    std::thread::sleep(Duration::from_millis(1));
    Ok(())
}

/// Removes a directory and those that processes made below it, as soon as no process is left.
fn remove(path: &Path, deadline: Instant) -> io::Result<()> {
    loop {
        match fs::remove_dir(path) {
            Ok(()) => return Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                remove_below(path, deadline)?;
                pause(deadline)?;
            }
            Err(error) => return gone_is_well(error),
        }
    }
}

fn remove_below(path: &Path, deadline: Instant) -> io::Result<()> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => return gone_is_well(error),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            kill_processes(&entry.path());
            remove(&entry.path(), deadline)?;
        }
    }
    Ok(())
}

/// Kills what is in a cgroup below that of the container.
fn kill_processes(path: &Path) {
    let text = text::read(&path.join("cgroup.procs")).unwrap_or_default();
    for pid in text.lines().filter_map(|line| line.parse().ok()).filter_map(Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
}
