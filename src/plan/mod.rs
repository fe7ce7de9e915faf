//! Decides what has to change.
//!
//! [`reconcile`] compares what a command asks for ([`Desired`]) with what exists
//! ([`Observed`]) and returns a [`Plan`]: a graph of small steps
//! that leads from one to the other.
//!
//! # Invariants
//!
//! - **Pure.** Nothing here reads a file, a clock, the environment or a socket. The same inputs
//!   give the same plan, printed the same way.
//! - **Complete.** A plan leaves nothing to choose: names, numbers and images are settled here.
//! - **Convergent.** Planning again after a plan has run gives an empty plan; so does stopping
//!   half way, planning again and running the rest.
//!
//! # Not here
//!
//! Asking the user (a plan lists what needs consent; `cli` asks), running (`scheduler`).

pub mod api_socket;
mod desired;
mod down;
mod drift;
pub mod images;
mod join;
pub mod labels;
pub mod name;
mod needs;
pub mod one_off;
pub mod ports;
pub mod providers;
mod references;
mod refusals;
pub mod spec;
mod step;
pub mod subnets;
mod up;

pub use desired::{
    Action, AnonymousVolumes, ChangedVolumes, Create, Dependents, Desired, Down, Origin, Orphans,
    Recreate, Removal, Treatment, Until, Up,
};
pub use needs::{Need, needs};
pub use refusals::refusals;
pub use step::{Cause, Change, HookStage, Op, Plan, Policy, Role, Severity, Step, StepId, Subject};

use crate::model::observed::{Observed, ObservedContainer};

/// The steps that lead from what is observed to what is desired.
pub fn reconcile(desired: &Desired<'_>, observed: &Observed) -> Plan {
    match desired {
        Desired::Up(up) => up::plan(up, observed),
        Desired::Treat(treatment) => down::treat(treatment, observed),
        Desired::Removed(removal) => down::remove(removal, observed),
        Desired::Down(down) => down::down(down, observed),
    }
}

/// The containers that are not as far as they should be although all waits have succeeded: `up
/// --wait` takes one last look.
pub fn fallen<'o>(up: &'o Up<'_>, observed: &'o Observed) -> Vec<&'o ObservedContainer> {
    up::fallen(up, observed)
}

#[cfg(test)]
mod tests;
