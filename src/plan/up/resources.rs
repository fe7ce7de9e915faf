//! What becomes of networks and volumes.
//!
//! One that is missing is created; one whose settings have changed is made anew, after its
//! containers let go of it. One that carries no config hash was not made by Compose: it is used as
//! it is, and the user is told.

use std::sync::Arc;

use super::Planner;
use crate::model::observed::{ObservedContainer, ObservedNetwork};
use crate::model::{Service, hash, label};
use crate::plan::desired::{ChangedVolumes, Create};
use crate::plan::step::{Cause, Op, Role, Step, StepId};
use crate::plan::{name, spec};

/// A network or volume.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resource {
    pub(super) fate: ResourceFate,
    /// The step after which it can be used.
    pub(super) made: Option<StepId>,
}

/// What becomes of a network or volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResourceFate {
    Keep,
    Create,
    Remake,
}

/// What is compared: the labels that a resource has and the hash that it should have.
fn judge(project: &str, labels: Option<&crate::model::Dict>, hash: &str) -> ResourceFate {
    let Some(labels) = labels else { return ResourceFate::Create };
    let is_ours = labels.get(label::PROJECT).is_some_and(|owner| owner == project);
    match labels.get(label::CONFIG_HASH) {
        Some(found) if is_ours && found != hash => ResourceFate::Remake,
        _ => ResourceFate::Keep,
    }
}

impl<'a> Planner<'a> {
    /// Decides what becomes of networks and volumes.
    pub(super) fn judge_resources(&mut self) {
        let project = self.up.project;
        for (key, network) in &project.networks {
            let found = self.observed.network(&network.name).map(|network| &network.labels);
            let fate = if network.external {
                ResourceFate::Keep
            } else {
                self.tell_owner("network", key, found);
                judge(&project.name, found, &hash::network_hash(network))
            };
            self.networks.insert(&network.name, Resource { fate: self.allowed(fate), made: None });
        }
        for (key, volume) in &project.volumes {
            let found = self.observed.volume(&volume.name).map(|volume| &volume.labels);
            let fate = if volume.external {
                ResourceFate::Keep
            } else {
                self.tell_owner("volume", key, found);
                judge(&project.name, found, &hash::volume_hash(volume))
            };
            let fate = match (fate, self.up.changed_volumes) {
                (ResourceFate::Remake, ChangedVolumes::Keep) => ResourceFate::Keep,
                _ => fate,
            };
            self.volumes.insert(&volume.name, Resource { fate: self.allowed(fate), made: None });
        }
    }

    /// `start` makes nothing.
    fn allowed(&self, fate: ResourceFate) -> ResourceFate {
        if self.up.create == Create::Nothing { ResourceFate::Keep } else { fate }
    }

    /// Tells the user about a resource of the same name that is not the project's.
    fn tell_owner(&mut self, kind: &str, key: &str, labels: Option<&crate::model::Dict>) {
        let Some(labels) = labels else { return };
        let project = &self.up.project.name;
        let name = match kind {
            "network" => name::network(self.up.project, key),
            _ => name::volume(self.up.project, key),
        };
        let warning = match labels.get(label::PROJECT) {
            Some(owner) if owner == project => return,
            Some(owner) => format!(
                "{kind} {name} exists but was created for project {owner:?}, not for {project:?}"
            ),
            None => format!("{kind} {name} exists but was not created by Compose"),
        };
        self.plan.warnings.push(format!("{warning}; set `external: true` to use it as it is"));
    }

    /// Networks that a service joins, with the ids of those that stay.
    pub(super) fn expected_networks(
        &self,
        settings: &'a Service,
    ) -> Vec<(&'a str, Option<&'a str>)> {
        if !settings.network_mode.is_empty() {
            return Vec::new();
        }
        let names = settings.networks.keys().map(|key| name::network(self.up.project, key));
        let stays =
            |name: &&str| self.networks.get(name).is_none_or(|it| it.fate != ResourceFate::Remake);
        names
            .filter(stays)
            .map(|name| (name, self.observed.network(name).map(|network| network.id.as_str())))
            .collect()
    }

    /// Names of the volumes of the project that a service mounts.
    pub(super) fn expected_volumes(&self, settings: &'a Service) -> Vec<&'a str> {
        settings
            .volumes
            .iter()
            .filter(|mount| mount.kind == "volume" && !mount.source.is_empty())
            .map(|mount| name::volume(self.up.project, &mount.source))
            .collect()
    }

    /// The volume that a container uses and that is made anew.
    pub(super) fn remade_volume(&self, container: &ObservedContainer) -> Option<&'a str> {
        self.volumes
            .iter()
            .filter(|(_, volume)| volume.fate == ResourceFate::Remake)
            .map(|(name, _)| *name)
            .find(|name| container.mounts.iter().any(|mount| mount.name == **name))
    }

    /// Creates networks, and makes anew those that changed.
    pub(super) fn make_networks(&mut self) {
        let project = self.up.project;
        for (key, network) in &project.networks {
            let Some(resource) = self.networks.get(network.name.as_str()).copied() else {
                continue;
            };
            let alone = if network.external { None } else { self.remove_doubles(&network.name) };
            let (cause, after) = match resource.fate {
                ResourceFate::Keep => {
                    self.networks.insert(&network.name, Resource { made: alone, ..resource });
                    continue;
                }
                ResourceFate::Create => (Cause::Missing, Vec::new()),
                ResourceFate::Remake => {
                    (Cause::ConfigChanged, vec![self.clear_network(&network.name, alone)])
                }
            };
            let Some(spec) = spec::network(project, key) else { continue };
            let step = self.add(Op::CreateNetwork(Arc::new(spec)), cause, after);
            self.networks.insert(&network.name, Resource { made: Some(step), ..resource });
        }
    }

    /// Removes what else has the name of a network, so that the name says which one is meant.
    fn remove_doubles(&mut self, name: &str) -> Option<StepId> {
        let observed = self.observed;
        let kept = observed.network(name)?;
        let is_double = |network: &&ObservedNetwork| {
            let owner = network.labels.get(label::PROJECT);
            network.name == name && network.id != kept.id && owner == Some(&self.up.project.name)
        };
        let doubles: Vec<_> = observed.networks.iter().filter(is_double).collect();
        doubles.into_iter().fold(None, |before, double| {
            let op = Op::RemoveNetwork(double.id.clone());
            Some(self.add(op, Cause::LeftOver, before.into_iter().collect()))
        })
    }

    /// Stops and detaches the containers of a network and removes it. `alone`: after this step no
    /// other one has its name.
    fn clear_network(&mut self, network: &'a str, alone: Option<StepId>) -> StepId {
        let cause = Cause::Uses { resource: network.to_owned() };
        let observed = self.observed;
        let is_attached = |container: &&ObservedContainer| {
            container.networks.iter().any(|at| at.network == network)
        };
        let mut cleared = Vec::from_iter(alone);
        for container in observed.containers.iter().filter(is_attached) {
            let mut after = self.stop(container, &cause, Role::Alone, Vec::new());
            after.extend(alone);
            let op =
                Op::Disconnect { network: network.to_owned(), container: container.name.clone() };
            cleared.push(self.add(op, cause.clone(), after));
        }
        self.add(Op::RemoveNetwork(network.to_owned()), Cause::ConfigChanged, cleared)
    }

    /// Creates volumes, and makes anew those that changed, after their containers are gone.
    pub(super) fn make_volumes(&mut self) {
        let project = self.up.project;
        for (key, volume) in &project.volumes {
            let Some(resource) = self.volumes.get(volume.name.as_str()).copied() else { continue };
            let (cause, after) = match resource.fate {
                ResourceFate::Keep => continue,
                ResourceFate::Create => (Cause::Missing, Vec::new()),
                ResourceFate::Remake => {
                    (Cause::ConfigChanged, vec![self.clear_volume(&volume.name)])
                }
            };
            let Some(spec) = spec::volume(project, key) else { continue };
            let step = self.plan.add(Step::new(Op::CreateVolume(Arc::new(spec)), cause, after));
            self.volumes.insert(&volume.name, Resource { made: Some(step), ..resource });
        }
    }

    /// Removes the containers of a volume, and it.
    fn clear_volume(&mut self, volume: &'a str) -> StepId {
        let cause = Cause::Uses { resource: volume.to_owned() };
        let observed = self.observed;
        let mounts = |container: &&ObservedContainer| {
            container.mounts.iter().any(|mount| mount.name == volume)
        };
        let mut cleared = Vec::new();
        for container in observed.containers.iter().filter(mounts) {
            cleared.push(self.remove(container, &cause));
        }
        self.add(Op::RemoveVolume(volume.to_owned()), Cause::ConfigChanged, cleared)
    }
}
