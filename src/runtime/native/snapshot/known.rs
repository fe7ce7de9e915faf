//! Which files are still as a snapshot has them, told without reading them.
//!
//! In: a directory. Out: for each file the marks that the kernel changes with it. A restore leaves
//! files alone whose marks are those that were written down when both were equal.
//!
//! # Invariants
//!
//! - The mark is the time of the last change (`ctime`), which no program can set. So that no later
//!   change has the same one, nothing may run until the clock of the kernel has gone on.
//! - What is written through memory marks a file only when its page was clean: pages are written
//!   out while everything is frozen. File systems that do not keep track of this are not trusted.
//! - Marks of another boot are not trusted: a power cut may lose the mark and keep the change.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use serde::{Deserialize, Serialize};

use crate::runtime::native::container::copy_up::DEEPEST;
use crate::runtime::native::state::{self, Durability, boot};

/// What the kernel changes with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    inode: u64,
    size: i64,
    /// Seconds and nanoseconds.
    changed: (i64, i64),
}

impl Mark {
    pub(super) fn of(found: &Stat) -> Self {
        Self {
            inode: found.st_ino,
            size: found.st_size,
            changed: (found.st_ctime, i64::try_from(found.st_ctime_nsec).unwrap_or(0)),
        }
    }
}

/// The marks of files, by the number of their copies in the snapshot.
pub(super) type Known = HashMap<u64, Mark>;

/// What stands in `known.json`.
#[derive(Default, Serialize, Deserialize)]
struct Record {
    boot: String,
    marks: Vec<(u64, Mark)>,
}

/// What is known; nothing if it was written in another boot.
pub(super) fn read(path: &Path) -> Known {
    let record: Option<Record> = state::read(path).unwrap_or_default();
    let record = record.filter(|record| !record.boot.is_empty() && record.boot == boot());
    record.map(|record| record.marks.into_iter().collect()).unwrap_or_default()
}

/// Writes down what is known. Without it all is copied.
pub(super) fn write(path: &Path, known: Known) {
    let record = Record { boot: boot(), marks: known.into_iter().collect() };
    if let Err(error) = state::write(path, &record, Durability::Volatile) {
        tracing::debug!("{error}");
        let _ = std::fs::remove_file(path);
    }
}

/// Whether pages that were written through memory are looked after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pages {
    /// They are written out, so that the next change leaves a mark.
    WriteOut,
    /// There are none.
    Clean,
}

/// The marks of all files below a directory, by their number; none where they cannot be trusted.
pub(super) fn marks(directory: &Path, pages: Pages) -> io::Result<HashMap<u64, Mark>> {
    let open = open_directory(directory)?;
    let mut marks = HashMap::new();
    if is_trusted(&open)? {
        collect(&open, (pages, 0), &mut marks)?;
    }
    Ok(marks)
}

fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, FLAGS | OFlags::DIRECTORY, Mode::empty())?)
}

const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// File systems that mark every change, also through memory: ext4, XFS, Btrfs.
fn is_trusted(directory: &OwnedFd) -> io::Result<bool> {
    const KINDS: [u64; 3] = [0xEF53, 0x5846_5342, 0x9123_683E];
    let kind = rustix::fs::fstatfs(directory)?.f_type;
    Ok(KINDS.contains(&u64::try_from(kind).unwrap_or(0)))
}

fn collect(
    directory: &OwnedFd,
    (pages, depth): (Pages, usize),
    marks: &mut HashMap<u64, Mark>,
) -> io::Result<()> {
    if depth > DEEPEST {
        return Ok(());
    }
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let status = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(status.st_mode) {
            FileType::Directory => {
                let flags = FLAGS | OFlags::DIRECTORY;
                let below = rustix::fs::openat(directory, name, flags, Mode::empty())?;
                collect(&below, (pages, depth + 1), marks)?;
            }
            FileType::RegularFile => {
                if pages == Pages::WriteOut {
                    let file = rustix::fs::openat(directory, name, FLAGS, Mode::empty())?;
                    write_out(&file)?;
                }
                let status = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
                marks.insert(status.st_ino, Mark::of(&status));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Writes the pages of a file out.
fn write_out(file: &OwnedFd) -> io::Result<()> {
    let all = libc::SYNC_FILE_RANGE_WAIT_BEFORE
        | libc::SYNC_FILE_RANGE_WRITE
        | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    // SAFETY: the call takes no pointers, and the descriptor is open while it lasts.
    let done = unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, all) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// How coarse the clock of the kernel may be.
const TICK: Duration = Duration::from_millis(20);

/// Waits until a change that is made now gets another mark than these; forgets those from the
/// future, which the clock may reach again.
pub(super) fn settle(marks: &mut HashMap<u64, Mark>) {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let began = now();
    marks.retain(|_, mark| moment(mark) <= began);
    let newest = marks.values().map(moment).max().unwrap_or_default();
    std::thread::sleep((newest + TICK).saturating_sub(began));
}

fn moment(mark: &Mark) -> Duration {
    let (seconds, nanoseconds) = mark.changed;
    let seconds = u64::try_from(seconds).unwrap_or(0);
    Duration::new(seconds, u32::try_from(nanoseconds).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;

    use super::{Pages, marks, settle};

    #[test]
    fn every_change_after_the_clock_went_on_leaves_a_mark() {
        let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        fs::create_dir(folder.path().join("deep")).unwrap();
        let path = folder.path().join("deep/file");
        fs::write(&path, "one").unwrap();
        let mut before = marks(folder.path(), Pages::WriteOut).unwrap();
        settle(&mut before);
        if before.is_empty() {
            // Another file system: nothing is trusted.
            return;
        }
        assert_eq!(marks(folder.path(), Pages::Clean).unwrap(), before);
        let times = fs::metadata(&path).unwrap();
        fs::write(&path, "two").unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(times.modified().unwrap()).unwrap();
        let after = marks(folder.path(), Pages::Clean).unwrap();
        assert_ne!(after[&times.ino()], before[&times.ino()], "the time was set back in vain");
    }
}
