//! The steps that start containers, and the waits before and after.

use std::sync::Arc;

use super::Planner;
use crate::model::observed::{Milestone, ObservedContainer, State};
use crate::model::spec::InjectedFile;
use crate::model::{Dependency, Project};
use crate::plan::desired::Until;
use crate::plan::step::{Cause, Op, Step, StepId};
use crate::plan::{name, spec};

use super::fate::Fate;
use super::resources::ResourceFate;

/// The words of `depends_on.*.condition`.
const HEALTHY: &str = "service_healthy";
const COMPLETED: &str = "service_completed_successfully";

impl<'a> Planner<'a> {
    /// Starts the containers of a service that do not run.
    pub(super) fn start_service(&mut self, service: &'a str) {
        let Some(settings) = self.settings(service) else { return };
        if self.up.until < Until::Started {
            return;
        }
        let files: Arc<[InjectedFile]> = spec::injected(self.up.project, settings).into();
        let mut ready: Option<Vec<StepId>> = None;
        for replica in self.replicas.get(service).into_iter().flatten() {
            self.plan.services.insert(replica.name.clone(), service.to_owned());
        }
        for index in 0..self.replicas.get(service).map_or(0, Vec::len) {
            let Some((name, cause, mut after)) = self.startable(service, index) else { continue };
            // Asked for once, and only where something starts.
            let dependencies = match ready.take() {
                Some(ready) => ready,
                None => self.await_dependencies(service),
            };
            after.extend(&dependencies);
            ready = Some(dependencies);
            let op = match self.paused(service, index) {
                Some(container) => Op::UnpauseContainer(container.name.clone()),
                None => Op::StartContainer { container: name.clone(), files: files.clone() },
            };
            let mut step = self.add(op, cause.clone(), after);
            for hook in &settings.post_start {
                step = self.add(Op::post_start(&name, hook), cause.clone(), vec![step]);
            }
            if let Some(replica) = self.replicas.get_mut(service).and_then(|all| all.get_mut(index))
            {
                replica.started = Some(step);
            }
        }
    }

    /// Name of a container that must be started, why, and after which steps.
    fn startable(&mut self, service: &str, index: usize) -> Option<(String, Cause, Vec<StepId>)> {
        let replica = self.replicas.get(service)?.get(index)?;
        let mut after: Vec<StepId> = replica.made.into_iter().collect();
        let present = replica.fate.present();
        let stopped = present.and_then(|it| self.stopped.get(it.id.as_str()).copied());
        let cause = match &replica.fate {
            Fate::Keep(container) | Fate::Rename(container) => match container.state {
                State::Running | State::Restarting if stopped.is_none() => {
                    self.plan.unchanged.push(replica.name.clone());
                    return None;
                }
                _ => Cause::NotRunning,
            },
            Fate::Replace(..) | Fate::Rebuild(..) | Fate::Create => Cause::NotRunning,
        };
        if replica.fate.keeps() {
            after.extend(stopped);
            after.extend(self.told_apart(service));
        }
        Some((replica.name.clone(), cause, after))
    }

    /// The steps after which a name of the service's networks means one network.
    fn told_apart(&self, service: &str) -> impl Iterator<Item = StepId> {
        let keys = self.settings(service).into_iter().flat_map(|settings| settings.networks.keys());
        keys.filter_map(|key| self.networks.get(name::network(self.up.project, key)))
            .filter(|network| network.fate == ResourceFate::Keep)
            .filter_map(|network| network.made)
    }

    /// A container that stays and is frozen.
    fn paused(&self, service: &str, index: usize) -> Option<&'a ObservedContainer> {
        let fate = &self.replicas.get(service)?.get(index)?.fate;
        let present = fate.present().filter(|_| fate.keeps())?;
        let is_paused =
            present.state == State::Paused && !self.stopped.contains_key(present.id.as_str());
        is_paused.then_some(present)
    }

    /// The steps after which all that a service depends on is as far as it needs.
    fn await_dependencies(&mut self, service: &'a str) -> Vec<StepId> {
        let Some(settings) = self.settings(service) else { return Vec::new() };
        let mut steps = Vec::new();
        for (dependency, terms) in &settings.depends_on {
            steps.extend(self.await_dependency(dependency, terms, service));
        }
        steps
    }

    fn await_dependency(
        &mut self,
        dependency: &'a str,
        terms: &Dependency,
        service: &str,
    ) -> Vec<StepId> {
        let milestone = match terms.condition.as_str() {
            HEALTHY => Milestone::Healthy,
            COMPLETED => Milestone::Completed,
            _ => {
                let replicas = self.replicas.get(dependency).into_iter().flatten();
                return replicas.filter_map(|replica| replica.started).collect();
            }
        };
        let cause = Cause::NeededBy { service: service.to_owned() };
        self.await_service(dependency, milestone, (terms.required, cause))
    }

    /// Waits for every container of a service.
    fn await_service(
        &mut self,
        service: &'a str,
        milestone: Milestone,
        (required, cause): (bool, Cause),
    ) -> Vec<StepId> {
        if let Some(steps) = self.waits.get(&(service, milestone, required)) {
            return steps.clone();
        }
        let mut waits = Vec::new();
        for replica in self.replicas.get(service).into_iter().flatten() {
            let is_there = match &replica.fate {
                Fate::Keep(container) if replica.started.is_none() => {
                    container.state == State::Running && milestone.is_reached_by(container.health)
                }
                _ => false,
            };
            if !is_there {
                let op = Op::Wait { container: replica.name.clone(), milestone };
                let after = replica.started.or(replica.made).into_iter().collect();
                let step = Step::new(op, cause.clone(), after);
                waits.push(if required { step } else { step.tolerated() });
            }
        }
        let steps: Vec<StepId> = waits.into_iter().map(|wait| self.plan.add(wait)).collect();
        self.waits.insert((service, milestone, required), steps.clone());
        steps
    }

    /// `--wait`: waits for all services that are meant.
    pub(super) fn await_targets(&mut self, order: &[&'a str]) {
        if self.up.until < Until::Ready {
            return;
        }
        for service in order {
            if self.up.targets.contains(*service) {
                let milestone = milestone(self.up.project, service);
                self.await_service(service, milestone, (true, Cause::Requested));
            }
        }
    }
}

/// How far a service gets that does all it should.
pub(super) fn milestone(project: &Project, service: &str) -> Milestone {
    let others = project.services.values();
    let mut conditions =
        others.filter_map(|other| other.depends_on.get(service)).map(|it| &it.condition);
    if conditions.any(|condition| condition == COMPLETED) {
        return Milestone::Completed;
    }
    match project.services.get(service) {
        Some(settings) if restarts(settings) => Milestone::Ready,
        _ => Milestone::ReadyOrCompleted,
    }
}

/// Whether the runtime starts the service's containers again when they end well.
fn restarts(settings: &crate::model::Service) -> bool {
    let policy = settings.deploy.as_ref().and_then(|deploy| deploy.restart_policy.as_ref());
    match policy {
        Some(policy) => !matches!(policy.condition.as_str(), "none" | "on-failure"),
        None => matches!(settings.restart.as_str(), "always" | "unless-stopped"),
    }
}
