//! What can go wrong with a runtime.

use std::error::Error;

/// Why a runtime did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// A container, network, volume, image or path is not there.
    #[error("{0}")]
    NotFound(String),
    /// Something is in the way, such as an object of the same name.
    #[error("{0}")]
    Conflict(String),
    /// A port of the host is taken.
    #[error("{message}")]
    PortTaken {
        /// The port.
        port: u16,
        /// What the runtime said.
        message: String,
    },
    /// A container failed its health check.
    #[error("container {container} is unhealthy")]
    Unhealthy {
        /// Its name.
        container: String,
        /// What the check printed last.
        output: String,
    },
    /// A container ended that should run, or failed that should succeed.
    #[error("container {container} exited ({code})")]
    Exited {
        /// Its name.
        container: String,
        /// Its exit code.
        code: i64,
    },
    /// A container that must become healthy has no health check.
    #[error("container {0} has no healthcheck configured")]
    NoHealthcheck(String),
    /// The runtime does not answer.
    #[error("cannot reach the engine at `{address}`")]
    Unreachable {
        /// Where it was looked for.
        address: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A registry does not answer.
    #[error("cannot reach the registry `{address}`")]
    RegistryUnreachable {
        /// Host and port.
        address: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The runtime cannot do this.
    #[error("{0}")]
    Unsupported(String),
    /// The runtime refused, in its own words.
    #[error("{0}")]
    Refused(String),
    /// A file or stream failed.
    #[error("cannot {action}")]
    Io {
        /// What was done, with its path.
        action: String,
        /// Why it failed.
        source: std::io::Error,
    },
}
