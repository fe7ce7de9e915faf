//! What is known of one file of the host.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Two changes within that time can look like one: clocks of file systems go on once in a jiffy,
/// which may be 10 ms.
const TICK: Duration = Duration::from_millis(20);

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
    /// When it was made: what is gone leaves its number to the next. `None`: nobody knows.
    born: Option<SystemTime>,
    /// Whether it had changed so shortly before that a later change may look the same; for a
    /// directory, whether it had been made.
    is_fresh: bool,
}

/// Which file it is, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Looks at a path; `None` if nothing is there.
    pub(super) fn look(path: &Path) -> io::Result<Option<Self>> {
        match std::fs::symlink_metadata(path) {
            Ok(found) => Ok(Some(Self::of(&found, SystemTime::now()))),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(error),
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
        let born = found.created().ok();
        let since = |born: SystemTime| now.duration_since(born).unwrap_or_default();
        let is_fresh = match (kind, born) {
            (Kind::Directory, Some(born)) => since(born) < TICK,
            (Kind::Directory, None) => true,
            _ => is_fresh(changed, now),
        };
        Self {
            kind,
            identity: Identity::of(found),
            size: found.size(),
            mode: found.mode(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed,
            born,
            is_fresh,
        }
    }

    /// Whether this, seen after something happened to the path, is another state than `before`.
    /// What is in a directory does not count: each name is told by itself.
    pub(super) fn differs(&self, before: &Self) -> bool {
        if self.kind == Kind::Directory && before.kind == Kind::Directory {
            let made = |it: &Self| (it.identity, it.born);
            return before.is_fresh || made(self) != made(before);
        }
        let state = |it: &Self| (it.kind, it.identity, it.size, it.mode, it.modified, it.changed);
        before.is_fresh || state(self) != state(before)
    }
}

/// Whether an error means that nothing is there; others only mean that nobody may look now.
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// A clock may have been set back since: what changes later than now is fresh too.
fn is_fresh(changed: (i64, i64), now: SystemTime) -> bool {
    let (Ok(seconds), Ok(nanoseconds)) = (u64::try_from(changed.0), u32::try_from(changed.1))
    else {
        return false;
    };
    let changed = UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds));
    changed.is_some_and(|changed| now.duration_since(changed).unwrap_or_default() < TICK)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::{Entry, is_fresh};

    /// Most file systems give the number of what is gone to the next that is made.
    #[test]
    fn a_directory_in_the_place_of_another_is_another_whatever_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d");
        std::fs::create_dir(&path).unwrap();
        let first = Entry::look(&path).unwrap().unwrap();
        std::fs::remove_dir(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        let second = Entry::look(&path).unwrap().unwrap();
        assert!(second.differs(&first));
        let settled = Entry { is_fresh: false, ..second };
        std::fs::write(path.join("f"), "f").unwrap();
        let third = Entry::look(&path).unwrap().unwrap();
        assert!(!third.differs(&settled), "what is in it is told by itself");
        let other = Entry { born: Some(UNIX_EPOCH), ..settled };
        assert!(third.born.is_none() || settled.differs(&other));
    }

    #[test]
    fn what_has_changed_a_jiffy_ago_or_will_have_may_change_again_unseen() {
        let now = UNIX_EPOCH + Duration::from_secs(100);
        let milliseconds = |number: i64| number * 1_000_000;
        assert!(is_fresh((99, milliseconds(990)), now));
        assert!(!is_fresh((99, milliseconds(970)), now));
        assert!(is_fresh((160, 0), now), "the clock was set back");
    }
}
