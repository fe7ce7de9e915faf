//! Brings containers up: [`Up`] and what is observed to a plan.
//!
//! Reads as the phases it performs: what becomes of networks and volumes, what becomes of each
//! container, then the steps. A step is added after those that it waits for, so that a plan reads
//! from top to bottom.

mod containers;
mod fate;
mod resources;
mod start;

use std::collections::{BTreeMap, BTreeSet};

use super::desired::{Orphans, Up};
use super::step::{Cause, Op, Plan, Role, Step, StepId};
use crate::graph::Graph;
use crate::model::observed::{Health, Milestone, Observed, ObservedContainer, State};
use crate::model::{Project, Service, label};

use fate::Replica;
use resources::Resource;

/// What is known while the plan is made.
#[derive(Debug)]
struct Planner<'a> {
    up: &'a Up<'a>,
    observed: &'a Observed,
    plan: Plan,
    /// By name in the runtime.
    networks: BTreeMap<&'a str, Resource>,
    /// By name in the runtime.
    volumes: BTreeMap<&'a str, Resource>,
    /// The containers of each service, by service.
    replicas: BTreeMap<&'a str, Vec<Replica<'a>>>,
    /// Containers that an earlier step has stopped: the step, by id of the container.
    stopped: BTreeMap<&'a str, StepId>,
    /// Containers that an earlier step has removed: the step, by id of the container.
    removed: BTreeMap<&'a str, StepId>,
    /// Waits that exist: the steps, by service, how far, and whether failure is tolerated.
    waits: BTreeMap<(&'a str, Milestone, bool), Vec<StepId>>,
}

/// The plan that brings a project up.
pub(super) fn plan(up: &Up<'_>, observed: &Observed) -> Plan {
    let mut planner = Planner {
        up,
        observed,
        plan: Plan::default(),
        networks: BTreeMap::new(),
        volumes: BTreeMap::new(),
        replicas: BTreeMap::new(),
        stopped: BTreeMap::new(),
        removed: BTreeMap::new(),
        waits: BTreeMap::new(),
    };
    planner.judge_resources();
    let order = order(up.project);
    for service in &order {
        planner.judge_service(service);
    }
    planner.make_networks();
    planner.make_volumes();
    planner.remove_leftovers();
    for service in &order {
        planner.make_service(service);
        planner.start_service(service);
    }
    planner.await_targets(&order);
    planner.treat_orphans();
    planner.plan
}

/// The containers of the services that are meant which have been as far as they should be and are
/// not any more: they ended, or became unhealthy, while others were waited for.
pub(super) fn fallen<'o>(up: &'o Up<'_>, observed: &'o Observed) -> Vec<&'o ObservedContainer> {
    let mut fallen = Vec::new();
    for service in &up.targets {
        let milestone = start::milestone(up.project, service);
        let failed = |container: &&ObservedContainer| {
            let has_ended = matches!(container.state, State::Exited | State::Dead);
            let is_done = milestone == Milestone::ReadyOrCompleted && container.exit_code == 0;
            let is_sick =
                container.state == State::Running && container.health == Health::Unhealthy;
            (has_ended && !is_done) || is_sick
        };
        if milestone != Milestone::Completed {
            fallen.extend(observed.replicas(service).filter(failed));
        }
    }
    fallen
}

/// The services, each after those that it depends on.
pub(super) fn order(project: &Project) -> Vec<&str> {
    let mut graph = Graph::default();
    for (name, settings) in &project.services {
        graph.add(name);
        for dependency in settings.depends_on.keys() {
            if project.services.contains_key(dependency) {
                graph.depend(name, dependency);
            }
        }
    }
    graph.order()
}

impl<'a> Planner<'a> {
    fn settings(&self, service: &str) -> Option<&'a Service> {
        self.up.project.services.get(service).map(Box::as_ref)
    }

    fn add(&mut self, op: Op, cause: Cause, after: Vec<StepId>) -> StepId {
        self.plan.add(Step::new(op, cause, after))
    }

    /// Stops a container after its `pre_stop` hooks, unless it does not run or a step does so
    /// already. Returns what must come before its removal.
    fn stop(
        &mut self,
        container: &'a ObservedContainer,
        cause: &Cause,
        role: Role,
        mut after: Vec<StepId>,
    ) -> Vec<StepId> {
        if let Some(step) = self.stopped.get(container.id.as_str()) {
            after.push(*step);
            return after;
        }
        if !container.is_up() {
            return after;
        }
        let hooks = self.settings(container.service()).map_or(&[][..], |it| &it.pre_stop);
        for hook in hooks {
            let op = Op::pre_stop(&container.name, hook);
            after = vec![self.plan.add(Step::new(op, cause.clone(), after).with_role(role))];
        }
        let op = Op::StopContainer { container: container.name.clone(), seconds: self.up.seconds };
        let step = self.plan.add(Step::new(op, cause.clone(), after).with_role(role));
        self.stopped.insert(&container.id, step);
        vec![step]
    }

    /// Stops and removes a container.
    fn remove(&mut self, container: &'a ObservedContainer, cause: &Cause) -> StepId {
        if let Some(step) = self.removed.get(container.id.as_str()) {
            return *step;
        }
        let after = self.stop(container, cause, Role::Alone, Vec::new());
        let op = Op::RemoveContainer { container: container.name.clone(), volumes: false };
        let step = self.add(op, cause.clone(), after);
        self.removed.insert(&container.id, step);
        step
    }

    fn treat_orphans(&mut self) {
        let observed = self.observed;
        let orphans: Vec<_> = orphans(self.up.project, observed).collect();
        match self.up.orphans {
            _ if orphans.is_empty() => {}
            Orphans::Ignore => {}
            Orphans::Remove => {
                for orphan in orphans {
                    self.remove(orphan, &Cause::Orphan);
                }
            }
            Orphans::Tell => self.plan.warnings.push(orphan_warning(&orphans)),
        }
    }
}

fn orphan_warning(orphans: &[&ObservedContainer]) -> String {
    let names: Vec<&str> = orphans.iter().map(|orphan| orphan.name.as_str()).collect();
    format!(
        "Found orphan containers ([{}]) for this project. If you removed or renamed this service \
         in your compose file, you can run this command with the --remove-orphans flag to clean \
         it up.",
        names.join(" ")
    )
}

/// Containers of services that the project does not have, and those of `run` that have ended.
pub(super) fn orphans<'a>(
    project: &'a Project,
    observed: &'a Observed,
) -> impl Iterator<Item = &'a ObservedContainer> {
    let known: BTreeSet<&str> = project
        .services
        .keys()
        .chain(project.disabled_services.keys())
        .map(String::as_str)
        .collect();
    observed.containers.iter().filter(move |container| {
        let unknown = !known.contains(container.service());
        if container.is_one_off() {
            !container.is_up() && container.state != State::Created
        } else {
            unknown && !container.label(label::CONFIG_HASH).is_empty()
        }
    })
}
