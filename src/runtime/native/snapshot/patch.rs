//! Makes a large file equal to another by writing only where they differ.
//!
//! In: two files that are open. Out: the same bytes in both. A database that has changed a few
//! rows of a large table is back without the table being written anew.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::{pread, pwrite};

/// How much is read at once.
const CHUNK: usize = 1 << 18;
/// How much is written at least: a page.
const PAGE: usize = 1 << 12;

/// Makes `to` equal to `from`, which has this size; gives how many bytes were written.
///
/// # Errors
///
/// Either cannot be read or written: then they are not equal.
pub(super) fn patch(from: &OwnedFd, to: &OwnedFd, size: u64) -> io::Result<u64> {
    rustix::fs::ftruncate(to, size)?;
    let (mut wanted, mut found) = (vec![0; CHUNK], vec![0; CHUNK]);
    let (mut at, mut written) = (0, 0);
    while at < size {
        let length = fill(from, &mut wanted, at)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let there = fill(to, &mut found[..length], at)?;
        found[there..length].fill(0);
        if wanted[..length] != found[..length] {
            let pages = wanted[..length].chunks(PAGE).zip(found[..length].chunks(PAGE));
            for (number, (page, _)) in pages.enumerate().filter(|(_, (one, two))| one != two) {
                write_all(to, page, at + (number * PAGE) as u64)?;
                written += page.len() as u64;
            }
        }
        at += length as u64;
    }
    Ok(written)
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &OwnedFd, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match pread(file, &mut buffer[filled..], at + filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

fn write_all(file: &OwnedFd, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = pwrite(file, bytes, at)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[written..];
        at += written as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read as _;

    use super::patch;

    #[test]
    fn only_pages_that_differ_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let open = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            File::options().read(true).write(true).open(path).unwrap()
        };
        let content: Vec<u8> = (0..700_001_u32).map(|at| (at % 251) as u8).collect();
        let mut changed = content.clone();
        changed[300_000] ^= 1;
        let longer = [&content[..], &[1; 5000]].concat();
        for (other, most) in [
            (&content[..], 0),
            (&changed[..], 4096),
            (&longer[..], 0),
            (&content[..690_000], 12_000),
            (&[][..], 700_001),
        ] {
            let (from, to) = (open("from", &content).into(), open("to", other).into());
            assert!(patch(&from, &to, 700_001).unwrap() <= most);
            let mut now = Vec::new();
            File::open(folder.path().join("to")).unwrap().read_to_end(&mut now).unwrap();
            assert!(now == content);
        }
    }
}
