//! `use_api_socket`: the engine's socket inside the container.
//!
//! In: a spec as it stands. Out: a spec whose service says it in other attributes, the same that
//! Docker Compose puts there, so that hashes agree. The credentials that belong beside the socket
//! are a file to inject: not here.

use std::borrow::Cow;

use super::with_service;
use crate::model::spec::ContainerSpec;
use crate::model::{FileReference, Mount};

const SOCKET: &str = "/var/run/docker.sock";
const FOLDER: &str = "/run/secrets/docker";
const CREDENTIALS: &str = "#apisocket";

/// The spec with the socket in it if it wants that.
pub(super) fn shared(container: &ContainerSpec) -> Cow<'_, ContainerSpec> {
    let done = container.service.configs.iter().any(|config| config.source == CREDENTIALS);
    if !container.service.use_api_socket || done {
        return Cow::Borrowed(container);
    }
    let mount = Mount {
        kind: "bind".to_owned(),
        source: SOCKET.to_owned(),
        target: SOCKET.to_owned(),
        ..Mount::default()
    };
    let mut service = (*container.service).clone();
    let variable = service.environment.entry("DOCKER_CONFIG".to_owned());
    variable.or_insert_with(|| Some(FOLDER.to_owned()));
    service.volumes.push(mount.clone());
    service.configs.push(FileReference {
        source: CREDENTIALS.to_owned(),
        target: format!("{FOLDER}/config.json"),
        ..FileReference::default()
    });
    let mut shared = with_service(container, service);
    if !shared.mounts.iter().any(|present| present.target == SOCKET) {
        shared.mounts.push(mount);
    }
    Cow::Owned(shared)
}

#[cfg(test)]
mod tests {
    use super::{ContainerSpec, shared};
    use crate::model::{Service, hash};

    #[test]
    fn a_service_with_the_socket_has_the_hash_that_compose_gives_it() {
        let service: Service = serde_yaml::from_str(
            "{image: 'corpus/busybox:1', networks: {default: null}, use_api_socket: true}",
        )
        .unwrap();
        let spec = ContainerSpec { service: service.into(), ..ContainerSpec::default() };
        let with = shared(&spec);
        assert_eq!(with.mounts[0].target, "/var/run/docker.sock");
        // The label that docker compose 2.40.3 writes.
        assert_eq!(
            hash::service_hash(&with.service),
            "d920e0de0ab277130e85c9afea618c95cd7e9154956bdcdaf1b3f21b45357429"
        );
        assert_eq!(shared(&with), with, "once is enough");
    }
}
