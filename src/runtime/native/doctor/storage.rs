//! Where files are kept.

use std::path::{Path, PathBuf};

use super::Finding;
use crate::runtime::native::container::probe;

/// Below this, images hardly fit.
const LITTLE: u64 = 2 << 30;

/// Whether layers can be put on top of each other where state is kept.
pub(super) fn overlay(durable: &Path, may: bool) -> Finding {
    let subject = "overlay";
    let place = existing(durable);
    if !may {
        let known = Path::new("/sys/module/overlay").exists() || is_known("overlay");
        let found = if known { "the kernel has it" } else { "the kernel has not loaded it" };
        return if known {
            Finding::good(subject, found)
        } else {
            Finding::weak(subject, found, "load it: `modprobe overlay`")
        };
    }
    match probe::overlay(&place) {
        Ok(()) => Finding::good(subject, format!("works in `{}`", place.display())),
        Err(error) => {
            let remedy = "load it (`modprobe overlay`); if it is there, keep Ketch's state on a \
                          file system that can be its upper layer (ext4, xfs, btrfs): set \
                          KETCH_STATE_DIR";
            let found = format!("does not work in `{}`: {error}", place.display());
            Finding::missing(subject, found, remedy)
        }
    }
}

fn is_known(kind: &str) -> bool {
    let text = probe::text(Path::new("/proc/filesystems"));
    text.lines().any(|line| line.split_whitespace().last() == Some(kind))
}

/// How much room there is.
pub(super) fn disk(durable: &Path) -> Finding {
    let subject = "disk";
    let place = existing(durable);
    let room = match rustix::fs::statvfs(&place) {
        Ok(room) => room,
        Err(errno) => {
            let remedy = "set KETCH_STATE_DIR to a directory that can be used";
            let found = format!("`{}` cannot be looked at: {errno}", place.display());
            return Finding::missing(subject, found, remedy);
        }
    };
    let (free, all) = (room.f_bavail * room.f_frsize, room.f_blocks * room.f_frsize);
    let found = format!("{} free of {} at `{}`", size(free), size(all), place.display());
    let few_names = room.f_files > 0 && room.f_favail < room.f_files / 50;
    if free < LITTLE || few_names {
        let remedy = "make room: `ketch system prune`, or set KETCH_STATE_DIR to another place";
        let names = if few_names { "; few more files can be made there" } else { "" };
        return Finding::weak(subject, format!("{found}{names}"), remedy);
    }
    Finding::good(subject, found)
}

/// The directory, or the nearest one above it that is there.
fn existing(path: &Path) -> PathBuf {
    let found = path.ancestors().find(|path| path.is_dir());
    found.unwrap_or(Path::new("/")).to_owned()
}

fn size(bytes: u64) -> String {
    format!("{}.{} GB", bytes / 1_000_000_000, bytes / 100_000_000 % 10)
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_short() {
        assert_eq!([size(0), size(1_950_000_000)], ["0.0 GB", "1.9 GB"]);
    }
}
