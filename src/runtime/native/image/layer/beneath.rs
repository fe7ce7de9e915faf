//! The directories of a layer that is being unpacked.
//!
//! In: paths of an archive. Out: open directories beneath the root of the layer.
//!
//! # Invariants
//!
//! - Every step is relative to an open directory and follows no link by itself: `openat2` refuses
//!   links, and where there is one it is read and walked from the root of the layer on.
//! - A directory that the archive does not mention gets the attributes that the layers below give
//!   it, or, where these have a link, is the one that the link leads to.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{
    FileType, Mode, OFlags, ResolveFlags, Stat, mkdirat, openat, openat2, readlinkat, unlinkat,
};
use rustix::io::Errno;

use super::super::overlay::{
    Privilege, copy_attributes, is_opaque, is_whiteout, make_opaque, stat,
};
use super::lower::{self, Below, NeedsLower};

/// The most links on the way to one path, as the kernel has it.
const MAX_LINKS: usize = 40;
/// The most directories above one another.
const MAX_DEPTH: usize = 256;
/// Permissions of directories that nobody mentions.
const PLAIN: Mode = Mode::from_raw_mode(0o755);

/// A layer that is being unpacked.
#[derive(Debug)]
pub(super) struct Tree<'a> {
    root: Rc<OwnedFd>,
    /// The layers below, lowest first; `None`: they are not known yet.
    lowers: Option<&'a [PathBuf]>,
    privilege: Privilege,
    last: Option<Directory>,
}

/// A directory of the layer.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    /// Its path below the root, with no link on the way.
    pub(super) path: PathBuf,
    fd: Rc<OwnedFd>,
    /// Whether what lower layers have in it shows through.
    pub(super) is_open_below: bool,
}

impl AsFd for Directory {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// What one step of a walk leads to.
enum Step {
    Into(OwnedFd, bool),
    Link(OsString),
}

impl<'a> Tree<'a> {
    pub(super) fn new(root: OwnedFd, lowers: Option<&'a [PathBuf]>, privilege: Privilege) -> Self {
        Self { root: Rc::new(root), lowers, privilege, last: None }
    }

    pub(super) fn root(&self) -> &OwnedFd {
        &self.root
    }

    /// The directory at a path; what is missing on the way is made.
    pub(super) fn directory(&mut self, path: &Path) -> io::Result<Directory> {
        if let Some(last) = self.last.as_ref().filter(|last| last.path == path) {
            return Ok(last.clone());
        }
        let directory = self.walk(path)?;
        // What was reached through a link has another path: it is walked to again.
        self.last = Some(directory.clone());
        Ok(directory)
    }

    /// To be called when a directory may have been moved away.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }

    /// A directory that is there, with no link on the way; `None` if it is not.
    pub(super) fn existing(&self, path: &Path) -> io::Result<Option<OwnedFd>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        match openat2(&*self.root, path, flags, Mode::empty(), beneath()) {
            Ok(directory) => Ok(Some(directory)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What the layers below have of a name in a directory.
    pub(super) fn below(&self, directory: &Directory, name: &OsStr) -> io::Result<Below> {
        if !directory.is_open_below {
            return Ok(Below::Nothing);
        }
        let lowers = self.lowers.ok_or_else(|| io::Error::other(NeedsLower))?;
        let path: Vec<OsString> =
            directory.path.iter().chain([name]).map(OsStr::to_owned).collect();
        lower::find(lowers, &path, self.privilege)
    }

    fn walk(&self, path: &Path) -> io::Result<Directory> {
        let mut pending: VecDeque<OsString> = names(path)?.into();
        let mut trail: Vec<(OsString, Directory)> = Vec::new();
        let mut links = 0;
        while let Some(name) = pending.pop_front() {
            if name == ".." {
                trail.pop();
                continue;
            }
            let at = self.end(&trail);
            match self.step(&at, &name)? {
                Step::Into(fd, is_open_below) => {
                    if trail.len() >= MAX_DEPTH {
                        return Err(refused("it lies too deep"));
                    }
                    let path = at.path.join(&name);
                    trail.push((name, Directory { path, fd: Rc::new(fd), is_open_below }));
                }
                Step::Link(target) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(refused("it leads through too many links"));
                    }
                    let target = Path::new(&target);
                    if target.has_root() {
                        trail.clear();
                    }
                    for name in link_names(target).into_iter().rev() {
                        pending.push_front(name);
                    }
                }
            }
        }
        Ok(self.end(&trail))
    }

    fn end(&self, trail: &[(OsString, Directory)]) -> Directory {
        let root =
            || Directory { path: PathBuf::new(), fd: Rc::clone(&self.root), is_open_below: true };
        trail.last().map_or_else(root, |(_, directory)| directory.clone())
    }

    fn step(&self, at: &Directory, name: &OsStr) -> io::Result<Step> {
        let Some(found) = stat(at, name)? else { return self.missing(at, name) };
        if is_whiteout(&found) {
            unlinkat(at, name, rustix::fs::AtFlags::empty())?;
            let made = make(at, name)?;
            make_opaque(&made, self.privilege)?;
            return Ok(Step::Into(made, false));
        }
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Directory => {
                let directory = open(at, name)?;
                let is_open_below = at.is_open_below && !is_opaque(&directory, self.privilege)?;
                Ok(Step::Into(directory, is_open_below))
            }
            FileType::Symlink => {
                let target = readlinkat(at, name, Vec::new())?;
                Ok(Step::Link(OsString::from_vec(target.into_bytes())))
            }
            _ => Err(not_a_directory(&at.path.join(name))),
        }
    }

    /// A directory that the archive has not mentioned.
    fn missing(&self, at: &Directory, name: &OsStr) -> io::Result<Step> {
        match self.below(at, name)? {
            Below::Nothing => Ok(Step::Into(make(at, name)?, false)),
            Below::Directory(lower, found) => {
                let made = make(at, name)?;
                self.dress(&lower, &found, &made)?;
                Ok(Step::Into(made, true))
            }
            Below::Link(target) => Ok(Step::Link(target)),
            Below::Other(..) => Err(not_a_directory(&at.path.join(name))),
        }
    }

    /// Gives a directory the attributes of one below.
    pub(super) fn dress(&self, lower: &OwnedFd, found: &Stat, made: &OwnedFd) -> io::Result<()> {
        copy_attributes(lower, found, made, self.privilege)
    }
}

/// No link, no way out.
pub(super) fn beneath() -> ResolveFlags {
    ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS
}

/// The names on the way to a path of an archive.
pub(super) fn names(path: &Path) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name.to_owned()),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(refused("`..` leads out of the layer"));
            }
        }
    }
    Ok(names)
}

/// The same for where a link leads; above the root is the root.
fn link_names(target: &Path) -> Vec<OsString> {
    let name = |component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    };
    target.components().filter_map(name).collect()
}

pub(super) fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

fn not_a_directory(path: &Path) -> io::Error {
    refused(&format!("`{}` is no directory", path.display()))
}

/// Makes a directory and opens it.
pub(super) fn make(parent: impl AsFd, name: &OsStr) -> io::Result<OwnedFd> {
    let parent = parent.as_fd();
    mkdirat(parent, name, PLAIN)?;
    let made = open(parent, name)?;
    // Whatever the mask of the user says.
    rustix::fs::fchmod(&made, PLAIN)?;
    Ok(made)
}

pub(super) fn open(parent: impl AsFd, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(parent, name, flags, Mode::empty())?)
}
