//! Takes containers down: `stop`, `restart`, `kill`, `pause`, `unpause`, `rm`, `down`.
//!
//! In: [`Treatment`], [`Removal`] or [`Down`], and what is observed. Out: plans that carry on
//! after a failure. What depends on a service is stopped before it.

use std::collections::{BTreeMap, BTreeSet};

use super::desired::{Action, Dependents, Down, Origin, Orphans, Removal, Treatment};
use super::providers::ProviderCalls;
use super::step::{Cause, Op, Plan, Policy, Step, StepId};
use super::up::{order, orphans};
use crate::model::observed::{Milestone, Observed, ObservedContainer, State};
use crate::model::{Project, Service, label};

/// Steps are ordered by service: those of one come after those of its neighbours.
#[derive(Debug)]
struct Walk<'a> {
    project: &'a Project,
    observed: &'a Observed,
    plan: Plan,
    /// The last steps of each service; of its neighbours where it has none itself.
    done: BTreeMap<&'a str, Vec<StepId>>,
    /// Whether the anonymous volumes of containers that are removed go too.
    volumes: bool,
}

/// The plan that treats running containers.
pub(super) fn treat(treatment: &Treatment<'_>, observed: &Observed) -> Plan {
    let project = treatment.project;
    let mut walk = Walk::new(project, observed);
    match &treatment.action {
        Action::Stop { seconds } => {
            for service in dependents_first(project) {
                let after = walk.after_dependents(service);
                let mut steps = Vec::new();
                if treatment.services.contains(service) {
                    steps = walk.each(service, |walk, container| {
                        walk.stop(container, *seconds, after.clone())
                    });
                    steps.extend(walk.call(&treatment.calls, service, &after));
                }
                walk.settle(service, steps, after);
            }
        }
        Action::Restart { seconds, dependents } => {
            let meant = restarted(treatment, *dependents);
            for service in order(project) {
                walk.restart(service, &meant, *seconds);
            }
        }
        Action::Kill { signal } => walk.all(treatment, ObservedContainer::is_up, |container| {
            Op::KillContainer { container, signal: signal.clone() }
        }),
        Action::Pause => {
            walk.all(treatment, |it| it.state == State::Running, Op::PauseContainer);
        }
        Action::Unpause => {
            walk.all(treatment, |it| it.state == State::Paused, Op::UnpauseContainer);
        }
    }
    walk.plan
}

/// The services that restart: those that are meant, and those that follow them.
fn restarted<'a>(treatment: &'a Treatment<'_>, dependents: Dependents) -> BTreeSet<&'a str> {
    let mut meant: BTreeSet<&str> = treatment.services.iter().map(String::as_str).collect();
    if dependents == Dependents::Ignore {
        return meant;
    }
    for service in order(treatment.project) {
        let Some(settings) = treatment.project.services.get(service) else { continue };
        let follows = |(name, terms): (&String, &crate::model::Dependency)| {
            terms.restart && meant.contains(name.as_str())
        };
        if settings.depends_on.iter().any(follows) {
            meant.insert(service);
        }
    }
    meant
}

/// The plan that removes containers that do not run.
pub(super) fn remove(removal: &Removal, observed: &Observed) -> Plan {
    let mut plan = Plan { policy: Policy::CarryOn, ..Plan::default() };
    for service in &removal.services {
        for container in observed.replicas(service).filter(|container| !container.is_up()) {
            let volumes = removal.volumes && container.has_anonymous_volumes();
            let op = Op::RemoveContainer { container: container.name.clone(), volumes };
            plan.add(Step::new(op, Cause::Requested, Vec::new()));
        }
    }
    plan
}

/// The plan that leaves nothing.
pub(super) fn down(down: &Down<'_>, observed: &Observed) -> Plan {
    let project = down.project;
    let meant = affected(down);
    let mut walk = Walk::new(project, observed);
    walk.volumes = down.volumes;
    let mut removed: BTreeMap<&str, StepId> = BTreeMap::new();
    for service in dependents_first(project) {
        let after = walk.after_dependents(service);
        let mut stopped = Vec::new();
        if meant.contains(service) {
            walk.each(service, |walk, container| {
                let before = walk.stop(container, down.seconds, after.clone());
                stopped.extend(&before);
                removed.insert(&container.id, walk.remove(container, before));
                Vec::new()
            });
            stopped.extend(walk.call(&down.calls, service, &after));
        }
        // What others wait for is the stop, not the removal.
        walk.settle(service, stopped, after);
    }
    if down.services.is_empty() {
        for container in strays(down, observed) {
            let before = walk.stop(container, down.seconds, Vec::new());
            removed.insert(&container.id, walk.remove(container, before));
        }
    }
    walk.remove_networks(down, &meant, &removed);
    if down.volumes {
        walk.remove_volumes(down, &meant, &removed);
    }
    let all: Vec<StepId> = removed.values().copied().collect();
    for image in &down.images {
        walk.try_to(Op::RemoveImage(image.clone()), all.clone());
    }
    walk.plan
}

/// The services that go: those that are meant and all that depend on them.
fn affected<'a>(down: &Down<'a>) -> BTreeSet<&'a str> {
    let mut meant: BTreeSet<&str> = BTreeSet::new();
    for service in order(down.project) {
        let Some(settings) = down.project.services.get(service) else { continue };
        let is_meant = down.services.is_empty()
            || down.services.contains(service)
            || settings.depends_on.keys().any(|name| meant.contains(name.as_str()));
        if is_meant {
            meant.insert(service);
        }
    }
    meant
}

/// Containers that belong to no service that goes but go too: with `--remove-orphans` those of
/// unknown services and of `run`; else only those of services that no profile enables.
fn strays<'a>(
    down: &'a Down<'_>,
    observed: &'a Observed,
) -> impl Iterator<Item = &'a ObservedContainer> {
    let remove = down.orphans == Orphans::Remove;
    let orphaned: BTreeSet<&str> =
        orphans(down.project, observed).map(|container| container.id.as_str()).collect();
    observed.containers.iter().filter(move |container| {
        let is_disabled = down.project.disabled_services.contains_key(container.service());
        let is_stray = orphaned.contains(container.id.as_str()) || container.is_one_off();
        (is_disabled && !container.is_one_off()) || (remove && is_stray)
    })
}

fn dependents_first(project: &Project) -> Vec<&str> {
    let mut services = order(project);
    services.reverse();
    services
}

impl<'a> Walk<'a> {
    fn new(project: &'a Project, observed: &'a Observed) -> Self {
        let plan = Plan { policy: Policy::CarryOn, ..Plan::default() };
        Self { project, observed, plan, done: BTreeMap::new(), volumes: false }
    }

    fn add(&mut self, op: Op, after: Vec<StepId>) -> StepId {
        self.plan.add(Step::new(op, Cause::Requested, after))
    }

    /// Adds a step whose failure is only a warning.
    fn try_to(&mut self, op: Op, after: Vec<StepId>) -> StepId {
        self.plan.add(Step::new(op, Cause::Requested, after).tolerated())
    }

    fn settings(&self, service: &str) -> Option<&'a Service> {
        self.project.services.get(service).map(Box::as_ref)
    }

    /// The last steps of the services that depend on this one.
    fn after_dependents(&self, service: &str) -> Vec<StepId> {
        let dependents = self
            .project
            .services
            .iter()
            .filter(|(_, settings)| settings.depends_on.contains_key(service));
        unique(dependents.filter_map(|(name, _)| self.done.get(name.as_str())).flatten())
    }

    /// Notes the last steps of a service; one that has none passes on what came before it.
    fn settle(&mut self, service: &'a str, steps: Vec<StepId>, after: Vec<StepId>) {
        self.done.insert(service, if steps.is_empty() { after } else { steps });
    }

    /// Does something to each container of a service; returns the steps.
    fn each(
        &mut self,
        service: &'a str,
        mut act: impl FnMut(&mut Self, &'a ObservedContainer) -> Vec<StepId>,
    ) -> Vec<StepId> {
        let containers: Vec<_> = self.observed.replicas(service).collect();
        let mut steps = Vec::new();
        for container in containers {
            steps.extend(act(self, container));
        }
        steps
    }

    /// Does something to all containers at once.
    fn all(
        &mut self,
        treatment: &Treatment<'_>,
        applies: impl Fn(&ObservedContainer) -> bool,
        op: impl Fn(String) -> Op,
    ) {
        let is_meant = |container: &&ObservedContainer| {
            treatment.services.contains(container.service()) && applies(container)
        };
        let containers: Vec<_> = self.observed.containers.iter().filter(is_meant).collect();
        for container in containers {
            self.add(op(container.name.clone()), Vec::new());
        }
    }

    /// Stops a container that runs, after its `pre_stop` hooks.
    fn stop(
        &mut self,
        container: &ObservedContainer,
        seconds: Option<i32>,
        mut after: Vec<StepId>,
    ) -> Vec<StepId> {
        if !container.is_up() {
            return after;
        }
        let hooks = self.settings(container.service()).map_or(&[][..], |it| &it.pre_stop);
        for hook in hooks {
            after = vec![self.add(Op::pre_stop(&container.name, hook), after)];
        }
        let op = Op::StopContainer { container: container.name.clone(), seconds };
        vec![self.add(op, after)]
    }

    /// Has the external program of a service do its part.
    fn call(&mut self, calls: &ProviderCalls, service: &str, after: &[StepId]) -> Option<StepId> {
        let call = calls.get(service)?.clone();
        Some(self.add(Op::CallProvider(call), after.to_vec()))
    }

    fn remove(&mut self, container: &ObservedContainer, after: Vec<StepId>) -> StepId {
        let volumes = self.volumes && container.has_anonymous_volumes();
        self.add(Op::RemoveContainer { container: container.name.clone(), volumes }, after)
    }

    /// Restarts the containers of a service after those that it depends on.
    fn restart(&mut self, service: &'a str, meant: &BTreeSet<&str>, seconds: Option<i32>) {
        let Some(settings) = self.settings(service) else { return };
        let mut after = Vec::new();
        for (dependency, terms) in settings.depends_on.iter().filter(|(_, terms)| terms.restart) {
            after.extend(self.done.get(dependency.as_str()).into_iter().flatten());
            if terms.condition == "service_healthy" && meant.contains(dependency.as_str()) {
                after.extend(self.await_healthy(dependency, service));
            }
        }
        let after = unique(after.iter());
        if !meant.contains(service) {
            return self.settle(service, Vec::new(), after);
        }
        let steps = self.each(service, |walk, container| {
            let mut after = after.clone();
            if container.is_up() {
                for hook in &settings.pre_stop {
                    after = vec![walk.add(Op::pre_stop(&container.name, hook), after)];
                }
            }
            let op = Op::RestartContainer { container: container.name.clone(), seconds };
            let mut step = walk.add(op, after);
            for hook in &settings.post_start {
                step = walk.add(Op::post_start(&container.name, hook), vec![step]);
            }
            vec![step]
        });
        self.settle(service, steps, after);
    }

    fn await_healthy(&mut self, dependency: &'a str, service: &str) -> Vec<StepId> {
        let after = self.done.get(dependency).cloned().unwrap_or_default();
        self.each(dependency, |walk, container| {
            let milestone = Milestone::Healthy;
            let op = Op::Wait { container: container.name.clone(), milestone };
            let cause = Cause::NeededBy { service: service.to_owned() };
            vec![walk.plan.add(Step::new(op, cause, after.clone()))]
        })
    }

    /// Removes the project's networks after the containers that are in them. One that is still in
    /// use stays, with a warning.
    fn remove_networks(
        &mut self,
        down: &Down<'_>,
        meant: &BTreeSet<&str>,
        removed: &BTreeMap<&str, StepId>,
    ) {
        for network in &self.observed.networks {
            let key = network.labels.get(label::NETWORK).map_or("", String::as_str);
            let is_ours = network.labels.get(label::PROJECT) == Some(&self.project.name);
            if !is_ours || !self.is_free(down, meant, |it| it.networks.contains_key(key)) {
                continue;
            }
            let members = self.observed.containers.iter().filter(|container| {
                container.networks.iter().any(|attached| attached.network == network.name)
            });
            let after = members.filter_map(|it| removed.get(it.id.as_str()).copied()).collect();
            self.try_to(Op::RemoveNetwork(self.observed.handle(network).to_owned()), after);
        }
    }

    /// Removes the volumes that the project defines; all that carry its label if there are no
    /// files that define any.
    fn remove_volumes(
        &mut self,
        down: &Down<'_>,
        meant: &BTreeSet<&str>,
        removed: &BTreeMap<&str, StepId>,
    ) {
        for volume in &self.observed.volumes {
            let key = volume.labels.get(label::VOLUME).map_or("", String::as_str);
            let is_ours = volume.labels.get(label::PROJECT) == Some(&self.project.name);
            let defined = self.project.volumes.values().find(|it| it.name == volume.name);
            let goes = match down.origin {
                Origin::Labels => is_ours,
                Origin::Files => defined.is_some_and(|volume| !volume.external),
            };
            let mounts = |it: &Service| {
                it.volumes.iter().any(|mount| mount.kind == "volume" && mount.source == key)
            };
            if !goes || !self.is_free(down, meant, mounts) {
                continue;
            }
            // The data of others is not this project's to lose.
            if let Some(owner) = volume.labels.get(label::PROJECT).filter(|_| !is_ours) {
                let name = &volume.name;
                self.plan.warnings.push(format!(
                    "volume {name} stays, because it was created for project {owner:?}"
                ));
                continue;
            }
            let users =
                self.observed.containers.iter().filter(|container| {
                    container.mounts.iter().any(|mount| mount.name == volume.name)
                });
            let after = users.filter_map(|it| removed.get(it.id.as_str()).copied()).collect();
            self.try_to(Op::RemoveVolume(volume.name.clone()), after);
        }
    }

    /// Whether a resource is used by services that go, and by no other. Without names of services
    /// all go.
    fn is_free(
        &self,
        down: &Down<'_>,
        meant: &BTreeSet<&str>,
        uses: impl Fn(&Service) -> bool,
    ) -> bool {
        if down.services.is_empty() {
            return true;
        }
        let mut all = self.project.services.iter().filter(|(_, it)| uses(it)).peekable();
        all.peek().is_some() && all.all(|(name, _)| meant.contains(name.as_str()))
    }
}

fn unique<'s>(steps: impl Iterator<Item = &'s StepId>) -> Vec<StepId> {
    steps.copied().collect::<BTreeSet<_>>().into_iter().collect()
}
