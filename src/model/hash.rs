//! Hashes that tell whether a container, network or volume still is what the file says.
//!
//! In: the model. Out: SHA-256 in hex, the same as Docker Compose's, so that either program
//! recognises what the other one created.

use std::fmt::Write as _;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::render::compact_json;
use super::{Network, Service, Volume};

/// Hashes all of a service that its containers depend on.
///
/// Not part of it: how the image is built and pulled, how many containers there are, and which
/// services come first.
pub fn service_hash(service: &Service) -> String {
    let mut service = service.clone();
    service.build = None;
    service.pull_policy.clear();
    service.scale = None;
    service.depends_on.clear();
    service.profiles.clear();
    if let Some(deploy) = &mut service.deploy {
        deploy.replicas = None;
    }
    digest(&service)
}

/// Hashes a service as its container has it: `network_mode: container:shop-db-1`.
///
/// `id` gives the id of a container of the project; for others it gives nothing, and their names
/// are hashed. As with Docker Compose, what stands behind a name in `volumes_from` is not.
pub fn container_hash(service: &Service, id: impl Fn(&str) -> Option<String>) -> String {
    const CONTAINER: &str = "container:";
    let mut service = service.clone();
    for mode in [&mut service.network_mode, &mut service.ipc, &mut service.pid] {
        if let Some(id) = mode.strip_prefix(CONTAINER).and_then(&id) {
            *mode = format!("{CONTAINER}{id}");
        }
    }
    for from in &mut service.volumes_from {
        if let Some(container) = from.strip_prefix(CONTAINER) {
            let name = container.split(':').next().unwrap_or(container);
            *from = id(name).unwrap_or_else(|| name.to_owned());
        }
    }
    service_hash(&service)
}

/// Hashes a network.
pub fn network_hash(network: &Network) -> String {
    digest(network)
}

/// Hashes a volume.
pub fn volume_hash(volume: &Volume) -> String {
    let mut volume = volume.clone();
    if volume.driver.is_empty() {
        "local".clone_into(&mut volume.driver);
    }
    digest(&volume)
}

/// Hashes the JSON form. What has none (a number that is infinite) hashes as nothing: Compose
/// refuses such a project.
fn digest(value: &impl Serialize) -> String {
    let text = compact_json(value).unwrap_or_default();
    hex(&Sha256::digest(text))
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let mut hex = String::new();
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::{network_hash, service_hash, volume_hash};
    use crate::model::{Network, Service, Volume};

    fn service(yaml: &str) -> Service {
        serde_yaml::from_str(yaml).expect("a canonical service")
    }

    #[test]
    fn a_service_has_the_hash_that_compose_gives_it() {
        let service = service("{image: x, networks: {default: null}}");
        // docker compose 2.40.3: config --hash '*'
        assert_eq!(
            service_hash(&service),
            "d5457d0b2799957b606d2ac4ed52d85a1e75799490e56229948300b9a59e8953"
        );
    }

    #[test]
    fn what_containers_do_not_depend_on_is_not_hashed() {
        let plain = service("{image: x, deploy: {}}");
        let other = service(
            "{image: x, deploy: {replicas: 2}, scale: 2, profiles: [a], pull_policy: always,
              build: {context: /}, depends_on: {b: {condition: service_started}}}",
        );
        assert_eq!(service_hash(&plain), service_hash(&other));
    }

    #[test]
    fn extensions_are_not_hashed() {
        let other = service("{image: x, '#extensions': {x-a: 1}}");
        assert_eq!(service_hash(&service("{image: x}")), service_hash(&other));
    }

    #[test]
    fn networks_and_volumes_are_hashed_in_their_json_form() {
        let network = Network { name: "p_default".to_owned(), ..Network::default() };
        // sha256 of {"name":"p_default","ipam":{}}
        assert_eq!(
            network_hash(&network),
            "cca2b3a66c94bd18c278d0ace2145197839f42c28f96dcd3878eeb5d03f53510"
        );
        let volume = Volume { name: "p_v".to_owned(), ..Volume::default() };
        // sha256 of {"name":"p_v","driver":"local"}
        assert_eq!(
            volume_hash(&volume),
            "e617c2614ea106bf4e760a7f422d90ed884825921aa6f9d12715c22347ed0147"
        );
    }
}
