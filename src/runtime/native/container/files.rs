//! Files of a container, read and written from outside.
//!
//! # Invariants
//!
//! - Every path is resolved beneath the root of the container.
//! - What is read is bounded; nothing but regular files is read.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Gid, Mode, OFlags, ResolveFlags, Uid};
use rustix::io::Errno;

use super::error::{StartError, kernel};
use super::tree;
use super::user::{Database, Identity};
use crate::model::spec::InjectedFile;

/// The most that is read of `/etc/passwd` and `/etc/group`.
const MOST: u64 = 4 << 20;

/// The text of a file; empty if there is none.
fn text(root: BorrowedFd<'_>, path: &str) -> io::Result<String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let opened = match rustix::fs::openat2(root, path, flags, Mode::empty(), resolve) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(String::new()),
        opened => opened?,
    };
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&opened)?.st_mode);
    if kind != FileType::RegularFile {
        return Ok(String::new());
    }
    let mut bytes = Vec::new();
    File::from(opened).take(MOST).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Who a process is, by what the container knows of its users.
///
/// # Errors
///
/// If it does not know a name.
pub(super) fn identify(
    root: BorrowedFd<'_>,
    user: &str,
    groups: &[String],
) -> Result<Identity, StartError> {
    let read = |path: &str| {
        let failed = || format!("read `/{path}` of the container");
        text(root, path).map_err(kernel(failed))
    };
    let (passwd, group) = (read("etc/passwd")?, read("etc/group")?);
    let database = Database { passwd: &passwd, group: &group };
    database.identify(user, groups).map_err(StartError::Invalid)
}

/// What Docker puts into every root: the file by which programs see that they run in a container,
/// and the old name of the list of mounts.
///
/// # Errors
///
/// If it cannot be made in a root that can be written to.
pub(super) fn mark(root: BorrowedFd<'_>) -> Result<(), StartError> {
    let mode = Mode::from_raw_mode(0o755);
    match rustix::fs::mknodat(root, c".dockerenv", FileType::RegularFile, mode, 0) {
        Ok(()) | Err(Errno::EXIST | Errno::ROFS) => {}
        Err(errno) => return Err(kernel(|| "make `/.dockerenv`".to_owned())(errno)),
    }
    let linked = tree::beneath(root, Path::new("etc"))
        .and_then(|etc| rustix::fs::symlinkat(c"/proc/mounts", etc, c"mtab"));
    match linked {
        Ok(()) | Err(Errno::EXIST | Errno::ROFS | Errno::NOENT | Errno::NOTDIR) => Ok(()),
        Err(errno) => Err(kernel(|| "make `/etc/mtab`".to_owned())(errno)),
    }
}

/// What another container is called, by its `/etc/hostname`.
///
/// # Errors
///
/// If it does not run.
pub(super) fn hostname(process: BorrowedFd<'_>) -> Result<String, StartError> {
    let root = root_of(number_of(process)?)?;
    let text = text(root.as_fd(), "etc/hostname");
    let text = text.map_err(kernel(|| "read `/etc/hostname` of a container".to_owned()))?;
    Ok(text.lines().next().unwrap_or_default().trim().chars().take(64).collect())
}

/// The number of a process that is held.
pub(super) fn number_of(process: BorrowedFd<'_>) -> Result<i32, StartError> {
    let mut info = String::new();
    let path = format!("/proc/self/fdinfo/{}", process.as_raw_fd());
    let read = File::open(path).and_then(|mut file| file.read_to_string(&mut info));
    read.map_err(kernel(|| "look at the container".to_owned()))?;
    let pid = info.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok());
    pid.filter(|pid| *pid > 0).ok_or_else(does_not_run)
}

/// The root of a process.
pub(super) fn root_of(pid: i32) -> Result<OwnedFd, StartError> {
    let path = format!("/proc/{pid}/root");
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, Mode::empty()) {
        // Of a process that is ending, the root goes first.
        Err(Errno::NOENT) => Err(does_not_run()),
        opened => opened.map_err(kernel(|| "open the root of the container".to_owned())),
    }
}

fn does_not_run() -> StartError {
    StartError::Invalid("the container does not run".to_owned())
}

/// Writes files into a container.
///
/// # Errors
///
/// If one cannot be written.
pub(super) fn inject(root: BorrowedFd<'_>, files: &[InjectedFile]) -> Result<(), StartError> {
    for file in files {
        let failed = || format!("write `{}` into the container", file.path);
        write(root, file).map_err(kernel(failed))?;
    }
    Ok(())
}

fn write(root: BorrowedFd<'_>, file: &InjectedFile) -> io::Result<()> {
    let path = Path::new(&file.path);
    let name = path.file_name().ok_or(Errno::ISDIR)?;
    let parent = directory(root, path.parent().unwrap_or(path))?;
    // A new file each time: what the old one is, a container may have chosen.
    match rustix::fs::unlinkat(&parent, name, rustix::fs::AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno.into()),
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let opened = rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o600))?;
    let mut opened = File::from(opened);
    opened.write_all(file.content.as_bytes())?;
    let number = |number: u64| u32::try_from(number).map_err(io::Error::other);
    let (uid, gid) = (Uid::from_raw(number(file.uid)?), Gid::from_raw(number(file.gid)?));
    rustix::fs::fchown(&opened, Some(uid), Some(gid))?;
    Ok(rustix::fs::fchmod(&opened, Mode::from_raw_mode(file.mode & 0o7777))?)
}

/// Opens a directory; makes it and its parents where nothing is.
fn directory(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let mut at = tree::beneath(root, Path::new("."))?;
    let mut so_far = std::path::PathBuf::new();
    for part in path.strip_prefix("/").unwrap_or(path) {
        so_far.push(part);
        let found = match tree::beneath(root, &so_far) {
            Err(Errno::NOENT) => {
                rustix::fs::mkdirat(at.as_fd(), part, Mode::from_raw_mode(0o755))?;
                tree::beneath(root, &so_far)
            }
            found => found,
        };
        at = found?;
    }
    Ok(at)
}
