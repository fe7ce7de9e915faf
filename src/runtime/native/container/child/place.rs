//! Finds where something is mounted, and makes it if it is missing.
//!
//! # Invariants
//!
//! - Every step is resolved beneath the root by the kernel: no link of the image or of a volume
//!   leads out of it.
//! - Nothing is allocated.

use std::ffi::CStr;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::runtime::native::container::sys::Result;

/// The longest path, with its end.
const LONGEST: usize = 4096;
/// How many links without an end are followed.
const MOST_LINKS: usize = 40;

/// What is made where nothing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::runtime::native::container) enum Kind {
    /// A directory.
    Directory,
    /// An empty file.
    File,
}

/// Links are followed beneath the root; those of `/proc` that lead to other places are not.
const BENEATH: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

/// Opens what is at a path beneath the root.
pub(super) fn open(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    rustix::fs::openat2(root, path, flags, Mode::empty(), BENEATH)
}

/// Opens what is at a path beneath the root if no link is in the way.
pub(super) fn open_plain(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    rustix::fs::openat2(root, path, flags, Mode::empty(), BENEATH | ResolveFlags::NO_SYMLINKS)
}

/// Opens what is at a path beneath the root; makes it and its parents where nothing is.
pub(super) fn place(root: BorrowedFd<'_>, path: &CStr, kind: Kind) -> Result<OwnedFd> {
    let mut path = Path::new(path.to_bytes())?;
    for _ in 0..MOST_LINKS {
        match open(root, path.whole()?) {
            Err(Errno::NOENT) => {}
            found => return found,
        }
        match path.make(root, kind)? {
            Made::All => {}
            Made::Link(longer) => path = longer,
        }
    }
    Err(Errno::LOOP)
}

/// A path in a buffer.
struct Path {
    bytes: [u8; LONGEST],
    length: usize,
}

/// What became of the parts of a path.
enum Made {
    /// All are there.
    All,
    /// One was a link without an end: the path that it stands for.
    Link(Path),
}

impl Path {
    fn new(text: &[u8]) -> Result<Self> {
        let mut path = Self { bytes: [0; LONGEST], length: 0 };
        path.push(text)?;
        Ok(path)
    }

    fn push(&mut self, text: &[u8]) -> Result<()> {
        let end = self.length + text.len();
        // The last byte stays 0.
        let room = self.bytes.get_mut(self.length..end).filter(|_| end < LONGEST);
        room.ok_or(Errno::NAMETOOLONG)?.copy_from_slice(text);
        self.length = end;
        Ok(())
    }

    fn whole(&self) -> Result<&CStr> {
        CStr::from_bytes_until_nul(&self.bytes).map_err(|_| Errno::NAMETOOLONG)
    }

    /// Makes every part that is missing, from the first on.
    fn make(&mut self, root: BorrowedFd<'_>, kind: Kind) -> Result<Made> {
        let mut start = 0;
        while start < self.length {
            while self.bytes[start] == b'/' {
                start += 1;
            }
            let rest = &self.bytes[start..self.length];
            let end = start + rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
            if end == start {
                break;
            }
            let is_last = self.bytes[end..self.length].iter().all(|byte| *byte == b'/');
            let kind = if is_last { kind } else { Kind::Directory };
            if let Some(link) = self.make_part(root, start..end, kind)? {
                return Ok(Made::Link(link));
            }
            start = end;
        }
        Ok(Made::All)
    }

    /// Makes one part; gives the path behind it if it is a link without an end.
    fn make_part(
        &mut self,
        root: BorrowedFd<'_>,
        part: std::ops::Range<usize>,
        kind: Kind,
    ) -> Result<Option<Self>> {
        let parent = self.open_up_to(root, part.start)?;
        let after = std::mem::replace(&mut self.bytes[part.end], 0);
        let made = make(&parent, &self.bytes[part.start..=part.end], kind);
        let link = match made {
            // A link that leads nowhere is there too.
            Err(Errno::EXIST) => self.link(root, &parent, part.clone()),
            made => made.map(|()| None),
        };
        self.bytes[part.end] = after;
        let Some(mut link) = link? else { return Ok(None) };
        link.push(&self.bytes[part.end..self.length])?;
        Ok(Some(link))
    }

    /// Opens the directory that the first bytes name.
    fn open_up_to(&mut self, root: BorrowedFd<'_>, end: usize) -> Result<OwnedFd> {
        if end == 0 {
            return open(root, c".");
        }
        let after = std::mem::replace(&mut self.bytes[end], 0);
        let opened = self.whole().and_then(|path| open(root, path));
        self.bytes[end] = after;
        opened
    }

    /// The path that a link without an end stands for; `None`: it is no such link.
    fn link(
        &self,
        root: BorrowedFd<'_>,
        parent: &OwnedFd,
        part: std::ops::Range<usize>,
    ) -> Result<Option<Self>> {
        match open(root, self.whole()?) {
            Err(Errno::NOENT) => {}
            found => return found.map(|_| None),
        }
        let name = terminated(&self.bytes[part.start..=part.end])?;
        let mut target = [0; LONGEST];
        let length = rustix::fs::readlinkat_raw(parent, name, &mut target[..])?;
        let target = &target[..length];
        let base = if target.first() == Some(&b'/') { &[] } else { &self.bytes[..part.start] };
        let mut path = Self::new(base)?;
        path.push(target)?;
        Ok(Some(path))
    }
}

fn terminated(name: &[u8]) -> Result<&CStr> {
    CStr::from_bytes_until_nul(name).map_err(|_| Errno::INVAL)
}

fn make(parent: &OwnedFd, name: &[u8], kind: Kind) -> Result<()> {
    let name = terminated(name)?;
    match kind {
        Kind::Directory => rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)),
        Kind::File => {
            let mode = Mode::from_raw_mode(0o644);
            rustix::fs::mknodat(parent, name, FileType::RegularFile, mode, 0)
        }
    }
}

/// Whether a path that is open is a directory.
pub(super) fn is_directory(fd: BorrowedFd<'_>) -> Result<bool> {
    let found = rustix::fs::statat(fd, c"", AtFlags::EMPTY_PATH)?;
    Ok(FileType::from_raw_mode(found.st_mode) == FileType::Directory)
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::fs;
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::{Kind, place};

    /// Makes a place in a root, and tells where it came to be.
    fn made(root: &Path, path: &str, kind: Kind) -> Result<String, rustix::io::Errno> {
        let root = fs::File::open(root).unwrap();
        let path = CString::new(path).unwrap();
        let place = place(root.as_fd(), &path, kind)?;
        let number = std::os::fd::AsRawFd::as_raw_fd(&place);
        let found = fs::read_link(format!("/proc/self/fd/{number}")).unwrap();
        let root =
            fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&root)));
        Ok(found.strip_prefix(root.unwrap()).unwrap().to_string_lossy().into_owned())
    }

    #[test]
    fn what_is_missing_is_made() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        assert_eq!(made(root, "/a//b/c/", Kind::Directory).unwrap(), "a/b/c");
        assert_eq!(made(root, "/a/b/file", Kind::File).unwrap(), "a/b/file");
        assert_eq!(made(root, "/a/b", Kind::File).unwrap(), "a/b");
        assert!(root.join("a/b/c").is_dir() && root.join("a/b/file").is_file());
        assert_eq!(made(root, "/", Kind::Directory).unwrap(), "");
        assert!(made(root, "/a/b/file/c", Kind::Directory).is_err());
    }

    #[test]
    fn links_stay_beneath_the_root() {
        let root = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let root = root.path();
        fs::create_dir(root.join("etc")).unwrap();
        symlink(outside.path(), root.join("away")).unwrap();
        symlink("../../../../etc", root.join("up")).unwrap();
        symlink("/run/lock", root.join("etc/lock")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        assert_eq!(made(root, "/up/x", Kind::File).unwrap(), "etc/x");
        assert_eq!(made(root, "/etc/lock/y", Kind::Directory).unwrap(), "run/lock/y");
        let inside = outside.path().strip_prefix("/").unwrap().to_str().unwrap();
        assert_eq!(made(root, "/away/z", Kind::File).unwrap(), format!("{inside}/z"));
        assert!(fs::read_dir(outside.path()).unwrap().next().is_none());
        assert!(made(root, "/loop/x", Kind::File).is_err());
        let long = format!("/{}", "a/".repeat(3000));
        assert!(made(root, &long, Kind::Directory).is_err());
    }
}
