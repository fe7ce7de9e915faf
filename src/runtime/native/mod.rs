//! Ketch's own runtime: containers with no engine and no daemon.
//!
//! In: specs and names. Out: namespaces, mounts, cgroups, processes, and files that tell what is.
//! [`Native::open`] finds the places where these files are.
//!
//! - `root`: the places, durable ones and those that die with the boot;
//! - `state`: the files of a container;
//! - `image`: the content-addressed store;
//! - `build`: Dockerfiles to images;
//! - `container`: what the kernel is told, from a spec to a process;
//! - `net`: networks, addresses, names, ports;
//! - `snapshot`: volumes and container file systems of a project, kept and put back;
//! - `shim`: the process that looks after one container for as long as it lives;
//! - `role`: how the program becomes such a process.
//!
//! # Invariants
//!
//! - State is files, each with one writer; they are written aside and renamed.
//! - A container is looked after while its lock is held. Pids are never compared.
//! - No process stays but the shims. `ps`, `logs` and others read files and ask nobody.
//! - A command may be killed at any instant: what has no name yet is swept up by the next one.
#![expect(unsafe_code, reason = "system calls that no crate wraps")]

mod allocator;
mod attach;
mod autostart;
pub mod build;
mod channel;
mod clock;
pub mod container;
mod control;
mod create;
mod disk;
pub mod doctor;
mod events;
mod exec;
mod files;
mod health;
pub mod image;
mod images;
mod injected;
mod lifecycle;
pub(crate) mod lock;
mod log;
mod membership;
mod methods;
mod names;
pub mod net;
mod observe;
mod record;
mod recover;
mod remove;
mod restart;
pub(crate) mod role;
pub mod root;
mod shim;
mod signal;
mod snapshot;
pub mod state;
mod stats;
mod thread;
mod volume;
mod wait;
mod watch;

use std::sync::Arc;

use indexmap::IndexMap;

use super::{Credentials, Result, RuntimeError};
pub use allocator::{Allocator, exit};
pub use autostart::Revived;
pub use disk::{Also, DiskUse, Pruned, Share};

use net::Networks;
use role::Program;
use root::Root;

/// How the native runtime is opened.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The environment: it names the roots, and where credentials are.
    pub environment: IndexMap<String, String>,
}

/// Containers with no engine. Copies share what they know.
#[derive(Clone, Debug)]
pub struct Native {
    root: Root,
    program: Program,
    environment: IndexMap<String, String>,
    networks: Networks,
    hubs: Arc<watch::Hubs>,
    execs: Arc<exec::Execs>,
    warm: container::Warm,
}

impl Native {
    /// Opens the runtime, and sweeps up what commands that were killed have left.
    ///
    /// # Errors
    ///
    /// The user may not run containers, or there is no place for its files.
    pub fn open(settings: Settings) -> Result<Self> {
        if let Some(reason) = Self::forbidden() {
            return Err(RuntimeError::Unsupported(reason));
        }
        let root = Root::from_environment(&settings.environment)?;
        create::make_roots(&root)?;
        remove::sweep(&root)?;
        snapshot::sweep(&root)?;
        Ok(Self {
            networks: Networks::new(root.durable(), root.volatile()),
            root,
            program: Program::own(),
            environment: settings.environment,
            hubs: Arc::default(),
            execs: Arc::default(),
            warm: container::Warm::default(),
        })
    }

    /// Why this user may not run containers; `None` if that is permitted.
    pub fn forbidden() -> Option<String> {
        let is_root = rustix::process::geteuid().is_root();
        (!is_root).then(|| {
            "the native runtime needs root: it makes namespaces, mounts and cgroups. Run ketch as \
             root, or with a Docker engine"
                .to_owned()
        })
    }

    async fn credentials(&self) -> Result<Credentials> {
        Credentials::read(&self.environment).await
    }
}
