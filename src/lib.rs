//! Ketch runs Compose projects.

pub mod cli;
pub mod diagnostic;
pub mod graph;
pub mod model;
pub mod project;
pub mod ui;
