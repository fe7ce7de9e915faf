//! What an engine's refusals mean.

use bollard::errors::Error;

use crate::runtime::RuntimeError;

/// The error that the engine told.
pub(super) fn told(error: Error) -> RuntimeError {
    match error {
        Error::DockerResponseServerError { status_code, message } => match status_code {
            404 => RuntimeError::NotFound(message),
            409 => RuntimeError::Conflict(message),
            501 => RuntimeError::Unsupported(message),
            _ => RuntimeError::Refused(message),
        },
        other => RuntimeError::Refused(other.to_string()),
    }
}
