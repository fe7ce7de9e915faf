//! What a container has written, as the archive of a layer.
//!
//! In: the upper directory of an overlay. Out: a tar archive with the whiteouts of the image
//! specification.
//!
//! # Invariants
//!
//! - The container may run on and change what is being read: no link is followed, and every path
//!   is opened beneath the directory.
//! - The same directory gives the same archive: names are in order.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _, Write};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{
    CWD, Dir, FileType, Mode, OFlags, Stat, fstat, lgetxattr, llistxattr, major, minor, openat,
    openat2, readlinkat,
};
use rustix::io::Errno;
use tar::{Builder, EntryType, Header};

use super::super::overlay::{Privilege, is_opaque, is_whiteout, stat, steers_overlay};
use super::beneath::{beneath, open, refused};

/// Attributes by which an overlay says that something is elsewhere.
const ELSEWHERE: &[&str] = &["overlay.redirect", "overlay.metacopy"];
/// The kernel's own limit of an attribute and of their names.
const MAX_ATTRIBUTE: usize = 64 << 10;

/// Which times files may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Newest {
    /// Their own.
    Any,
    /// None after this one, in seconds since 1970: for archives that are the same each time.
    At(u64),
}

impl Newest {
    /// A time as it stands in the archive.
    pub(in super::super) fn limit(self, time: u64) -> u64 {
        match self {
            Self::Any => time,
            Self::At(newest) => time.min(newest),
        }
    }
}

/// Writes the archive of an upper directory.
pub(in super::super) fn pack(upper: &Path, out: impl Write, newest: Newest) -> io::Result<()> {
    let mut builder = Builder::new(out);
    builder.mode(tar::HeaderMode::Complete);
    let root = open(CWD, upper.as_os_str())?;
    let mut packer =
        Packer { builder, root, links: HashMap::new(), privilege: Privilege::own(), newest };
    let mut pending = vec![PathBuf::new()];
    while let Some(path) = pending.pop() {
        let below = packer.directory(&path).map_err(|error| {
            io::Error::new(error.kind(), format!("`/{}`: {error}", path.display()))
        })?;
        // The last one is taken first.
        pending.extend(below.into_iter().rev());
    }
    packer.builder.into_inner()?.flush()
}

struct Packer<W: Write> {
    builder: Builder<W>,
    root: OwnedFd,
    /// Where a file with several names stands first.
    links: HashMap<(u64, u64), PathBuf>,
    privilege: Privilege,
    newest: Newest,
}

impl<W: Write> Packer<W> {
    /// Writes what is in a directory; gives the directories in it, whose entries are written.
    fn directory(&mut self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let place = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let directory = match openat2(&self.root, place, flags, Mode::empty(), beneath()) {
            // It has gone since, or is something else now.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(Vec::new()),
            found => found?,
        };
        if is_opaque(&directory, self.privilege)? {
            self.empty(&path.join(".wh..wh..opq"))?;
        }
        let mut below = Vec::new();
        for name in names(&directory)? {
            let Some(found) = stat(&directory, &name)? else { continue };
            let path = path.join(&name);
            if is_whiteout(&found) {
                let mut mark = OsString::from(".wh.");
                mark.push(&name);
                self.empty(&path.with_file_name(mark))?;
                continue;
            }
            if name.as_bytes().starts_with(b".wh.") {
                let name = name.display();
                return Err(refused(&format!(
                    "`{name}`: in layers `.wh.` begins the marks of removed files: no layer has \
                     a file of this name"
                )));
            }
            self.entry(&directory, &name, &path, &found)?;
            if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
                below.push(path);
            }
        }
        Ok(below)
    }

    fn entry(
        &mut self,
        parent: &OwnedFd,
        name: &OsStr,
        path: &Path,
        found: &Stat,
    ) -> io::Result<()> {
        let mut header = header(found, self.newest);
        let kind = FileType::from_raw_mode(found.st_mode);
        if kind != FileType::Directory && found.st_nlink > 1 {
            let first = self.links.entry((found.st_dev, found.st_ino));
            match first {
                std::collections::hash_map::Entry::Occupied(first) => {
                    header.set_entry_type(EntryType::Link);
                    let first = first.get().clone();
                    return self.builder.append_link(&mut header, path, first);
                }
                std::collections::hash_map::Entry::Vacant(place) => {
                    place.insert(path.to_owned());
                }
            }
        }
        match kind {
            FileType::RegularFile => {
                return self.file(parent, name, path);
            }
            FileType::Directory => header.set_entry_type(EntryType::Directory),
            FileType::Symlink => {
                let target = readlinkat(parent, name, Vec::new())?;
                let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
                header.set_entry_type(EntryType::Symlink);
                self.attributes(parent, name)?;
                return self.builder.append_link(&mut header, path, target);
            }
            FileType::CharacterDevice | FileType::BlockDevice => {
                let is_block = kind == FileType::BlockDevice;
                header.set_entry_type(if is_block { EntryType::Block } else { EntryType::Char });
                header.set_device_major(major(found.st_rdev))?;
                header.set_device_minor(minor(found.st_rdev))?;
            }
            FileType::Fifo => header.set_entry_type(EntryType::Fifo),
            // A socket is of no use to anybody later.
            _ => return Ok(()),
        }
        self.attributes(parent, name)?;
        self.builder.append_data(&mut header, path, io::empty())
    }

    fn file(&mut self, parent: &OwnedFd, name: &OsStr, path: &Path) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(parent, name, flags, Mode::empty()) {
            Err(Errno::NOENT | Errno::LOOP) => return Ok(()),
            file => File::from(file?),
        };
        let found = fstat(&file)?;
        if !FileType::from_raw_mode(found.st_mode).is_file() {
            return Ok(());
        }
        let mut header = header(&found, self.newest);
        let size = u64::try_from(found.st_size).unwrap_or(0);
        header.set_size(size);
        self.attributes(parent, name)?;
        // One that shrinks meanwhile ends in zeros.
        let content = file.chain(io::repeat(0)).take(size);
        self.builder.append_data(&mut header, path, content)
    }

    /// Writes an empty file that stands for something.
    fn empty(&mut self, path: &Path) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_mode(0o600);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(0);
        self.builder.append_data(&mut header, path, io::empty())
    }

    /// Writes the attributes of what comes next.
    fn attributes(&mut self, parent: &OwnedFd, name: &OsStr) -> io::Result<()> {
        let mut records: Vec<(String, Vec<u8>)> = Vec::new();
        for (name, value) in attributes(parent, name)? {
            let shown = name.to_string_lossy();
            if ELSEWHERE.iter().any(|end| shown.ends_with(end)) {
                return Err(refused(
                    "its content is in a lower layer: `redirect_dir` or `metacopy` is on",
                ));
            }
            if !steers_overlay(name.as_bytes()) {
                records.push((format!("SCHILY.xattr.{shown}"), value));
            }
        }
        records.sort();
        let records = records.iter().map(|(key, value)| (key.as_str(), value.as_slice()));
        self.builder.append_pax_extensions(records)
    }
}

fn header(found: &Stat, newest: Newest) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(found.st_mode & 0o7777);
    header.set_uid(found.st_uid.into());
    header.set_gid(found.st_gid.into());
    header.set_mtime(newest.limit(u64::try_from(found.st_mtime).unwrap_or(0)));
    header.set_size(0);
    header
}

/// The names in a directory, in order.
fn names(directory: &OwnedFd) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned();
        if name != "." && name != ".." {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// The extended attributes of a name in a directory; links are not followed.
fn attributes(parent: &OwnedFd, name: &OsStr) -> io::Result<Vec<(OsString, Vec<u8>)>> {
    // There is no call that takes a directory and a name; this is the same.
    let parent = parent.as_fd().as_raw_fd();
    let path = Path::new("/proc/self/fd").join(parent.to_string()).join(name);
    let mut list = vec![0_u8; MAX_ATTRIBUTE];
    let length = match llistxattr(&path, &mut list[..]) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP | Errno::NOENT) => 0,
        Err(error) => return Err(error.into()),
    };
    let mut found = Vec::new();
    for key in list[..length].split(|byte| *byte == 0).filter(|key| !key.is_empty()) {
        let mut value = vec![0_u8; MAX_ATTRIBUTE];
        match lgetxattr(&path, key, &mut value[..]) {
            Ok(length) => {
                value.truncate(length);
                found.push((OsStr::from_bytes(key).to_owned(), value));
            }
            Err(Errno::NODATA | Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}
