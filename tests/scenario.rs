//! Commands on real projects, from the command line to what the user sees.
//!
//! Each test has a project of its own, which goes when the test ends, however it ends. Where no
//! engine answers they are skipped, and say so.

mod logs;
mod look;
mod stage;
