//! Making containers, and removing and renaming them.

use super::behaviour::Behaviour;
use super::world::{Container, Endpoint, Mount, Phase, Port, Volume, World};
use crate::model::hash::container_hash;
use crate::model::label;
use crate::model::spec::ContainerSpec;
use crate::model::{Duration, Healthcheck};
use crate::runtime::{Result, RuntimeError, Volumes};

/// How long a container may take to stop if nothing says so, as in Docker.
const GRACE: std::time::Duration = std::time::Duration::from_secs(10);

impl World {
    pub(super) fn create_container(&mut self, spec: &ContainerSpec) -> Result<Vec<String>> {
        self.name_is_free(&spec.name)?;
        let reference = spec.image.as_str();
        let Some(image) = self.find_image(reference).cloned() else {
            return Err(RuntimeError::NotFound(format!("no such image: {reference}")));
        };
        // As in Docker, the first network is looked for only when the container starts.
        for endpoint in spec.endpoints.iter().skip(1) {
            self.network_exists(&endpoint.network)?;
        }
        let behaviour = self.behaviour_of(&spec.name, reference);
        let remarks = behaviour.remarks.clone();
        let service = &spec.service;
        let mut labels = spec.labels.clone();
        labels.insert(label::CONFIG_HASH.to_owned(), self.config_hash(spec));
        let container = Container {
            id: self.new_id(),
            name: spec.name.clone(),
            image: reference.to_owned(),
            image_id: image.id.clone(),
            command: service.command.as_ref().map(|words| words.join(" ")).unwrap_or_default(),
            created: self.now,
            has_healthcheck: has_healthcheck(service.healthcheck.as_ref(), &behaviour),
            grace: service.stop_grace_period.map_or(GRACE, Duration::to_std),
            auto_remove: spec.one_off.is_some_and(|one_off| one_off.auto_remove),
            labels,
            shares_network_of: service.network_mode.strip_prefix("container:").map(str::to_owned),
            endpoints: spec.endpoints.iter().map(|it| endpoint(&it.network)).collect(),
            mounts: self.mounts(spec, &image.volumes),
            ports: service.ports.iter().map(port).collect::<Result<_>>()?,
            behaviour,
            ..Container::default()
        };
        self.containers.insert(spec.name.clone(), container);
        self.tell(&spec.name, "create", &[]);
        Ok(remarks)
    }

    fn name_is_free(&self, name: &str) -> Result<()> {
        match self.containers.get(name) {
            None => Ok(()),
            Some(other) => Err(RuntimeError::Conflict(format!(
                "the container name `{name}` is already in use by container {}",
                &other.id[..12]
            ))),
        }
    }

    /// What is mounted; makes the volumes that are not there, as Docker does.
    fn mounts(&mut self, spec: &ContainerSpec, image_volumes: &[String]) -> Vec<Mount> {
        let mut mounts: Vec<Mount> = Vec::new();
        for mount in &spec.mounts {
            let is_anonymous = mount.kind == "volume" && mount.source.is_empty();
            let (kind, target) = (mount.kind.clone(), mount.target.clone());
            mounts.push(Mount { kind, source: mount.source.clone(), target, is_anonymous });
        }
        for target in image_volumes {
            if mounts.iter().all(|mount| mount.target != *target) {
                let (kind, target) = ("volume".to_owned(), target.clone());
                mounts.push(Mount { kind, source: String::new(), target, is_anonymous: true });
            }
        }
        for mount in mounts.iter_mut().filter(|mount| mount.kind == "volume") {
            if mount.is_anonymous {
                mount.source = self.new_id();
            }
            let local = || Volume { driver: "local".to_owned(), ..Volume::default() };
            self.volumes.entry(mount.source.clone()).or_insert_with(local);
        }
        mounts
    }

    /// The hash of a container, with the ids of those that it shares with.
    fn config_hash(&self, spec: &ContainerSpec) -> String {
        container_hash(&spec.service, |name| {
            let is_shared = spec.shares_with.iter().any(|shared| shared == name);
            self.container(name).ok().filter(|_| is_shared).map(|container| container.id.clone())
        })
    }

    pub(super) fn remove_container(&mut self, name: &str, volumes: Volumes) {
        let Ok(name) = self.resolve(name) else { return };
        if self.containers[&name].is_up() {
            self.tell(&name, "kill", &[("signal", "9")]);
            self.die(&name, 137);
        }
        self.delete(&name, volumes);
    }

    /// Forgets a container that does not run.
    pub(super) fn delete(&mut self, name: &str, volumes: Volumes) {
        self.tell(name, "destroy", &[]);
        let Some(container) = self.containers.remove(name) else { return };
        if volumes == Volumes::Remove {
            for mount in container.mounts.iter().filter(|mount| mount.is_anonymous) {
                let shared = |other: &Container| {
                    other.mounts.iter().any(|other| other.source == mount.source)
                };
                if !self.containers.values().any(shared) {
                    self.volumes.remove(&mount.source);
                }
            }
        }
    }

    pub(super) fn rename_container(&mut self, from: &str, to: &str) -> Result<()> {
        let from = self.resolve(from)?;
        self.name_is_free(to)?;
        if let Some(mut container) = self.containers.remove(&from) {
            to.clone_into(&mut container.name);
            self.containers.insert(to.to_owned(), container);
        }
        self.tell(to, "rename", &[("oldName", &format!("/{from}"))]);
        Ok(())
    }

    pub(super) fn pause_container(&mut self, name: &str) -> Result<()> {
        self.change_phase(name, [Phase::Running, Phase::Paused], "pause")
    }

    pub(super) fn unpause_container(&mut self, name: &str) -> Result<()> {
        self.change_phase(name, [Phase::Paused, Phase::Running], "unpause")
    }

    fn change_phase(&mut self, name: &str, [from, to]: [Phase; 2], action: &str) -> Result<()> {
        let name = self.resolve(name)?;
        let container = self.container_mut(&name)?;
        if container.phase != from {
            let state = container.state().word();
            return Err(RuntimeError::Conflict(format!(
                "cannot {action} container {name}: it is {state}"
            )));
        }
        container.phase = to;
        self.tell(&name, action, &[]);
        Ok(())
    }
}

fn endpoint(network: &str) -> Endpoint {
    Endpoint { network: network.to_owned(), id: String::new() }
}

/// Whether a container is checked: by its service, else by its image.
fn has_healthcheck(own: Option<&Healthcheck>, image: &Behaviour) -> bool {
    let Some(check) = own else { return image.has_healthcheck };
    let is_off = check.disable || check.test.first().is_some_and(|word| word == "NONE");
    !is_off && (image.has_healthcheck || !check.test.is_empty())
}

fn port(port: &crate::model::Port) -> Result<Port> {
    let invalid = |text: &str| RuntimeError::Refused(format!("invalid port: {text}"));
    let number = |text: &str| text.parse::<u16>().map_err(|_| invalid(text));
    let wanted = match port.published.split_once('-') {
        _ if matches!(port.published.as_str(), "" | "0") => None,
        Some((first, last)) => Some((number(first)?, number(last)?)),
        None => Some((number(&port.published)?, number(&port.published)?)),
    };
    let protocol = if port.protocol.is_empty() { "tcp" } else { &port.protocol };
    Ok(Port {
        host_ip: if port.host_ip.is_empty() { "0.0.0.0".to_owned() } else { port.host_ip.clone() },
        wanted,
        published: None,
        target: u16::try_from(port.target).map_err(|_| invalid(&port.target.to_string()))?,
        protocol: protocol.to_owned(),
    })
}
