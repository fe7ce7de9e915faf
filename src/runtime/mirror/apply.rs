//! Writes beneath the root of a container.
//!
//! In: the root and transfers. Out: what became of each. Nothing is held in memory, whatever the
//! size of a file.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, chownat, fchmod,
    fchown, fstat, futimens, mkdirat, openat, readlink, renameat, statat, symlinkat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use super::{in_order, is_absent, is_executable, is_still, kind, look_at, open_at, split};
use crate::model::transfer::{Stamp, Transfer, Transferred};

/// How many levels of directories are removed at once: each takes a descriptor and a part of the
/// stack, and how many there are a container decides.
const DEEPEST: usize = 128;

/// How large a file is held in memory while it is copied.
const ROOM: usize = 64 * 1024;

/// From how many files on they are copied by all processors.
const MANY: usize = 64;

/// How a file is held that is not looked into.
const OLD: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Does what the transfers say, as far as it can be done.
pub(in crate::runtime) fn apply(root: BorrowedFd<'_>, transfers: &[Transfer]) -> Transferred {
    let ordered = in_order(transfers);
    // Directories come before what lies in them, and removals before everything.
    let is_file = |it: &&Transfer| it.source.as_ref().is_some_and(|source| !source.is_dir());
    let (files, first): (Vec<&Transfer>, Vec<&Transfer>) = ordered.into_iter().partition(is_file);
    let mut report = Writer::new(root, 0).bring_all(&first).0;
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let writers = if files.len() < MANY { 1 } else { processors };
    let keeps = descriptors() / writers;
    let all_replaced: Vec<_> = std::thread::scope(|scope| {
        let parts = files.chunks(files.len().div_ceil(writers).max(1));
        let threads: Vec<_> = parts
            .map(|part| scope.spawn(move || Writer::new(root, keeps).bring_all(part)))
            .collect();
        let ended = threads.into_iter().map(|thread| match thread.join() {
            Ok((done, replaced)) => {
                report.take(done);
                replaced
            }
            Err(panic) => std::panic::resume_unwind(panic),
        });
        ended.collect()
    });
    drop(all_replaced);
    report
}

/// How many descriptors may be taken for files that were replaced.
fn descriptors() -> usize {
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX) / 4;
    usize::try_from(most).unwrap_or(usize::MAX)
}

/// Why something failed, and what to do where that is not plain.
fn words(error: &io::Error) -> String {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::BUSY) => format!("{error}: something is mounted at this very path"),
        Some(Errno::NOTEMPTY | Errno::EXIST) => {
            format!("{error}: the container has a directory with files in this place")
        }
        Some(Errno::ROFS) => format!("{error}: let the service write there, such as to a volume"),
        _ => error.to_string(),
    }
}

/// What became of one transfer that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Brought {
    Done,
    Unsettled,
}

/// A name that nothing else has: who writes to the same container at the same time has another.
fn temporary_name() -> PathBuf {
    let mut bytes = [0; 8];
    // Without random bytes the number of the process tells writers apart.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::NONBLOCK);
    let number = u64::from_ne_bytes(bytes) ^ u64::from(std::process::id());
    PathBuf::from(format!(".ketch-{number:016x}"))
}

struct Writer<'r> {
    root: BorrowedFd<'r>,
    /// The directory that was written to last: many files lie in the same one.
    directory: Option<(PathBuf, OwnedFd)>,
    /// What a file is called until it is whole.
    temporary: PathBuf,
    /// What is in a small file.
    content: Vec<u8>,
    /// Directories that were made.
    made: Vec<PathBuf>,
    /// Files that were replaced, until all are there: to give a file up can take longer than to
    /// write one, where the disk is told of each block that is free.
    replaced: Vec<OwnedFd>,
    /// How many of these are kept at most.
    keeps: usize,
}

impl<'r> Writer<'r> {
    fn new(root: BorrowedFd<'r>, keeps: usize) -> Self {
        Self {
            root,
            directory: None,
            temporary: temporary_name(),
            content: Vec::new(),
            made: Vec::new(),
            replaced: Vec::new(),
            keeps,
        }
    }

    /// Also gives what was replaced, which goes when it is dropped.
    fn bring_all(mut self, transfers: &[&Transfer]) -> (Transferred, Vec<OwnedFd>) {
        let mut report = Transferred::default();
        for transfer in transfers {
            match self.bring(transfer) {
                Ok(Brought::Done) => report.done += 1,
                Ok(Brought::Unsettled) => report.unsettled.push((*transfer).clone()),
                Err(error) => report.failed.push(((*transfer).clone(), words(&error))),
            }
        }
        report.made = self.made;
        (report, self.replaced)
    }

    fn bring(&mut self, transfer: &Transfer) -> io::Result<Brought> {
        let place = (transfer.path.as_path(), &*transfer.base);
        let Some(source) = &transfer.source else {
            self.remove(place, transfer.only.as_ref())?;
            return Ok(Brought::Done);
        };
        let Some(found) = look_at(source)? else { return Ok(Brought::Unsettled) };
        match kind(&found) {
            FileType::Directory => self.make_directory(place).map(|()| Brought::Done),
            FileType::Symlink => self.link(source, place),
            FileType::RegularFile => self.copy((source, &found), place),
            // Nobody can use the socket or the pipe of somebody else's process.
            _ => Ok(Brought::Done),
        }
    }

    fn remove(&mut self, (path, base): (&Path, &Path), only: Option<&Stamp>) -> io::Result<()> {
        self.directory = None;
        let (parent, name) = split(path)?;
        match open_at(self.root, parent, base) {
            Ok(parent) => match only {
                Some(stamp) => remove_own((parent.as_fd(), &name), stamp),
                None => remove_all((parent.as_fd(), &name), DEEPEST),
            },
            Err(error) if is_absent(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Opens the directory of a path and gives its name there; makes directories that are missing.
    fn enter(&mut self, (path, base): (&Path, &Path)) -> io::Result<(BorrowedFd<'_>, PathBuf)> {
        let (parent, name) = split(path)?;
        if self.directory.as_ref().is_none_or(|(known, _)| known != parent) {
            let opened = match open_at(self.root, parent, base) {
                Err(error) if is_absent(&error) && parent != Path::new("/") => {
                    self.make_directory((parent, base))?;
                    open_at(self.root, parent, base)
                }
                opened => opened,
            };
            self.directory = Some((parent.to_owned(), opened?));
        }
        let Some((_, directory)) = &self.directory else {
            return Err(io::ErrorKind::NotFound.into());
        };
        Ok((directory.as_fd(), name))
    }

    /// Makes a directory with the owner and the mode of the one around it. What is there below the
    /// base, and is none, gives way.
    fn make_directory(&mut self, (path, base): (&Path, &Path)) -> io::Result<()> {
        if path == Path::new("/") || open_at(self.root, path, base).is_ok() {
            return Ok(());
        }
        let root = self.root;
        let (parent, name) = self.enter((path, base))?;
        let around = fstat(parent)?;
        match mkdirat(parent, &name, Mode::from_raw_mode(0o700)) {
            // Somebody else has made it meanwhile.
            Err(Errno::EXIST) if open_at(root, path, base).is_ok() => return Ok(()),
            Err(Errno::EXIST) if path != base && path.starts_with(base) => {
                unlinkat(parent, &name, AtFlags::empty())?;
                mkdirat(parent, &name, Mode::from_raw_mode(0o700))?;
            }
            Err(Errno::EXIST) => return Err(io::ErrorKind::NotADirectory.into()),
            made => made?,
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = openat(parent, &name, flags, Mode::empty())?;
        own(&made, &around)?;
        fchmod(&made, Mode::from_raw_mode(around.st_mode & 0o777))?;
        self.made.push(path.to_owned());
        Ok(())
    }

    fn copy(
        &mut self,
        (source, before): (&Path, &Stat),
        place: (&Path, &Path),
    ) -> io::Result<Brought> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let from = match rustix::fs::open(source, flags, Mode::empty()) {
            Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => return Ok(Brought::Unsettled),
            opened => File::from(opened?),
        };
        let mut content = std::mem::take(&mut self.content);
        let keeps = self.replaced.len() < self.keeps;
        let temporary = self.temporary.clone();
        let (parent, name) = self.enter(place)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let mode = Mode::RUSR | Mode::WUSR;
        let to = openat(parent, &temporary, flags | OFlags::CLOEXEC, mode)?;
        let to = File::from(to);
        let mut replaced = None;
        let written = pour((&from, before), &to, &mut content).and_then(|()| {
            let after = fstat(&from)?;
            let moment = |it: &Stat| (it.st_ino, it.st_size, it.st_mtime, it.st_mtime_nsec);
            if moment(before) != moment(&after) {
                return Ok(Brought::Unsettled);
            }
            dress(&to, (parent, &name), &after)?;
            let before = keeps.then(|| openat(parent, &name, OLD, Mode::empty()));
            put(parent, (&temporary, &name))?;
            replaced = before.and_then(Result::ok);
            Ok(Brought::Done)
        });
        if !matches!(written, Ok(Brought::Done)) {
            // The first failure is the one to tell.
            let _ = unlinkat(parent, &temporary, AtFlags::empty());
        }
        self.content = content;
        self.replaced.extend(replaced);
        written
    }

    fn link(&mut self, source: &Path, place: (&Path, &Path)) -> io::Result<Brought> {
        let target = match readlink(source, Vec::new()) {
            Err(Errno::NOENT | Errno::INVAL) => return Ok(Brought::Unsettled),
            target => target?,
        };
        let temporary = self.temporary.clone();
        let (parent, name) = self.enter(place)?;
        let model = model(parent, &name)?;
        symlinkat(OsStr::from_bytes(target.as_bytes()), parent, &temporary)?;
        let (uid, gid) = (Uid::from_raw(model.st_uid), Gid::from_raw(model.st_gid));
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let done = chownat(parent, &temporary, Some(uid), Some(gid), flags)
            .map_err(io::Error::from)
            .and_then(|()| put(parent, (&temporary, &name)));
        if done.is_err() {
            let _ = unlinkat(parent, &temporary, AtFlags::empty());
        }
        done.map(|()| Brought::Done)
    }
}

/// Copies what is in a file: a small one in one go.
fn pour((from, found): (&File, &Stat), to: &File, content: &mut Vec<u8>) -> io::Result<()> {
    let (mut from, mut to) = (from, to);
    let size = usize::try_from(found.st_size).unwrap_or(usize::MAX);
    if size < ROOM {
        content.resize(ROOM, 0);
        let mut total = 0;
        loop {
            let read = from.read(content)?;
            to.write_all(&content[..read])?;
            total += read;
            // That there is no more the caller sees from its size.
            if read == 0 || total == size {
                return Ok(());
            }
        }
    }
    io::copy(&mut from, &mut to).map(drop)
}

/// What a new file takes its owner and mode from: the file that it replaces, else its directory.
fn model(parent: BorrowedFd<'_>, name: &Path) -> io::Result<Stat> {
    match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) if kind(&found) == FileType::RegularFile => Ok(found),
        Ok(_) | Err(Errno::NOENT) => Ok(fstat(parent)?),
        Err(errno) => Err(errno.into()),
    }
}

/// Gives a file its owner, its mode and its time, in this order: a new owner takes bits of the mode.
fn dress(file: &File, place: (BorrowedFd<'_>, &Path), source: &Stat) -> io::Result<()> {
    let model = model(place.0, place.1)?;
    own(file, &model)?;
    // Whoever may read it may execute it.
    let readers = model.st_mode & 0o444;
    let execute = if is_executable(source) { readers >> 2 } else { 0 };
    fchmod(file, Mode::from_raw_mode((model.st_mode & 0o666) | execute))?;
    let nanoseconds = i64::try_from(source.st_mtime_nsec).unwrap_or_default();
    let time = Timespec { tv_sec: source.st_mtime, tv_nsec: nanoseconds };
    Ok(futimens(file, &Timestamps { last_access: time, last_modification: time })?)
}

fn own(file: impl std::os::fd::AsFd, model: &Stat) -> io::Result<()> {
    let found = fstat(&file)?;
    if (found.st_uid, found.st_gid) == (model.st_uid, model.st_gid) {
        return Ok(());
    }
    Ok(fchown(file, Some(Uid::from_raw(model.st_uid)), Some(Gid::from_raw(model.st_gid)))?)
}

/// Gives what is whole its name; an empty directory of that name gives way.
fn put(parent: BorrowedFd<'_>, (temporary, name): (&Path, &Path)) -> io::Result<()> {
    match renameat(parent, temporary, parent, name) {
        Err(Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST) => {
            unlinkat(parent, name, AtFlags::REMOVEDIR)?;
            Ok(renameat(parent, temporary, parent, name)?)
        }
        done => Ok(done?),
    }
}

/// Removes what has this name if it still is as it was brought.
fn remove_own((parent, name): (BorrowedFd<'_>, &Path), stamp: &Stamp) -> io::Result<()> {
    let found = match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(()),
        found => found?,
    };
    if !is_still((parent, name), &found, stamp)? {
        return Ok(());
    }
    let is_directory = kind(&found) == FileType::Directory;
    let how = if is_directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
    match unlinkat(parent, name, how) {
        Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Removes what has this name and all below it, so many levels deep; links are not followed.
fn remove_all((parent, name): (BorrowedFd<'_>, &Path), levels: usize) -> io::Result<()> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(errno) => return Err(errno.into()),
    }
    let Some(levels) = levels.checked_sub(1) else {
        let text = format!("it has more than {DEEPEST} levels of directories: remove it yourself");
        return Err(io::Error::other(text));
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut directory = match openat(parent, name, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        opened => Dir::new(opened?)?,
    };
    while let Some(entry) = directory.read() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            remove_all((directory.fd()?, Path::new(OsStr::from_bytes(name))), levels)?;
        }
    }
    match unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
