//! The runtime for Docker against a real engine. Skipped where none answers.
//!
//! Each test has a project of its own, whose containers, networks and volumes are removed in the
//! end, however it ends.

mod contain;
mod reach;
mod share;
mod ssh;
mod wait;

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use ketch::model::observed::ObservedContainer;
use ketch::model::spec::{ContainerSpec, NetworkSpec};
use ketch::model::{Network, Service, label};
use ketch::runtime::docker::{Docker, Settings};
use ketch::runtime::{Runtime as _, Volumes};

/// An image with a shell that is there.
pub(crate) const IMAGE: &str = "corpus/busybox:1";

/// A project in an engine.
struct World {
    docker: Docker,
    project: String,
}

/// What the environment says, without what only users want.
pub(crate) fn settings() -> Settings {
    let environment = std::env::vars_os();
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    Settings { environment: environment.filter_map(text).collect(), ..Settings::default() }
}

/// An engine that has the image, or why there is none.
pub(crate) async fn connect(probes: Probes) -> Result<Docker, String> {
    let settings = Settings { eager_probes: probes == Probes::Eager, ..settings() };
    let docker = Docker::connect(settings).await.map_err(|error| error.to_string())?;
    if has_image().await { Ok(docker) } else { Err(format!("the engine has no image {IMAGE}")) }
}

/// Runs a test in a project of this name. `eager`: whether health checks are run by Ketch too.
fn in_world<F: Future<Output = ()>>(
    name: &str,
    probes: Probes,
    test: impl FnOnce(Arc<World>) -> F,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let docker = match connect(probes).await {
            Ok(docker) => docker,
            Err(reason) => return println!("skipped: {reason}"),
        };
        let project = format!("kd{}-{name}", std::process::id());
        let world = Arc::new(World { docker, project });
        let ended = AssertUnwindSafe(test(Arc::clone(&world))).catch_unwind().await;
        world.clean().await;
        if let Err(panic) = ended {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Asked for through bollard: finding images is another part's matter.
async fn has_image() -> bool {
    match bollard::Docker::connect_with_local_defaults() {
        Ok(client) => client.inspect_image(IMAGE).await.is_ok(),
        Err(_) => false,
    }
}

/// Who runs health checks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probes {
    Engine,
    Eager,
}

impl World {
    /// A container of a service that is written as canonical YAML.
    fn spec(&self, service: &str, yaml: &str) -> ContainerSpec {
        let definition: Service = serde_yaml::from_str(yaml).unwrap();
        let labels = [
            (label::PROJECT, self.project.as_str()),
            (label::SERVICE, service),
            (label::ONE_OFF, "False"),
            (label::CONTAINER_NUMBER, "1"),
        ];
        ContainerSpec {
            name: self.name(service),
            service_name: service.to_owned(),
            shares_with: definition.depends_on.keys().map(|other| self.name(other)).collect(),
            service: Arc::new(definition),
            image: IMAGE.to_owned(),
            labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            ..ContainerSpec::default()
        }
    }

    /// The name of a service's container.
    fn name(&self, service: &str) -> String {
        format!("{}-{service}-1", self.project)
    }

    /// Makes and starts a container.
    async fn run(&self, service: &str, yaml: &str) -> String {
        let spec = self.spec(service, yaml);
        self.docker.create_container(&spec).await.unwrap();
        self.docker.start_container(&spec.name, &[]).await.unwrap();
        spec.name
    }

    /// A network of the project.
    fn network(&self, key: &str) -> NetworkSpec {
        let name = format!("{}_{key}", self.project);
        let labels = [(label::PROJECT.to_owned(), self.project.clone())].into();
        NetworkSpec { network: Network { name, ..Network::default() }, labels }
    }

    async fn seen(&self, service: &str) -> Option<ObservedContainer> {
        let observed = self.docker.observe(Some(&self.project)).await.unwrap();
        observed.containers.into_iter().find(|container| container.service() == service)
    }

    async fn clean(&self) {
        let Ok(left) = self.docker.observe(Some(&self.project)).await else { return };
        for container in left.containers {
            self.docker.remove_container(&container.id, Volumes::Remove).await.unwrap();
        }
        for network in left.networks {
            self.docker.remove_network(&network.id).await.unwrap();
        }
        for volume in left.volumes {
            self.docker.remove_volume(&volume.name).await.unwrap();
        }
    }
}

/// Text by name.
fn dict<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}
