//! Containers without an engine.
//!
//! # Not here
//!
//! The Docker Engine (`docker`); neither knows the other.

pub mod image;
pub mod root;
