//! Files beneath a directory: a build context, or the mounted files of an image.
//!
//! In: paths, as Dockerfiles have them. Out: what is there.
//!
//! # Invariants
//!
//! - The kernel resolves every path beneath the root: no link leads out of it, and absolute links
//!   begin at it.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, fgetxattr, flistxattr, openat,
    openat2, readlinkat, statat,
};
use rustix::io::Errno;

/// How many links are followed, as in the kernel.
const MOST_LINKS: usize = 40;
const BENEATH: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

/// Files beneath a directory.
#[derive(Debug)]
pub(super) struct Tree {
    root: OwnedFd,
}

/// Where a path leads.
#[derive(Debug)]
pub(super) struct Place {
    /// The path without links, from the root.
    pub(super) path: PathBuf,
    /// What is there; `None`: nothing.
    pub(super) found: Option<Stat>,
}

impl Place {
    pub(super) fn is_directory(&self) -> bool {
        self.found.as_ref().is_some_and(|found| kind(found) == FileType::Directory)
    }
}

/// What something is.
pub(super) fn kind(found: &Stat) -> FileType {
    FileType::from_raw_mode(found.st_mode)
}

impl Tree {
    /// The files of a directory of this machine.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { root: openat(CWD, path, flags, Mode::empty())? })
    }

    /// The files of something that is open.
    pub(super) fn of(root: OwnedFd) -> Self {
        Self { root }
    }

    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    fn directory(&self, path: &Path) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(openat2(&self.root, path, flags, Mode::empty(), BENEATH)?)
    }

    /// What is at a path whose parents have no links; a link itself is not followed.
    pub(super) fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        let Some(name) = path.file_name() else {
            return Ok(Some(statat(&self.root, "", AtFlags::EMPTY_PATH)?));
        };
        let parent = match self.directory(path.parent().unwrap_or(Path::new(""))) {
            Err(error) if is_absent(&error) => return Ok(None),
            parent => parent?,
        };
        match statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            found => Ok(Some(found?)),
        }
    }

    /// Where a path leads when all links are followed.
    pub(super) fn resolve(&self, path: &Path) -> io::Result<Place> {
        let mut done = PathBuf::new();
        let mut pending: VecDeque<OsString> = names(path).collect();
        let mut links = 0;
        let mut found = self.stat(&done)?;
        while let Some(name) = pending.pop_front() {
            if name == ".." {
                done.pop();
                found = self.stat(&done)?;
                continue;
            }
            done.push(&name);
            found = self.stat(&done)?;
            match &found {
                Some(stat) if kind(stat) == FileType::Symlink => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(Errno::LOOP.into());
                    }
                    let target = self.link(&done)?;
                    done.pop();
                    if target.is_absolute() {
                        done.clear();
                    }
                    names(&target).rev().for_each(|name| pending.push_front(name));
                    found = self.stat(&done)?;
                }
                Some(_) => {}
                None => {
                    for name in pending.drain(..) {
                        if name == ".." {
                            done.pop();
                        } else {
                            done.push(name);
                        }
                    }
                }
            }
        }
        Ok(Place { path: done, found })
    }

    /// The names in a directory with what they are, in order.
    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<(OsString, Stat)>> {
        let directory = self.directory(path)?;
        let mut found = Vec::new();
        for entry in Dir::read_from(&directory)? {
            let name = OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned();
            if name == "." || name == ".." {
                continue;
            }
            match statat(&directory, &name, AtFlags::SYMLINK_NOFOLLOW) {
                // It has gone since.
                Err(Errno::NOENT) => {}
                stat => found.push((name, stat?)),
            }
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    /// Where a link leads.
    pub(super) fn link(&self, path: &Path) -> io::Result<PathBuf> {
        let parent = self.directory(path.parent().unwrap_or(Path::new("")))?;
        let target = readlinkat(parent, path.file_name().unwrap_or_default(), Vec::new())?;
        Ok(PathBuf::from(OsString::from_vec(target.into_bytes())))
    }

    /// Opens a regular file.
    pub(super) fn file(&self, path: &Path) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file: File = openat2(&self.root, path, flags, Mode::empty(), BENEATH)?.into();
        if file.metadata()?.is_file() {
            Ok(file)
        } else {
            Err(io::Error::other("it is no file any more"))
        }
    }
}

/// The capabilities that a program has by itself; the other attributes of files stay behind.
pub(super) fn capabilities(file: &File) -> io::Result<Option<Vec<u8>>> {
    const NAME: &str = "security.capability";
    match flistxattr(file.as_fd(), &mut [0_u8; 0][..]) {
        Ok(0) | Err(Errno::OPNOTSUPP) => return Ok(None),
        length => drop(length?),
    }
    let mut value = vec![0; 64];
    match fgetxattr(file, NAME, &mut value[..]) {
        Ok(length) => {
            value.truncate(length);
            Ok(Some(value))
        }
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn names(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_stay_beneath_the_root() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(path("a/b")).unwrap();
        std::fs::write(path("a/b/f"), "x").unwrap();
        symlink("/a/b", path("abs")).unwrap();
        symlink("../../../../etc/passwd", path("a/out")).unwrap();
        symlink("two", path("one")).unwrap();
        symlink("one", path("two")).unwrap();
        let tree = Tree::open(folder.path()).unwrap();
        let to = |text: &str| tree.resolve(Path::new(text)).unwrap();
        assert_eq!(to("/abs/f").path, Path::new("a/b/f"));
        assert!(to("abs").is_directory() && to("").is_directory());
        let out = to("a/out");
        assert_eq!((out.path.as_path(), out.found.is_none()), (Path::new("etc/passwd"), true));
        assert_eq!(to("abs/../../../x/../y").path, Path::new("y"));
        assert!(tree.resolve(Path::new("one")).is_err(), "a loop has an end");
        assert!(tree.file(Path::new("a/b")).is_err());
    }
}
