//! A volume that is mounted for the first time gets what the image has at its place.
//!
//! In: the root of the image, the path in it, and the directory of the volume. Out: the volume is
//! filled, if it was empty. The same copier copies layers.
//!
//! # Invariants
//!
//! - A volume is filled once and whole: what is copied gathers beside it (in it, where it is a file
//!   system of its own), under a name that tells whether it is complete; who finds that after a
//!   crash ends the work.
//! - Two containers that start at once do not fill it twice: a lock on its directory is held.
//! - Links are copied, never followed.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Dir, FileType, FlockOperation, Gid, Mode, OFlags, SeekFrom, Stat, Timespec,
    Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;

use super::error::{StartError, kernel};
use super::tree;

/// How deep directories may lie in each other: each level needs two descriptors.
pub(in crate::runtime::native) const DEEPEST: usize = 200;

/// Fills a volume that is empty with what is at `path` in the image.
///
/// # Errors
///
/// If something cannot be copied.
pub(super) fn copy_up(root: BorrowedFd<'_>, path: &Path, volume: &Path) -> Result<(), StartError> {
    let failed = || format!("copy `{}` of the image to a volume", path.display());
    fill(root, path, volume).map_err(kernel(failed))
}

fn fill(root: BorrowedFd<'_>, path: &Path, volume: &Path) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let target = rustix::fs::open(volume, flags, Mode::empty())?;
    rustix::fs::flock(&target, FlockOperation::LockExclusive)?;
    let beside = Beside::of(volume)?;
    beside.finish(volume)?;
    if fs::read_dir(volume)?.next().is_some() {
        return Ok(());
    }
    let relative = path.strip_prefix("/").unwrap_or(path);
    let found = match tree::beneath(root, relative) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        found => found?,
    };
    let status = stat(&found)?;
    if FileType::from_raw_mode(status.st_mode) != FileType::Directory {
        return Ok(());
    }
    let source = rustix::fs::openat(&found, c".", flags, Mode::empty())?;
    fs::create_dir(&beside.partial)?;
    let partial = rustix::fs::open(&beside.partial, flags, Mode::empty())?;
    let mut copier = Copier::default();
    copier.directory(&source, &partial, 0)?;
    copier.adopt(&source, &target, &status)?;
    fs::rename(&beside.partial, &beside.complete)?;
    beside.finish(volume)
}

/// Where copies gather.
struct Beside {
    partial: PathBuf,
    complete: PathBuf,
}

impl Beside {
    fn of(volume: &Path) -> io::Result<Self> {
        let device = |path: &Path| Ok::<_, io::Error>(rustix::fs::stat(path)?.st_dev);
        // Names change within a file system only: in one of its own the volume itself must do.
        let is_alone = match volume.parent() {
            Some(parent) => device(parent)? != device(volume)?,
            None => true,
        };
        let named = |end: &str| {
            let mut name = volume.file_name().unwrap_or_default().to_owned();
            name.push(end);
            if is_alone { volume.join(name) } else { volume.with_file_name(name) }
        };
        Ok(Self { partial: named(".copying"), complete: named(".copied") })
    }

    /// Ends what another has left.
    fn finish(&self, volume: &Path) -> io::Result<()> {
        if let Ok(entries) = fs::read_dir(&self.complete) {
            for entry in entries {
                let entry = entry?;
                fs::rename(entry.path(), volume.join(entry.file_name()))?;
            }
            fs::remove_dir(&self.complete)?;
        }
        match fs::remove_dir_all(&self.partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Copies what is in a layer, with what tells an overlay how to treat it.
pub(super) fn copy_layer(layer: &OwnedFd, to: &OwnedFd) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let from = rustix::fs::openat(layer, c".", flags, Mode::empty())?;
    let to = rustix::fs::openat(to, c".", flags, Mode::empty())?;
    let mut copier = Copier { attributes: OF_LAYERS, ..Copier::default() };
    copier.directory(&from, &to, 0)?;
    copier.adopt(&from, &to, &stat(&from)?)
}

/// How the names of attributes begin that volumes get: access lists, capabilities of files, and
/// those of users.
const OF_VOLUMES: &[&str] = &["user.", "security.capability", "system.posix_acl_"];
/// The same for layers.
const OF_LAYERS: &[&str] =
    &["user.", "security.capability", "system.posix_acl_", "trusted.overlay."];

/// Copies directories with all that is in them.
#[derive(Debug)]
struct Copier {
    /// How the names of attributes begin that are copied.
    attributes: &'static [&'static str],
    /// Files with several names, by device and number: the directory and name of the first copy.
    linked: HashMap<(u64, u64), (OwnedFd, CString)>,
}

impl Default for Copier {
    fn default() -> Self {
        Self { attributes: OF_VOLUMES, linked: HashMap::new() }
    }
}

impl Copier {
    fn directory(&mut self, from: &OwnedFd, to: &OwnedFd, depth: usize) -> io::Result<()> {
        if depth > DEEPEST {
            return Err(io::Error::other(format!("directories lie more than {DEEPEST} deep")));
        }
        for entry in Dir::read_from(from)? {
            let entry = entry?;
            let name = entry.file_name();
            if name != c"." && name != c".." {
                self.entry(from, to, name, depth)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, from: &OwnedFd, to: &OwnedFd, name: &CStr, depth: usize) -> io::Result<()> {
        let status = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = FileType::from_raw_mode(status.st_mode);
        if kind != FileType::Directory && status.st_nlink > 1 {
            let key = (status.st_dev, status.st_ino);
            if let Some((directory, first)) = self.linked.get(&key) {
                rustix::fs::linkat(directory, first, to, name, AtFlags::empty())?;
                return Ok(());
            }
            self.linked.insert(key, (to.try_clone()?, name.to_owned()));
        }
        let open = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        match kind {
            FileType::Directory => {
                let source =
                    rustix::fs::openat(from, name, open | OFlags::DIRECTORY, Mode::empty())?;
                rustix::fs::mkdirat(to, name, Mode::from_raw_mode(0o700))?;
                let copy = rustix::fs::openat(to, name, open | OFlags::DIRECTORY, Mode::empty())?;
                self.directory(&source, &copy, depth + 1)?;
                self.adopt(&source, &copy, &status)
            }
            FileType::RegularFile => {
                let source = rustix::fs::openat(from, name, open, Mode::empty())?;
                let create = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                let copy = rustix::fs::openat(to, name, create, Mode::from_raw_mode(0o600))?;
                contents(&source, &copy, status.st_size.cast_unsigned())?;
                self.adopt(&source, &copy, &status)
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(from, name, Vec::new())?;
                rustix::fs::symlinkat(&target, to, name)?;
                own(to, name, &status)
            }
            kind => {
                let mode = Mode::from_raw_mode(status.st_mode & 0o7777);
                rustix::fs::mknodat(to, name, kind, mode, status.st_rdev)?;
                rustix::fs::chmodat(to, name, mode, AtFlags::empty())?;
                own(to, name, &status)
            }
        }
    }

    /// Gives a copy that is open the owner, rights, attributes and times of its original.
    fn adopt(&self, from: &OwnedFd, to: &OwnedFd, status: &Stat) -> io::Result<()> {
        let (uid, gid) = (Uid::from_raw(status.st_uid), Gid::from_raw(status.st_gid));
        rustix::fs::fchown(to, Some(uid), Some(gid))?;
        rustix::fs::fchmod(to, Mode::from_raw_mode(status.st_mode & 0o7777))?;
        attributes(from, to, self.attributes)?;
        Ok(rustix::fs::futimens(to, &times(status))?)
    }
}

pub(in crate::runtime::native) fn stat(fd: &OwnedFd) -> io::Result<Stat> {
    Ok(rustix::fs::statat(fd, c"", AtFlags::EMPTY_PATH)?)
}

/// Copies what is in a file; holes stay holes.
pub(in crate::runtime::native) fn contents(
    from: &OwnedFd,
    to: &OwnedFd,
    size: u64,
) -> io::Result<()> {
    rustix::fs::ftruncate(to, size)?;
    let mut at = 0;
    while at < size {
        let start = match rustix::fs::seek(from, SeekFrom::Data(at)) {
            Err(Errno::NXIO) => break,
            // A file system that knows no holes has data everywhere.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => at,
            found => found?,
        };
        let end = rustix::fs::seek(from, SeekFrom::Hole(start)).unwrap_or(size);
        range(from, to, start, end)?;
        at = end.max(start + 1);
    }
    Ok(())
}

fn range(from: &OwnedFd, to: &OwnedFd, start: u64, end: u64) -> io::Result<()> {
    let (mut read, mut written) = (start, start);
    while read < end {
        let length = usize::try_from(end - read).unwrap_or(usize::MAX);
        let copied =
            rustix::fs::copy_file_range(from, Some(&mut read), to, Some(&mut written), length);
        match copied {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => {
                return slowly(from, to, read..end);
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Through our own memory, where the kernel cannot copy.
fn slowly(from: &OwnedFd, to: &OwnedFd, range: std::ops::Range<u64>) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    let mut at = range.start;
    while at < range.end {
        let most = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(buffer.len());
        let read = rustix::io::pread(from, &mut buffer[..most], at)?;
        if read == 0 {
            break;
        }
        let mut part = &buffer[..read];
        while !part.is_empty() {
            let written = rustix::io::pwrite(to, part, at)?;
            part = &part[written..];
            at += written as u64;
        }
    }
    Ok(())
}

/// Gives a copy that cannot be opened its owner and times.
pub(in crate::runtime::native) fn own(
    directory: &OwnedFd,
    name: &CStr,
    status: &Stat,
) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(status.st_uid), Gid::from_raw(status.st_gid));
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::chownat(directory.as_fd(), name, Some(uid), Some(gid), flags)?;
    Ok(rustix::fs::utimensat(directory, name, &times(status), flags)?)
}

pub(in crate::runtime::native) fn times(status: &Stat) -> Timestamps {
    let time = |seconds, nanoseconds| Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    Timestamps {
        last_access: time(status.st_atime, status.st_atime_nsec.cast_signed()),
        last_modification: time(status.st_mtime, status.st_mtime_nsec.cast_signed()),
    }
}

/// Copies extended attributes whose names begin in one of these ways.
pub(in crate::runtime::native) fn attributes(
    from: &OwnedFd,
    to: &OwnedFd,
    wanted: &[&str],
) -> io::Result<()> {
    let length = match rustix::fs::flistxattr_query(from) {
        Err(Errno::OPNOTSUPP) | Ok(0) => return Ok(()),
        length => length?,
    };
    let mut names = vec![0_u8; length];
    let length = rustix::fs::flistxattr(from, &mut names[..])?;
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        if !wanted.iter().any(|start| name.starts_with(start.as_bytes())) {
            continue;
        }
        let mut value = vec![0_u8; 1 << 16];
        let length = rustix::fs::fgetxattr(from, name, &mut value[..])?;
        match rustix::fs::fsetxattr(to, name, &value[..length], XattrFlags::empty()) {
            // The file system of the volume does not know it.
            Err(Errno::OPNOTSUPP) | Ok(()) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink};
    use std::path::Path;

    use super::{Beside, copy_up};

    fn image(folder: &Path) -> File {
        let root = folder.join("image");
        let data = root.join("srv/data");
        fs::create_dir_all(data.join("deep/er")).unwrap();
        fs::write(data.join("file"), "text").unwrap();
        fs::hard_link(data.join("file"), data.join("deep/same")).unwrap();
        symlink("/etc/passwd", data.join("link")).unwrap();
        let sparse = File::create(data.join("sparse")).unwrap();
        sparse.write_all_at(b"x", 50 << 20).unwrap();
        fs::set_permissions(data.join("file"), fs::Permissions::from_mode(0o4640)).unwrap();
        fs::set_permissions(&data, fs::Permissions::from_mode(0o1770)).unwrap();
        File::open(root).unwrap()
    }

    #[test]
    fn an_empty_volume_gets_all_of_it_once() {
        let folder = tempfile::tempdir().unwrap();
        let root = image(folder.path());
        let volume = folder.path().join("_data");
        fs::create_dir(&volume).unwrap();
        copy_up(root.as_fd(), Path::new("/srv/data"), &volume).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!((mode(&volume), mode(&volume.join("file"))), (0o1770, 0o4640));
        assert!(volume.join("deep/er").is_dir());
        assert_eq!(fs::read_link(volume.join("link")).unwrap(), Path::new("/etc/passwd"));
        let number = |name: &str| fs::metadata(volume.join(name)).unwrap().ino();
        assert_eq!(number("file"), number("deep/same"));
        let sparse = fs::metadata(volume.join("sparse")).unwrap();
        assert_eq!(sparse.len(), (50 << 20) + 1);
        assert!(sparse.blocks() < 1000, "{} blocks", sparse.blocks());

        fs::write(volume.join("file"), "changed").unwrap();
        copy_up(root.as_fd(), Path::new("/srv/data"), &volume).unwrap();
        assert_eq!(fs::metadata(volume.join("file")).unwrap().len(), 7, "not copied again");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing stays beside it");
    }

    #[test]
    fn what_a_crash_left_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let root = image(folder.path());
        let volume = folder.path().join("_data");
        fs::create_dir(&volume).unwrap();
        let beside = Beside::of(&volume).unwrap();
        for directory in [&beside.partial, &beside.complete] {
            fs::create_dir(directory).unwrap();
        }
        fs::write(beside.partial.join("half"), "").unwrap();
        fs::write(beside.complete.join("rest"), "").unwrap();
        fs::write(volume.join("moved"), "").unwrap();
        copy_up(root.as_fd(), Path::new("/srv/data"), &volume).unwrap();
        let mut names: Vec<_> =
            fs::read_dir(&volume).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["moved", "rest"]);
        assert!(!beside.partial.exists() && !beside.complete.exists());
    }

    #[test]
    fn what_is_not_there_is_not_copied() {
        let folder = tempfile::tempdir().unwrap();
        let root = image(folder.path());
        let volume = folder.path().join("_data");
        fs::create_dir(&volume).unwrap();
        for path in ["/none", "/srv/data/file", "/srv/data/link"] {
            copy_up(root.as_fd(), Path::new(path), &volume).unwrap();
            assert!(fs::read_dir(&volume).unwrap().next().is_none(), "{path}");
        }
    }
}
