//! What the store is asked for, and what it tells of it.

use std::path::Path;

use super::Image;
use super::digest::Digest;
use crate::runtime::Commit;

/// What becomes of an image that has other names, or is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Force {
    /// It is not removed, and that is an error.
    #[default]
    No,
    /// Its names go; what a container uses stays until the container is gone.
    Yes,
}

/// What was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// A name.
    Name(String),
    /// An image.
    Image(Digest),
    /// A layer that no image uses any more.
    Layer(String),
}

/// Which images are removed because nobody needs them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unneeded {
    /// Those without a name.
    #[default]
    Nameless,
    /// All that no container uses.
    Unused,
}

/// What pruning came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// What was removed.
    pub removed: Vec<Removed>,
    /// Bytes that are free now.
    pub bytes: u64,
}

/// A container as an image.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'a> {
    /// The image that it was made of.
    pub base: &'a Image,
    /// What the container has written: the upper directory of its overlay.
    pub upper: &'a Path,
    /// Name, author, message and changes.
    pub commit: &'a Commit,
}

/// Where images are loaded from.
pub enum Input<'a> {
    /// A file or directory.
    Path(&'a Path),
    /// Whatever comes.
    Stream(&'a mut dyn std::io::Read),
}

impl std::fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => f.debug_tuple("Path").field(path).finish(),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}
