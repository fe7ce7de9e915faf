//! What a container may use, what it uses, and all its processes at once.
//!
//! In: [`Limits`]. Out: directories in the cgroup hierarchies of the host, version 1, 2 or both
//! side by side (hybrid).

mod limits;
mod warm;

pub use limits::{BlockRate, BlockWeight, DeviceRule, Limits};
pub use warm::{Warm, keep_warm};

use std::io;

use super::config::Config;

/// The cgroup of a container, in all hierarchies.
#[derive(Debug)]
pub struct Cgroup {}

/// What a container uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time in nanoseconds.
    pub cpu: u64,
    /// Memory in bytes, without the page cache that could be given up at once.
    pub memory: u64,
    /// The most memory that it may use; 0: no limit.
    pub memory_limit: u64,
    /// Bytes read from and written to block devices.
    pub block: (u64, u64),
    /// Number of processes and threads.
    pub processes: u64,
}

impl Cgroup {
    /// The cgroup of a container that exists already, or is gone: then all it does is nothing.
    pub fn open(config: &Config) -> io::Result<Self> {
        let _ = config;
        todo!()
    }

    /// Kills all processes.
    pub fn kill(&self) -> io::Result<()> {
        todo!()
    }

    /// Sends a signal to all processes.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        let _ = signal;
        todo!()
    }

    /// Freezes all processes.
    pub fn freeze(&self) -> io::Result<()> {
        todo!()
    }

    /// Lets frozen processes go on.
    pub fn thaw(&self) -> io::Result<()> {
        todo!()
    }

    /// The numbers of its processes, as the caller sees them.
    pub fn processes(&self) -> io::Result<Vec<i32>> {
        todo!()
    }

    /// What it uses.
    pub fn usage(&self) -> io::Result<Usage> {
        todo!()
    }

    /// How many processes were killed because memory ran out.
    pub fn oom_kills(&self) -> io::Result<u64> {
        todo!()
    }

    /// Removes it, with processes that still run.
    pub fn remove(&self) -> io::Result<()> {
        todo!()
    }
}
