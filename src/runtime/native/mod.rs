//! Ketch's own runtime: containers with no engine and no daemon.
//!
//! In: specs and names. Out: namespaces, mounts, cgroups, processes, and files that tell what is.
//! [`Native::open`] finds the places where these files are.
//!
//! - `root`: the places, durable ones and those that die with the boot;
//! - `state`: the files of a container;
//! - `image`: the content-addressed store;
//! - `container`: what the kernel is told, from a spec to a process;
//! - `net`: networks, addresses, names, ports;
//! - `shim`: the process that looks after one container for as long as it lives.
//!
//! # Invariants
//!
//! - State is files, each with one writer; they are written aside and renamed.
//! - A container is looked after while its lock is held. Pids are never compared.
//! - No process stays but the shims. `ps`, `logs` and others read files and ask nobody.
//! - A command may be killed at any instant: what has no name yet is swept up by the next one.
#![expect(unsafe_code, reason = "system calls that no crate wraps")]

pub mod container;
pub mod root;
pub mod state;
pub mod image;
pub mod net;
