//! Networks, volumes and images.

use std::collections::BTreeMap;

use super::world::{EPOCH, Endpoint, Image, Network, Volume, World};
use crate::model::spec::{BuildSpec, NetworkSpec, PullSpec, VolumeSpec};
use crate::model::{Dict, label};
use crate::runtime::{Commit, Result, RuntimeError};

impl World {
    pub(super) fn create_network(&mut self, spec: &NetworkSpec) {
        let name = &spec.network.name;
        if self.networks.contains_key(name) {
            return;
        }
        let driver = or(&spec.network.driver, "bridge");
        let network = Network { id: self.new_id(), driver, labels: spec.labels.clone() };
        self.networks.insert(name.clone(), network);
    }

    /// The name of the network of this name or id.
    pub(super) fn network_exists(&self, name: &str) -> Result<String> {
        let found = self.networks.iter().find(|(key, network)| *key == name || network.id == name);
        let missing = || RuntimeError::NotFound(format!("network {name} not found"));
        found.map(|(name, _)| name.clone()).ok_or_else(missing)
    }

    pub(super) fn remove_network(&mut self, name: &str) -> Result<()> {
        let Ok(name) = self.network_exists(name) else { return Ok(()) };
        let is_it = |endpoint: &Endpoint| endpoint.network == name;
        let user = self
            .containers
            .values()
            .find(|container| container.is_up() && container.endpoints.iter().any(is_it));
        if let Some(user) = user {
            return Err(RuntimeError::Conflict(format!(
                "network {name} has active endpoints: {}",
                user.name
            )));
        }
        self.networks.remove(&name);
        Ok(())
    }

    pub(super) fn connect(&mut self, network: &str, container: &str) -> Result<()> {
        let network = self.network_exists(network)?;
        let id = self.networks[&network].id.clone();
        let container = self.container_mut(container)?;
        let id = if container.is_up() { id } else { String::new() };
        match container.endpoints.iter_mut().find(|endpoint| endpoint.network == network) {
            // One that was attached to a network of the same name that has gone.
            Some(endpoint) => endpoint.id = id,
            None => container.endpoints.push(Endpoint { network, id }),
        }
        Ok(())
    }

    pub(super) fn disconnect(&mut self, network: &str, container: &str) -> Result<()> {
        let name = self.network_exists(network).unwrap_or_else(|_| network.to_owned());
        self.container_mut(container)?.endpoints.retain(|endpoint| endpoint.network != name);
        Ok(())
    }

    pub(super) fn create_volume(&mut self, spec: &VolumeSpec) {
        let driver = or(&spec.volume.driver, "local");
        let volume = || Volume { driver, labels: spec.labels.clone() };
        self.volumes.entry(spec.volume.name.clone()).or_insert_with(volume);
    }

    pub(super) fn remove_volume(&mut self, name: &str) -> Result<()> {
        let user = self.containers.values().find(|container| {
            container.mounts.iter().any(|mount| mount.kind == "volume" && mount.source == name)
        });
        if let Some(user) = user {
            return Err(RuntimeError::Conflict(format!(
                "remove {name}: volume is in use - [{}]",
                user.id
            )));
        }
        self.volumes.remove(name);
        Ok(())
    }

    /// The image of this reference or id.
    pub(super) fn find_image(&self, reference: &str) -> Option<&Image> {
        let by_id = || self.images.values().find(|image| image.id == reference);
        self.images.get(&normal(reference)).or_else(by_id)
    }

    /// Gives an image a name here.
    pub(super) fn tag(&mut self, reference: &str, mut image: Image) {
        image.tagged = i64::try_from(EPOCH + self.now.as_secs()).unwrap_or(i64::MAX);
        self.images.insert(normal(reference), image);
    }

    /// Makes what people wrote in a file complete: references and identities of images.
    pub(super) fn settle(&mut self) {
        let images = std::mem::take(&mut self.images);
        self.images = self.settled(images);
        let registry = std::mem::take(&mut self.registry);
        self.registry = self.settled(registry);
    }

    fn settled(&mut self, images: BTreeMap<String, Image>) -> BTreeMap<String, Image> {
        let settled = |(name, image): (String, Image)| (normal(&name), self.identified(image));
        images.into_iter().map(settled).collect()
    }

    /// The image with an identity, if it has none yet.
    pub(super) fn identified(&mut self, mut image: Image) -> Image {
        if image.id.is_empty() {
            image.id = format!("sha256:{}", self.new_id());
        }
        image
    }

    pub(super) fn pull(&mut self, spec: &PullSpec) -> Result<()> {
        let Some(image) = self.registry.get(&normal(&spec.image)).cloned() else {
            return Err(RuntimeError::NotFound(format!(
                "manifest for {} not found: manifest unknown",
                spec.image
            )));
        };
        self.tag(&spec.image, image);
        Ok(())
    }

    pub(super) fn push(&mut self, reference: &str) -> Result<()> {
        let image = self.find_image(reference).cloned();
        let missing = || RuntimeError::NotFound(format!("no such image: {reference}"));
        self.registry.insert(normal(reference), image.ok_or_else(missing)?);
        Ok(())
    }

    pub(super) fn build(&mut self, spec: &BuildSpec) -> Result<()> {
        let mut labels = spec.build.labels.clone();
        labels.extend(spec.labels.clone());
        let image = self.identified(Image { labels, ..Image::default() });
        for tag in &spec.tags {
            self.tag(tag, image.clone());
            if spec.options.push {
                self.push(tag)?;
            }
        }
        Ok(())
    }

    pub(super) fn commit(&mut self, container: &str, commit: &Commit) -> Result<String> {
        let labels = self.container(container)?.labels.clone();
        let image = self.identified(Image { labels, ..Image::default() });
        let id = image.id.clone();
        let name = if commit.reference.is_empty() { &id } else { &commit.reference };
        self.tag(name, image);
        Ok(id)
    }

    pub(super) fn remove_image(&mut self, reference: &str) -> Result<()> {
        let Some(image) = self.find_image(reference) else { return Ok(()) };
        let id = image.id.clone();
        let names = self.images.values().filter(|image| image.id == id).count();
        let user = self.containers.values().find(|container| container.image_id == id);
        if let Some(user) = user.filter(|_| names == 1) {
            return Err(RuntimeError::Conflict(format!(
                "unable to remove {reference}: container {} is using it",
                user.name
            )));
        }
        let name = normal(reference);
        let by_id = id == reference;
        self.images.retain(|key, image| *key != name && !(by_id && image.id == id));
        Ok(())
    }

    pub(super) fn project_images(&self, project: &str) -> Vec<String> {
        let of_project =
            |labels: &Dict| labels.get(label::PROJECT).is_some_and(|name| name == project);
        let images = self.images.iter().filter(|(_, image)| of_project(&image.labels));
        images.map(|(reference, _)| reference.clone()).collect()
    }
}

fn or(text: &str, default: &str) -> String {
    if text.is_empty() { default } else { text }.to_owned()
}

/// A reference in its shortest form with a tag or digest: `docker.io/library/nginx` and `nginx`
/// are `nginx:latest`.
pub(super) fn normal(reference: &str) -> String {
    let short = reference.strip_prefix("docker.io/").unwrap_or(reference);
    let short = short.strip_prefix("library/").unwrap_or(short);
    let last = short.rsplit('/').next().unwrap_or(short);
    if last.contains([':', '@']) { short.to_owned() } else { format!("{short}:latest") }
}
