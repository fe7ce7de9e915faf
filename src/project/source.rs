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
use std::sync::OnceLock;

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

/// Gives the loader its files. Large projects are worked on by several threads.
pub trait Source: Sync {
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
            Kind::File => {
                let file = File::open(path)?;
                let size = file.metadata()?.len();
                limited(file, size)
            }
            Kind::Directory => Err(io::Error::from(io::ErrorKind::IsADirectory)),
            Kind::Other => Err(io::Error::other("it is a pipe, socket or device")),
        }
    }

    fn read_stdin(&self) -> io::Result<Vec<u8>> {
        // It can be read once, and a project may be loaded again.
        static READ: OnceLock<Vec<u8>> = OnceLock::new();
        if let Some(bytes) = READ.get() {
            return Ok(bytes.clone());
        }
        let bytes = limited(io::stdin().lock(), 0)?;
        Ok(READ.get_or_init(|| bytes).clone())
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

/// What the operating system says, in words and without its error number.
pub fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => {
            // "Too many levels of symbolic links" and the like say enough.
            let text = error.to_string();
            let words = text.split(" (os error").next().unwrap_or_default();
            let mut rest = words.chars();
            let first = rest.next().into_iter().flat_map(char::to_lowercase);
            first.collect::<String>() + rest.as_str()
        }
    }
}

/// Reads all there is, or fails as soon as it is too much. `size` is how much is expected: each
/// time the buffer grows is a copy.
fn limited(reader: impl io::Read, size: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(usize::try_from(size.min(MAX_FILE)).unwrap_or_default());
    reader.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        let limit = MAX_FILE >> 20;
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it is larger than {limit} MiB"),
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

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use super::{Disk, Source as _, limited, reason};

    #[test]
    fn reasons_are_whole_sentences_without_numbers() {
        let refused = [
            reason(&Disk.read(Path::new("/dev/zero")).unwrap_err()),
            reason(&limited(io::repeat(b'#'), 0).unwrap_err()),
            reason(&Disk.read(Path::new("/")).unwrap_err()),
            reason(&Disk.read(Path::new("/nothing/here")).unwrap_err()),
            reason(&io::Error::from_raw_os_error(40)),
        ];
        insta::assert_snapshot!(refused.join("\n"), @"
        it is a pipe, socket or device
        it is larger than 16 MiB
        it is a directory
        there is no such file
        too many levels of symbolic links
        ");
    }
}
