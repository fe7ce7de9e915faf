//! The container of a `run`: a service with what the user says in place of what the file says.
//!
//! In: a project whose other services are up, what is observed, and a [`Run`]. Out: a [`Plan`] that
//! waits for what the service depends on, and makes the container.
//!
//! # Invariants
//!
//! - The container has no number, no fixed name and no restart policy, so that it stands beside
//!   those of `up` and is never taken for one of them.
//! - Ports are published, and names taken in networks, only where the user says so.

use std::sync::Arc;

use super::desired::{Until, Up};
use super::spec::{self, Identity};
use super::step::{Cause, Op, Plan, Step, StepId};
use super::{name, references};
use crate::model::observed::{Milestone, Observed, ObservedContainer, State};
use crate::model::spec::{ContainerSpec, OneOff};
use crate::model::{Dependency, Dict, Environment, Mount, Port, Service, ShellCommand, label};

/// Length of the start of a slug that stands in a name.
const SHORT_SLUG: usize = 12;

/// What the user says about a container of a service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    /// The service.
    pub service: String,
    /// Name of the container; empty: one is made from the slug.
    pub name: String,
    /// Random hexadecimal digits that no other container has.
    pub slug: String,
    /// Replaces the command; `None`: the service's.
    pub command: ShellCommand,
    /// Replaces the entrypoint, and the command with it; `None`: the service's.
    pub entrypoint: ShellCommand,
    /// Replaces the user; empty: the service's.
    pub user: String,
    /// Replaces the working directory; empty: the service's.
    pub working_dir: String,
    /// Added to the environment.
    pub environment: Environment,
    /// Added to the labels.
    pub labels: Dict,
    /// Capabilities to add.
    pub cap_add: Vec<String>,
    /// Capabilities to drop.
    pub cap_drop: Vec<String>,
    /// Added to the mounts; one with the same target is replaced.
    pub mounts: Vec<Mount>,
    /// What is published.
    pub ports: Ports,
    /// What it is called in its networks.
    pub aliases: Aliases,
    /// Whether it gets a terminal.
    pub tty: bool,
    /// What only such a container has.
    pub one_off: OneOff,
}

/// What a container of `run` publishes.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Ports {
    /// Nothing.
    #[default]
    None,
    /// What the service does.
    Service,
    /// These.
    These(Vec<Port>),
}

/// What a container of `run` is called in its networks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Aliases {
    /// Its own name.
    #[default]
    Own,
    /// As the service, too.
    Service,
}

impl Run {
    /// Name of the container.
    pub fn container_name(&self, up: &Up<'_>) -> String {
        if !self.name.is_empty() {
            return self.name.clone();
        }
        let slug: String = self.slug.chars().take(SHORT_SLUG).collect();
        let separator = up.separator;
        let project = &up.project.name;
        format!("{project}{separator}{}{separator}run{separator}{slug}", self.service)
    }

    /// The service as it is run.
    pub fn settings(&self, service: &Service) -> Service {
        let mut settings = service.clone();
        if self.entrypoint.is_some() {
            settings.entrypoint.clone_from(&self.entrypoint);
            settings.command = Some(Vec::new());
        }
        if self.command.is_some() {
            settings.command.clone_from(&self.command);
        }
        replace(&mut settings.user, &self.user);
        replace(&mut settings.working_dir, &self.working_dir);
        settings.environment.extend(self.environment.clone());
        settings.labels.extend(self.labels.clone());
        move_all(&self.cap_add, &mut settings.cap_add, &mut settings.cap_drop);
        move_all(&self.cap_drop, &mut settings.cap_drop, &mut settings.cap_add);
        for mount in &self.mounts {
            settings.volumes.retain(|old| old.target != mount.target);
            settings.volumes.push(mount.clone());
        }
        match &self.ports {
            Ports::None => settings.ports = Vec::new(),
            Ports::Service => {}
            Ports::These(ports) => settings.ports.clone_from(ports),
        }
        settings.tty = self.tty;
        settings.stdin_open = self.one_off.interactive;
        settings.container_name = String::new();
        settings.restart = String::new();
        settings.scale = Some(1);
        if let Some(deploy) = &mut settings.deploy {
            deploy.replicas = None;
            deploy.restart_policy = None;
        }
        settings
    }
}

fn replace(value: &mut String, by: &str) {
    if !by.is_empty() {
        by.clone_into(value);
    }
}

/// Puts words into one list and takes them out of another.
fn move_all(words: &[String], into: &mut Vec<String>, out_of: &mut Vec<String>) {
    out_of.retain(|word| !words.contains(word));
    for word in words {
        if !into.contains(word) {
            into.push(word.clone());
        }
    }
}

/// The plan that makes the container, and with [`Until::Started`] starts it.
pub fn plan(up: &Up<'_>, observed: &Observed, run: &Run) -> Plan {
    let mut plan = Plan::default();
    let Some(service) = up.project.services.get(&run.service) else { return plan };
    let settings = run.settings(service);
    let mut after = Vec::new();
    for (dependency, terms) in &service.depends_on {
        // What is not to be brought up is not waited for either.
        if up.project.services.contains_key(dependency) {
            after.extend(waits(&mut plan, observed, (dependency, terms), &run.service));
        }
    }
    let spec = container(up, observed, run, &settings);
    let name = spec.name.clone();
    let create = Op::CreateContainer(Arc::new(spec));
    let mut step = plan.add(Step::new(create, Cause::Requested, after));
    if up.until >= Until::Started {
        let files = spec::injected(up.project, &settings).into();
        let start = Op::StartContainer { container: name.clone(), files };
        step = plan.add(Step::new(start, Cause::Requested, vec![step]));
        for hook in &settings.post_start {
            let hook = Op::post_start(&name, hook);
            step = plan.add(Step::new(hook, Cause::Requested, vec![step]));
        }
    }
    plan
}

/// Waits until a dependency is as far as the service needs it.
fn waits(
    plan: &mut Plan,
    observed: &Observed,
    (dependency, terms): (&str, &Dependency),
    service: &str,
) -> Vec<StepId> {
    let milestone = match terms.condition.as_str() {
        "service_healthy" => Milestone::Healthy,
        "service_completed_successfully" => Milestone::Completed,
        _ => return Vec::new(),
    };
    let is_there = |container: &&ObservedContainer| {
        container.state == State::Running && milestone.is_reached_by(container.health)
    };
    let mut steps = Vec::new();
    for container in observed.replicas(dependency).filter(|container| !is_there(container)) {
        let op = Op::Wait { container: container.name.clone(), milestone };
        let cause = Cause::NeededBy { service: service.to_owned() };
        let step = Step::new(op, cause, Vec::new());
        steps.push(plan.add(if terms.required { step } else { step.tolerated() }));
    }
    steps
}

/// The container.
fn container(up: &Up<'_>, observed: &Observed, run: &Run, settings: &Service) -> ContainerSpec {
    let first = |service: &str| {
        let all = observed.containers.iter();
        let own = all.filter(|it| it.service() == service && !it.is_one_off());
        let first = own.min_by_key(|container| container.number());
        first.map(|container| container.name.as_str())
    };
    let image = up.names().image(&run.service, settings);
    let name = run.container_name(up);
    let identity = Identity {
        service: &run.service,
        name: &name,
        number: None,
        image: &image,
        image_id: observed.images.get(&image).map(|found| found.id.as_str()),
    };
    let named = references::resolve(settings, first);
    let mut spec = spec::container(up.project, &named, identity);
    spec.shares_with = references::shared_services(settings)
        .into_iter()
        .filter_map(|shared| first(shared).map(str::to_owned))
        .collect();
    spec.links = links(up, observed, run, settings);
    spec.labels.insert(label::SLUG.to_owned(), run.slug.clone());
    spec.one_off = Some(run.one_off);
    if run.aliases == Aliases::Service {
        add_aliases(up, run, settings, &mut spec);
    }
    spec
}

/// The links of the service, and those to its own containers that run.
fn links(up: &Up<'_>, observed: &Observed, run: &Run, settings: &Service) -> Vec<String> {
    let running = |service: &str| -> Vec<(u64, String)> {
        let all = observed.replicas(service).filter(|container| container.is_up());
        all.filter_map(|it| Some((it.number()?, it.name.clone()))).collect()
    };
    let mut links = spec::links(settings, running);
    if !settings.network_mode.is_empty() {
        return links;
    }
    for (_, container) in running(&run.service) {
        let own = container.strip_prefix(&up.project.name);
        let short = own.and_then(|own| own.strip_prefix(up.separator)).unwrap_or(&container);
        for alias in [run.service.as_str(), short, &container] {
            links.push(format!("{container}:{alias}"));
        }
    }
    links
}

/// The names that containers of the service have in its networks.
fn add_aliases(up: &Up<'_>, run: &Run, settings: &Service, spec: &mut ContainerSpec) {
    for endpoint in &mut spec.endpoints {
        endpoint.options.aliases.push(run.service.clone());
        for (key, options) in &settings.networks {
            if name::network(up.project, key) == endpoint.network {
                let own = options.iter().flat_map(|options| options.aliases.clone());
                endpoint.options.aliases.extend(own);
            }
        }
    }
}

#[cfg(test)]
mod tests;
