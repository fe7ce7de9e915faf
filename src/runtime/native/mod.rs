//! Ketch's own runtime: containers with no engine and no daemon.

pub mod net;
