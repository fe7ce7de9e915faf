//! Network namespaces: found, and visited.
//!
//! In: a process or a path. Out: an open namespace.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use crate::runtime::{Result, RuntimeError};

/// An open network namespace. While it is open, it exists.
#[derive(Debug)]
pub struct Namespace {
    descriptor: OwnedFd,
}

impl Namespace {
    /// The namespace of the calling thread.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn current() -> Result<Self> {
        Self::open(Path::new("/proc/thread-self/ns/net"))
    }

    /// The namespace of a process.
    ///
    /// # Errors
    /// If the process is gone.
    pub fn of_process(pid: u32) -> Result<Self> {
        Self::open(Path::new(&format!("/proc/{pid}/ns/net")))
    }

    /// The namespace that a file stands for.
    ///
    /// # Errors
    /// If it is no such file.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|source| RuntimeError::Io {
            action: format!("open the network namespace `{}`", path.display()),
            source,
        })?;
        Ok(Self { descriptor: file.into() })
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
