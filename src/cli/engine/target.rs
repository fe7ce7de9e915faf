//! The project that a command is about: from its files, or from the labels of its containers.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;

use super::Engine;
use crate::cli::exit::Failure;
use crate::cli::session::{Session, is_true};
use crate::diagnostic::{Sources, closest};
use crate::model::Project;
use crate::model::spec::ProviderAction;
use crate::plan::providers::{self, ProviderCalls, Providers};
use crate::plan::{Origin, Orphans, Up, api_socket, labels};
use crate::project::{Loaded, Node, Request, Variable};
use crate::ui::diagnostics::Warnings;

/// The variable that stands for `--remove-orphans`.
pub(in crate::cli) const REMOVE_ORPHANS: &str = "COMPOSE_REMOVE_ORPHANS";

/// Whether services that the named ones depend on come along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Dependencies {
    /// They do.
    Include,
    /// They do not: `--no-deps`.
    LeaveOut,
}

/// The project that a command is about.
#[derive(Debug)]
pub(in crate::cli) struct Target {
    /// The project.
    pub(in crate::cli) project: Project,
    /// What it was read from, and the tree of values with their places.
    pub(in crate::cli) files: Option<(Sources, Node)>,
    /// What stands between the parts of names.
    pub(in crate::cli) separator: char,
    /// Whether containers of services that the project does not have are let be.
    pub(in crate::cli) ignore_orphans: bool,
    /// The variables that the files see.
    pub(in crate::cli) variables: IndexMap<String, Variable>,
    /// The external programs that it needs, once they have been looked for.
    pub(in crate::cli) providers: Providers,
}

impl Target {
    /// Loads the project, restricted to these services and what they depend on.
    pub(in crate::cli) fn load(
        session: &mut Session<'_>,
        services: &[String],
    ) -> Result<Self, Failure> {
        let mut request = session.request()?;
        request.services = services.to_vec();
        let (loaded, sources) = session.load(&request)?;
        Ok(Self::of(session, &request, loaded, sources))
    }

    /// Loads the whole project; where there are no files but a name, reads it from labels.
    pub(in crate::cli) async fn find(engine: &mut Engine<'_, '_>) -> Result<Self, Failure> {
        let request = engine.session.request()?;
        let (loaded, report) = engine.session.inspect(&request)?;
        match (loaded, engine.session.given_name()) {
            (Some(loaded), _) => Ok(Self::of(engine.session, &request, loaded, report.sources)),
            (None, Some(name)) => Self::from_labels(engine, &name).await,
            (None, None) => {
                engine.session.draw(&report.sources, &report.diagnostics, Warnings::Brief);
                Err(Failure::Project)
            }
        }
    }

    /// A project that was loaded from files.
    fn of(session: &Session<'_>, request: &Request, loaded: Loaded, sources: Sources) -> Self {
        let underscore = session.joins_with_underscore(&loaded.variables);
        let ignore = loaded.variables.get("COMPOSE_IGNORE_ORPHANS");
        let mut project = loaded.project;
        project.env_files = request.env_files.iter().map(|file| request.cwd.join(file)).collect();
        default_platform(session, &mut project);
        api_socket::share(&mut project);
        Self {
            project,
            files: Some((sources, loaded.tree)),
            separator: if underscore { '_' } else { '-' },
            ignore_orphans: ignore.is_some_and(|variable| is_true(&variable.value)),
            variables: loaded.variables,
            providers: Providers::default(),
        }
    }

    /// A project that is known by its containers only.
    async fn from_labels(engine: &Engine<'_, '_>, name: &str) -> Result<Self, Failure> {
        let observed = engine.runtime.observe(Some(name)).await?;
        Ok(Self {
            project: labels::project(name, &observed),
            files: None,
            separator: '-',
            ignore_orphans: false,
            variables: IndexMap::new(),
            providers: Providers::default(),
        })
    }

    /// Where the project comes from.
    pub(in crate::cli) fn origin(&self) -> Origin {
        if self.files.is_some() { Origin::Files } else { Origin::Labels }
    }

    /// How external programs do this to their services.
    pub(in crate::cli) fn calls(&self, action: ProviderAction) -> ProviderCalls {
        providers::calls(&self.project, &self.providers, action)
    }

    /// The services that are named; all if none is. Profiles do not matter for those.
    pub(in crate::cli) fn named(
        &mut self,
        services: &[String],
    ) -> Result<BTreeSet<String>, Failure> {
        for name in services {
            if let Some(service) = self.project.disabled_services.remove(name) {
                self.project.services.insert(name.clone(), service);
            }
            if !self.project.services.contains_key(name) {
                return Err(no_such_service(&self.project, name));
            }
        }
        if services.is_empty() {
            return Ok(self.project.services.keys().cloned().collect());
        }
        Ok(services.iter().cloned().collect())
    }

    /// Brings up what is there of the project; services that nobody names are all meant.
    pub(in crate::cli) fn up(&self, services: &[String]) -> Up<'_> {
        let all = Up::all(&self.project);
        let targets =
            if services.is_empty() { all.targets } else { services.iter().cloned().collect() };
        Up { targets, separator: self.separator, ..all }
    }

    /// With `--no-deps` leaves out what the named services depend on; fails if nothing is left.
    pub(in crate::cli) fn restrict(
        &mut self,
        services: &[String],
        dependencies: Dependencies,
    ) -> Result<(), Failure> {
        if dependencies == Dependencies::LeaveOut && !services.is_empty() {
            let others = self.project.services.keys().filter(|name| !services.contains(name));
            let others: Vec<String> = others.cloned().collect();
            self.disable(&others);
        }
        if self.project.services.is_empty() {
            return Err(Failure::Other("no service selected".to_owned()));
        }
        Ok(())
    }

    /// Leaves out all but these services and what they depend on.
    pub(in crate::cli) fn keep_with_dependencies(&mut self, services: &BTreeSet<String>) {
        let mut kept: BTreeSet<&str> = BTreeSet::new();
        let mut waiting: Vec<&str> = services.iter().map(String::as_str).collect();
        while let Some(name) = waiting.pop() {
            if let (true, Some(service)) = (kept.insert(name), self.project.services.get(name)) {
                waiting.extend(service.depends_on.keys().map(String::as_str));
            }
        }
        let others = self.project.services.keys().filter(|name| !kept.contains(name.as_str()));
        let others: Vec<String> = others.cloned().collect();
        self.disable(&others);
    }

    fn disable(&mut self, services: &[String]) {
        for name in services {
            if let Some(service) = self.project.services.remove(name) {
                self.project.disabled_services.insert(name.clone(), service);
            }
        }
    }

    /// Refuses several containers for a service whose container has a fixed name.
    pub(in crate::cli) fn check_scale(&self, scale: &BTreeMap<String, u64>) -> Result<(), Failure> {
        for (name, number) in scale {
            let Some(service) = self.project.services.get(name) else {
                return Err(no_such_service(&self.project, name));
            };
            if *number > 1 && !service.container_name.is_empty() {
                let text = format!(
                    "service `{name}` has the fixed container name `{}`, so it cannot have \
                     {number} containers",
                    service.container_name
                );
                return Err(Failure::Other(text));
            }
        }
        Ok(())
    }

    /// What becomes of containers of services that the project does not have.
    pub(in crate::cli) fn orphans(
        &self,
        session: &Session<'_>,
        asked: Orphans,
    ) -> Result<Orphans, Failure> {
        let remove = asked == Orphans::Remove || session.is_on(REMOVE_ORPHANS);
        match (remove, self.ignore_orphans) {
            (true, true) => Err(Failure::Other(
                "cannot combine COMPOSE_IGNORE_ORPHANS and --remove-orphans".to_owned(),
            )),
            (true, false) => Ok(Orphans::Remove),
            (false, true) => Ok(Orphans::Ignore),
            (false, false) => Ok(Orphans::Tell),
        }
    }
}

/// A service that the project does not have.
pub(super) fn no_such_service(project: &Project, name: &str) -> Failure {
    let known = project.services.keys().map(String::as_str);
    Failure::NoSuchService {
        name: name.to_owned(),
        reason: "",
        similar: closest(name, known).map(str::to_owned),
    }
}

/// `DOCKER_DEFAULT_PLATFORM` is the platform of services that are built and name none.
fn default_platform(session: &Session<'_>, project: &mut Project) {
    let Some(platform) = session.environment().get("DOCKER_DEFAULT_PLATFORM") else { return };
    let all = project.services.values_mut().chain(project.disabled_services.values_mut());
    for service in all {
        if service.build.is_some() && service.platform.is_empty() {
            service.platform.clone_from(platform);
        }
    }
}
