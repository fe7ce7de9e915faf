//! Keeps the kernel ready to move processes between cgroups.
//!
//! An isolated move waits for a grace period of the kernel (12 ms); one right after another does
//! not. A thread of any process that moves itself to where it is keeps all of them quick.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::hierarchy::Hierarchies;
use super::text;

/// How long a move stays quick after another, with room to spare.
const PERIOD: Duration = Duration::from_millis(4);
/// After this long, nobody waits for a container to start.
const LONGEST: Duration = Duration::from_secs(60);

/// Moves are quick until this is dropped.
#[derive(Debug)]
pub struct Warm {
    over: Arc<AtomicBool>,
}

/// Makes moves quick; begin as early as possible. Where no process has to be moved, or this one
/// may not move anything, nothing happens.
pub fn keep_warm() -> Warm {
    let over = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&over);
    let spawned = std::thread::Builder::new().name("cgroup".to_owned()).spawn(move || warm(&stop));
    if let Err(error) = spawned {
        tracing::debug!("moves between cgroups stay slow: {error}");
    }
    Warm { over }
}

impl Drop for Warm {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// Moves this process to where it is, again and again.
fn warm(over: &AtomicBool) {
    let end = Instant::now() + LONGEST;
    let Some(mut here) = own_entrance() else { return };
    while !over.load(Ordering::Relaxed) && Instant::now() < end {
        if here.write_all(b"0").is_err() {
            return;
        }
        std::thread::sleep(PERIOD);
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
