//! How much an archive may hold.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;

/// Bytes that are fine however small the compressed archive is.
const ALWAYS: u64 = 1 << 30;
/// How many times as large as its compressed form an archive may be; files of zeros reach 1000.
const RATIO: u64 = 300;
/// Bytes that stay free on the disk.
const RESERVE: u64 = 64 << 20;
/// After how many bytes the space on the disk is looked at.
pub(super) const CHECK: u64 = 16 << 20;

/// The most that an archive may hold.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Limits {
    /// Bytes of the archive without compression, and of the files that it makes.
    pub(in super::super) bytes: u64,
    /// Number of entries.
    pub(in super::super) entries: u64,
    /// Bytes of the headers of one entry.
    pub(in super::super) header: u64,
}

impl Limits {
    /// For an archive of this size.
    pub(in super::super) fn for_size(compressed: u64) -> Self {
        let bytes = compressed.saturating_mul(RATIO).saturating_add(ALWAYS);
        Self { bytes, entries: 4_000_000, header: 2 << 20 }
    }

    /// Copies what may be of any size to a file, as long as there is space.
    pub(in super::super) fn copy(from: &mut impl Read, to: &mut File) -> io::Result<u64> {
        let mut total = 0;
        loop {
            check_space(&*to)?;
            match io::copy(&mut from.take(CHECK), to)? {
                0 => return Ok(total),
                count => total += count,
            }
        }
    }

    pub(super) fn too_large(self) -> io::Error {
        let said = format!("it holds more than {} bytes, too many for its size", self.bytes);
        io::Error::new(io::ErrorKind::InvalidData, said)
    }

    pub(super) fn too_many(self) -> io::Error {
        let said = format!("it has more than {} entries", self.entries);
        io::Error::new(io::ErrorKind::InvalidData, said)
    }
}

/// Fails before the disk is full: others need it too.
pub(super) fn check_space(directory: impl AsFd) -> io::Result<()> {
    let disk = rustix::fs::fstatvfs(directory)?;
    if disk.f_bavail.saturating_mul(disk.f_frsize) < RESERVE {
        return Err(io::Error::new(io::ErrorKind::StorageFull, "the disk is nearly full"));
    }
    Ok(())
}
