//! How an unpacked layer tells overlayfs what it removes: whiteouts and opaque directories.
//!
//! In: open directories and names. Out: marks in the file system.
//!
//! # Invariants
//!
//! - Marks are those of this user: `trusted.overlay.*` for root, `user.overlay.*` for others, who
//!   mount with `userxattr`.

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::fd::AsFd;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, Stat, Timespec, Timestamps, Uid, XattrFlags, fchmod, fchown,
    fgetxattr, flistxattr, fsetxattr, futimens, mknodat, statat,
};
use rustix::io::Errno;

/// The device number of a whiteout.
const WHITEOUT: u64 = 0;

/// What this process may do with files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Privilege {
    /// Owners, devices and all attributes are kept.
    Root,
    /// Everything belongs to this user; devices cannot be made.
    User,
}

impl Privilege {
    pub(super) fn own() -> Self {
        if rustix::process::geteuid().is_root() { Self::Root } else { Self::User }
    }

    fn opaque(self) -> &'static CStr {
        match self {
            Self::Root => c"trusted.overlay.opaque",
            Self::User => c"user.overlay.opaque",
        }
    }
}

/// Puts a whiteout: what lower layers have of this name is gone.
pub(super) fn whiteout(parent: impl AsFd, name: &OsStr) -> io::Result<()> {
    Ok(mknodat(parent, name, FileType::CharacterDevice, Mode::empty(), WHITEOUT)?)
}

/// Whether something is a whiteout.
pub(super) fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == WHITEOUT
}

/// Hides what lower layers have in a directory.
pub(super) fn make_opaque(directory: impl AsFd, privilege: Privilege) -> io::Result<()> {
    let name = privilege.opaque();
    fsetxattr(directory, name, b"y", XattrFlags::empty()).map_err(|error| {
        let error = io::Error::from(error);
        io::Error::new(error.kind(), format!("cannot set the attribute {name:?}: {error}"))
    })
}

/// Whether a directory hides what lower layers have in it.
pub(super) fn is_opaque(directory: impl AsFd, privilege: Privilege) -> io::Result<bool> {
    let mut value = [0; 2];
    match fgetxattr(directory, privilege.opaque(), &mut value[..]) {
        Ok(1) => Ok(value[0] == b'y'),
        Ok(_) | Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether an attribute is one by which overlayfs is steered: no archive may bring such.
pub(super) fn steers_overlay(name: &[u8]) -> bool {
    name.starts_with(b"trusted.") || name.starts_with(b"user.overlay.")
}

/// Something by its name in a directory; `None` if it is not there.
pub(super) fn stat(parent: impl AsFd, name: &OsStr) -> io::Result<Option<Stat>> {
    match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The time of change of something.
pub(super) fn modified(stat: &Stat) -> Timespec {
    Timespec { tv_sec: stat.st_mtime, tv_nsec: i64::try_from(stat.st_mtime_nsec).unwrap_or(0) }
}

/// Both times of a file.
pub(super) fn times(modified: Timespec) -> Timestamps {
    Timestamps { last_access: modified, last_modification: modified }
}

/// Gives a file owner, permissions, attributes and time of another one.
pub(super) fn copy_attributes(
    from: impl AsFd,
    stat: &Stat,
    to: impl AsFd,
    privilege: Privilege,
) -> io::Result<()> {
    let to = to.as_fd();
    if privilege == Privilege::Root {
        fchown(to, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    }
    fchmod(to, Mode::from_raw_mode(stat.st_mode))?;
    for (name, value) in attributes(from)? {
        if !steers_overlay(name.to_bytes()) {
            fsetxattr(to, name.as_c_str(), &value, XattrFlags::empty())?;
        }
    }
    Ok(futimens(to, &times(modified(stat)))?)
}

/// The extended attributes of an open file.
pub(super) fn attributes(file: impl AsFd) -> io::Result<Vec<(std::ffi::CString, Vec<u8>)>> {
    let file = file.as_fd();
    // The kernel's own limits.
    let mut names = vec![0_u8; 64 << 10];
    let length = match flistxattr(file, &mut names[..]) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => 0,
        Err(error) => return Err(error.into()),
    };
    let mut found = Vec::new();
    let mut value = Vec::new();
    for name in names[..length].split_inclusive(|byte| *byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
        value.resize(64 << 10, 0);
        match fgetxattr(file, name, &mut value[..]) {
            Ok(length) => found.push((name.to_owned(), value[..length].to_vec())),
            Err(Errno::NODATA) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}
