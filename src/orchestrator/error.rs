//! Why something was not done.

use std::io;

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
