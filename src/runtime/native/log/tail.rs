//! Where the last lines of a log begin.
//!
//! In: files, the newest first, and a number of lines. Out: the file and the place in it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::TAG;

/// How much is read at first; then ever more.
const FIRST: u64 = 64 * 1024;

/// The index of the file and the offset in it from which on there are so many lines.
pub(super) fn start(newest_first: &[File], lines: u64) -> io::Result<(usize, u64)> {
    let mut wanted = lines;
    for (index, file) in newest_first.iter().enumerate() {
        let length = file.metadata()?.len();
        match within(file, length, &mut wanted)? {
            Some(offset) => return Ok((index, offset)),
            None if index + 1 == newest_first.len() => return Ok((index, 0)),
            None => {}
        }
    }
    Ok((0, 0))
}

/// The offset in one file; `None` if it has too few lines: `wanted` is how many are missing then.
fn within(file: &File, length: u64, wanted: &mut u64) -> io::Result<Option<u64>> {
    let mut size = FIRST.min(length);
    loop {
        let mut buffer = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
        let begin = length - size;
        let read = read_at(file, &mut buffer, begin)?;
        let (found, left) = scan(&buffer[..read], *wanted, begin);
        if let Some(offset) = found {
            return Ok(Some(begin + offset as u64));
        }
        if begin == 0 {
            *wanted = left;
            return Ok(None);
        }
        size = size.saturating_mul(4).min(length);
    }
}

/// Looks for the end of the line before the last `wanted` ones. A text that is no beginning of a
/// file may begin in the middle of a record. Gives how many lines are missing too.
fn scan(text: &[u8], wanted: u64, begin: u64) -> (Option<usize>, u64) {
    let mut left = wanted;
    let mut end = text.len();
    let mut is_last = true;
    // From the last record to the first.
    while end > 0 {
        let first = memchr::memrchr(b'\n', &text[..end - 1]).map_or(0, |newline| newline + 1);
        if first == 0 && begin != 0 {
            return (None, left);
        }
        let ends_line = text[first..end].get(TAG) == Some(&b'F');
        if ends_line || is_last {
            if left == 0 {
                return (Some(end), 0);
            }
            left -= 1;
        }
        is_last = false;
        end = first;
    }
    (None, left)
}

fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64)? {
            0 => break,
            read => done += read,
        }
    }
    Ok(done)
}
