//! Everything that the kernel must be told to run one container.
//!
//! [`configure`](super::configure()) makes a [`Config`] from a spec and an image;
//! [`start`](super::start()) carries it out. It is written once, as `config.json`, when the
//! container is created.
//!
//! # Invariants
//!
//! - Complete: what is left to look up at the start are the user and groups inside the image,
//!   the devices of the host, and processes of other containers.
//! - Plain data: nothing here reads or asks.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::cgroup::Limits;

/// A container, ready to run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Its id: 64 hex digits.
    pub id: String,
    /// Its root file system.
    pub root: Overlay,
    /// Whether its root is read-only.
    pub read_only: bool,
    /// Its first process.
    pub process: Process,
    /// What is mounted besides the system's own, in any order.
    pub mounts: Vec<Mount>,
    /// Host name; empty: that of the namespace.
    pub hostname: String,
    /// Domain name (of NIS); empty: that of the namespace.
    pub domainname: String,
    /// What it shares with others.
    pub namespaces: Namespaces,
    /// Parent of its cgroup, from the root of the hierarchy.
    pub cgroup_parent: String,
    /// What it may use.
    pub limits: Limits,
    /// Devices of the host that it sees.
    pub devices: Vec<Device>,
    /// Kernel parameters of its namespaces, as `net.core.somaxconn`.
    pub sysctls: BTreeMap<String, String>,
    /// What it is kept from.
    pub security: Security,
    /// Size of `/dev/shm` in bytes.
    pub shm_size: u64,
    /// Whether a small init of ours is process 1 and reaps what is orphaned.
    pub init: bool,
    /// Signal that stops it, as `SIGTERM`.
    pub stop_signal: String,
}

/// Directories that are seen as one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Overlay {
    /// Directories that are only read, the lowest first.
    pub lower: Vec<PathBuf>,
    /// Where changes go; `None`: nothing can be changed.
    pub changes: Option<Changes>,
}

/// Where the changes to an overlay go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Directory of the changes.
    pub upper: PathBuf,
    /// Directory that the kernel works in, on the same file system.
    pub work: PathBuf,
}

/// A process to run in a container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Process {
    /// The program and its arguments.
    pub args: Vec<String>,
    /// Its variables as `NAME=VALUE`.
    pub environment: Vec<String>,
    /// Its working directory, which is made if it is missing.
    pub working_dir: String,
    /// Its user: `USER[:GROUP]` by name or number; empty: root.
    pub user: String,
    /// More groups, by name or number.
    pub groups: Vec<String>,
    /// Whether it has a terminal.
    pub terminal: bool,
    /// What it may do.
    pub capabilities: CapabilitySet,
    /// Whether programs cannot gain rights by being started.
    pub no_new_privileges: bool,
    /// Its resource limits.
    pub rlimits: Vec<Rlimit>,
    /// How eagerly it is killed when memory runs out; `None`: as its parent.
    pub oom_score_adj: Option<i32>,
}

/// Capabilities by number: bit 0 is `CAP_CHOWN`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CapabilitySet(pub u64);

/// A resource limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// The name as in `ulimits`: `nofile`.
    pub name: String,
    /// What holds; `u64::MAX`: no limit.
    pub soft: u64,
    /// What it may be raised to; `u64::MAX`: no limit.
    pub hard: u64,
}

/// Something to mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// What is mounted.
    pub source: Source,
    /// Absolute path in the container.
    pub target: String,
    /// Who may write to it.
    #[serde(default)]
    pub access: Access,
    /// Whether what is mounted later below it spreads.
    #[serde(default)]
    pub propagation: Propagation,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A path of the host.
    Bind {
        /// The path.
        path: PathBuf,
        /// Whether a directory is made where nothing is.
        create: bool,
        /// Whether what is mounted below it comes along.
        recursive: bool,
    },
    /// A volume.
    Volume {
        /// Its name.
        name: String,
        /// The directory of its data.
        path: PathBuf,
        /// Path inside the volume; empty: all of it.
        subpath: String,
        /// Whether an empty volume gets what the image has at the target.
        copy_up: bool,
    },
    /// Memory.
    Tmpfs {
        /// Options of the file system, as `size=64m` or `mode=1777`.
        options: Vec<String>,
        /// Options of the mount, as `noexec`; the usual ones are `noexec`, `nosuid`, `nodev`.
        flags: Vec<String>,
    },
    /// The files of an image.
    Image {
        /// Its reference.
        name: String,
        /// Its files.
        files: Overlay,
        /// Path inside the image; empty: all of it.
        subpath: String,
    },
}

/// Who may write to a mount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// The container.
    #[default]
    Write,
    /// Nobody; also not to what is mounted below it, where the kernel can do that.
    Read,
    /// Nobody; but what is mounted below it keeps its own rights.
    ReadTop,
    /// Nobody, nowhere below; without the kernel's help the container does not start.
    ReadAll,
}

/// Whether later mounts spread between a mount of the host and of the container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Propagation {
    /// Not at all.
    #[default]
    Rprivate,
    /// Not at all; what is mounted below keeps its way.
    Private,
    /// Both ways.
    Rshared,
    /// Both ways, this mount alone.
    Shared,
    /// From the host into the container.
    Rslave,
    /// From the host into the container, this mount alone.
    Slave,
}

/// What a container shares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Namespaces {
    /// Network.
    pub network: Namespace,
    /// Processes.
    pub pid: Namespace,
    /// Shared memory, semaphores, message queues, and `/dev/shm`.
    pub ipc: Namespace,
    /// Host name.
    pub uts: Namespace,
    /// View of the cgroups.
    pub cgroup: Namespace,
    /// Whether there is no `/dev/shm` of its own: `ipc: none`.
    pub without_shm: bool,
}

/// Whose namespace a container is in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Namespace {
    /// Its own.
    #[default]
    Own,
    /// That of the host.
    Host,
    /// That of another container, by the id or name that the spec gives.
    Of(String),
}

/// A device of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Path on the host: a device, or a directory with devices.
    pub source: String,
    /// Path in the container.
    pub target: String,
    /// Any of `r`, `w` and `m`.
    pub permissions: String,
}

/// What a container is kept from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Security {
    /// Whether nothing is kept from it and it has all devices.
    pub privileged: bool,
    /// Paths that are empty for it.
    pub masked_paths: Vec<String>,
    /// Paths that it cannot write to.
    pub readonly_paths: Vec<String>,
    /// Which system calls it may use.
    pub seccomp: Seccomp,
    /// Profile of AppArmor; empty: none.
    pub apparmor: String,
}

/// Which system calls a container may use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seccomp {
    /// Those of Docker's default profile.
    #[default]
    Default,
    /// All.
    Unconfined,
    /// Those of a profile in Docker's form.
    Profile(Box<serde_json::Value>),
}
