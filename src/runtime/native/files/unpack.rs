//! An archive to files of a container.
//!
//! In: the root of a container, a directory in it, a tar archive. Out: what the archive holds, with
//! its owners, modes and times.
//!
//! # Invariants
//!
//! - A directory is never replaced by something else, nor the other way round.
//! - What is there under a name is unlinked, never written through.

use std::io::{self, Read};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, chownat, linkat, makedev,
    mkdirat, mknodat, openat, statat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;
use tar::{Archive, Entry, EntryType};

use super::{bad_archive, failed};
use crate::runtime::{Result, RuntimeError};

/// Unpacks an archive below a directory.
pub(super) fn unpack(root: BorrowedFd<'_>, directory: &str, archive: impl Read) -> Result<()> {
    let base = super::open(root, directory, OFlags::PATH | OFlags::DIRECTORY);
    drop(base.map_err(|error| failed("write to", directory, error))?);
    let mut archive = Archive::new(archive);
    for entry in archive.entries().map_err(|error| bad_archive(&error))? {
        let mut entry = entry.map_err(|error| bad_archive(&error))?;
        let path = entry.path().map_err(|error| bad_archive(&error))?.into_owned();
        let target = Target::of(root, directory, &path)?;
        let Some(target) = target else { continue };
        target.write(&mut entry, (root, directory)).map_err(|error| match error.kind() {
            io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => {
                RuntimeError::Refused(format!(
                    "cannot overwrite directory `{0}` with something else, nor something else \
                     with directory `{0}`",
                    path.display()
                ))
            }
            _ => failed("write", &path.display().to_string(), error),
        })?;
    }
    Ok(())
}

/// A name in a directory that is open.
struct Target {
    parent: OwnedFd,
    name: PathBuf,
}

impl Target {
    /// The place of an entry; `None` for the directory itself.
    fn of(root: BorrowedFd<'_>, directory: &str, path: &Path) -> Result<Option<Self>> {
        let mut parts = Vec::new();
        for part in path.components() {
            match part {
                Component::Normal(name) => parts.push(name),
                Component::CurDir | Component::RootDir => {}
                _ => {
                    let said = format!("the archive leads out with `{}`", path.display());
                    return Err(RuntimeError::Refused(said));
                }
            }
        }
        let Some(name) = parts.pop() else { return Ok(None) };
        let mut parent = PathBuf::from(directory);
        for part in parts {
            parent.push(part);
            make_directory(root, &parent)?;
        }
        let text = parent.to_string_lossy();
        let open = super::open(root, &text, OFlags::RDONLY | OFlags::DIRECTORY);
        let open = open.map_err(|error| failed("write to", &text, error))?;
        Ok(Some(Self { parent: open, name: PathBuf::from(name) }))
    }

    fn write(
        &self,
        entry: &mut Entry<'_, impl Read>,
        base: (BorrowedFd<'_>, &str),
    ) -> io::Result<()> {
        let kind = entry.header().entry_type();
        if kind == EntryType::Directory {
            match mkdirat(&self.parent, &self.name, Mode::from_raw_mode(0o755)) {
                Err(Errno::EXIST) if self.is_directory()? => {}
                Err(Errno::EXIST) => return Err(io::ErrorKind::NotADirectory.into()),
                made => made?,
            }
            return self.finish(entry);
        }
        self.make_way()?;
        match kind {
            EntryType::Symlink => {
                let target = link_of(entry)?;
                symlinkat(target, &self.parent, &self.name)?;
            }
            EntryType::Link => return self.link(&link_of(entry)?, base),
            EntryType::Char | EntryType::Block | EntryType::Fifo => self.make_node(entry, kind)?,
            EntryType::XGlobalHeader => return Ok(()),
            _ => {
                let flags = OFlags::WRONLY
                    | OFlags::CREATE
                    | OFlags::EXCL
                    | OFlags::NOFOLLOW
                    | OFlags::CLOEXEC;
                let file = openat(&self.parent, &self.name, flags, Mode::RUSR | Mode::WUSR)?;
                io::copy(entry, &mut std::fs::File::from(file))?;
            }
        }
        self.finish(entry)
    }

    fn is_directory(&self) -> io::Result<bool> {
        let stat = statat(&self.parent, &self.name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
    }

    /// Unlinks what is there.
    fn make_way(&self) -> io::Result<()> {
        match unlinkat(&self.parent, &self.name, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            Err(Errno::ISDIR | Errno::PERM) if self.is_directory()? => {
                Err(io::ErrorKind::IsADirectory.into())
            }
            done => Ok(done?),
        }
    }

    /// Makes another name for a file that the archive has brought before.
    fn link(&self, target: &Path, (root, directory): (BorrowedFd<'_>, &str)) -> io::Result<()> {
        let first = Target::of(root, directory, target).map_err(io::Error::other)?;
        let first = first.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
        Ok(linkat(&first.parent, &first.name, &self.parent, &self.name, AtFlags::empty())?)
    }

    fn make_node(&self, entry: &Entry<'_, impl Read>, kind: EntryType) -> io::Result<()> {
        let file_type = match kind {
            EntryType::Char => FileType::CharacterDevice,
            EntryType::Block => FileType::BlockDevice,
            _ => FileType::Fifo,
        };
        let number = |number: io::Result<Option<u32>>| Ok::<_, io::Error>(number?.unwrap_or(0));
        let header = entry.header();
        let device = makedev(number(header.device_major())?, number(header.device_minor())?);
        Ok(mknodat(&self.parent, &self.name, file_type, Mode::from_raw_mode(0o600), device)?)
    }

    /// Gives a file its owner, mode and time, in this order: a new owner takes bits of the mode.
    fn finish(&self, entry: &Entry<'_, impl Read>) -> io::Result<()> {
        let header = entry.header();
        let number = |id: u64| u32::try_from(id).map_err(|_| io::ErrorKind::InvalidData);
        let (uid, gid) =
            (Uid::from_raw(number(header.uid()?)?), Gid::from_raw(number(header.gid()?)?));
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        chownat(&self.parent, &self.name, Some(uid), Some(gid), flags)?;
        if header.entry_type() != EntryType::Symlink {
            // It was made just now, and nobody can have put a link in its place but the container:
            // opening it without following any makes sure.
            let file = openat(
                &self.parent,
                &self.name,
                OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::empty(),
            )?;
            let own = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
            let mode = Mode::from_raw_mode(header.mode()? & 0o7777);
            rustix::fs::chmodat(CWD, own, mode, AtFlags::empty())?;
        }
        let time = i64::try_from(header.mtime()?).unwrap_or(0);
        let time = Timespec { tv_sec: time, tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        Ok(utimensat(&self.parent, &self.name, &times, flags)?)
    }
}

fn link_of(entry: &Entry<'_, impl Read>) -> io::Result<PathBuf> {
    let target = entry.link_name()?;
    target.map(std::borrow::Cow::into_owned).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Makes a directory that the archive does not mention; one that is there will do.
fn make_directory(root: BorrowedFd<'_>, path: &Path) -> Result<()> {
    let text = path.to_string_lossy();
    if super::open(root, &text, OFlags::PATH | OFlags::DIRECTORY).is_ok() {
        return Ok(());
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let made = super::open(root, &parent.to_string_lossy(), OFlags::RDONLY | OFlags::DIRECTORY)
        .and_then(|parent| Ok(mkdirat(parent.as_fd(), name, Mode::from_raw_mode(0o755))?));
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(failed("make", &text, error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use tar::{Builder, EntryType, Header};

    use super::unpack;

    fn archive(entries: &[(&str, EntryType, &str)]) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        for (path, kind, content) in entries {
            let mut header = Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o640);
            // A user may give files to itself alone.
            header.set_uid(rustix::process::getuid().as_raw().into());
            header.set_gid(rustix::process::getgid().as_raw().into());
            header.set_mtime(5);
            if *kind == EntryType::Regular {
                header.set_size(content.len() as u64);
                builder.append_data(&mut header, path, content.as_bytes()).unwrap();
            } else {
                header.set_size(0);
                builder.append_link(&mut header, path, content).unwrap();
            }
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn no_link_leads_out_and_directories_stay() {
        let outside = tempfile::tempdir().unwrap();
        let root = tempfile::tempdir().unwrap();
        let open = std::fs::File::open(root.path()).unwrap();
        let run = |directory: &str, entries: &[(&str, EntryType, &str)]| {
            unpack(open.as_fd(), directory, &archive(entries)[..])
        };
        std::fs::create_dir(root.path().join("d")).unwrap();
        run("/d", &[("a/b", EntryType::Regular, "x")]).unwrap();
        let made = std::fs::metadata(root.path().join("d/a/b")).unwrap();
        assert_eq!(made.permissions().mode() & 0o7777, 0o640);
        // A link of the container to the outside means the container's own root.
        symlink(outside.path(), root.path().join("out")).unwrap();
        assert!(run("/out", &[("f", EntryType::Regular, "x")]).is_err());
        let through =
            [("l", EntryType::Symlink, "/../../../tmp"), ("l/f", EntryType::Regular, "x")];
        assert!(run("/d", &through).is_err());
        assert!(run("/d", &[("h", EntryType::Link, "../../etc/passwd")]).is_err());
        assert!(run("/d", &[("a", EntryType::Regular, "x")]).is_err());
        // A link in the place of a file is replaced, not written through.
        symlink(outside.path().join("target"), root.path().join("d/s")).unwrap();
        run("/d", &[("s", EntryType::Regular, "x")]).unwrap();
        assert!(!outside.path().join("target").exists());
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
        assert!(run("/none", &[]).is_err());
    }
}
