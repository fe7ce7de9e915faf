//! Making containers.
//!
//! In: a [`ContainerSpec`]. Out: a container in the engine, and what the engine remarked. The
//! request is assembled without asking the engine (`request` and those below it); what depends on
//! it is found out before: the ids in the config hash (`identity`), and files (`security`).
//!
//! # Invariants
//!
//! - A container that cannot join all its networks is removed again.
//! - What an attribute asks for and the engine cannot do is an error or a remark, never nothing.

mod attachment;
mod host;
mod identity;
mod mounts;
mod request;
mod resources;
mod security;
#[cfg(test)]
mod tests;

use bollard::models::ContainerCreateBody;
use bollard::query_parameters::CreateContainerOptions;

use super::{Docker, body};
use crate::model::spec::{ContainerSpec, Endpoint};
use crate::runtime::{Result, RuntimeError, Volumes};

impl Docker {
    pub(super) async fn make_container(&self, container: &ContainerSpec) -> Result<Vec<String>> {
        let hash = self.config_hash(container).await?;
        let security = security::read(container).await?;
        let engine = request::Engine { api: self.api, proxies: &self.proxies };
        let request = request::assemble(container, engine, request::Found { hash, security })?;
        let options = CreateContainerOptions {
            name: Some(container.name.clone()),
            platform: self.platform(&container.service.platform),
        };
        let slot = self.slot().await?;
        let client = body::sending(&self.patient, &request.body);
        let made = client.create_container(Some(options), ContainerCreateBody::default()).await;
        let made = match made.map_err(|error| self.failure(error)) {
            Err(error) if needs_no_links(container) && has_no_links(&error) => {
                drop(slot);
                let plain = ContainerSpec { links: Vec::new(), ..container.clone() };
                return Box::pin(self.make_container(&plain)).await;
            }
            made => made?,
        };
        self.join_all(&made.id, request.later).await?;
        let mut remarks = request.remarks;
        remarks.extend(made.warnings);
        Ok(remarks)
    }

    /// The platform to ask for; empty: the engine's own.
    fn platform(&self, wanted: &str) -> String {
        let usual = || self.settings.environment.get("DOCKER_DEFAULT_PLATFORM").cloned();
        if wanted.is_empty() { usual().unwrap_or_default() } else { wanted.to_owned() }
    }

    /// Joins the networks that could not be named when the container was made.
    async fn join_all(&self, container: &str, endpoints: Vec<Endpoint>) -> Result<()> {
        for Endpoint { network, options } in endpoints {
            if let Err(error) = self.join_network(&network, container, &options).await {
                // The first failure is the one to tell.
                let _ = self.delete_container(container, Volumes::Remove).await;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Waits for its turn to make or start a container.
    pub(super) async fn slot(&self) -> Result<tokio::sync::SemaphorePermit<'_>> {
        let closed = |_| RuntimeError::Refused("the connection is closed".to_owned());
        self.slots.acquire().await.map_err(closed)
    }
}

/// Whether all links are those that `run` adds: they say little that the names of services do not.
fn needs_no_links(container: &ContainerSpec) -> bool {
    let service = &container.service;
    !container.links.is_empty() && service.links.is_empty() && service.external_links.is_empty()
}

/// Whether an engine says that it has no links at all, as Podman does.
fn has_no_links(error: &RuntimeError) -> bool {
    error.to_string().contains("link is not supported")
}
