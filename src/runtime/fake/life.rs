//! Starting, stopping and waiting.

use std::collections::BTreeMap;
use std::time::Duration;

use super::world::{Container, Phase, Port, World};
use crate::model::observed::{Health, Milestone};
use crate::model::spec::InjectedFile;
use crate::runtime::{Result, RuntimeError};

/// The first port that is given out when nobody asks for one.
const FIRST_FREE_PORT: u16 = 32768;

/// What somebody who waits finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look<T> {
    /// What was waited for.
    Found(T),
    /// Nothing yet: look again when something has changed, or at this time.
    Later(Option<Duration>),
}

/// A container that was asked to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stopping {
    pub(super) id: String,
    /// How long it takes; `None`: for ever.
    pub(super) takes: Option<Duration>,
    code: i64,
}

impl World {
    pub(super) fn start_container(&mut self, name: &str, files: &[InjectedFile]) -> Result<()> {
        let name = self.resolve(name)?;
        let container = self.container(&name)?;
        match container.phase {
            Phase::Running => return Ok(()),
            Phase::Paused => {
                let message = "cannot start a paused container, try unpause instead";
                return Err(RuntimeError::Conflict(message.to_owned()));
            }
            Phase::Created | Phase::Exited => {}
        }
        if let Some(message) = &container.behaviour.fails_to_start {
            return Err(RuntimeError::Refused(message.clone()));
        }
        if let Some(other) = &container.shares_network_of
            && !self.container(other)?.is_up()
        {
            let message = format!("cannot join network of a non running container: {other}");
            return Err(RuntimeError::Conflict(message));
        }
        let networks = self.networks_of(container)?;
        let ports = self.publish(container)?;
        let now = self.now;
        let container = self.container_mut(&name)?;
        for (endpoint, id) in container.endpoints.iter_mut().zip(networks) {
            endpoint.id = id;
        }
        for (port, number) in container.ports.iter_mut().zip(ports) {
            port.published = Some(number);
        }
        container.files = files.iter().map(|file| file.path.clone()).collect();
        container.phase = Phase::Running;
        container.started = now;
        container.starts += 1;
        container.exit_code = 0;
        self.tell(&name, "start", &[]);
        self.advance(now);
        Ok(())
    }

    /// The ids of a container's networks; each has to be the one that it was attached to.
    fn networks_of(&self, container: &Container) -> Result<Vec<String>> {
        let id = |endpoint: &super::world::Endpoint| match self.networks.get(&endpoint.network) {
            Some(network) if endpoint.id.is_empty() || endpoint.id == network.id => {
                Ok(network.id.clone())
            }
            _ => {
                let name = if endpoint.id.is_empty() { &endpoint.network } else { &endpoint.id };
                Err(RuntimeError::NotFound(format!("network {name} not found")))
            }
        };
        container.endpoints.iter().map(id).collect()
    }

    /// Chooses the ports of the host for a container.
    fn publish(&self, container: &Container) -> Result<Vec<u16>> {
        let mut taken: BTreeMap<(&str, u16), Vec<&str>> = BTreeMap::new();
        for port in self.containers.values().flat_map(|other| &other.ports) {
            if let Some(number) = port.published {
                taken.entry((&port.protocol, number)).or_default().push(&port.host_ip);
            }
        }
        let mut chosen = Vec::new();
        for port in &container.ports {
            let is_free = |number: &u16| {
                let ips = taken.get(&(port.protocol.as_str(), *number));
                !ips.is_some_and(|ips| ips.iter().any(|ip| overlap(ip, &port.host_ip)))
            };
            let (first, last) = port.wanted.unwrap_or((FIRST_FREE_PORT, u16::MAX));
            let Some(number) = (first..=last).find(is_free) else {
                return Err(port_taken(port, first));
            };
            taken.entry((&port.protocol, number)).or_default().push(&port.host_ip);
            chosen.push(number);
        }
        Ok(chosen)
    }

    /// Sends a container its stop signal; `None`: it does not run.
    pub(super) fn begin_stop(
        &mut self,
        name: &str,
        seconds: Option<i32>,
    ) -> Result<Option<Stopping>> {
        let name = self.resolve(name)?;
        let container = self.container(&name)?;
        if !container.is_up() {
            return Ok(None);
        }
        let grace = match seconds.map(u64::try_from) {
            None => Some(container.grace),
            Some(Ok(seconds)) => Some(Duration::from_secs(seconds)),
            // As in Docker, a negative number means never.
            Some(Err(_)) => None,
        };
        let behaviour = &container.behaviour;
        let obeys = Some(behaviour.stops_after).filter(|_| !behaviour.ignores_stop);
        let (takes, code) = match (obeys, grace) {
            (Some(after), Some(grace)) if after > grace => (Some(grace), 137),
            (Some(after), _) => (Some(after), 143),
            (None, grace) => (grace, 137),
        };
        let stopping = Stopping { id: container.id.clone(), takes, code };
        self.tell(&name, "kill", &[("signal", "15")]);
        Ok(Some(stopping))
    }

    /// The container has stopped, or is killed now, unless it has gone otherwise.
    pub(super) fn end_stop(&mut self, stopping: &Stopping) {
        let Ok(name) = self.resolve(&stopping.id) else { return };
        if self.containers[&name].is_up() {
            self.die(&name, stopping.code);
            self.tell(&name, "stop", &[]);
        }
    }

    pub(super) fn kill_container(&mut self, name: &str, signal: &str) -> Result<()> {
        let Ok(name) = self.running(name) else { return Ok(()) };
        self.tell(&name, "kill", &[("signal", signal)]);
        let ignores = self.container(&name)?.behaviour.ignores_stop;
        match signal.strip_prefix("SIG").unwrap_or(signal) {
            "KILL" | "9" => self.die(&name, 137),
            "TERM" | "15" if !ignores => self.die(&name, 143),
            "INT" | "2" if !ignores => self.die(&name, 130),
            "QUIT" | "3" if !ignores => self.die(&name, 131),
            _ => {}
        }
        Ok(())
    }

    /// The name of a container that runs.
    pub(super) fn running(&self, name: &str) -> Result<String> {
        let name = self.resolve(name)?;
        if self.containers[&name].is_up() {
            return Ok(name);
        }
        Err(RuntimeError::Conflict(format!("container {name} is not running")))
    }

    /// Whether a container has reached a milestone, or no longer can.
    pub(super) fn wait(&self, name: &str, milestone: Milestone) -> Result<Look<()>> {
        let container = self.container(name)?;
        let exited = || RuntimeError::Exited {
            container: container.name.clone(),
            code: container.exit_code,
        };
        let health = container.health(self.now);
        match container.phase {
            _ if milestone == Milestone::Healthy && health == Health::None => {
                return Err(RuntimeError::NoHealthcheck(container.name.clone()));
            }
            Phase::Exited => {
                let may_end =
                    matches!(milestone, Milestone::Completed | Milestone::ReadyOrCompleted);
                return if may_end && container.exit_code == 0 {
                    Ok(Look::Found(()))
                } else {
                    Err(exited())
                };
            }
            Phase::Created => return Ok(Look::Later(None)),
            Phase::Running | Phase::Paused => {}
        }
        if milestone.is_reached_by(health) {
            return Ok(Look::Found(()));
        }
        if health == Health::Unhealthy && milestone != Milestone::Completed {
            let output = container.behaviour.hook_output.clone();
            return Err(RuntimeError::Unhealthy { container: container.name.clone(), output });
        }
        Ok(Look::Later(container.next_change(self.now)))
    }

    /// The exit code of a container that does not run; else when to look again.
    pub(super) fn wait_ended(&self, name: &str) -> Result<Look<i64>> {
        let container = self.container(name)?;
        if container.is_up() {
            return Ok(Look::Later(container.next_change(self.now)));
        }
        Ok(Look::Found(container.exit_code))
    }
}

/// Whether two addresses of the host meet.
fn overlap(a: &str, b: &str) -> bool {
    let all = |ip: &str| matches!(ip, "0.0.0.0" | "::" | "");
    a == b || all(a) || all(b)
}

fn port_taken(port: &Port, number: u16) -> RuntimeError {
    let message = format!("bind for {}:{number} failed: port is already allocated", port.host_ip);
    RuntimeError::PortTaken { port: number, message }
}
