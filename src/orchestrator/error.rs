//! Why something was not done.

use std::io;
use std::path::PathBuf;

use crate::diagnostic::{Diagnostic, Sources};
use crate::event::StepFailure;
use crate::runtime::RuntimeError;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OrchestrationError {
    /// The runtime failed.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// No engine answers, and this user may not use Ketch's own runtime.
    #[error(transparent)]
    NoRuntime(RuntimeError),
    /// Steps of a plan failed.
    #[error("{}", first(.0))]
    Steps(Vec<StepFailure>),
    /// The runtime cannot do what the project wants, or lacks what it needs.
    #[error("{}", .problems.iter().map(|it| it.message.as_str()).collect::<Vec<_>>().join("; "))]
    Refused {
        /// What, each at its place.
        problems: Vec<Diagnostic>,
        /// What the places are in.
        sources: Sources,
    },
    /// A service that is named cannot be used.
    #[error("no such service: {name}")]
    NoSuchService {
        /// Its name.
        name: String,
        /// What may have been meant.
        similar: Option<String>,
    },
    /// The lock of a project cannot be taken.
    #[error("cannot lock project `{project}`")]
    Lock {
        /// Which.
        project: String,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be written where there is no directory for it.
    #[error("invalid output path: directory \"{}\" does not exist", .0.display())]
    NoDirectory(PathBuf),
    /// Somebody wanted an end.
    #[error("interrupted")]
    Interrupted,
    /// Something else, in words.
    #[error("{0}")]
    Other(String),
}

/// The first of several steps that failed, in words.
fn first(failures: &[StepFailure]) -> String {
    let Some(first) = failures.first() else { return "a step failed".to_owned() };
    format!("cannot {}: {}", first.what, first.cause.replace('\n', "; "))
}
