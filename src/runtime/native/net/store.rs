//! Files of the networks: read and replaced.
//!
//! # Invariants
//!
//! - A file is whole or not there: it is written aside and renamed.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::runtime::Result;

use super::failed;

/// The most that a file of ours may hold.
const LIMIT: u64 = 1 << 20;

/// How long a file must last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lasting {
    /// Until the machine stops.
    Boot,
    /// For ever.
    Disk,
}

/// What a text file holds; none if it is not there.
pub(super) fn read(path: &Path) -> Result<Option<String>> {
    let mut text = String::new();
    match File::open(path).and_then(|file| file.take(LIMIT).read_to_string(&mut text)) {
        Ok(_) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(format!("read `{}`", path.display()))(error)),
    }
}

/// What a JSON file holds; none if it is not there.
pub(super) fn load<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let parse = |text: String| {
        serde_json::from_str(&text)
            .map_err(io::Error::from)
            .map_err(failed(format!("read `{}`", path.display())))
    };
    read(path)?.map(parse).transpose()
}

/// Puts a JSON file in the place of what was there.
pub(super) fn save(path: &Path, value: &impl Serialize, lasting: Lasting) -> Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let save = || -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(directory)?;
        file.write_all(&serde_json::to_vec(value)?)?;
        if lasting == Lasting::Disk {
            file.as_file().sync_all()?;
        }
        file.persist(path)?;
        if lasting == Lasting::Disk {
            File::open(directory)?.sync_all()?;
        }
        Ok(())
    };
    save().map_err(failed(format!("write `{}`", path.display())))
}

/// Makes a directory and those above it.
pub(super) fn make_directory(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(failed(format!("make `{}`", path.display())))
}

/// Removes a file, whether it is there or not.
pub(super) fn remove(path: &Path) -> Result<()> {
    gone(std::fs::remove_file(path), path)
}

/// Removes a directory with all that is in it, whether it is there or not.
pub(super) fn remove_directory(path: &Path) -> Result<()> {
    gone(std::fs::remove_dir_all(path), path)
}

fn gone(result: io::Result<()>, path: &Path) -> Result<()> {
    match result {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(failed(format!("remove `{}`", path.display()))(error))
        }
        _ => Ok(()),
    }
}

/// The names in a directory, in their order, but for those that begin with a dot; none if it is
/// not there.
pub(super) fn names(directory: &Path) -> Result<Vec<String>> {
    let list = || -> io::Result<Vec<String>> {
        let entries = match std::fs::read_dir(directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            names.extend(entry?.file_name().into_string());
        }
        names.retain(|name| !name.starts_with('.'));
        names.sort();
        Ok(names)
    };
    list().map_err(failed(format!("list `{}`", directory.display())))
}

/// Bytes that nobody can guess.
pub(super) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        filled +=
            rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())
                .map_err(io::Error::from)
                .map_err(failed("get random bytes"))?;
    }
    Ok(bytes)
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
