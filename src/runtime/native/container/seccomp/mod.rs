//! Which system calls a container may use: a profile to a filter that the kernel runs.
//!
//! In: [`Seccomp`] and the capabilities of the container. Out: instructions of classic BPF.
//!
//! # Invariants
//!
//! - A call that neither the profile nor this program knows fails with ENOSYS, so that programs
//!   fall back to older ones.
//! - A filter finds its decision by bisection: it has a few hundred instructions, not thousands.

mod filter;
mod numbers;
mod profile;
mod usual;

use super::config::{CapabilitySet, Seccomp};

pub(super) use filter::Instruction;

/// The filter of a container; `None`: it may use all calls.
///
/// # Errors
///
/// What is wrong with its profile.
pub(super) fn filter(
    seccomp: &Seccomp,
    capabilities: CapabilitySet,
) -> Result<Option<Vec<Instruction>>, String> {
    let profile = match seccomp {
        Seccomp::Unconfined => return Ok(None),
        Seccomp::Default => usual::profile(capabilities),
        Seccomp::Profile(json) => profile::read(json, capabilities)?,
    };
    let arches = numbers::native();
    let Some(own) = arches.first() else {
        return Err("seccomp profiles are not known for this architecture: say \
                    `security_opt: [seccomp=unconfined]`"
            .to_owned());
    };
    let wanted: Vec<_> = arches
        .iter()
        .copied()
        .filter(|arch| {
            let names = profile.arches.as_ref();
            arch == own || names.is_none_or(|names| names.iter().any(|name| name == arch.name))
        })
        .collect();
    filter::compile(&profile, &wanted).map(Some)
}

#[cfg(test)]
mod tests;
