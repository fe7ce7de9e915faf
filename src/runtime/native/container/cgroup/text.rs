//! Small files of the kernel.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

/// The most that is read of one.
const MOST: u64 = 16 << 20;

/// What stands in a file.
pub(super) fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MOST).read_to_string(&mut text)?;
    Ok(text)
}

/// Writes to a file that is there: one word, one call.
pub(super) fn write(path: &Path, value: &str) -> io::Result<()> {
    File::options().write(true).open(path)?.write_all(value.as_bytes())
}

/// The number in a file.
pub(super) fn number(path: &Path) -> io::Result<u64> {
    let text = read(path)?;
    Ok(text.trim().parse().unwrap_or(u64::MAX))
}

/// The number behind a key, as in `oom_kill 3`.
pub(super) fn value(text: &str, key: &str) -> Option<u64> {
    let pair = |line: &str| line.split_once(' ').map(|(k, v)| (k.to_owned(), v.to_owned()));
    let found = text.lines().filter_map(pair).find(|(k, _)| k == key)?;
    found.1.trim().parse().ok()
}
