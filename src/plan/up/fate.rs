//! What becomes of each container of a service.
//!
//! In: the containers that exist, and how many shall. Out: [`Replica`]s, each with its [`Fate`],
//! and the containers that are too many.

use std::collections::BTreeSet;

use super::Planner;
use crate::model::observed::{ObservedContainer, State};
use crate::model::{hash, label};
use crate::plan::desired::{Create, Recreate};
use crate::plan::drift::{self, Expected};
use crate::plan::step::{Cause, StepId};
use crate::plan::{name, references};

/// A container that shall be there in the end.
#[derive(Debug)]
pub(super) struct Replica<'a> {
    /// Its name in the end.
    pub(super) name: String,
    /// Its number.
    pub(super) number: u64,
    /// What becomes of it.
    pub(super) fate: Fate<'a>,
    /// The step after which it is there under its name.
    pub(super) made: Option<StepId>,
    /// The step after which it runs; `None` if it runs already, or shall not.
    pub(super) started: Option<StepId>,
}

/// What becomes of a container.
#[derive(Clone, Debug)]
pub(super) enum Fate<'a> {
    /// It stays.
    Keep(&'a ObservedContainer),
    /// It stays under another name: a replacement that was interrupted.
    Rename(&'a ObservedContainer),
    /// Another one takes its place, and is there before this one goes.
    Replace(&'a ObservedContainer, Cause),
    /// It goes first, because a volume that it uses is made anew.
    Rebuild(&'a ObservedContainer, Cause),
    /// It does not exist yet.
    Create,
}

impl<'a> Fate<'a> {
    /// The container that exists now.
    pub(super) fn present(&self) -> Option<&'a ObservedContainer> {
        match self {
            Self::Keep(container)
            | Self::Rename(container)
            | Self::Replace(container, _)
            | Self::Rebuild(container, _) => Some(container),
            Self::Create => None,
        }
    }

    /// Whether the container in the end is the one that exists now.
    pub(super) fn keeps(&self) -> bool {
        matches!(self, Self::Keep(_) | Self::Rename(_))
    }
}

impl<'a> Planner<'a> {
    /// Decides what becomes of the containers of a service.
    pub(super) fn judge_service(&mut self, service: &'a str) {
        let Some(settings) = self.settings(service) else { return };
        if settings.provider.is_some() {
            return;
        }
        let (present, _) = self.present(service);
        let highest = present.iter().filter_map(|container| container.number()).max();
        let mut judged: Vec<_> = present
            .into_iter()
            .map(|container| (self.obsolete(service, container), container))
            .collect();
        judged.sort_by_key(|(cause, container)| (cause.is_some(), container.number()));
        let mut missing = 0;
        if self.up.create == Create::Missing {
            let wanted = usize::try_from(self.up.replicas(service)).unwrap_or(usize::MAX);
            judged.truncate(wanted);
            missing = wanted - judged.len();
        }
        let mut replicas: Vec<Replica<'a>> = Vec::with_capacity(judged.len() + missing);
        for (cause, container) in judged {
            replicas.push(self.replica(service, container, cause));
        }
        let first = highest.unwrap_or(0) + 1;
        for number in (first..).take(missing) {
            let name = self.up.names().container(service, settings, number);
            replicas.push(Replica { name, number, fate: Fate::Create, made: None, started: None });
        }
        replicas.sort_by_key(|replica| replica.number);
        self.replicas.insert(service, replicas);
    }

    fn replica(
        &self,
        service: &'a str,
        container: &'a ObservedContainer,
        cause: Option<Cause>,
    ) -> Replica<'a> {
        let number = container.number().unwrap_or(1);
        let settings = self.settings(service);
        let proper = settings.map_or_else(
            || container.name.clone(),
            |settings| self.up.names().container(service, settings, number),
        );
        let rebuilt = self.remade_volume(container);
        let (name, fate) = match cause {
            _ if rebuilt.is_some() => {
                let resource = rebuilt.unwrap_or_default().to_owned();
                (proper, Fate::Rebuild(container, Cause::Uses { resource }))
            }
            Some(cause) => (proper, Fate::Replace(container, cause)),
            None if is_left_over(container) => (proper, Fate::Rename(container)),
            None => (container.name.clone(), Fate::Keep(container)),
        };
        Replica { name, number, fate, made: None, started: None }
    }

    /// The containers of a service that exist, and those that an interrupted replacement left
    /// beside them.
    pub(super) fn present(
        &self,
        service: &'a str,
    ) -> (Vec<&'a ObservedContainer>, Vec<&'a ObservedContainer>) {
        let all: Vec<_> = self
            .observed
            .replicas(service)
            .filter(|container| !container.label(label::CONFIG_HASH).is_empty())
            .collect();
        let settled: BTreeSet<Option<u64>> = all
            .iter()
            .filter(|container| !is_left_over(container))
            .map(|container| container.number())
            .collect();
        all.into_iter().partition(|container| {
            !is_left_over(container) || !settled.contains(&container.number())
        })
    }

    /// Why a container cannot stay as it is.
    fn obsolete(&self, service: &'a str, container: &ObservedContainer) -> Option<Cause> {
        let up = self.up;
        let is_target = up.targets.contains(service);
        let policy = if is_target { up.recreate } else { up.recreate_dependencies };
        if up.create == Create::Nothing || policy == Recreate::Never {
            return None;
        }
        if policy == Recreate::Force {
            return Some(Cause::Requested);
        }
        if container.state == State::Dead {
            return Some(Cause::NotRunning);
        }
        let settings = self.settings(service)?;
        let renewed = references::shared_services(settings)
            .into_iter()
            .find(|shared| self.first(shared).is_some_and(|first| !first.fate.keeps()));
        if let Some(shared) = renewed {
            return Some(Cause::SharesWith { service: shared.to_owned() });
        }
        self.drift(service, container)
    }

    fn drift(&self, service: &'a str, container: &ObservedContainer) -> Option<Cause> {
        let settings = self.settings(service)?;
        let named = references::resolve(settings, |shared| self.first_name(shared));
        let shared = references::shared_services(settings);
        let id = |name: &str| {
            let first = shared.iter().filter_map(|service| self.first(service));
            let mut present = first.filter(|it| it.name == name).filter_map(|it| it.fate.present());
            present.next().map(|container| container.id.clone())
        };
        let image = self.up.names().image(service, settings);
        let image_id = self.observed.images.get(&image).map(|image| image.id.as_str());
        drift::cause(
            container,
            &Expected {
                settings: &named,
                hash: hash::container_hash(&named, id),
                image: (&image, image_id),
                networks: self.expected_networks(settings),
                volumes: self.expected_volumes(settings),
                unknown: self.up.unknown.get(service),
            },
        )
    }

    /// The first container of a service.
    pub(super) fn first(&self, service: &str) -> Option<&Replica<'a>> {
        self.replicas.get(service)?.first()
    }

    /// The name of the first container of a service.
    pub(super) fn first_name(&self, service: &str) -> Option<&str> {
        self.first(service).map(|replica| replica.name.as_str())
    }
}

/// Whether a container still has the temporary name of a replacement.
fn is_left_over(container: &ObservedContainer) -> bool {
    name::is_temporary(&container.name) && !container.label(label::REPLACE).is_empty()
}
