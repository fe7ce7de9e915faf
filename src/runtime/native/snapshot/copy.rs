//! Copies of whole trees: everything that a file can be and have.
//!
//! In: a directory, and where its copy is to be; on the way back also what lies there now. Out: a
//! tree that is equal: contents, holes, owners, rights, times, attributes, links of both kinds,
//! devices, sockets, and what tells an overlay that a file is gone.
//!
//! # Invariants
//!
//! - Data is shared by reflink where the file system can; else the kernel copies it.
//! - A file that is known to be unchanged is linked, not copied: the new tree gets the old file. So
//!   it does of a large one that has changed, which is made equal to the original first.
//! - Links are copied, never followed; the tree belongs to containers, which may be hostile.

use std::collections::HashMap;
use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::{IntoParallelRefIterator as _, ParallelIterator as _};
use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Uid, XattrFlags};
use rustix::io::Errno;

use super::known::{Known, Mark};
use super::patch::patch;
use crate::runtime::native::container::copy_up::{DEEPEST, attributes, contents, own, stat, times};
use crate::runtime::{Cancel, Work};

/// What is copied, and how.
#[derive(Debug)]
pub(super) struct Copy<'a> {
    /// The original.
    pub(super) from: &'a Path,
    /// Where the copy is to be; nothing is there.
    pub(super) to: &'a Path,
    /// What is there now, and which of its files are equal to the original's. It is used up: its
    /// files may be changed.
    pub(super) live: Option<(&'a Path, &'a Known)>,
    /// Ends the work early.
    pub(super) cancel: &'a Cancel,
}

/// What came of a copy.
#[derive(Debug, Default)]
pub(super) struct Copied {
    /// How much was done.
    pub(super) work: Work,
    /// Numbers of files: that of the original and that of the copy.
    pub(super) pairs: Vec<(u64, u64)>,
    /// Whether there is more in memory than on disk.
    pub(super) is_unwritten: bool,
}

/// How many files are waited for one by one until they are on disk; more are left to the caller.
const ONE_BY_ONE: usize = 64;

const OPEN: OFlags =
    OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK);
const OPEN_TO_CHANGE: OFlags =
    OFlags::RDWR.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK);
const OPEN_DIRECTORY: OFlags = OPEN.union(OFlags::DIRECTORY);

impl Copy<'_> {
    /// Makes the copy.
    ///
    /// # Errors
    ///
    /// Something cannot be copied; what was is left to the caller.
    pub(super) fn run(&self) -> io::Result<Copied> {
        let open = |path: &Path| rustix::fs::open(path, OPEN_DIRECTORY, Mode::empty());
        let from = open(self.from)?;
        std::fs::create_dir(self.to)?;
        let to = open(self.to)?;
        let live = match self.live {
            Some((path, _)) => open(path).ok(),
            None => None,
        };
        let copier = Copier {
            known: self.live.map(|(_, known)| known),
            root: &to,
            cancel: self.cancel,
            cannot_share: AtomicBool::new(false),
            unwritten: AtomicUsize::new(if self.live.is_some() { 0 } else { ONE_BY_ONE }),
            linked: Mutex::default(),
            pairs: Mutex::default(),
            done: Done::default(),
        };
        let place = Place { from: &from, live: live.as_ref(), to: &to, path: Path::new("") };
        copier.directory(place, 0)?;
        let work = copier.done.work();
        let is_unwritten = copier.unwritten.into_inner() > ONE_BY_ONE;
        Ok(Copied { work, pairs: copier.pairs.into_inner().unwrap_or_default(), is_unwritten })
    }
}

/// A directory in all trees.
#[derive(Clone, Copy)]
struct Place<'a> {
    from: &'a OwnedFd,
    live: Option<&'a OwnedFd>,
    to: &'a OwnedFd,
    /// Its path in the copy.
    path: &'a Path,
}

/// Bytes that were dealt with.
#[derive(Default)]
struct Done {
    shared: AtomicU64,
    copied: AtomicU64,
    kept: AtomicU64,
}

impl Done {
    fn work(&self) -> Work {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Work { shared: of(&self.shared), copied: of(&self.copied), kept: of(&self.kept) }
    }
}

struct Copier<'a> {
    known: Option<&'a Known>,
    root: &'a OwnedFd,
    cancel: &'a Cancel,
    cannot_share: AtomicBool,
    /// How many files had to be written.
    unwritten: AtomicUsize,
    /// Files with several names, by device and number: the path of the first copy.
    linked: Mutex<HashMap<(u64, u64), PathBuf>>,
    pairs: Mutex<Vec<(u64, u64)>>,
    done: Done,
}

impl Copier<'_> {
    fn directory(&self, place: Place<'_>, depth: usize) -> io::Result<()> {
        if depth > DEEPEST {
            return Err(io::Error::other(format!("directories lie more than {DEEPEST} deep")));
        }
        if self.cancel.is_wanted() {
            return Err(io::Error::other("interrupted"));
        }
        let mut names: Vec<CString> = Vec::new();
        for entry in Dir::read_from(place.from)? {
            let entry = entry?;
            let name = entry.file_name();
            if name != c"." && name != c".." {
                names.push(name.to_owned());
            }
        }
        let copy = |name: &CString| {
            self.entry(place, name, depth).map_err(|error| self.at(place, name, &error))
        };
        names.par_iter().try_for_each(copy)?;
        adopt(place.from, place.to, &stat(place.from)?)
    }

    /// An error with the path that it is about, once.
    fn at(&self, place: Place<'_>, name: &CStr, error: &io::Error) -> io::Error {
        if error.get_ref().is_some() || self.cancel.is_wanted() {
            return io::Error::other(error.to_string());
        }
        let path = place.path.join(OsStr::from_bytes(name.to_bytes()));
        io::Error::other(format!("`{}`: {error}", path.display()))
    }

    fn entry(&self, place: Place<'_>, name: &CStr, depth: usize) -> io::Result<()> {
        let status = rustix::fs::statat(place.from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = FileType::from_raw_mode(status.st_mode);
        let path = || place.path.join(OsStr::from_bytes(name.to_bytes()));
        if kind == FileType::Directory {
            let from = rustix::fs::openat(place.from, name, OPEN_DIRECTORY, Mode::empty())?;
            rustix::fs::mkdirat(place.to, name, Mode::from_raw_mode(0o700))?;
            let to = rustix::fs::openat(place.to, name, OPEN_DIRECTORY, Mode::empty())?;
            let open = |live| rustix::fs::openat(live, name, OPEN_DIRECTORY, Mode::empty()).ok();
            let live = place.live.and_then(open);
            let below = Place { from: &from, live: live.as_ref(), to: &to, path: &path() };
            return self.directory(below, depth + 1);
        }
        if status.st_nlink < 2 {
            return self.leaf(place, name, &status);
        }
        let key = (status.st_dev, status.st_ino);
        // Whoever comes to another name of it meanwhile waits for the first copy.
        let mut linked = self.linked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = linked.get(&key) {
            return Ok(rustix::fs::linkat(self.root, first, place.to, name, AtFlags::empty())?);
        }
        self.leaf(place, name, &status)?;
        linked.insert(key, path());
        Ok(())
    }

    /// Anything but a directory.
    fn leaf(&self, place: Place<'_>, name: &CStr, status: &Stat) -> io::Result<()> {
        match FileType::from_raw_mode(status.st_mode) {
            FileType::RegularFile if self.keeps(place, name, status) => Ok(()),
            FileType::RegularFile if self.mends(place, name, status)? => Ok(()),
            FileType::RegularFile => self.file(place, name, status),
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(place.from, name, Vec::new())?;
                rustix::fs::symlinkat(&target, place.to, name)?;
                own(place.to, name, status)?;
                named_attributes(place, name)
            }
            kind => {
                let mode = Mode::from_raw_mode(status.st_mode & 0o7777);
                rustix::fs::mknodat(place.to, name, kind, mode, status.st_rdev)?;
                rustix::fs::chmodat(place.to, name, mode, AtFlags::empty())?;
                own(place.to, name, status)?;
                named_attributes(place, name)
            }
        }
    }

    /// Takes over a file that has not changed; whether it has not.
    fn keeps(&self, place: Place<'_>, name: &CStr, status: &Stat) -> bool {
        let (Some(live), Some(known)) = (place.live, self.known) else { return false };
        let Some(mark) = known.get(&status.st_ino) else { return false };
        let Ok(found) = rustix::fs::statat(live, name, AtFlags::SYMLINK_NOFOLLOW) else {
            return false;
        };
        let is_same = Mark::of(&found) == *mark
            && FileType::from_raw_mode(found.st_mode) == FileType::RegularFile;
        // A file can have so many names only: then it is copied.
        if !is_same || rustix::fs::linkat(live, name, place.to, name, AtFlags::empty()).is_err() {
            return false;
        }
        self.done.kept.fetch_add(bytes(status), Ordering::Relaxed);
        self.pair(status.st_ino, found.st_ino);
        true
    }

    /// Takes over a large file that has changed, after it was made equal; whether that can be done.
    fn mends(&self, place: Place<'_>, name: &CStr, status: &Stat) -> io::Result<bool> {
        const LARGE: i64 = 1 << 20;
        let Some(live) = place.live else { return Ok(false) };
        let is_dense = bytes(status) >= u64::try_from(status.st_size).unwrap_or(0);
        let is_alone = |found: &Stat| {
            FileType::from_raw_mode(found.st_mode) == FileType::RegularFile && found.st_nlink == 1
        };
        if status.st_size < LARGE || !is_dense || !is_alone(status) || self.is_shared(live) {
            return Ok(false);
        }
        let found = rustix::fs::statat(live, name, AtFlags::SYMLINK_NOFOLLOW);
        if !found.is_ok_and(|found| is_alone(&found)) {
            return Ok(false);
        }
        let Ok(to) = rustix::fs::openat(live, name, OPEN_TO_CHANGE, Mode::empty()) else {
            return Ok(false);
        };
        let from = rustix::fs::openat(place.from, name, OPEN, Mode::empty())?;
        let is_plain = |file: &OwnedFd| matches!(rustix::fs::flistxattr_query(file), Ok(0));
        if !is_plain(&to) || !is_plain(&from) {
            return Ok(false);
        }
        let written = patch(&from, &to, u64::try_from(status.st_size).unwrap_or(0))?;
        adopt(&from, &to, status)?;
        self.write_out(&to)?;
        if rustix::fs::linkat(live, name, place.to, name, AtFlags::empty()).is_err() {
            return Ok(false);
        }
        self.done.copied.fetch_add(written, Ordering::Relaxed);
        self.done.kept.fetch_add(bytes(status).saturating_sub(written), Ordering::Relaxed);
        self.pair(status.st_ino, stat(&to)?.st_ino);
        Ok(true)
    }

    /// Whether reflinks are at hand, which cost nothing.
    fn is_shared(&self, live: &OwnedFd) -> bool {
        const KINDS: [u64; 2] = [0x5846_5342, 0x9123_683E];
        let kind = rustix::fs::fstatfs(live).map_or(0, |found| found.f_type);
        KINDS.contains(&u64::try_from(kind).unwrap_or(0))
            && !self.cannot_share.load(Ordering::Relaxed)
    }

    fn file(&self, place: Place<'_>, name: &CStr, status: &Stat) -> io::Result<()> {
        let from = rustix::fs::openat(place.from, name, OPEN, Mode::empty())?;
        let create = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let to = rustix::fs::openat(place.to, name, create, Mode::from_raw_mode(0o600))?;
        let size = u64::try_from(status.st_size).unwrap_or(0);
        if size > 0 && self.shares(&from, &to)? {
            self.done.shared.fetch_add(bytes(status), Ordering::Relaxed);
        } else {
            contents(&from, &to, size)?;
            self.done.copied.fetch_add(bytes(status), Ordering::Relaxed);
        }
        adopt(&from, &to, status)?;
        self.write_out(&to)?;
        self.pair(status.st_ino, stat(&to)?.st_ino);
        Ok(())
    }

    /// Lets a copy share the data of its original; whether the file system can.
    fn shares(&self, from: &OwnedFd, to: &OwnedFd) -> io::Result<bool> {
        if self.cannot_share.load(Ordering::Relaxed) {
            return Ok(false);
        }
        match rustix::fs::ioctl_ficlone(to, from) {
            Ok(()) => Ok(true),
            Err(Errno::OPNOTSUPP | Errno::NOTTY | Errno::XDEV | Errno::INVAL | Errno::NOSYS) => {
                self.cannot_share.store(true, Ordering::Relaxed);
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until a file is on disk, unless there are many: all at once is faster then.
    fn write_out(&self, file: &OwnedFd) -> io::Result<()> {
        if self.unwritten.fetch_add(1, Ordering::Relaxed) < ONE_BY_ONE {
            rustix::fs::fdatasync(file)?;
        }
        Ok(())
    }

    fn pair(&self, original: u64, copy: u64) {
        self.pairs.lock().unwrap_or_else(PoisonError::into_inner).push((original, copy));
    }
}

/// Bytes on disk.
fn bytes(status: &Stat) -> u64 {
    const BLOCK: u64 = 512;
    u64::try_from(status.st_blocks).unwrap_or(0) * BLOCK
}

/// Gives a copy that is open the owner, rights, attributes and times of its original.
fn adopt(from: &OwnedFd, to: &OwnedFd, status: &Stat) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(status.st_uid), Gid::from_raw(status.st_gid));
    rustix::fs::fchown(to, Some(uid), Some(gid))?;
    rustix::fs::fchmod(to, Mode::from_raw_mode(status.st_mode & 0o7777))?;
    attributes(from, to, &[""])?;
    Ok(rustix::fs::futimens(to, &times(status))?)
}

/// Copies the attributes of what cannot be opened.
fn named_attributes(place: Place<'_>, name: &CStr) -> io::Result<()> {
    let path = |directory: &OwnedFd| {
        let mut path = format!("/proc/self/fd/{}/", directory.as_raw_fd()).into_bytes();
        path.extend_from_slice(name.to_bytes());
        path
    };
    let (from, to) = (path(place.from), path(place.to));
    let length = match rustix::fs::llistxattr_query(&from[..]) {
        Err(Errno::OPNOTSUPP) | Ok(0) => return Ok(()),
        length => length?,
    };
    let mut names = vec![0_u8; length];
    let length = rustix::fs::llistxattr(&from[..], &mut names[..])?;
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0_u8; 1 << 16];
        let length = rustix::fs::lgetxattr(&from[..], name, &mut value[..])?;
        match rustix::fs::lsetxattr(&to[..], name, &value[..length], XattrFlags::empty()) {
            Err(Errno::OPNOTSUPP) | Ok(()) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
