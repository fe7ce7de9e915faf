//! What a fake world tells of itself.

use std::collections::BTreeSet;

use super::behaviour::Behaviour;
use super::resource::normal;
use super::world::{Container, EPOCH, Image, Network, Volume, World};
use crate::model::observed::{
    Attachment, Health, Observed, ObservedContainer, ObservedImage, ObservedMount, ObservedNetwork,
    ObservedPort, ObservedVolume, State,
};
use crate::model::{Dict, label};

impl World {
    /// Everything that carries a project's label, or any project's.
    pub(super) fn observe(&self, project: Option<&str>) -> Observed {
        let wanted = |labels: &Dict| {
            labels.get(label::PROJECT).is_some_and(|name| project.is_none_or(|it| it == name))
        };
        let containers = self.containers.values();
        let containers: Vec<&Container> = containers.filter(|it| wanted(&it.labels)).collect();
        let attached = containers.iter().flat_map(|container| &container.endpoints);
        let attached: BTreeSet<&str> = attached.map(|endpoint| endpoint.network.as_str()).collect();
        let mounted = containers.iter().flat_map(|container| &container.mounts);
        let mounted: BTreeSet<&str> = mounted.map(|mount| mount.source.as_str()).collect();
        let networks = self
            .networks
            .iter()
            .filter(|(name, network)| wanted(&network.labels) || attached.contains(name.as_str()));
        let volumes = self
            .volumes
            .iter()
            .filter(|(name, volume)| wanted(&volume.labels) || mounted.contains(name.as_str()));
        Observed {
            containers: containers.into_iter().map(|it| self.observed(it)).collect(),
            networks: networks.map(|(name, network)| observed_network(name, network)).collect(),
            volumes: volumes.map(|(name, volume)| observed_volume(name, volume)).collect(),
            ..Observed::default()
        }
    }

    fn observed(&self, container: &Container) -> ObservedContainer {
        let attachment = |endpoint: &super::world::Endpoint| Attachment {
            network: endpoint.network.clone(),
            id: endpoint.id.clone(),
        };
        ObservedContainer {
            id: container.id.clone(),
            name: container.name.clone(),
            image: container.image.clone(),
            image_id: container.image_id.clone(),
            state: container.state(),
            health: container.health(self.now),
            exit_code: container.exit_code,
            status: self.status(container),
            command: container.command.clone(),
            created: i64::try_from(EPOCH + container.created.as_secs()).unwrap_or(i64::MAX),
            labels: container.labels.clone(),
            networks: container.endpoints.iter().map(attachment).collect(),
            mounts: container.mounts.iter().map(observed_mount).collect(),
            ports: container.ports.iter().map(observed_port).collect(),
        }
    }

    /// State and time in Docker's words.
    fn status(&self, container: &Container) -> String {
        let seconds = self.now.saturating_sub(container.started).as_secs();
        let health = match container.health(self.now) {
            Health::None => "",
            Health::Starting => " (health: starting)",
            Health::Healthy => " (healthy)",
            Health::Unhealthy => " (unhealthy)",
        };
        match container.state() {
            State::Running => format!("Up {seconds} seconds{health}"),
            State::Paused => format!("Up {seconds} seconds (Paused)"),
            State::Exited => format!("Exited ({}) {seconds} seconds ago", container.exit_code),
            _ => "Created".to_owned(),
        }
    }

    pub(super) fn observed_network(&self, name: &str) -> Option<ObservedNetwork> {
        self.networks.get(name).map(|network| observed_network(name, network))
    }

    pub(super) fn observed_volume(&self, name: &str) -> Option<ObservedVolume> {
        self.volumes.get(name).map(|volume| observed_volume(name, volume))
    }

    pub(super) fn observed_image(&self, reference: &str) -> Option<ObservedImage> {
        let Image { id, volumes, tagged, labels } = self.find_image(reference)?.clone();
        let platform = "linux/amd64".to_owned();
        Some(ObservedImage { id, platform, volumes, tagged, labels, ..ObservedImage::default() })
    }

    /// The script of a container: its own, else that of its image.
    pub(super) fn behaviour_of(&self, name: &str, image: &str) -> Behaviour {
        let own = self.behaviours.get(name);
        let of_image = || self.behaviours.iter().find(|(key, _)| normal(key) == normal(image));
        own.or_else(|| of_image().map(|(_, it)| it)).cloned().unwrap_or_default()
    }
}

fn observed_mount(mount: &super::world::Mount) -> ObservedMount {
    let is_volume = mount.kind == "volume";
    ObservedMount {
        kind: mount.kind.clone(),
        name: if is_volume { mount.source.clone() } else { String::new() },
        source: if is_volume { String::new() } else { mount.source.clone() },
        target: mount.target.clone(),
    }
}

fn observed_port(port: &super::world::Port) -> ObservedPort {
    ObservedPort {
        host_ip: port.published.map(|_| port.host_ip.clone()).unwrap_or_default(),
        published: port.published,
        target: port.target,
        protocol: port.protocol.clone(),
    }
}

fn observed_network(name: &str, network: &Network) -> ObservedNetwork {
    ObservedNetwork {
        id: network.id.clone(),
        name: name.to_owned(),
        driver: network.driver.clone(),
        labels: network.labels.clone(),
    }
}

fn observed_volume(name: &str, volume: &Volume) -> ObservedVolume {
    let (driver, labels) = (volume.driver.clone(), volume.labels.clone());
    ObservedVolume { name: name.to_owned(), driver, mountpoint: String::new(), labels }
}
