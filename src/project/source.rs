//! Where files come from: the disk, or memory in tests.
//!
//! # Invariants
//!
//! - Only regular files are read, never more than [`MAX_FILE`] bytes of one: a pipe, a socket, a
//!   device or a huge file is refused at once.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// The largest file that is read, in bytes. Real projects stay a hundred times below it.
pub const MAX_FILE: u64 = 16 << 20;

/// What lies at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file, or a link to one.
    File,
    /// A directory, or a link to one.
    Directory,
    /// A pipe, socket or device.
    Other,
}

/// Gives the loader its files.
pub trait Source {
    /// Reads a whole file.
    ///
    /// # Errors
    ///
    /// If it is not there, not readable, not a regular file, or larger than [`MAX_FILE`].
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Reads standard input to its end.
    ///
    /// # Errors
    ///
    /// If it cannot be read or is larger than [`MAX_FILE`].
    fn read_stdin(&self) -> io::Result<Vec<u8>>;

    /// What lies at a path, following links.
    ///
    /// # Errors
    ///
    /// If nothing does, or it cannot be reached.
    fn kind(&self, path: &Path) -> io::Result<Kind>;

    /// The path without links.
    ///
    /// # Errors
    ///
    /// If nothing lies there.
    fn canonical(&self, path: &Path) -> io::Result<PathBuf>;
}

/// The file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Source for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match self.kind(path)? {
            // The documented way to say "no env file".
            Kind::Other if path.canonicalize()? == Path::new("/dev/null") => Ok(Vec::new()),
            Kind::File => limited(File::open(path)?),
            Kind::Directory => Err(io::Error::from(io::ErrorKind::IsADirectory)),
            Kind::Other => Err(io::Error::other("is a pipe, socket or device")),
        }
    }

    fn read_stdin(&self) -> io::Result<Vec<u8>> {
        limited(io::stdin().lock())
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        let metadata = std::fs::metadata(path)?;
        Ok(if metadata.is_file() {
            Kind::File
        } else if metadata.is_dir() {
            Kind::Directory
        } else {
            Kind::Other
        })
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        path.canonicalize()
    }
}

/// Reads all there is, or fails as soon as it is too much.
fn limited(reader: impl io::Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        let limit = MAX_FILE >> 20;
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("is larger than {limit} MiB"),
        ));
    }
    Ok(bytes)
}

/// Files in memory, for tests and for embedding.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    files: BTreeMap<PathBuf, Vec<u8>>,
    stdin: Vec<u8>,
}

impl Memory {
    /// Adds a file; its directories exist by that.
    #[must_use]
    pub fn with(mut self, path: impl Into<PathBuf>, content: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.into(), content.into());
        self
    }

    /// Sets what standard input holds.
    #[must_use]
    pub fn with_stdin(mut self, content: impl Into<Vec<u8>>) -> Self {
        self.stdin = content.into();
        self
    }
}

impl Source for Memory {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match self.kind(path)? {
            Kind::File => Ok(self.files.get(path).cloned().unwrap_or_default()),
            _ => Err(io::Error::from(io::ErrorKind::IsADirectory)),
        }
    }

    fn read_stdin(&self) -> io::Result<Vec<u8>> {
        Ok(self.stdin.clone())
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        if self.files.contains_key(path) {
            Ok(Kind::File)
        } else if self.files.keys().any(|file| file.starts_with(path)) {
            Ok(Kind::Directory)
        } else {
            Err(io::Error::from(io::ErrorKind::NotFound))
        }
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        self.kind(path).map(|_| path.to_owned())
    }
}
