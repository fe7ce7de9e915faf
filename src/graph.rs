//! Dependency graph.
