//! Files of the host brought into containers, one by one, without the help of the image.
//!
//! In: the root of a container, open, and [`Transfer`]s. Out: what became of each. [`apply`] writes
//! beneath the root, [`compare`] looks at it; [`archive`] does both through the archives of a
//! runtime whose containers have no root that can be reached from here.
//!
//! # Invariants
//!
//! - The kernel resolves every path beneath the root: no link leads out of it.
//! - A file gets its name when it is whole; nobody ever sees half of it.
//! - What is replaced keeps its owner and its permissions, and what is new gets those of its
//!   directory. Only whether a file can be executed comes from the host, as with git.
//!
//! # Not here
//!
//! Which files (`watch`), and when (`cli`).

mod apply;
pub(super) mod archive;
mod compare;

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, FileType, Mode, OFlags, ResolveFlags, Stat, openat, openat2, readlinkat};

pub(super) use apply::apply;
pub(super) use compare::compare;

use crate::model::transfer::{Stamp, Transfer};

/// Opens a path of a container; a link at its end is followed within the root.
fn open(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let below = path.strip_prefix("/").unwrap_or(path);
    let below = if below.as_os_str().is_empty() { Path::new(".") } else { below };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    Ok(openat2(root, below, flags | OFlags::CLOEXEC, Mode::empty(), resolve)?)
}

/// Opens a directory of a container.
fn open_directory(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    open(root, path, OFlags::RDONLY | OFlags::DIRECTORY)
}

/// Opens a directory of a container that is at, above or below a base: links are followed up to
/// there only.
fn open_at(root: BorrowedFd<'_>, path: &Path, base: &Path) -> io::Result<OwnedFd> {
    let Some(below) = path.strip_prefix(base).ok().filter(|it| !it.as_os_str().is_empty()) else {
        return open_directory(root, path);
    };
    let base = open_directory(root, base)?;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat2(base, below, flags, Mode::empty(), resolve)?)
}

/// Whether a path leads to nothing: a part of it is missing, or is no directory.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        || error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

/// The directory that a path of a container lies in, and its name there.
fn split(path: &Path) -> io::Result<(&Path, PathBuf)> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    Ok((path.parent().unwrap_or(Path::new("/")), PathBuf::from(name)))
}

fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Whether anybody may execute it.
fn is_executable(stat: &Stat) -> bool {
    stat.st_mode & 0o111 != 0
}

/// What lies at a path of the host; links are not followed. `None`: nothing.
fn look_at(path: &Path) -> io::Result<Option<Stat>> {
    match rustix::fs::lstat(path) {
        Ok(stat) => Ok(Some(stat)),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Whether what lies in a directory of a container still is as it was brought.
fn is_still(
    (parent, name): (BorrowedFd<'_>, &Path),
    found: &Stat,
    stamp: &Stamp,
) -> io::Result<bool> {
    Ok(match (stamp, kind(found)) {
        (Stamp::File { size, modified }, FileType::RegularFile) => {
            let nanoseconds = i64::try_from(found.st_mtime_nsec).unwrap_or_default();
            u64::try_from(found.st_size) == Ok(*size) && (found.st_mtime, nanoseconds) == *modified
        }
        (Stamp::Link(leads), FileType::Symlink) => {
            let other = readlinkat(parent, name, Vec::new())?;
            OsStr::from_bytes(other.as_bytes()) == leads.as_os_str()
        }
        (Stamp::Directory, FileType::Directory) => {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let directory = openat(parent, name, flags, Mode::empty())?;
            let mut names = Dir::new(directory)?.map(|it| it.map(|it| it.file_name().to_owned()));
            names.all(|name| matches!(name.as_deref().map(CStr::to_bytes), Ok(b"." | b"..")))
        }
        _ => false,
    })
}

/// Transfers in an order in which each finds its directory: removals first, the deepest of them
/// first, then the rest from the top.
fn in_order(transfers: &[Transfer]) -> Vec<&Transfer> {
    let (mut gone, mut there): (Vec<_>, Vec<_>) =
        transfers.iter().partition(|transfer| transfer.source.is_none());
    gone.sort_by(|a, b| b.path.cmp(&a.path));
    there.sort_by(|a, b| a.path.cmp(&b.path));
    gone.extend(there);
    gone
}

#[cfg(test)]
mod tests;
