//! A world of containers in memory. Pure: its clock is a number that is set from outside.
//!
//! In: calls, one after the other. Out: what changed, or a refusal as a real engine gives it.
//!
//! # Invariants
//!
//! - A call that is refused changes nothing.
//! - The clock never goes back, and what containers do by themselves happens in its order.
//!
//! Restart policies are not followed: what ends has ended.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::behaviour::{Behaviour, Checkup};
use crate::model::Dict;
use crate::model::observed::{Health, State};
use crate::runtime::{Result, RuntimeError};

/// When the clock of a new world starts, in seconds since 1970.
pub(super) const EPOCH: u64 = 1_700_000_000;

/// All there is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct World {
    /// The time, from the beginning of this world.
    pub(super) now: Duration,
    /// How many ids were given out.
    pub(super) ids: u64,
    /// Containers by name.
    pub(super) containers: BTreeMap<String, Container>,
    /// Networks by name.
    pub(super) networks: BTreeMap<String, Network>,
    /// Volumes by name.
    pub(super) volumes: BTreeMap<String, Volume>,
    /// Images that are here, by reference.
    pub(super) images: BTreeMap<String, Image>,
    /// Images that can be pulled, by reference.
    pub(super) registry: BTreeMap<String, Image>,
    /// What containers do, by name or by the reference of their image.
    pub(super) behaviours: BTreeMap<String, Behaviour>,
    /// What happened.
    pub(super) history: Vec<Happening>,
    /// Exit codes of the commands that ran in containers, by id.
    pub(super) execs: BTreeMap<String, i64>,
}

/// A container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Container {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) image: String,
    pub(super) image_id: String,
    pub(super) command: String,
    pub(super) created: Duration,
    pub(super) phase: Phase,
    /// When it was last started.
    pub(super) started: Duration,
    /// How often it was started.
    pub(super) starts: u64,
    pub(super) exit_code: i64,
    pub(super) has_healthcheck: bool,
    /// How long it may take to stop.
    pub(super) grace: Duration,
    pub(super) auto_remove: bool,
    pub(super) labels: Dict,
    /// The network mode, if it is another container's network: that one's name.
    pub(super) shares_network_of: Option<String>,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) mounts: Vec<Mount>,
    pub(super) ports: Vec<Port>,
    /// Paths of the files that were put into it.
    pub(super) files: Vec<String>,
    /// Archives that were unpacked in it, by directory.
    #[serde(skip)]
    pub(super) archives: BTreeMap<String, Vec<u8>>,
    pub(super) behaviour: Behaviour,
}

/// Where a container is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Phase {
    #[default]
    Created,
    Running,
    Paused,
    Exited,
}

/// A container's place in a network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Endpoint {
    pub(super) network: String,
    /// Id of the network; empty until the container has started.
    pub(super) id: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Mount {
    pub(super) kind: String,
    /// Path of the host, or name of the volume.
    pub(super) source: String,
    pub(super) target: String,
    /// Whether it is a volume that nobody named.
    pub(super) is_anonymous: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Port {
    pub(super) host_ip: String,
    /// Ports of the host to choose from, first and last; `None`: any.
    pub(super) wanted: Option<(u16, u16)>,
    /// The port of the host, while it runs.
    pub(super) published: Option<u16>,
    pub(super) target: u16,
    pub(super) protocol: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Network {
    pub(super) id: String,
    pub(super) driver: String,
    pub(super) labels: Dict,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Volume {
    pub(super) driver: String,
    pub(super) labels: Dict,
}

/// An image.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Image {
    /// Its identity; empty: it gets one.
    pub id: String,
    /// Paths that its containers get volumes at.
    pub volumes: Vec<String>,
    /// When it was named or pulled, in seconds since 1970.
    pub tagged: i64,
    /// Its labels.
    pub labels: Dict,
}

/// Something that happened to a container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Happening {
    pub(super) time: Duration,
    pub(super) container: String,
    pub(super) action: String,
    pub(super) attributes: Dict,
}

impl World {
    /// A new id of 64 hexadecimal digits.
    pub(super) fn new_id(&mut self) -> String {
        self.ids += 1;
        // Spread over the digits, so that short ids differ too; the factor is odd: none repeats.
        let start = self.ids.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!("{start:016x}{:048x}", self.ids)
    }

    /// Lets the clock reach a time, and containers do what they do until then.
    pub(super) fn advance(&mut self, now: Duration) {
        let due = |container: &Container| container.ends_at().filter(|end| *end <= now);
        let ended = self.containers.values().filter_map(|it| Some((due(it)?, it.name.clone())));
        let mut ended: Vec<(Duration, String)> = ended.collect();
        ended.sort();
        for (time, name) in ended {
            self.now = time.max(self.now);
            let code = self.containers[&name].behaviour.exits.map_or(0, |exit| exit.code);
            self.die(&name, code);
        }
        self.now = now.max(self.now);
    }

    /// The process of a container ends.
    pub(super) fn die(&mut self, name: &str, code: i64) {
        let Some(container) = self.containers.get_mut(name) else { return };
        container.phase = Phase::Exited;
        container.exit_code = code;
        container.ports.iter_mut().for_each(|port| port.published = None);
        let is_removed = container.auto_remove;
        self.tell(name, "die", &[("exitCode", &code.to_string())]);
        if is_removed {
            self.delete(name, crate::runtime::Volumes::Remove);
        }
    }

    /// Notes that something happened to a container.
    pub(super) fn tell(&mut self, name: &str, action: &str, details: &[(&str, &str)]) {
        let Some(container) = self.containers.get(name) else { return };
        let mut attributes = container.labels.clone();
        attributes.insert("name".to_owned(), container.name.clone());
        attributes.insert("image".to_owned(), container.image.clone());
        let details = details.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        attributes.extend(details);
        self.history.push(Happening {
            time: self.now,
            container: container.id.clone(),
            action: action.to_owned(),
            attributes,
        });
    }

    /// The name of the container of this name or id, or of the only one whose id begins so.
    pub(super) fn resolve(&self, name: &str) -> Result<String> {
        if self.containers.contains_key(name) {
            return Ok(name.to_owned());
        }
        let by_id = |container: &&Container| name.len() >= 12 && container.id.starts_with(name);
        self.containers
            .values()
            .find(by_id)
            .map(|container| container.name.clone())
            .ok_or_else(|| RuntimeError::NotFound(format!("no such container: {name}")))
    }

    /// The container of this name or id.
    pub(super) fn container(&self, name: &str) -> Result<&Container> {
        let name = self.resolve(name)?;
        Ok(&self.containers[&name])
    }

    /// The container of this name or id, to change it.
    pub(super) fn container_mut(&mut self, name: &str) -> Result<&mut Container> {
        let resolved = self.resolve(name)?;
        let missing = || RuntimeError::NotFound(format!("no such container: {name}"));
        self.containers.get_mut(&resolved).ok_or_else(missing)
    }

    /// When a container next does something by itself.
    pub(super) fn next_change(&self) -> Option<Duration> {
        let now = self.now;
        self.containers.values().filter_map(|container| container.next_change(now)).min()
    }
}

impl Container {
    /// Whether its process lives.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::Paused)
    }

    /// When its process ends by itself.
    fn ends_at(&self) -> Option<Duration> {
        let exit = self.behaviour.exits.filter(|_| self.phase == Phase::Running)?;
        Some(self.started + exit.after)
    }

    /// When it does something by itself, later than now.
    pub(super) fn next_change(&self, now: Duration) -> Option<Duration> {
        let checkup = match self.behaviour.health {
            Some(Checkup::HealthyAfter(after) | Checkup::UnhealthyAfter(after))
                if self.has_healthcheck && self.is_up() =>
            {
                Some(self.started + after)
            }
            _ => None,
        };
        [checkup, self.ends_at()].into_iter().flatten().filter(|time| *time > now).min()
    }

    /// What its health check says at a time.
    pub(super) fn health(&self, now: Duration) -> Health {
        if !self.has_healthcheck {
            return Health::None;
        }
        if !self.is_up() {
            return Health::Starting;
        }
        match self.behaviour.health.unwrap_or(Checkup::HealthyAfter(Duration::ZERO)) {
            Checkup::HealthyAfter(after) if now >= self.started + after => Health::Healthy,
            Checkup::UnhealthyAfter(after) if now >= self.started + after => Health::Unhealthy,
            _ => Health::Starting,
        }
    }

    /// What it does.
    pub(super) fn state(&self) -> State {
        match self.phase {
            Phase::Created => State::Created,
            Phase::Running => State::Running,
            Phase::Paused => State::Paused,
            Phase::Exited => State::Exited,
        }
    }
}
