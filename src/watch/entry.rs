//! What is known of one file of the host.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Clocks of file systems may be so coarse: two changes within that time can look like one.
const TICK: Duration = Duration::from_millis(5);

/// What a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    Link,
    /// Sockets, pipes and devices: nobody brings them anywhere.
    Other,
}

/// A path as it was when it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) identity: Identity,
    size: u64,
    mode: u32,
    modified: (i64, i64),
    changed: (i64, i64),
    /// Whether it had changed so shortly before that a later change may look the same.
    is_fresh: bool,
}

/// Which file it is, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    pub(super) fn of(found: &Metadata) -> Self {
        Self { device: found.dev(), inode: found.ino() }
    }
}

impl Entry {
    /// Looks at a path; `None` if nothing is there, or nobody may look.
    pub(super) fn look(path: &Path) -> Option<Self> {
        match std::fs::symlink_metadata(path) {
            Ok(found) => Some(Self::of(&found, SystemTime::now())),
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::debug!("cannot look at `{}`: {error}", path.display());
                }
                None
            }
        }
    }

    fn of(found: &Metadata, now: SystemTime) -> Self {
        let kind = match found.file_type() {
            it if it.is_file() => Kind::File,
            it if it.is_dir() => Kind::Directory,
            it if it.is_symlink() => Kind::Link,
            _ => Kind::Other,
        };
        let changed = (found.ctime(), found.ctime_nsec());
        Self {
            kind,
            identity: Identity::of(found),
            size: found.size(),
            mode: found.mode(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed,
            is_fresh: is_fresh(changed, now),
        }
    }

    /// Whether this, seen after something happened to the path, is another state than `before`.
    /// What is in a directory does not count: each name is told by itself.
    pub(super) fn differs(&self, before: &Self) -> bool {
        if self.kind == Kind::Directory && before.kind == Kind::Directory {
            return self.identity != before.identity;
        }
        let state = |it: &Self| (it.kind, it.identity, it.size, it.mode, it.modified, it.changed);
        before.is_fresh || state(self) != state(before)
    }
}

fn is_fresh(changed: (i64, i64), now: SystemTime) -> bool {
    let (Ok(seconds), Ok(nanoseconds)) = (u64::try_from(changed.0), u32::try_from(changed.1))
    else {
        return false;
    };
    let changed = UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds));
    changed.is_some_and(|changed| now.duration_since(changed).is_ok_and(|age| age < TICK))
}
