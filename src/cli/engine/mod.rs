//! What commands that reach a runtime have in common.
//!
//! In: a [`Session`] and flags. Out: a connection, the project, and an [`Orchestrator`] that does
//! the work. One file for each of these steps.
//!
//! # Invariants
//!
//! - Nothing but `connect` knows which kinds of runtimes there are.

mod audience;
mod bring_up;
mod connect;
mod ending;
mod select;
mod sight;
mod signals;
mod target;
mod time;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::bundle::Recorder;
use crate::orchestrator::{Connection, Depth, Orchestrator, Route};
use crate::runtime::Runtime;
use crate::ui::progress::{How, Mode, Prefix, Progress};

use super::exit::Failure;
use super::session::Session;
use super::usage::UsageError;

pub(super) use bring_up::Consent;
pub(super) use connect::{choice, engine, native};
pub(super) use select::{one_container, short_name};
pub(super) use sight::Sight;
pub(super) use signals::{Interrupts, interruptible};
pub(super) use target::REMOVE_ORPHANS;
pub(super) use time::{decimal, moment};

/// A command that reaches a runtime.
pub(super) struct Engine<'s, 'a> {
    pub(super) session: &'s mut Session<'a>,
    pub(super) runtime: Arc<dyn Runtime>,
    /// How the runtime is reached again.
    pub(super) route: Route,
    pub(super) progress: Progress,
    pub(super) interrupts: Interrupts,
    pub(super) quiet: Quiet,
    /// Remembers what is done, where somebody wants to know it afterwards.
    pub(super) recorder: Option<Recorder>,
}

/// Whose details are not shown; that they begin and end is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Quiet {
    /// `--quiet-pull`.
    pub(super) pull: bool,
    /// `--quiet-build`.
    pub(super) build: bool,
}

/// Whether Ketch runs health checks itself until they first succeed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Probes {
    /// It does.
    #[default]
    Eager,
    /// It leaves them to the runtime.
    Engine,
}

impl<'s, 'a> Engine<'s, 'a> {
    /// Connects to the runtime.
    pub(super) async fn connect(session: &'s mut Session<'a>) -> Result<Self, Failure> {
        Self::connect_with(session, Probes::Eager).await
    }

    /// Connects to the runtime.
    pub(super) async fn connect_with(
        session: &'s mut Session<'a>,
        probes: Probes,
    ) -> Result<Self, Failure> {
        let mode = progress_mode(session)?;
        let Connection { runtime, route, .. } = connect::connect(session, probes).await?;
        let prefix = if session.global.dry_run { Prefix::DryRun } else { Prefix::None };
        let progress = Progress::new(session.screen, mode, prefix);
        let interrupts = Interrupts::listen()?;
        let quiet = Quiet::default();
        Ok(Self { session, runtime, route, progress, interrupts, quiet, recorder: None })
    }

    /// What does the work, and tells this command what happens.
    pub(super) fn orchestrator(&self) -> Orchestrator<'_> {
        Orchestrator {
            runtime: &*self.runtime,
            environment: self.session.environment(),
            parallel: self.session.parallel(),
            shutdown: self.interrupts.shutdown(),
            depth: if self.session.global.dry_run { Depth::Pretend } else { Depth::Really },
            audience: self,
        }
    }

    /// Begins a new picture below what was written since the last one.
    pub(super) fn renew_progress(&mut self) -> Result<(), Failure> {
        let prefix = if self.session.global.dry_run { Prefix::DryRun } else { Prefix::None };
        self.progress = Progress::new(self.session.screen, progress_mode(self.session)?, prefix);
        Ok(())
    }

    /// Shows no progress from here on: `--quiet`.
    pub(super) fn silence(&mut self) {
        self.progress = Progress::new(self.session.screen, Mode::Quiet, Prefix::None);
    }
}

/// How progress is shown, from `--progress` and `--ansi`.
pub(super) fn progress_mode(session: &Session<'_>) -> Result<Mode, Failure> {
    let word = session.progress_word();
    let invalid = |_| UsageError::Progress(word.clone());
    let how = How::parse(&word).map_err(invalid)?;
    Ok(how.mode(session.screen.colour(), session.screen).map_err(invalid)?)
}

/// The time as a runtime takes it: seconds since 1970 with nine decimals.
pub(super) fn this_moment() -> String {
    decimal(i128::try_from(since_1970().as_nanos()).unwrap_or(i128::MAX))
}

fn since_1970() -> std::time::Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
