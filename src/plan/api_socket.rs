//! `use_api_socket`: the engine's socket inside containers.
//!
//! In: a project. Out: the same with that said in other attributes, the very ones that Docker
//! Compose puts there, so that config hashes agree.

use crate::model::{FileObject, FileReference, Mount, Project, Service};

const SOCKET: &str = "/var/run/docker.sock";
const FOLDER: &str = "/run/secrets/docker";

/// The config with the credentials for registries.
pub const CREDENTIALS: &str = "#apisocket";

/// Gives the socket to the services that want it. The content of [`CREDENTIALS`] is left to
/// whoever knows it.
pub fn share(project: &mut Project) {
    let mut services = project.services.values_mut().filter(|service| service.use_api_socket);
    let Some(first) = services.next() else { return };
    share_with(first);
    services.for_each(|service| share_with(service));
    project.configs.insert(CREDENTIALS.to_owned(), FileObject::default());
}

fn share_with(service: &mut Service) {
    let variable = service.environment.entry("DOCKER_CONFIG".to_owned());
    variable.or_insert_with(|| Some(FOLDER.to_owned()));
    service.volumes.push(Mount {
        kind: "bind".to_owned(),
        source: SOCKET.to_owned(),
        target: SOCKET.to_owned(),
        ..Mount::default()
    });
    service.configs.push(FileReference {
        source: CREDENTIALS.to_owned(),
        target: format!("{FOLDER}/config.json"),
        ..FileReference::default()
    });
}

#[cfg(test)]
mod tests {
    use super::share;
    use crate::model::{Project, Service, hash};

    #[test]
    fn a_service_with_the_socket_has_the_hash_that_compose_gives_it() {
        let service: Box<Service> = serde_yaml::from_str(
            "{image: 'corpus/busybox:1', networks: {default: null}, use_api_socket: true}",
        )
        .expect("a canonical service");
        let services = [("app".to_owned(), service)].into();
        let mut project = Project { services, ..Project::default() };
        share(&mut project);
        // The label that docker compose 2.40.3 writes.
        assert_eq!(
            hash::service_hash(&project.services["app"]),
            "d920e0de0ab277130e85c9afea618c95cd7e9154956bdcdaf1b3f21b45357429"
        );
    }
}
