//! Compares files of the host with those beneath the root of a container.
//!
//! In: the root and transfers. Out: those that have something to do, and why. Nothing is changed.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, fstat, openat, readlink, readlinkat, statat,
};
use rustix::io::Errno;

use super::{is_absent, is_executable, is_still, kind, look_at, open_at, open_directory, split};
use crate::model::transfer::{Difference, Transfer, Trust};
use crate::runtime::{Result, RuntimeError};

/// How much of two files is held at once.
const ROOM: usize = 64 * 1024;

/// The transfers that have something to do.
pub(in crate::runtime) fn compare(
    root: BorrowedFd<'_>,
    transfers: &[Transfer],
    trust: Trust,
) -> Result<Vec<(Transfer, Difference)>> {
    let mut found = Vec::new();
    let mut sides = Sides { root, trust, directory: None };
    for transfer in transfers {
        let path = transfer.path.display();
        let failed = |source| RuntimeError::Io {
            action: format!("compare `{path}` of the container with its source"),
            source,
        };
        let difference = sides.difference(transfer).map_err(failed)?;
        found.extend(difference.map(|difference| (transfer.clone(), difference)));
    }
    Ok(found)
}

/// A directory of a container, with the target that it was reached from.
type Known = ((PathBuf, Arc<Path>), Option<OwnedFd>);

/// The host and a container.
struct Sides<'r> {
    root: BorrowedFd<'r>,
    trust: Trust,
    /// The directory that was looked at last; `None` in it: there is none.
    directory: Option<Known>,
}

impl Sides<'_> {
    /// Opens the directory of a path; `None`: there is none.
    fn enter(&mut self, parent: &Path, base: &Arc<Path>) -> io::Result<Option<BorrowedFd<'_>>> {
        let is_it = |((path, of), _): &Known| path == parent && of == base;
        if !self.directory.as_ref().is_some_and(is_it) {
            let opened = match open_at(self.root, parent, base) {
                Ok(parent) => Some(parent),
                Err(error) if is_absent(&error) => None,
                Err(error) => return Err(error),
            };
            self.directory = Some(((parent.to_owned(), base.clone()), opened));
        }
        Ok(self.directory.as_ref().and_then(|(_, opened)| opened.as_ref()).map(OwnedFd::as_fd))
    }

    fn difference(&mut self, transfer: &Transfer) -> io::Result<Option<Difference>> {
        if transfer.path == Path::new("/") {
            return Ok(None);
        }
        let (root, trust) = (self.root, self.trust);
        let (parent, name) = split(&transfer.path)?;
        let parent = self.enter(parent, &transfer.base)?;
        let there = match &parent {
            Some(parent) => match statat(parent, &name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => None,
                found => Some(found?),
            },
            None => None,
        };
        against((root, trust), transfer, (parent, &name, there))
    }
}

/// Compares what lies in a directory of a container with its source.
fn against(
    (root, trust): (BorrowedFd<'_>, Trust),
    transfer: &Transfer,
    (parent, name, there): (Option<BorrowedFd<'_>>, &Path, Option<Stat>),
) -> io::Result<Option<Difference>> {
    let here = match &transfer.source {
        Some(source) => look_at(source)?.map(|stat| (source, stat)),
        None => None,
    };
    let (here, there) = match (here, there) {
        (None, None) => return Ok(None),
        (None, Some(there)) => {
            let Some((stamp, parent)) = transfer.only.as_ref().zip(parent) else {
                return Ok(Some(Difference::LeftOver));
            };
            let is_ours = is_still((parent, name), &there, stamp)?;
            return Ok(is_ours.then_some(Difference::LeftOver));
        }
        (Some((_, stat)), None) => return Ok(is_brought(&stat).then_some(Difference::Missing)),
        (Some(here), Some(there)) => (here, there),
    };
    let is_base = transfer.path == *transfer.base;
    if is_base && kind(&here.1) == FileType::Directory && kind(&there) == FileType::Symlink {
        // The target itself may be a link to a directory.
        let leads = open_directory(root, &transfer.path).is_ok();
        return Ok((!leads).then_some(Difference::Kind));
    }
    let Some(parent) = parent else { return Ok(None) };
    pair(here, (parent, name, &there), trust)
}

/// Whether files of this kind are brought at all.
fn is_brought(stat: &Stat) -> bool {
    matches!(kind(stat), FileType::RegularFile | FileType::Directory | FileType::Symlink)
}

fn pair(
    (source, here): (&PathBuf, Stat),
    (parent, name, there): (BorrowedFd<'_>, &Path, &Stat),
    trust: Trust,
) -> io::Result<Option<Difference>> {
    match (kind(&here), kind(there)) {
        (FileType::Directory, FileType::Directory) => Ok(None),
        (FileType::Symlink, FileType::Symlink) => {
            let (one, other) =
                (readlink(source, Vec::new())?, readlinkat(parent, name, Vec::new())?);
            Ok((one != other).then_some(Difference::Content))
        }
        (FileType::RegularFile, FileType::RegularFile) => {
            if here.st_size != there.st_size {
                return Ok(Some(Difference::Content));
            }
            let time = |stat: &Stat| (stat.st_mtime, stat.st_mtime_nsec);
            let is_trusted = trust == Trust::Times && time(&here) == time(there);
            // What cannot be read is told by whoever brings it.
            let is_same = || same_content(source, (parent, name)).unwrap_or(false);
            if !is_trusted && !is_same() {
                return Ok(Some(Difference::Content));
            }
            let differs = is_executable(&here) != is_executable(there);
            Ok(differs.then_some(Difference::Mode))
        }
        (here, _)
            if !matches!(here, FileType::RegularFile | FileType::Directory | FileType::Symlink) =>
        {
            Ok(None)
        }
        _ => Ok(Some(Difference::Kind)),
    }
}

fn same_content(source: &Path, (parent, name): (BorrowedFd<'_>, &Path)) -> io::Result<bool> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut one = File::from(rustix::fs::open(source, flags, Mode::empty())?);
    let Some(mut other) = open_regular(parent, name)? else { return Ok(false) };
    let (mut left, mut right) = (Vec::with_capacity(ROOM), Vec::with_capacity(ROOM));
    loop {
        left.clear();
        right.clear();
        let limit = ROOM as u64;
        let read = (&mut one).take(limit).read_to_end(&mut left)?;
        (&mut other).take(limit).read_to_end(&mut right)?;
        if left != right {
            return Ok(false);
        }
        if read == 0 {
            return Ok(true);
        }
    }
}

/// Opens a file of the container to read it. What was a file a moment ago may be a device by now,
/// and opening that alone can do something: so it is looked at before it is opened.
pub(super) fn open_regular(parent: BorrowedFd<'_>, name: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let found = openat(parent, name, flags, Mode::empty())?;
    if kind(&fstat(&found)?) != FileType::RegularFile {
        return Ok(None);
    }
    let path = format!("/proc/self/fd/{}", found.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(Some(File::from(rustix::fs::open(path, flags, Mode::empty())?)))
}
