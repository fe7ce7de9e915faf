//! One container, as the kernel sees it.
//!
//! In: a spec and what its image says ([`configure()`]); then the resulting [`Config`], streams,
//! and namespaces of others ([`start()`], [`exec()`]). Out: processes, and the [`Cgroup`] that
//! they are in.
//!
//! # Invariants
//!
//! - Everything is mounted inside the container's own mount namespace: a crash leaves no mount.
//! - Between clone and exec nothing is allocated: all words are laid out before.
//! - A path in a container is resolved beneath its root by the kernel; no link leads out of it.
//! - The thread that calls [`start()`] is the parent: when it ends, the container is killed.
//!
//! # Not here
//!
//! Addresses and names (`net`), images (`image`), and who looks after the process (`shim`).

mod capability;
mod cgroup;
mod child;
mod config;
mod configure;
pub(super) mod copy_up;
mod error;
mod exec;
mod files;
mod layout;
pub(super) mod probe;
mod seccomp;
mod start;
mod starting;
mod streams;
mod sys;
#[cfg(test)]
mod tests;
mod tree;
mod user;

pub use cgroup::{BlockRate, BlockWeight, Cgroup, DeviceRule, Limits, Usage, Warm};
pub use config::{
    Access, CapabilitySet, Changes, Config, Device, Mount, Namespace, Namespaces, Overlay, Process,
    Propagation, Rlimit, Seccomp, Security, Source,
};
pub use configure::{Configured, ImageSettings, Surroundings, configure, lacks};
pub use error::StartError;
pub use exec::{ExecConfig, exec};
pub use start::{Joined, Launch, Started, start};
pub use streams::Streams;
pub(super) use tree::overlay;
pub use tree::sealed_program;

/// Owner and group of `USER[:GROUP]`, by what an image knows of its users. Without a group it is
/// the one of the same name or number.
///
/// # Errors
///
/// The image does not know a name.
pub(super) fn owner(
    root: std::os::fd::BorrowedFd<'_>,
    text: &str,
) -> Result<(u32, u32), StartError> {
    if text.contains(':') {
        return files::identify(root, text, &[]).map(|found| (found.uid, found.gid));
    }
    let same = files::identify(root, &format!("{text}:{text}"), &[]);
    let found = same.or_else(|_| files::identify(root, text, &[]))?;
    Ok((found.uid, found.gid))
}
