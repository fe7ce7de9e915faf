//! Network namespaces: found, made, and visited.
//!
//! In: a process or a path. Out: an open namespace, and what a function does inside it.
//!
//! # Invariants
//!
//! - A visit ends where it began, whatever happens in between, and nothing waits meanwhile. A
//!   socket stays in the namespace that it was made in, so visits are short.
//! - Only the calling thread moves. A thread of its own for each visit would be safe without any
//!   care, but on a busy machine it waits for a processor longer than all of the work takes.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::mount::UnmountFlags;
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

use crate::runtime::Result;

use super::failed;

/// What `statfs` says of a file that stands for a namespace.
const NSFS: u64 = 0x6e73_6673;

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
        let open = || -> io::Result<OwnedFd> {
            let descriptor =
                rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
            let kind = rustix::fs::fstatfs(&descriptor)?.f_type;
            if u64::try_from(kind) != Ok(NSFS) {
                return Err(io::Error::from(io::ErrorKind::InvalidData));
            }
            Ok(descriptor)
        };
        let action = || format!("open the network namespace `{}`", path.display());
        Ok(Self { descriptor: open().map_err(failed(action()))? })
    }

    /// Another handle on it.
    pub(super) fn try_clone(&self) -> Result<Self> {
        let descriptor = self.descriptor.try_clone();
        Ok(Self { descriptor: descriptor.map_err(failed("hold a network namespace"))? })
    }

    /// What tells it from all namespaces that exist now.
    pub(super) fn inode(&self) -> Result<u64> {
        let stat = rustix::fs::fstat(&self.descriptor).map_err(io::Error::from);
        Ok(stat.map_err(failed("look at a network namespace"))?.st_ino)
    }

    /// Runs a function inside the namespace.
    pub(super) fn visit<T>(&self, work: impl FnOnce() -> T) -> Result<T> {
        let _home = Home::leave()?;
        enter(self.descriptor.as_fd()).map_err(failed("enter a network namespace"))?;
        Ok(work())
    }

    /// Makes a namespace that lives as long as the file `pin` is mounted, runs a function inside
    /// it, and returns what that made.
    #[expect(unsafe_code, reason = "the safe wrapper is deprecated")]
    pub(super) fn create<T>(pin: &Path, work: impl FnOnce() -> T) -> Result<T> {
        let _home = Home::leave()?;
        let create = || -> io::Result<()> {
            File::options().write(true).create(true).truncate(false).open(pin)?;
            // SAFETY: only `FILES` makes `unshare` unsafe, by hiding descriptors from other
            // threads; it is not asked for.
            unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }?;
            Ok(rustix::mount::mount_bind("/proc/thread-self/ns/net", pin)?)
        };
        create().map_err(failed(format!("make the network namespace `{}`", pin.display())))?;
        Ok(work())
    }

    /// Lets go of what [`Namespace::create`] pinned, whether it is there or not. The kernel
    /// removes what is inside when nothing else holds it.
    pub(super) fn unpin(pin: &Path) -> Result<()> {
        // Whether it is mounted here or only in another mount namespace, removing the file ends
        // all its mounts.
        let _ = rustix::mount::unmount(pin, UnmountFlags::DETACH);
        match std::fs::remove_file(pin) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed(format!("remove the network namespace `{}`", pin.display()))(error))
            }
            _ => Ok(()),
        }
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// The namespace that a thread came from, where it goes when this is dropped.
struct Home(OwnedFd);

impl Home {
    fn leave() -> Result<Self> {
        Ok(Self(Namespace::current()?.descriptor))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // Nothing may go on in a namespace that is not its own. What was permitted on the way out
        // is so on the way back.
        if enter(self.0.as_fd()).is_err() {
            std::process::abort();
        }
    }
}

/// Moves the calling thread.
fn enter(namespace: BorrowedFd<'_>) -> io::Result<()> {
    let kind = Some(LinkNameSpaceType::Network);
    Ok(rustix::thread::move_into_link_name_space(namespace, kind)?)
}
