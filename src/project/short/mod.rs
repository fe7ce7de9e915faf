//! Short forms of list entries: `ports`, `volumes` and `devices` that are written as one text.
//!
//! In: the text. Out: its parts, under the names that they have in the long form.
//!
//! Not here: the long forms, and making paths absolute.

mod device;
mod path;
mod port;
mod volume;

use thiserror::Error;

pub use device::{Device, device};
pub use path::{clean, is_windows_abs};
pub use port::{Port, ports};
pub use volume::{Mount, MountKind, volume};

/// Why a short form cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct ShortError {
    /// What is wrong.
    pub message: String,
    /// What to write instead, if that can be told.
    pub hint: Option<String>,
}

impl ShortError {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}
