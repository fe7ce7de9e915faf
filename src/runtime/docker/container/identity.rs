//! The config hash of a container, which covers the ids of containers that it shares with.
//!
//! In: a spec that names other containers. Out: the hash that Docker Compose gives it. Compose
//! puts the id of a container in the place of `service:X`; so a container is made anew when the
//! one that it shares a namespace or volumes with was.

use std::collections::HashMap;

use super::Docker;
use crate::model::hash;
use crate::model::spec::ContainerSpec;
use crate::runtime::{Result, RuntimeError};

impl Docker {
    /// The config hash of a container to make.
    pub(super) async fn config_hash(&self, container: &ContainerSpec) -> Result<String> {
        let mut ids = HashMap::new();
        for name in &container.shares_with {
            let found = self.client.inspect_container(name, None).await;
            match found.map_err(|error| self.failure(error)) {
                Ok(found) => ids.insert(name.as_str(), found.id.unwrap_or_default()),
                // Creating the container will say so in the engine's words.
                Err(RuntimeError::NotFound(_)) => continue,
                Err(error) => return Err(error),
            };
        }
        Ok(hash::container_hash(&container.service, |name| ids.get(name).cloned()))
    }
}
