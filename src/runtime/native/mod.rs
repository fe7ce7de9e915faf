//! Containers without an engine.
//!
//! Each container has a shim as its parent; state is files. Nothing else stays resident.
//!
//! # Not here
//!
//! What the kernel is told about one container is in [`container`].
#![expect(unsafe_code, reason = "system calls that no crate wraps")]

pub mod container;
pub mod doctor;
