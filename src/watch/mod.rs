//! Files that change while somebody develops, and what follows from that.
//!
//! In: the `develop.watch` of services ([`Rules`]), and the events of the kernel. Out: [`Batch`]es:
//! for each service the files that its containers shall have, and what has to be done then.
//!
//! ```text
//! kernel ──> source: paths that may have changed ──> window ──> tree: what has changed
//!                                                                    │
//!                                 rule: whom it concerns ──> work: one batch for each service
//! ```
//!
//! # Invariants
//!
//! - Events are hints: what has changed is what differs from the last look. So no event is needed
//!   twice, an overflow costs one walk, and how an editor saves does not matter.
//! - Directories that every rule ignores are neither watched nor read.
//! - A directory is watched before it is read: nothing that appears in between is missed.
//!
//! # Not here
//!
//! Bringing files into containers (`runtime`), building and restarting (`cli`, through plans).

mod directories;
mod entry;
mod passing;
mod rule;
mod source;
mod tree;
mod window;
mod work;

pub use rule::{Action, Rule, RuleError, Rules};
pub use source::{WatchError, Watcher};
pub use work::{Batch, Loops, Work};
