//! Files of the host that containers shall have: what a runtime is asked to bring, and what came
//! of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// One path of a container, and what shall be there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Transfer {
    /// The path in the container, absolute.
    pub path: PathBuf,
    /// The target that it is at or below. Links of the container are followed up to there, and
    /// none is below: what is there the host decides.
    pub base: Arc<Path>,
    /// The file, directory or link of the host that it shall be like; `None`: nothing shall be
    /// there.
    pub source: Option<PathBuf>,
    /// Where nothing shall be: only what still is like this goes; `None`: whatever is there.
    pub only: Option<Stamp>,
}

/// What something was like when it was brought, so that it is told from what a container or its
/// image has put in its place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stamp {
    /// A file.
    File {
        /// Its size.
        size: u64,
        /// When it was changed last: seconds since 1970, and nanoseconds.
        modified: (i64, i64),
    },
    /// A link that leads there.
    Link(PathBuf),
    /// A directory with nothing in it.
    Directory,
}

/// What became of some transfers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transferred {
    /// How many paths are as they shall be now.
    pub done: usize,
    /// Directories that were made; those that were there are not among them.
    pub made: Vec<PathBuf>,
    /// Sources that were gone, or were being written: they will be told of again.
    pub unsettled: Vec<Transfer>,
    /// What could not be brought, and why.
    pub failed: Vec<(Transfer, String)>,
}

impl Transferred {
    /// Adds what became of others.
    pub fn take(&mut self, other: Self) {
        self.done += other.done;
        self.made.extend(other.made);
        self.unsettled.extend(other.unsettled);
        self.failed.extend(other.failed);
    }
}

/// How a path of a container differs from what it shall be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// It is not there.
    Missing,
    /// It is there and should not be.
    LeftOver,
    /// One is a file, the other a directory, and so on.
    Kind,
    /// The content, or where a link leads.
    Content,
    /// Whether it can be executed.
    Mode,
}

impl Difference {
    /// What it is, in words.
    pub fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing in the container",
            Self::LeftOver => "left over in the container",
            Self::Kind => "another kind of file",
            Self::Content => "other content",
            Self::Mode => "executable on one side only",
        }
    }
}

/// When two files count as equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// When size and time of the last change agree; else their contents are compared.
    Times,
    /// When their contents agree.
    Contents,
}
