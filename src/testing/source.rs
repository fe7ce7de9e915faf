//! The disk, with files that a test wrote in its own text lying over it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::project::source::Kind;
use crate::project::{Disk, Source};

/// The disk, and files that are only here.
#[derive(Clone, Debug, Default)]
pub(super) struct Overlay {
    files: BTreeMap<PathBuf, String>,
}

impl Overlay {
    /// Adds a file that hides what lies there on the disk.
    pub(super) fn add(&mut self, path: PathBuf, text: String) {
        self.files.insert(path, text);
    }
}

impl Source for Overlay {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match self.files.get(path) {
            Some(text) => Ok(text.clone().into_bytes()),
            None => Disk.read(path),
        }
    }

    /// Nobody types while tests run.
    fn read_stdin(&self) -> io::Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        if self.files.contains_key(path) { Ok(Kind::File) } else { Disk.kind(path) }
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        if self.files.contains_key(path) { Ok(path.to_owned()) } else { Disk.canonical(path) }
    }
}
