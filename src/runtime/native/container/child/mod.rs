//! What the new process does on its way to its program.
//!
//! In: a [`Script`], laid out by the parent. Out: the program runs, or the parent is told which
//! step failed.
//!
//! # Invariants
//!
//! - Nothing is allocated and nothing is printed: every word was laid out before.
//! - Paths are resolved beneath the new root; nothing of the host's files is looked at.
//!
//! # Not here
//!
//! What the steps are for one container (`layout`).

mod act;
mod init;
mod place;
mod program;
mod step;

pub(super) use place::Kind;
pub(super) use program::{Become, Program, Stdio};
pub(super) use step::{Attach, FileSystem, Limit, Over, Step, Word};

use std::os::fd::{AsFd as _, OwnedFd};

use rustix::io::Errno;

use super::sys;
use act::State;

/// All that the new process does.
#[derive(Debug)]
pub(super) struct Script {
    /// Its end of the connection to the parent.
    pub(super) line: OwnedFd,
    /// What it does first, in order.
    pub(super) steps: Vec<Step>,
    /// What it becomes.
    pub(super) program: Program,
}

/// The step that a report means when the program itself did not start.
pub(super) const PROGRAM: u32 = u32::MAX;
/// The step of a report that the child waits.
pub(super) const WAITING: u32 = u32::MAX - 1;

/// What the child tells the parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Report {
    /// The step that failed, or one of the two above.
    pub(super) step: u32,
    /// Why.
    pub(super) errno: i32,
}

impl Report {
    pub(super) const SIZE: usize = 8;

    pub(super) fn to_bytes(self) -> [u8; Self::SIZE] {
        let [a, b, c, d] = self.step.to_ne_bytes();
        let [e, f, g, h] = self.errno.to_ne_bytes();
        [a, b, c, d, e, f, g, h]
    }

    pub(super) fn from_bytes([a, b, c, d, e, f, g, h]: [u8; Self::SIZE]) -> Self {
        Self { step: u32::from_ne_bytes([a, b, c, d]), errno: i32::from_ne_bytes([e, f, g, h]) }
    }
}

/// Carries out a script. Never returns.
pub(super) fn run(script: &Script) -> ! {
    let mut state = State::default();
    for (number, step) in script.steps.iter().enumerate() {
        if let Err(errno) = state.run(step, script.line.as_fd()) {
            give_up(script, u32::try_from(number).unwrap_or(PROGRAM), errno);
        }
    }
    let errno = script.program.run();
    give_up(script, PROGRAM, errno)
}

/// Tells the parent and ends.
fn give_up(script: &Script, step: u32, errno: Errno) -> ! {
    let report = Report { step, errno: errno.raw_os_error() };
    // Who cannot be told has gone.
    let _ = rustix::io::write(&script.line, &report.to_bytes());
    sys::exit(program::exit_code(errno))
}
