//! The config hash of a container, which covers the ids of containers that it shares with.
//!
//! In: a spec that names other containers. Out: the hash that Docker Compose gives it. Compose
//! puts the id of a container in the place of `service:X`; so a container is made anew when the
//! one that it shares a namespace or volumes with was.

use super::Docker;
use crate::model::spec::ContainerSpec;
use crate::model::{hash, label};
use crate::runtime::{Result, RuntimeError};

/// What stands before the name of a container.
const CONTAINER: &str = "container:";

impl Docker {
    /// The config hash of a container to make.
    pub(super) async fn config_hash(&self, container: &ContainerSpec) -> Result<String> {
        let mut service = (*container.service).clone();
        let namespaces =
            [&mut service.network_mode, &mut service.ipc, &mut service.pid, &mut service.uts];
        for namespace in namespaces {
            let Some(name) = namespace.strip_prefix(CONTAINER) else { continue };
            if let Some(id) = self.sibling(container, name).await? {
                *namespace = format!("{CONTAINER}{id}");
            }
        }
        for from in &mut service.volumes_from {
            let Some(name) = source_container(from).map(str::to_owned) else { continue };
            *from = self.sibling(container, &name).await?.unwrap_or(name);
        }
        Ok(hash::service_hash(&service))
    }

    /// The id of a container that belongs to a service which this one depends on, because it
    /// shares with it. A container that the user has named is another matter.
    async fn sibling(&self, container: &ContainerSpec, name: &str) -> Result<Option<String>> {
        let found = self.client.inspect_container(name, None).await;
        let found = match found.map_err(|error| self.failure(error)) {
            Err(RuntimeError::NotFound(_)) => return Ok(None),
            found => found?,
        };
        let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
        let project = labels.get(label::PROJECT);
        let needed = |service: &String| container.service.depends_on.contains_key(service);
        let sibling = project.is_some()
            && project == container.labels.get(label::PROJECT)
            && labels.get(label::SERVICE).is_some_and(needed);
        Ok(found.id.filter(|_| sibling))
    }
}

/// The container in `container:NAME[:MODE]`.
fn source_container(from: &str) -> Option<&str> {
    let rest = from.strip_prefix(CONTAINER)?;
    Some(rest.split_once(':').map_or(rest, |(name, _)| name))
}

#[cfg(test)]
mod tests {
    use super::source_container;

    #[test]
    fn the_mode_is_no_part_of_the_container() {
        assert_eq!(source_container("container:a:ro"), Some("a"));
        assert_eq!(source_container("container:a"), Some("a"));
        assert_eq!(source_container("db"), None);
    }
}
