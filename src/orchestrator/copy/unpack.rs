//! A tar archive of a container to files of the host, beneath one directory.
//!
//! A container is not trusted: what its archive says may not reach anything outside.
//!
//! # Invariants
//!
//! - Every path is walked from the directory on, name by name, and no link is followed on the way,
//!   whoever made it and however late: each step is relative to an open directory.
//! - `..` is refused. Nothing is written through what exists: a file is replaced, not opened.
//! - Files belong to the user who copies, unless he wants the owners kept, and have no set-user-id
//!   bit. Devices are left out.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, chownat,
    fchmod, fchown, futimens, linkat, mkdirat, openat, statat, symlinkat, unlinkat,
};
use tar::EntryType;
use tokio::sync::mpsc::Receiver;

use crate::runtime::Bytes;
use crate::runtime::pieces::Incoming;

/// The permission bits that are kept.
const PERMISSIONS: u32 = 0o777;

/// Whom files belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owners {
    /// The user who copies.
    Mine,
    /// Whom the archive says: `--archive`. Only root can give files away.
    Keep,
}

/// What is set when all that a file holds is there.
struct Attributes {
    mode: u32,
    time: u64,
    owner: Option<(Uid, Gid)>,
}

/// Unpacks what an archive holds, all below one first name, as `name`; without a name, what is in
/// it. Gives what was left out.
pub(super) fn unpack(
    archive: Receiver<Bytes>,
    (directory, name): (&Path, &str),
    owners: Owners,
) -> io::Result<Vec<PathBuf>> {
    let mut archive = tar::Archive::new(Incoming::new(archive));
    let mut beneath = Beneath::open(directory, name, owners)?;
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let done = beneath.take(&mut entry, &path);
        done.map_err(|error| {
            io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
        })?;
    }
    beneath.finish()
}

/// A directory, and what was unpacked in it.
struct Beneath {
    root: OwnedFd,
    /// The name that the first names of all paths get.
    name: OsString,
    /// How many first names of a path that name replaces: those of the first entry.
    replaced: Option<usize>,
    /// Directories that were made, with their attributes, which come last.
    made: Vec<(Vec<OsString>, Attributes)>,
    owners: Owners,
    left_out: Vec<PathBuf>,
}

impl Beneath {
    fn open(directory: &Path, name: &str, owners: Owners) -> io::Result<Self> {
        let root = openat(CWD, directory, directory_flags() - OFlags::NOFOLLOW, Mode::empty())?;
        let name = OsString::from(name);
        let (made, left_out) = (Vec::new(), Vec::new());
        Ok(Self { root, name, replaced: None, made, owners, left_out })
    }

    fn attributes(&self, header: &tar::Header) -> io::Result<Attributes> {
        let owner = match self.owners {
            Owners::Mine => None,
            Owners::Keep => Some((owner_id(header.uid()?)?, owner_id(header.gid()?)?)),
        };
        let owner = owner.map(|(user, group)| (Uid::from_raw(user), Gid::from_raw(group)));
        Ok(Attributes { mode: header.mode()? & PERMISSIONS, time: header.mtime()?, owner })
    }

    /// Unpacks an entry.
    fn take(&mut self, entry: &mut tar::Entry<'_, impl Read>, path: &Path) -> io::Result<()> {
        let Some(names) = self.names(path)? else { return Ok(()) };
        let Some((last, parents)) = names.split_last() else { return Ok(()) };
        let parent = self.directory(parents)?;
        let header = entry.header();
        let attributes = self.attributes(header)?;
        match header.entry_type() {
            EntryType::Directory => {
                if make_directory(&parent, last)? {
                    self.made.push((names, attributes));
                }
                Ok(())
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                clear(&parent, last)?;
                write_file(&parent, last, entry, &attributes)
            }
            EntryType::Symlink => {
                let target = entry.link_name()?.ok_or_else(|| refused("a link to nothing"))?;
                clear(&parent, last)?;
                symlinkat(target.as_ref(), &parent, last.as_os_str())?;
                let Some((user, group)) = attributes.owner else { return Ok(()) };
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                chownat(&parent, last.as_os_str(), Some(user), Some(group), flags)
                    .map_err(not_given)
            }
            EntryType::Link => {
                let target = entry.link_name()?.ok_or_else(|| refused("a link to nothing"))?;
                let names = self.names(&target)?.unwrap_or_default();
                let (name, parents) =
                    names.split_last().ok_or_else(|| refused("a link to nothing"))?;
                let from = self.directory(parents)?;
                clear(&parent, last)?;
                Ok(linkat(&from, name.as_os_str(), &parent, last.as_os_str(), AtFlags::empty())?)
            }
            _ => {
                self.left_out.push(names.iter().collect());
                Ok(())
            }
        }
    }

    /// The names on the way to a path; `None`: it is the directory itself.
    fn names(&mut self, path: &Path) -> io::Result<Option<Vec<OsString>>> {
        let mut names: Vec<OsString> = Vec::new();
        for component in path.components() {
            match component {
                Component::Normal(name) => names.push(name.to_owned()),
                Component::CurDir | Component::RootDir => {}
                Component::ParentDir | Component::Prefix(_) => {
                    return Err(refused("it leads out of the directory"));
                }
            }
        }
        let replaced = *self.replaced.get_or_insert(names.len());
        if names.len() < replaced {
            return Err(refused("it is not below the first entry"));
        }
        let own = (!self.name.is_empty()).then(|| self.name.clone());
        let names: Vec<OsString> =
            own.into_iter().chain(names.into_iter().skip(replaced)).collect();
        Ok((!names.is_empty()).then_some(names))
    }

    /// Opens a directory beneath; those that are missing are made.
    fn directory(&self, names: &[OsString]) -> io::Result<OwnedFd> {
        let mut at = self.root.try_clone()?;
        for name in names {
            make_directory(&at, name)?;
            at = openat(&at, name.as_os_str(), directory_flags(), Mode::empty())?;
        }
        Ok(at)
    }

    /// Gives directories their permissions and times; gives what was left out.
    fn finish(self) -> io::Result<Vec<PathBuf>> {
        for (names, attributes) in self.made.iter().rev() {
            let directory = self.directory(names)?;
            settle(&directory, attributes)?;
        }
        Ok(self.left_out)
    }
}

fn directory_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

/// Makes a directory that only this user can use yet; says whether it was not there.
fn make_directory(parent: &OwnedFd, name: &OsStr) -> io::Result<bool> {
    match mkdirat(parent, name, Mode::RWXU) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::EXIST) => match kind(parent, name)? {
            FileType::Directory => Ok(false),
            FileType::Symlink => Err(refused("a link is in the way, and is not followed")),
            _ => Err(refused("cannot overwrite non-directory with directory")),
        },
        Err(error) => Err(error.into()),
    }
}

fn kind(parent: &OwnedFd, name: &OsStr) -> io::Result<FileType> {
    let found = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(found.st_mode))
}

/// Removes what is in the way of something that is no directory.
fn clear(parent: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(rustix::io::Errno::ISDIR) => {
            Err(refused("cannot overwrite directory with non-directory"))
        }
        Err(error) => Err(error.into()),
    }
}

fn write_file(
    parent: &OwnedFd,
    name: &OsStr,
    content: &mut impl Read,
    attributes: &Attributes,
) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = std::fs::File::from(openat(parent, name, flags, Mode::RUSR | Mode::WUSR)?);
    io::copy(content, &mut file)?;
    settle(&OwnedFd::from(file), attributes)
}

fn owner_id(id: u64) -> io::Result<u32> {
    // The highest one means "leave it" to the kernel.
    u32::try_from(id).ok().filter(|id| *id != u32::MAX).ok_or_else(|| refused("a bad owner"))
}

fn not_given(error: rustix::io::Errno) -> io::Error {
    let error = io::Error::from(error);
    io::Error::new(
        error.kind(),
        format!("cannot give it to its owner, as --archive wants: {error}"),
    )
}

fn settle(file: &OwnedFd, attributes: &Attributes) -> io::Result<()> {
    if let Some((user, group)) = attributes.owner {
        fchown(file, Some(user), Some(group)).map_err(not_given)?;
    }
    fchmod(file, Mode::from_raw_mode(attributes.mode))?;
    let changed = Timespec { tv_sec: i64::try_from(attributes.time).unwrap_or(0), tv_nsec: 0 };
    let unchanged = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    Ok(futimens(file, &Timestamps { last_access: unchanged, last_modification: changed })?)
}

#[cfg(test)]
mod tests;
