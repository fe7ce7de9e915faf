//! What all parts of a watch need.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use indexmap::IndexMap;

use super::ledger::Ledgers;
use super::waits;
use crate::cli::engine::{Engine, interruptible, progress_mode};
use crate::cli::exit::Failure;
use crate::event::Event;
use crate::model::Project;
use crate::model::observed::ObservedContainer;
use crate::orchestrator::{Converged, Lock, Target, run_plan};
use crate::plan::Plan;
use crate::plan::name::Names;
use crate::plan::providers::Unknown;
use crate::runtime::{Result, Runtime};
use crate::scheduler::{Execution, Shutdown, Stage};
use crate::ui::progress::{Mode, Prefix, Progress};
use crate::ui::watch::Voice;

/// What the user says about a watch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct Settings {
    /// The output of builds is not shown.
    pub(in crate::cli) quiet: bool,
    /// Images that a build has replaced are removed.
    pub(in crate::cli) prune: bool,
}

/// What all parts of a watch need.
pub(in crate::cli) struct Desk {
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) ledgers: Ledgers,
    /// The project, with what external programs have handed over.
    pub(super) project: Project,
    pub(super) unknown: Unknown,
    pub(super) separator: char,
    pub(super) settings: Settings,
    pub(in crate::cli) voice: Voice,
    /// Shows builds; `None` if nobody wants to see them.
    builds: Option<Progress>,
    /// Programs are told of every step.
    tells_all: bool,
    /// When the user has enough: nothing more is begun.
    pub(in crate::cli) enough: Shutdown,
    /// When what has begun is cut short too.
    pub(in crate::cli) shutdown: Shutdown,
    environment: IndexMap<String, String>,
    parallel: Option<NonZeroUsize>,
    /// How many plans run.
    running: Cell<usize>,
    /// What was told last of files that could not be brought, by service.
    told: RefCell<BTreeMap<String, Vec<String>>>,
}

impl Desk {
    /// Takes from a command what a watch needs, so that the command can go on with its own.
    pub(in crate::cli) fn new(
        engine: &Engine<'_, '_>,
        target: &Target,
        (project, unknown): (Project, Unknown),
        settings: Settings,
    ) -> Self {
        let screen = &engine.session.screen;
        // What cannot be understood was refused when the command began.
        let mode = progress_mode(engine.session).unwrap_or(Mode::Plain);
        let builds = match mode {
            Mode::Json => Some(Mode::Json),
            _ => (!settings.quiet).then_some(Mode::Plain),
        };
        let builds = builds.map(|mode| Progress::new(screen, mode, Prefix::None));
        Self {
            runtime: engine.runtime.clone(),
            ledgers: Ledgers::of(engine.session.environment(), &project.name),
            voice: Voice::new(screen, mode, &project.working_dir),
            project,
            unknown,
            separator: target.separator,
            builds,
            tells_all: mode == Mode::Json,
            settings,
            enough: engine.interrupts.shutdown(),
            shutdown: engine.interrupts.shutdown(),
            environment: engine.session.environment().clone(),
            parallel: engine.session.parallel(),
            running: Cell::new(0),
            told: RefCell::default(),
        }
    }

    /// How names are made.
    pub(super) fn names(&self) -> Names<'_> {
        Names { project: &self.project.name, separator: self.separator }
    }

    /// Whether the user has enough.
    pub(super) fn is_over(&self) -> bool {
        self.enough.stage() > Stage::Running
    }

    /// Whether what has begun is cut short.
    pub(super) fn is_cut(&self) -> bool {
        self.shutdown.stage() > Stage::Running
    }

    /// Whether a plan runs: containers that end now come back.
    pub(in crate::cli) fn acts(&self) -> bool {
        self.running.get() > 0
    }

    /// Tells what could not be brought, unless that was told already.
    pub(super) fn tell_failures(&self, service: &str, lines: Vec<String>) {
        let mut told = self.told.borrow_mut();
        if told.get(service).is_none_or(|before| *before != lines) {
            for line in &lines {
                self.voice.warn(line);
            }
        }
        told.insert(service.to_owned(), lines);
    }

    /// The containers of a service that take part, by id.
    pub(super) async fn containers(&self, service: &str) -> Result<Vec<ObservedContainer>> {
        let mut found = self.runtime.containers(Some(&self.project.name)).await?;
        found.retain(|it| it.service() == service && !it.is_one_off());
        Ok(found)
    }

    /// Takes the lock of the project, unless the user has enough before that.
    pub(super) async fn lock(&self) -> std::result::Result<Lock, Failure> {
        let waiting = |holder: &str| {
            self.voice.say(&format!("waiting for {holder}, which works on this project"));
        };
        let name = &self.project.name;
        let taken = async { Ok(Lock::take(&self.environment, (name, "watch"), waiting).await?) };
        interruptible(self.enough.clone(), taken).await
    }

    /// Waits until nobody else watches the project, unless the user has enough before that.
    pub(in crate::cli) async fn only_one(&self) -> std::result::Result<Lock, Failure> {
        let waiting = |holder: &str| self.voice.say(&waits(holder));
        super::only_one(&self.environment, &self.project.name, (self.enough.clone(), waiting)).await
    }

    /// Runs a plan; shows what builds print.
    pub(super) async fn run(&self, plan: &Plan) -> std::result::Result<Converged, Failure> {
        let show = |event: Event| {
            let is_build = matches!(event, Event::Progress { .. } | Event::Planned { .. });
            if let Some(builds) = self.builds.as_ref().filter(|_| is_build || self.tells_all) {
                builds.apply(&event);
            }
        };
        let how = Execution {
            parallel: self.parallel,
            shutdown: self.shutdown.clone(),
            on_event: &show,
            before_start: None,
        };
        self.running.set(self.running.get() + 1);
        let done = run_plan(plan, &*self.runtime, how).await;
        self.running.set(self.running.get() - 1);
        Ok(done?)
    }

    /// The project with one service and those that follow it; the others are not touched.
    pub(super) fn restricted(&self, service: &str) -> Project {
        let mut kept = std::collections::BTreeSet::from([service.to_owned()]);
        loop {
            let follows = |name: &str, settings: &crate::model::Service| {
                let depends = |(on, terms): (&String, &crate::model::Dependency)| {
                    terms.restart && kept.contains(on)
                };
                !kept.contains(name) && settings.depends_on.iter().any(depends)
            };
            let mut all = self.project.services.iter();
            let more = all.find(|(name, settings)| follows(name, settings));
            let more = more.map(|(name, _)| name.clone());
            let Some(more) = more else { break };
            kept.insert(more);
        }
        let mut project = self.project.clone();
        let services = std::mem::take(&mut project.services);
        let (meant, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
            services.into_iter().partition(|(name, _)| kept.contains(name));
        project.services = meant;
        project.disabled_services.extend(others);
        project
    }
}
