//! The project that a command is about: from its files, or from the labels of its containers.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;

use super::OrchestrationError;
use crate::diagnostic::{Code, Diagnostic, Sources, closest};
use crate::model::Project;
use crate::model::observed::Observed;
use crate::model::spec::ProviderAction;
use crate::plan::providers::{self, ProviderCalls, Providers};
use crate::plan::{Origin, Up, api_socket, labels};
use crate::project::path::span_at;
use crate::project::{self, Loaded, Node, PortVariables, Report, Request, Source, Variable};
use crate::runtime::Runtime;

/// Whether services that the named ones depend on come along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dependencies {
    /// They do.
    Include,
    /// They do not: `--no-deps`.
    LeaveOut,
}

/// The project that a command is about.
#[derive(Clone, Debug)]
pub struct Target {
    /// The project.
    pub project: Project,
    /// What it was read from, and the tree of values with their places.
    pub files: Option<(Sources, Node)>,
    /// What was loaded, where there are files.
    request: Option<Request>,
    /// What stands between the parts of names.
    pub separator: char,
    /// Whether containers of services that the project does not have are let be.
    pub ignore_orphans: bool,
    /// The variables that the files see.
    pub variables: IndexMap<String, Variable>,
    /// The external programs that it needs, once they have been looked for.
    pub providers: Providers,
}

impl Target {
    /// A project that was loaded from files.
    pub fn of(
        request: &Request,
        environment: &IndexMap<String, String>,
        (loaded, sources): (Loaded, Sources),
    ) -> Self {
        let is_on = |name: &str| loaded.variables.get(name).is_some_and(|it| is_true(&it.value));
        let (underscore, ignore) =
            (is_on("COMPOSE_COMPATIBILITY"), is_on("COMPOSE_IGNORE_ORPHANS"));
        let mut project = loaded.project;
        project.env_files = request.env_files.iter().map(|file| request.cwd.join(file)).collect();
        default_platform(environment, &mut project);
        api_socket::share(&mut project);
        Self {
            project,
            files: Some((sources, loaded.tree)),
            request: Some(request.clone()),
            separator: if underscore { '_' } else { '-' },
            ignore_orphans: ignore,
            variables: loaded.variables,
            providers: Providers::default(),
        }
    }

    /// Loads the same services again, with ports that are known by now.
    pub(super) fn reload(
        &mut self,
        source: &dyn Source,
        environment: &IndexMap<String, String>,
        ports: PortVariables,
    ) -> Result<(), OrchestrationError> {
        let Some(request) = &self.request else { return Ok(()) };
        let request = Request { ports, ..request.clone() };
        let (loaded, Report { sources, diagnostics }) = project::load(source, &request);
        let Some(loaded) = loaded else {
            return Err(OrchestrationError::Refused { problems: diagnostics, sources });
        };
        let mut again = Self::of(&request, environment, (loaded, sources));
        again.separator = self.separator;
        let is_left_out = |name: &&String| !self.project.services.contains_key(*name);
        let others: Vec<String> =
            again.project.services.keys().filter(is_left_out).cloned().collect();
        again.disable(&others);
        *self = again;
        Ok(())
    }

    /// A project that is known by its containers only.
    ///
    /// # Errors
    ///
    /// The runtime fails.
    pub async fn from_labels(runtime: &dyn Runtime, name: &str) -> crate::runtime::Result<Self> {
        let observed = runtime.observe(Some(name)).await?;
        Ok(Self {
            project: labels::project(name, &observed),
            files: None,
            request: None,
            separator: '-',
            ignore_orphans: false,
            variables: IndexMap::new(),
            providers: Providers::default(),
        })
    }

    /// Refuses external networks and volumes that do not exist.
    pub(super) fn check_external(&self, observed: &Observed) -> Result<(), OrchestrationError> {
        let project = &self.project;
        let networks = project
            .networks
            .iter()
            .filter(|(_, network)| network.external && observed.network(&network.name).is_none());
        let volumes = project
            .volumes
            .iter()
            .filter(|(_, volume)| volume.external && observed.volume(&volume.name).is_none());
        let networks = networks.map(|(key, network)| {
            let text =
                format!("network {} declared as external, but could not be found", network.name);
            (format!("networks.{key}"), text)
        });
        let volumes = volumes.map(|(key, volume)| {
            (format!("volumes.{key}"), format!("external volume {:?} not found", volume.name))
        });
        self.refuse(Code::MissingExternal, networks.chain(volumes).collect())
    }

    /// Refuses problems, each at its path; nothing if there are none.
    pub(super) fn refuse(
        &self,
        code: Code,
        problems: Vec<(String, String)>,
    ) -> Result<(), OrchestrationError> {
        if problems.is_empty() {
            return Ok(());
        }
        let Some((sources, tree)) = &self.files else {
            let texts: Vec<String> = problems.into_iter().map(|(_, text)| text).collect();
            return Err(OrchestrationError::Other(texts.join("; ")));
        };
        let diagnose = |(path, text): (String, String)| match span_at(tree, &path) {
            Some(span) => Diagnostic::error(code, text).at(span, path),
            None => Diagnostic::error(code, format!("{path}: {text}")),
        };
        let problems = problems.into_iter().map(diagnose).collect();
        Err(OrchestrationError::Refused { problems, sources: sources.clone() })
    }

    /// Where a service stands: the file, as the user would write it, and the line, from 1.
    pub fn place(&self, service: &str) -> Option<(String, usize)> {
        let (sources, tree) = self.files.as_ref()?;
        let span = span_at(tree, &format!("services.\"{service}\""))?;
        Some((sources.get(span.file).name.clone(), sources.position(span).line))
    }

    /// Where the project comes from.
    pub fn origin(&self) -> Origin {
        if self.files.is_some() { Origin::Files } else { Origin::Labels }
    }

    /// How external programs do this to their services.
    pub fn calls(&self, action: ProviderAction) -> ProviderCalls {
        providers::calls(&self.project, &self.providers, action)
    }

    /// The services that are named; all if none is. Profiles do not matter for those.
    ///
    /// # Errors
    ///
    /// The project has no such service.
    pub fn named(&mut self, services: &[String]) -> Result<BTreeSet<String>, OrchestrationError> {
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
    pub fn up(&self, services: &[String]) -> Up<'_> {
        let all = Up::all(&self.project);
        let targets =
            if services.is_empty() { all.targets } else { services.iter().cloned().collect() };
        Up { targets, separator: self.separator, ..all }
    }

    /// With `--no-deps` leaves out what the named services depend on; fails if nothing is left.
    ///
    /// # Errors
    ///
    /// No service is left.
    pub fn restrict(
        &mut self,
        services: &[String],
        dependencies: Dependencies,
    ) -> Result<(), OrchestrationError> {
        if dependencies == Dependencies::LeaveOut && !services.is_empty() {
            let others = self.project.services.keys().filter(|name| !services.contains(name));
            let others: Vec<String> = others.cloned().collect();
            self.disable(&others);
        }
        if self.project.services.is_empty() {
            return Err(OrchestrationError::Other("no service selected".to_owned()));
        }
        Ok(())
    }

    /// Leaves out all but these services and what they depend on.
    pub fn keep_with_dependencies(&mut self, services: &BTreeSet<String>) {
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

    /// Leaves services out; who depends on them does not wait for them.
    pub fn disable(&mut self, services: &[String]) {
        for name in services {
            if let Some(service) = self.project.services.remove(name) {
                self.project.disabled_services.insert(name.clone(), service);
            }
        }
    }

    /// Refuses several containers for a service whose container has a fixed name.
    ///
    /// # Errors
    ///
    /// There is no such service, or its container has a fixed name.
    pub fn check_scale(&self, scale: &BTreeMap<String, u64>) -> Result<(), OrchestrationError> {
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
                return Err(OrchestrationError::Other(text));
            }
        }
        Ok(())
    }
}

/// A service that the project does not have.
pub fn no_such_service(project: &Project, name: &str) -> OrchestrationError {
    let known = project.services.keys().chain(project.disabled_services.keys());
    let known = known.map(String::as_str);
    let similar = closest(name, known).map(str::to_owned);
    OrchestrationError::NoSuchService { name: name.to_owned(), similar }
}

/// Whether a variable that is a switch is on.
pub fn is_true(word: &str) -> bool {
    matches!(word.trim().to_lowercase().as_str(), "y" | "1" | "t" | "true")
}

/// `DOCKER_DEFAULT_PLATFORM` is the platform of services that are built and name none.
fn default_platform(environment: &IndexMap<String, String>, project: &mut Project) {
    let Some(platform) = environment.get("DOCKER_DEFAULT_PLATFORM") else { return };
    let all = project.services.values_mut().chain(project.disabled_services.values_mut());
    for service in all {
        if service.build.is_some() && service.platform.is_empty() {
            service.platform.clone_from(platform);
        }
    }
}
