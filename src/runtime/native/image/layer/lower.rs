//! What the layers below have at a path.
//!
//! In: directories of unpacked layers, and a path. Out: what an overlay of them would show there.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, Stat, openat, readlinkat};

use super::super::overlay::{Privilege, is_opaque, is_whiteout, stat};

/// An archive cannot be unpacked without the layers below it.
#[derive(Debug)]
pub(in super::super) struct NeedsLower;

impl fmt::Display for NeedsLower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the archive relies on the layers below")
    }
}

impl std::error::Error for NeedsLower {}

impl NeedsLower {
    /// Whether that is why something failed.
    pub(in super::super) fn is_why(error: &io::Error) -> bool {
        error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Self>)
    }
}

/// What is at a path of the layers below.
#[derive(Debug)]
pub(super) enum Below {
    /// Nothing.
    Nothing,
    /// A directory.
    Directory(OwnedFd, Stat),
    /// A link and where it leads.
    Link(OsString),
    /// Something else, by its name in a directory.
    Other(OwnedFd, Stat),
}

/// What is at a path, which has no links on its way; the layers are given lowest first.
pub(super) fn find(
    layers: &[PathBuf],
    path: &[OsString],
    privilege: Privilege,
) -> io::Result<Below> {
    for layer in layers.iter().rev() {
        match search(layer, path, privilege)? {
            Search::Found(below) => return Ok(below),
            Search::Hidden => return Ok(Below::Nothing),
            Search::Deeper => {}
        }
    }
    Ok(Below::Nothing)
}

enum Search {
    Found(Below),
    /// This layer hides what lower ones have.
    Hidden,
    /// Lower ones may have it.
    Deeper,
}

fn search(layer: &Path, path: &[OsString], privilege: Privilege) -> io::Result<Search> {
    let mut at = open(CWD, layer.as_os_str())?;
    let mut missing = Search::Deeper;
    for (index, name) in path.iter().enumerate() {
        let Some(stat) = stat(&at, name)? else { return Ok(missing) };
        if is_whiteout(&stat) {
            return Ok(Search::Hidden);
        }
        let is_last = index + 1 == path.len();
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                at = open(&at, name)?;
                if is_last {
                    return Ok(Search::Found(Below::Directory(at, stat)));
                }
                if is_opaque(&at, privilege)? {
                    missing = Search::Hidden;
                }
            }
            FileType::Symlink if is_last => {
                let target = readlinkat(&at, name.as_os_str(), Vec::new())?;
                let target = std::os::unix::ffi::OsStringExt::from_vec(target.into_bytes());
                return Ok(Search::Found(Below::Link(target)));
            }
            _ if is_last => return Ok(Search::Found(Below::Other(at, stat))),
            // What is no directory has nothing in it, and hides directories below.
            _ => return Ok(Search::Hidden),
        }
    }
    let stat = rustix::fs::fstat(&at)?;
    Ok(Search::Found(Below::Directory(at, stat)))
}

fn open(parent: impl std::os::fd::AsFd, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(parent, name, flags, Mode::empty())?)
}
