//! Brings the world to what is asked for: images, then observe, plan and run.
//!
//! In: a [`Target`] and flags as values. Out: containers, and what became of each step. `cli` and
//! `testing` are two faces of this.
//!
//! # Invariants
//!
//! - Commands that change a project hold its [`Lock`] while a plan is made and run.
//! - Nothing is printed and nobody is asked: an [`Audience`] is told.
//!
//! # Not here
//!
//! Which steps there are (`plan`), in which order they run (`scheduler`), words (`ui`).

mod bring_up;
mod choose;
mod converge;
pub mod copy;
mod error;
mod exec;
mod failures;
mod host_ports;
mod images;
mod instance;
mod lease;
mod lock;
mod observe;
mod patience;
mod port_holder;
mod providers;
mod route;
mod target;

use std::fmt;
use std::num::NonZeroUsize;
use std::time::{SystemTime, UNIX_EPOCH};

use indexmap::IndexMap;

use crate::event::Event;
use crate::plan::Plan;
use crate::runtime::Runtime;
use crate::scheduler::{Shutdown, Stage};

pub use choose::{Choice, Connection, RUNTIME, connect};
pub use converge::{Converged, run_plan};
pub use error::OrchestrationError;
pub use exec::exec_code;
pub use instance::{load, suppose_ports};
pub use lease::{Lease, Owner};
pub use lock::Lock;
pub use observe::observe;
pub use patience::patiently;
pub use providers::Supplied;
pub use route::Route;
pub use target::{Dependencies, Target, is_true, no_such_service};

/// What is done to projects in one runtime.
#[derive(Clone)]
pub struct Orchestrator<'a> {
    /// Where containers run.
    pub runtime: &'a dyn Runtime,
    /// The environment of the process.
    pub environment: &'a IndexMap<String, String>,
    /// How many things may be done at once; `None`: any number.
    pub parallel: Option<NonZeroUsize>,
    /// When to end before all is done.
    pub shutdown: Shutdown,
    /// Whether anything is done.
    pub depth: Depth,
    /// Who is told what happens.
    pub audience: &'a dyn Audience,
}

/// Whether anything is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// It is.
    #[default]
    Really,
    /// It is only told: `--dry-run`.
    Pretend,
}

/// Is told what happens.
pub trait Audience {
    /// A plan is about to run.
    fn plan(&self, _plan: &Plan) {}

    /// Something happened while a plan ran.
    fn event(&self, plan: &Plan, event: Event);

    /// Something happened beside all plans: a line with its end.
    fn aside(&self, text: &str);
}

impl fmt::Debug for Orchestrator<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Orchestrator").field("depth", &self.depth).finish_non_exhaustive()
    }
}

impl Orchestrator<'_> {
    fn pretends(&self) -> bool {
        self.depth == Depth::Pretend
    }

    fn warn(&self, message: String) {
        self.audience.event(&Plan::default(), Event::Warned { message });
    }

    /// Does something that only looks, until somebody wants an end; tells if it takes long.
    ///
    /// # Errors
    ///
    /// It fails, or somebody wants an end.
    pub async fn asking<T>(
        &self,
        work: impl Future<Output = crate::runtime::Result<T>>,
    ) -> Result<T, OrchestrationError> {
        tokio::select! {
            done = patiently(work, |text| self.audience.aside(text)) => Ok(done?),
            () = self.shutdown.clone().reaches(Stage::Graceful) => {
                Err(OrchestrationError::Interrupted)
            }
        }
    }
}

/// The time, in seconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
