//! Locks that tell whether somebody lives.
//!
//! In: the path of a lock file. Out: the lock, or that somebody has it. The kernel gives a lock
//! back when its process ends, however it ends.
//!
//! # Invariants
//!
//! - Only who takes a lock opens the file for writing: closing it then wakes those who watch the
//!   directory (`CLOSE_WRITE`), and asking does not.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock, fstat, lstat};
use rustix::io::Errno;

use super::state::failed;
use crate::runtime::Result;

/// A lock; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Lock(OwnedFd);

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A container that another thread is about to start has the same open file until its
        // program runs: to close ours alone would leave it locked, and who starts it may wait here.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

/// How often a lock is tried, and how long in between: who only asks holds it for an instant.
const TRIES: (u32, Duration) = (20, Duration::from_micros(500));

/// Takes a lock; `None` if somebody has it.
pub(super) fn take(path: &Path) -> Result<Option<Lock>> {
    let file = open_for_taking(path)?;
    for _ in 0..TRIES.0 {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(Lock(file))),
            Err(Errno::WOULDBLOCK) => std::thread::sleep(TRIES.1),
            Err(Errno::INTR) => {}
            Err(error) => return Err(failed("lock", path, error.into())),
        }
    }
    Ok(None)
}

/// Takes a lock that is never held for long.
pub(super) fn wait(path: &Path) -> Result<Lock> {
    loop {
        let file = open_for_taking(path)?;
        let lock = hold(path, file, FlockOperation::LockExclusive)?;
        // Who held it may have removed it: then the lock is that of the next file.
        if has_name(&lock.0, path).map_err(|error| failed("lock", path, error))? {
            return Ok(lock);
        }
    }
}

/// Gives a lock back for good: its file goes.
pub(super) fn remove(lock: Lock, path: &Path) -> Result<()> {
    let removed = std::fs::remove_file(path);
    drop(lock);
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path, error)),
        _ => Ok(()),
    }
}

/// Whether a file is the one that a path names. The lock of one that is not holds nobody off.
///
/// # Errors
///
/// One of them cannot be looked at.
pub(crate) fn has_name(file: impl AsFd, path: &Path) -> io::Result<bool> {
    let own = fstat(file)?;
    match lstat(path) {
        Ok(named) => Ok((own.st_dev, own.st_ino) == (named.st_dev, named.st_ino)),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Takes a lock that others may take in this way too.
pub(super) fn share(path: &Path) -> Result<Lock> {
    let file = open_for_taking(path)?;
    hold(path, file, FlockOperation::LockShared)
}

/// Locks a directory itself, which leaves no file behind. It is never locked for long.
pub(super) fn directory(path: &Path) -> Result<Lock> {
    use rustix::fs::{CWD, Mode, OFlags, openat};
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let opened = openat(CWD, path, flags, Mode::empty());
    let opened = opened.map_err(|error| failed("open", path, error.into()))?;
    hold(path, opened, FlockOperation::LockExclusive)
}

fn hold(path: &Path, file: OwnedFd, how: FlockOperation) -> Result<Lock> {
    on(file, how).map_err(|error| failed("lock", path, error.into()))
}

/// Locks an open file or directory.
pub(super) fn on(file: OwnedFd, how: FlockOperation) -> rustix::io::Result<Lock> {
    loop {
        match flock(&file, how) {
            Ok(()) => return Ok(Lock(file)),
            // Signals do not end the waiting.
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Whether somebody has a lock.
pub(super) fn is_held(path: &Path) -> Result<bool> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed("open", path, error)),
    };
    loop {
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => return Ok(false),
            Err(Errno::WOULDBLOCK) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(error) => return Err(failed("ask for the lock of", path, error.into())),
        }
    }
}

fn open_for_taking(path: &Path) -> Result<OwnedFd> {
    use rustix::fs::{CWD, Mode, OFlags, openat};
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    openat(CWD, path, flags, Mode::RUSR | Mode::WUSR)
        .map_err(|error| failed("open", path, error.into()))
}

#[cfg(test)]
mod tests {
    use super::{is_held, take, wait};

    #[test]
    fn a_lock_is_had_by_one_and_given_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        assert!(!is_held(&path).unwrap());
        let lock = take(&path).unwrap();
        assert!(lock.is_some() && is_held(&path).unwrap());
        assert!(take(&path).unwrap().is_none());
        drop(lock);
        assert!(!is_held(&path).unwrap());
    }

    #[test]
    fn a_lock_is_given_back_though_a_child_has_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let lock = wait(&path).unwrap();
        let child = lock.0.try_clone().unwrap();
        drop(lock);
        assert!(!is_held(&path).unwrap());
        drop(child);
    }
}
