//! What of a project needs what.
//!
//! In: a [`Project`], and how images without a name are called. Out: things and the edges between
//! them, sorted, so that the same project always gives the same graph.
//!
//! Not here: drawing (`ui`), the order in which things are done (`plan`).

use std::collections::BTreeSet;

use serde::Serialize;

use super::{Project, Service};

/// What kind of thing stands in a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A service.
    Service,
    /// An image.
    Image,
    /// A network, by its key.
    Network,
    /// A volume, by its key.
    Volume,
    /// A config, by its key.
    Config,
    /// A secret, by its key.
    Secret,
    /// An external program that runs services, by its type.
    Provider,
    /// An AI model, by its key.
    Model,
}

/// A thing in a project.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Thing {
    /// What kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

/// A service that needs something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Edge {
    /// The service.
    pub from: String,
    /// What it needs.
    pub to: Thing,
    /// How.
    #[serde(flatten)]
    pub how: Relation,
}

/// How a service needs something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "relation", rename_all = "kebab-case")]
pub enum Relation {
    /// It starts after another service.
    DependsOn {
        /// `service_started`, `service_healthy` or `service_completed_successfully`.
        condition: String,
        /// Whether that service has to be there.
        required: bool,
        /// Whether it restarts when that one does.
        restart: bool,
    },
    /// Its image is built from that of another service.
    BuildsFrom,
    /// It runs this image.
    Runs {
        /// Whether the image is built here.
        built: bool,
    },
    /// It is in this network.
    Joins,
    /// This runs it.
    ProvidedBy,
    /// It uses this.
    Uses,
    /// It has this at a path.
    Mounts {
        /// The path in the container.
        target: String,
    },
}

/// What of a project needs what.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Relations {
    /// All things.
    pub things: BTreeSet<Thing>,
    /// All edges.
    pub edges: BTreeSet<Edge>,
    /// What exists already and is not managed here.
    pub external: BTreeSet<Thing>,
}

impl Relations {
    /// Reads them off a project; `image` tells the reference of a service's image.
    pub fn of(project: &Project, image: impl Fn(&str, &Service) -> String) -> Self {
        let mut relations = Self::default();
        for (name, settings) in &project.services {
            relations.things.insert(Thing::new(Kind::Service, name));
            relations.services(project, name, settings);
            relations.resources(name, settings);
            if let Some(provider) = &settings.provider {
                relations.add(name, Kind::Provider, &provider.kind, Relation::ProvidedBy);
            } else {
                let built = settings.build.is_some();
                relations.add(name, Kind::Image, &image(name, settings), Relation::Runs { built });
            }
            for model in settings.models.keys() {
                relations.add(name, Kind::Model, model, Relation::Uses);
            }
        }
        relations.find_external(project);
        relations
    }

    /// Edges to other services.
    fn services(&mut self, project: &Project, name: &str, settings: &Service) {
        for (other, terms) in &settings.depends_on {
            if project.services.contains_key(other) {
                let (required, restart) = (terms.required, terms.restart);
                let condition = terms.condition.clone();
                let how = Relation::DependsOn { condition, required, restart };
                self.add(name, Kind::Service, other, how);
            }
        }
        let contexts = settings.build.iter().flat_map(|build| build.additional_contexts.values());
        for base in contexts.filter_map(|context| context.strip_prefix("service:")) {
            self.add(name, Kind::Service, base, Relation::BuildsFrom);
        }
    }

    /// Edges to what is no service.
    fn resources(&mut self, name: &str, settings: &Service) {
        for network in settings.networks.keys() {
            self.add(name, Kind::Network, network, Relation::Joins);
        }
        for mount in settings.volumes.iter().filter(|mount| !mount.source.is_empty()) {
            let kind = match mount.kind.as_str() {
                "volume" => Kind::Volume,
                "image" => Kind::Image,
                _ => continue,
            };
            let how = Relation::Mounts { target: mount.target.clone() };
            self.add(name, kind, &mount.source, how);
        }
        let configs = settings.configs.iter().map(|it| (Kind::Config, it, "/"));
        let secrets = settings.secrets.iter().map(|it| (Kind::Secret, it, "/run/secrets/"));
        for (kind, file, folder) in configs.chain(secrets) {
            let target = if file.target.is_empty() { &file.source } else { &file.target };
            let is_whole = target.starts_with('/');
            let target = if is_whole { target.clone() } else { format!("{folder}{target}") };
            self.add(name, kind, &file.source, Relation::Mounts { target });
        }
    }

    fn add(&mut self, from: &str, kind: Kind, name: &str, how: Relation) {
        let to = Thing::new(kind, name);
        self.things.insert(to.clone());
        self.edges.insert(Edge { from: from.to_owned(), to, how });
    }

    fn find_external(&mut self, project: &Project) {
        let is_external = |thing: &&Thing| match thing.kind {
            Kind::Network => project.networks.get(&thing.name).is_some_and(|it| it.external),
            Kind::Volume => project.volumes.get(&thing.name).is_some_and(|it| it.external),
            Kind::Config => project.configs.get(&thing.name).is_some_and(|it| it.external),
            Kind::Secret => project.secrets.get(&thing.name).is_some_and(|it| it.external),
            Kind::Service | Kind::Image | Kind::Provider | Kind::Model => false,
        };
        self.external = self.things.iter().filter(is_external).cloned().collect();
    }

    /// What a service needs: other services first.
    pub fn needs<'r>(&'r self, service: &str) -> impl Iterator<Item = &'r Edge> {
        let start = self.edges.iter().skip_while(move |edge| edge.from != service);
        let first = start.clone().next().map(|edge| edge.from.as_str());
        start.take_while(move |edge| Some(edge.from.as_str()) == first)
    }

    /// Services that no other service needs; all of a circle that nothing else needs.
    pub fn roots(&self) -> Vec<&str> {
        let needed: BTreeSet<&str> = self
            .edges
            .iter()
            .filter(|edge| edge.to.kind == Kind::Service && edge.to.name != edge.from)
            .map(|edge| edge.to.name.as_str())
            .collect();
        let services = self.things.iter().filter(|thing| thing.kind == Kind::Service);
        services.map(|it| it.name.as_str()).filter(|name| !needed.contains(name)).collect()
    }
}

impl Thing {
    fn new(kind: Kind, name: &str) -> Self {
        Self { kind, name: name.to_owned() }
    }
}

impl Kind {
    /// The word for it: `service`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Image => "image",
            Self::Network => "network",
            Self::Volume => "volume",
            Self::Config => "config",
            Self::Secret => "secret",
            Self::Provider => "provider",
            Self::Model => "model",
        }
    }
}

impl Relation {
    /// The same in a few words: `when healthy`.
    pub fn words(&self) -> String {
        match self {
            Self::DependsOn { condition, required, restart } => {
                let when = match condition.as_str() {
                    "service_healthy" => "when healthy",
                    "service_completed_successfully" => "when done",
                    _ => "when started",
                };
                let optional = if *required { "" } else { ", optional" };
                let restarts = if *restart { ", restarts with it" } else { "" };
                format!("{when}{optional}{restarts}")
            }
            Self::BuildsFrom => "builds from it".to_owned(),
            Self::Runs { built: true } => "built here".to_owned(),
            Self::ProvidedBy => "runs it".to_owned(),
            Self::Runs { built: false } | Self::Joins | Self::Uses => String::new(),
            Self::Mounts { target } => format!("at {target}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Relations};
    use crate::model::Project;

    const SERVICES: &str = "
web:
  image: w
  depends_on: {db: {condition: service_healthy, restart: true}, off: {condition: x}}
  networks: {default: null}
  volumes: [{type: volume, source: data, target: /d}, {type: bind, source: /h, target: /h}]
  secrets: [{source: key}]
  configs: [{source: conf, target: /etc/conf}]
db:
  build: {additional_contexts: {base: 'service:web'}}
";

    #[test]
    fn edges_lead_from_services_to_what_they_need() {
        let project = Project {
            services: serde_yaml::from_str(SERVICES).expect("canonical services"),
            volumes: serde_yaml::from_str("{data: {external: true}}").expect("a volume"),
            ..Project::default()
        };
        let relations = Relations::of(&project, |name, service| {
            if service.image.is_empty() { format!("p-{name}") } else { service.image.clone() }
        });
        let edge = |edge: &super::Edge| {
            let (kind, name) = (edge.to.kind.word(), &edge.to.name);
            format!("{} -> {kind} {name} ({})\n", edge.from, edge.how.words())
        };
        let text: String = relations.edges.iter().map(edge).collect();
        insta::assert_snapshot!(text, @"
        db -> service web (builds from it)
        db -> image p-db (built here)
        web -> service db (when healthy, restarts with it)
        web -> image w ()
        web -> network default ()
        web -> volume data (at /d)
        web -> config conf (at /etc/conf)
        web -> secret key (at /run/secrets/key)
        ");
        assert_eq!(relations.needs("web").count(), 6);
        assert_eq!(relations.needs("nothing").count(), 0);
        assert!(relations.roots().is_empty(), "a circle has no beginning");
        let external: Vec<Kind> = relations.external.iter().map(|thing| thing.kind).collect();
        assert_eq!(external, [Kind::Volume]);
    }
}
