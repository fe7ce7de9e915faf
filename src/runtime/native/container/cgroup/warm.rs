//! Keeps the kernel ready to move processes between cgroups.
//!
//! An isolated move waits for a grace period of the kernel (12 ms); one right after another does
//! not. A thread of any process that moves itself to where it is keeps all of them quick.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::hierarchy::Hierarchies;
use super::text;

/// How long a move stays quick after another, with room to spare.
const PERIOD: Duration = Duration::from_millis(4);
/// How long moves are quick once somebody asked: longer than it takes to start a container.
const LONG_ENOUGH: Duration = Duration::from_millis(250);

/// Makes moves quick for a while, whenever it is asked to.
#[derive(Clone, Debug, Default)]
pub struct Warm {
    /// Until when; `None`: no thread sees to it.
    until: Arc<Mutex<Option<Instant>>>,
}

impl Warm {
    /// Makes moves quick from soon on; ask as early as possible. Where no process has to be moved,
    /// or this one may not move anything, nothing happens.
    pub fn ask(&self) {
        let until = Instant::now() + LONG_ENOUGH;
        if self.until.lock().unwrap_or_else(PoisonError::into_inner).replace(until).is_some() {
            return;
        }
        let warm = self.clone();
        let spawned = std::thread::Builder::new().name("cgroup".to_owned()).spawn(move || {
            warm.keep();
        });
        if let Err(error) = spawned {
            tracing::debug!("moves between cgroups stay slow: {error}");
        }
    }

    /// Moves this process to where it is, again and again.
    fn keep(&self) {
        // Who cannot do it now cannot do it later: then nobody tries again.
        let Some(mut here) = own_entrance() else { return };
        while self.is_wanted() {
            if here.write_all(b"0").is_err() {
                return;
            }
            std::thread::sleep(PERIOD);
        }
    }

    /// Whether somebody has asked of late; if not, the next one needs another thread.
    fn is_wanted(&self) -> bool {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        *until = until.filter(|until| *until > Instant::now());
        until.is_some()
    }
}

/// The way into the cgroup of version 1 that this process is in; with version 2 alone, processes
/// are made where they belong.
fn own_entrance() -> Option<File> {
    let hosts = Hierarchies::find().ok()?;
    let own = text::read(&PathBuf::from("/proc/self/cgroup")).ok()?;
    let find = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (names, path) = (parts.next()?, parts.next()?);
        let root = hosts.old(names.split(',').next()?)?;
        let file = root.join(path.trim_start_matches('/')).join("cgroup.procs");
        File::options().write(true).open(file).ok()
    };
    own.lines().find_map(find)
}
