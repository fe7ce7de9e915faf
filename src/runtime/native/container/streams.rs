//! What the streams of a process are connected to.

use std::os::fd::OwnedFd;

use crate::runtime::Size;

/// What the streams of a process are connected to.
#[derive(Debug)]
pub enum Streams {
    /// Files, pipes or sockets.
    Files {
        /// Standard input.
        stdin: OwnedFd,
        /// Standard output.
        stdout: OwnedFd,
        /// Standard error.
        stderr: OwnedFd,
    },
    /// A terminal that is made in the container; [`Started::terminal`](super::Started) is its
    /// other end.
    Terminal(Size),
}
