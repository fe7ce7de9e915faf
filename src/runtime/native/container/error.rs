//! Why a container or a command in it did not start.

use std::io;

use crate::runtime::RuntimeError;

/// Why a container or a command in it did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The program is not there: exit code 127.
    #[error("cannot run `{program}`: {}", searched(.path))]
    ProgramMissing {
        /// The first argument.
        program: String,
        /// The `PATH` that was searched; empty: the argument is a path.
        path: String,
    },
    /// The program cannot be run: exit code 126.
    #[error("cannot run `{program}` in the container")]
    ProgramRefused {
        /// The first argument.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// The container asks for something that is not there, or that makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The kernel refused.
    #[error("cannot {action}")]
    Kernel {
        /// What was done, with its path.
        action: String,
        /// Why it failed.
        source: io::Error,
    },
    /// What had to be done before the program runs has failed.
    #[error(transparent)]
    Before(RuntimeError),
}

fn searched(path: &str) -> String {
    if path.is_empty() {
        "no such file or directory in the container".to_owned()
    } else {
        format!("executable file not found in the container (looked in {path})")
    }
}

impl StartError {
    /// The exit code that Docker gives a container that fails in this way.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::ProgramMissing { .. } => 127,
            Self::ProgramRefused { .. } => 126,
            Self::Invalid(_) | Self::Kernel { .. } | Self::Before(_) => 128,
        }
    }

    /// The same as a failure of a runtime.
    pub fn into_runtime_error(self) -> RuntimeError {
        match self {
            Self::Before(error) => error,
            Self::Kernel { action, source } => RuntimeError::Io { action, source },
            Self::ProgramRefused { program, source } => {
                let action = format!("run `{program}` in the container");
                RuntimeError::Io { action, source }
            }
            other => RuntimeError::Refused(other.to_string()),
        }
    }
}

/// Turns a failed call into an error that says what was done.
pub(super) fn kernel<E: Into<io::Error>>(
    action: impl FnOnce() -> String,
) -> impl FnOnce(E) -> StartError {
    |error| StartError::Kernel { action: action(), source: error.into() }
}
