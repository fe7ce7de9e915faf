//! The steps that make containers: create, replace, remove what is too many.

use std::sync::Arc;

use super::Planner;
use super::fate::Fate;
use super::resources::ResourceFate;
use crate::model::observed::ObservedContainer;
use crate::model::spec::ContainerSpec;
use crate::model::{Service, label};
use crate::plan::desired::{AnonymousVolumes, Create, Until};
use crate::plan::drift;
use crate::plan::spec::{self, Identity};
use crate::plan::step::{Cause, Op, Role, Step, StepId};
use crate::plan::{name, references};

impl<'a> Planner<'a> {
    /// Removes containers that are too many or that an interrupted command left behind.
    pub(super) fn remove_leftovers(&mut self) {
        if self.up.create == Create::Nothing {
            return;
        }
        let services: Vec<&'a str> = self.replicas.keys().copied().collect();
        for service in services {
            let (present, left_over) = self.present(service);
            for container in left_over {
                self.remove(container, &Cause::LeftOver);
            }
            for container in present {
                let stays = self.replicas.get(service).into_iter().flatten().any(|replica| {
                    replica.fate.present().is_some_and(|present| present.id == container.id)
                });
                if !stays {
                    self.remove(container, &Cause::Surplus);
                }
            }
        }
    }

    /// Makes the containers of a service.
    pub(super) fn make_service(&mut self, service: &'a str) {
        let count = self.replicas.get(service).map_or(0, Vec::len);
        let ready = self.ready_to_create(service);
        for index in 0..count {
            let Some(replica) = self.replicas.get(service).and_then(|all| all.get(index)) else {
                continue;
            };
            let name = replica.name.clone();
            let made = match replica.fate.clone() {
                Fate::Keep(container) => self.reconnect(container),
                Fate::Rename(container) => {
                    let op = Op::RenameContainer { from: container.name.clone(), to: name };
                    let after = self.removed_left_over(container);
                    Some(self.add(op, Cause::LeftOver, after))
                }
                Fate::Create => {
                    let spec = self.container_spec(service, index, None);
                    spec.map(|spec| self.create(spec, Cause::Missing, ready.clone()))
                }
                Fate::Rebuild(old, cause) => {
                    let mut after = ready.clone();
                    after.extend(self.removed.get(old.id.as_str()));
                    let spec = self.container_spec(service, index, Some(old));
                    spec.map(|spec| self.create(spec, cause, after))
                }
                Fate::Replace(old, cause) => self.replace(service, index, (old, cause), &ready),
            };
            if let Some(replica) = self.replicas.get_mut(service).and_then(|all| all.get_mut(index))
            {
                replica.made = made;
            }
        }
    }

    /// What must be there before containers of a service are created.
    fn ready_to_create(&self, service: &str) -> Vec<StepId> {
        let Some(settings) = self.settings(service) else { return Vec::new() };
        let project = self.up.project;
        let networks = settings
            .networks
            .keys()
            .filter_map(|key| self.networks.get(name::network(project, key))?.made);
        let volumes = settings
            .volumes
            .iter()
            .filter_map(|mount| self.volumes.get(name::volume(project, &mount.source))?.made);
        let linked = settings.links.iter().map(|link| link.split(':').next().unwrap_or(link));
        let others = references::shared_services(settings)
            .into_iter()
            .chain(linked)
            .filter_map(|other| self.replicas.get(other))
            .flatten()
            .filter_map(|replica| replica.made);
        let mut ready: Vec<StepId> = networks.chain(volumes).chain(others).collect();
        ready.sort_unstable();
        ready.dedup();
        ready
    }

    fn create(&mut self, spec: ContainerSpec, cause: Cause, after: Vec<StepId>) -> StepId {
        self.add(Op::CreateContainer(Arc::new(spec)), cause, after)
    }

    /// Puts another container in the place of one: the new one is there before the old one goes.
    fn replace(
        &mut self,
        service: &'a str,
        index: usize,
        (old, cause): (&'a ObservedContainer, Cause),
        ready: &[StepId],
    ) -> Option<StepId> {
        let mut spec = self.container_spec(service, index, Some(old))?;
        let name = std::mem::take(&mut spec.name);
        spec.name = name::temporary(old, &name);
        let mut after = ready.to_vec();
        after.extend(self.left_over_named(&spec.name));
        let temporary = spec.name.clone();
        let part = |op, after, role| Step::new(op, Cause::Replacement, after).with_role(role);
        let create = Op::CreateContainer(Arc::new(spec));
        let created = self.plan.add(Step::new(create, cause, after).with_role(Role::Begins));
        let mut after = vec![created];
        if self.up.until >= Until::Started {
            after.extend(self.stop_dependents(service));
        }
        let stopped = self.stop(old, &Cause::Replacement, Role::GoesOn, after);
        let remove = Op::RemoveContainer { container: old.name.clone(), volumes: false };
        let removed = self.plan.add(part(remove, stopped, Role::GoesOn));
        let rename = Op::RenameContainer { from: temporary, to: name };
        Some(self.plan.add(part(rename, vec![removed], Role::Ends)))
    }

    /// Stops the containers that stay and restart with this service.
    fn stop_dependents(&mut self, service: &'a str) -> Vec<StepId> {
        let project = self.up.project;
        let follows = |settings: &Service| {
            settings.depends_on.get(service).is_some_and(|dependency| dependency.restart)
        };
        let mut steps = Vec::new();
        for (dependent, _) in project.services.iter().filter(|(_, settings)| follows(settings)) {
            let stays: Vec<&'a ObservedContainer> = self
                .replicas
                .get(dependent.as_str())
                .into_iter()
                .flatten()
                .filter(|replica| replica.fate.keeps())
                .filter_map(|replica| replica.fate.present())
                .collect();
            let cause = Cause::DependsOn { service: service.to_owned() };
            for container in stays {
                steps.extend(self.stop(container, &cause, Role::Alone, Vec::new()));
            }
        }
        steps
    }

    /// Attaches a container that stays to networks that were made anew.
    fn reconnect(&mut self, container: &'a ObservedContainer) -> Option<StepId> {
        let settings = self.settings(container.service())?;
        let identity = Identity {
            service: container.service(),
            name: &container.name,
            number: container.number(),
            image: &container.image,
            image_id: None,
        };
        let spec = spec::container(self.up.project, settings, identity);
        let mut last = None;
        for endpoint in spec.endpoints {
            let Some(network) = self.networks.get(endpoint.network.as_str()) else { continue };
            let (ResourceFate::Remake, Some(made)) = (network.fate, network.made) else { continue };
            let op = Op::Connect {
                container: container.name.clone(),
                options: Arc::new(endpoint.options),
                network: endpoint.network.clone(),
            };
            let cause = Cause::Uses { resource: endpoint.network };
            last = Some(self.add(op, cause, last.into_iter().chain([made]).collect()));
        }
        last
    }

    /// The container of a service, complete.
    fn container_spec(
        &self,
        service: &'a str,
        index: usize,
        old: Option<&ObservedContainer>,
    ) -> Option<ContainerSpec> {
        let replica = self.replicas.get(service)?.get(index)?;
        let settings = self.settings(service)?;
        let named = references::resolve(settings, |shared| self.first_name(shared));
        let image = self.up.names().image(service, settings);
        let found = self.observed.images.get(&image);
        let identity = Identity {
            service,
            name: &replica.name,
            number: Some(replica.number),
            image: &image,
            image_id: found.map(|found| found.id.as_str()),
        };
        let mut spec = spec::container(self.up.project, &named, identity);
        spec.shares_with = references::shared_services(settings)
            .into_iter()
            .filter_map(|shared| self.first_name(shared).map(str::to_owned))
            .collect();
        spec.links = spec::links(settings, |other| {
            let all = self.replicas.get(other).into_iter().flatten();
            all.map(|replica| (replica.number, replica.name.clone())).collect()
        });
        spec.labels.insert(label::SPEC.to_owned(), drift::record_text(&named));
        if let Some(old) = old {
            // Docker Compose leaves out the project here.
            let replaced = if settings.container_name.is_empty() {
                format!("{service}{}{}", self.up.separator, replica.number)
            } else {
                settings.container_name.clone()
            };
            spec.labels.insert(label::REPLACE.to_owned(), replaced);
            if self.up.anonymous_volumes == AnonymousVolumes::Inherit {
                spec::inherit(&mut spec, old, found);
            }
        }
        Some(spec)
    }

    /// The step that removes what is left over beside a container.
    fn removed_left_over(&self, container: &ObservedContainer) -> Vec<StepId> {
        self.removed.get(container.id.as_str()).copied().into_iter().collect()
    }

    /// The step that removes a left-over container of this name.
    fn left_over_named(&self, name: &str) -> Option<StepId> {
        let container = self.observed.containers.iter().find(|it| it.name == name)?;
        self.removed.get(container.id.as_str()).copied()
    }
}
