//! Runs plans.
//!
//! In: a [`Plan`](crate::plan::Plan), a [`Runtime`](crate::runtime::Runtime), and an
//! [`Execution`]: how many steps at once, whom to tell, when to end. Out:
//! [`Event`](crate::event::Event)s while it runs and a [`Report`] at the end, from which
//! [`Timings`] tells what the time was spent on.
//!
//! # Invariants
//!
//! - One task, no locks: dropping the future of [`execute`] cancels all that runs.
//! - A step starts when all that it comes after have succeeded (or failed with a warning), never
//!   earlier, and at once.
//! - Each step is told exactly once as ended or as skipped, and as started before it ends.
//! - The work is linear in the steps and edges of the plan.
//!
//! # Not here
//!
//! Which steps there are (`plan`), what they do to containers (`runtime`), signals (`cli`), and
//! the warnings of the plan, which are told before somebody agrees to run it.

mod call;
mod error;
mod ordering;
mod run;
mod shutdown;
#[cfg(test)]
mod tests;
mod timings;

pub use error::StepError;
pub use run::{BeforeStart, Ended, Execution, Report, execute};
pub use shutdown::{Shutdown, Stage, Trigger};
pub use timings::{Link, Timings, Waiting};
