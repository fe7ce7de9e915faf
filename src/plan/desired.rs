//! What a command asks for.
//!
//! In: a project and flags. Out: read by [`super::reconcile`]. Plain data.

use std::collections::{BTreeMap, BTreeSet};

use super::name::Names;
use super::providers::{ProviderCalls, Unknown};
use crate::model::Project;

/// What a command asks for.
#[derive(Clone, Debug)]
pub enum Desired<'a> {
    /// Containers that are there, or run: `up`, `create`, `start`, `scale`, `watch`.
    Up(Up<'a>),
    /// Containers that run are treated: `stop`, `restart`, `kill`, `pause`, `unpause`.
    Treat(Treatment<'a>),
    /// Containers that are gone: `rm`.
    Removed(Removal),
    /// Nothing is left: `down`.
    Down(Down<'a>),
}

/// Containers that shall be there.
#[derive(Clone, Debug)]
pub struct Up<'a> {
    /// The project, restricted to the services that are meant and those that they need.
    pub project: &'a Project,
    /// What stands between the parts of names.
    pub separator: char,
    /// The services that are meant; the others are there because these need them.
    pub targets: BTreeSet<String>,
    /// How far containers are brought.
    pub until: Until,
    /// When containers of the services that are meant are replaced.
    pub recreate: Recreate,
    /// When containers of the other services are replaced.
    pub recreate_dependencies: Recreate,
    /// Which containers may be created.
    pub create: Create,
    /// What becomes of anonymous volumes when a container is replaced.
    pub anonymous_volumes: AnonymousVolumes,
    /// What becomes of containers of services that the project does not have.
    pub orphans: Orphans,
    /// What becomes of volumes whose settings have changed.
    pub changed_volumes: ChangedVolumes,
    /// Seconds until a container that is replaced is killed; `None`: its own setting.
    pub seconds: Option<i32>,
    /// Numbers of containers that replace those of the project.
    pub scale: BTreeMap<String, u64>,
    /// Variables that providers will hand over: they are taken to be what they were.
    pub unknown: Unknown,
}

/// How far containers are brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Until {
    /// They are there.
    Created,
    /// They run.
    #[default]
    Started,
    /// They run and are healthy, or have done their work.
    Ready,
}

/// When containers are replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recreate {
    /// Never.
    Never,
    /// When they are not what the project asks for.
    #[default]
    Diverged,
    /// Always.
    Force,
}

/// Which containers may be created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Create {
    /// All that are missing.
    #[default]
    Missing,
    /// None: only what exists is started.
    Nothing,
}

/// What becomes of anonymous volumes when a container is replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnonymousVolumes {
    /// The new container takes them over.
    #[default]
    Inherit,
    /// The new container gets new ones.
    Renew,
}

/// What becomes of containers of services that the project does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Orphans {
    /// They are told of.
    #[default]
    Tell,
    /// They are let be.
    Ignore,
    /// They are removed.
    Remove,
}

/// What becomes of volumes whose settings have changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChangedVolumes {
    /// They are made anew and lose their data; the plan says so and needs consent.
    #[default]
    Recreate,
    /// They stay as they are.
    Keep,
}

/// Something that is done to running containers.
#[derive(Clone, Debug)]
pub struct Treatment<'a> {
    /// The services and how they depend on each other.
    pub project: &'a Project,
    /// Whose containers.
    pub services: BTreeSet<String>,
    /// What is done.
    pub action: Action,
    /// What external programs do to their services.
    pub calls: ProviderCalls,
}

/// What is done to running containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// They are stopped, dependents first.
    Stop {
        /// Seconds until they are killed; `None`: their own setting.
        seconds: Option<i32>,
    },
    /// They are stopped and started again, dependencies first.
    Restart {
        /// Seconds until they are killed; `None`: their own setting.
        seconds: Option<i32>,
        /// Services that restart because one that they depend on does are among the services.
        dependents: Dependents,
    },
    /// They get a signal.
    Kill {
        /// The signal.
        signal: String,
    },
    /// They are frozen.
    Pause,
    /// They go on.
    Unpause,
}

/// Whether services follow the ones that they depend on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dependents {
    /// Those with `restart: true` do.
    #[default]
    Follow,
    /// None does.
    Ignore,
}

/// Containers that do not run and shall be gone.
#[derive(Clone, Debug)]
pub struct Removal {
    /// Whose containers.
    pub services: BTreeSet<String>,
    /// Whether anonymous volumes go too.
    pub volumes: bool,
}

/// Nothing shall be left.
#[derive(Clone, Debug)]
pub struct Down<'a> {
    /// The services and how they depend on each other.
    pub project: &'a Project,
    /// Whose containers; empty: all, and the networks too.
    pub services: BTreeSet<String>,
    /// Whether volumes go too.
    pub volumes: bool,
    /// Whether containers of services that the project does not have go too.
    pub orphans: Orphans,
    /// Seconds until a container is killed; `None`: its own setting.
    pub seconds: Option<i32>,
    /// Images to remove.
    pub images: Vec<String>,
    /// Whether the project was read from files, or from labels.
    pub origin: Origin,
    /// How external programs remove their services.
    pub calls: ProviderCalls,
}

/// Where a project comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// From its files.
    #[default]
    Files,
    /// From the labels of its containers.
    Labels,
}

impl<'a> Up<'a> {
    /// Brings all services of a project up.
    pub fn all(project: &'a Project) -> Self {
        Self {
            project,
            separator: '-',
            targets: project.services.keys().cloned().collect(),
            until: Until::default(),
            recreate: Recreate::default(),
            recreate_dependencies: Recreate::default(),
            create: Create::default(),
            anonymous_volumes: AnonymousVolumes::default(),
            orphans: Orphans::default(),
            changed_volumes: ChangedVolumes::default(),
            seconds: None,
            scale: BTreeMap::new(),
            unknown: Unknown::new(),
        }
    }

    /// How names are made.
    pub fn names(&self) -> Names<'a> {
        Names { project: &self.project.name, separator: self.separator }
    }

    /// Number of containers of a service.
    pub fn replicas(&self, service: &str) -> u64 {
        if let Some(scale) = self.scale.get(service) {
            return *scale;
        }
        let Some(settings) = self.project.services.get(service) else { return 0 };
        let replicas = settings.deploy.as_ref().and_then(|deploy| deploy.replicas);
        settings.scale.or(replicas).map_or(1, |number| u64::try_from(number).unwrap_or(0))
    }
}
