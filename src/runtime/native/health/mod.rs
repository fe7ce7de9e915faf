//! How to find out whether a container works, and what the findings mean.
//!
//! In: `healthcheck` and `x-ketch-probe` of a service, and what its image says. Out: checks, and
//! ([`Schedule`]) when to run the next one and what its result changes. Pure: the shim runs them.

mod check;
mod probe;
mod schedule;

pub(super) use check::{Check, ImageCheck};
pub(super) use probe::Probe;
pub(super) use schedule::{Finding, Schedule};
