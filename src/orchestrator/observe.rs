//! What there is of a project: all that carries its label, and what it uses besides.

use futures_util::future::try_join_all;

use crate::model::Project;
use crate::model::observed::Observed;
use crate::runtime::{Result, Runtime};

/// Asks the runtime for everything that a plan for this project has to know. `images` are
/// references.
///
/// # Errors
///
/// The runtime fails.
pub async fn observe(
    runtime: &dyn Runtime,
    project: &Project,
    images: &[String],
) -> Result<Observed> {
    let found_images = try_join_all(images.iter().map(async |reference| {
        let image = runtime.find_image(reference).await?;
        Ok::<_, crate::runtime::RuntimeError>(image.map(|image| (reference.clone(), image)))
    }));
    let (observed, found_images) =
        futures_util::future::try_join(runtime.observe(Some(&project.name)), found_images).await?;
    let mut observed = observed;
    observed.images = found_images.into_iter().flatten().collect();
    find_others(runtime, project, &mut observed).await?;
    Ok(observed)
}

/// Networks and volumes that the project uses but that do not carry its label.
async fn find_others(
    runtime: &dyn Runtime,
    project: &Project,
    observed: &mut Observed,
) -> Result<()> {
    let networks = project.networks.values().map(|network| &network.name);
    let networks = networks.filter(|name| observed.network(name).is_none());
    let networks = try_join_all(networks.map(|name| runtime.find_network(name)));
    let volumes = project.volumes.values().map(|volume| &volume.name);
    let volumes = volumes.filter(|name| observed.volume(name).is_none());
    let volumes = try_join_all(volumes.map(|name| runtime.find_volume(name)));
    let (networks, volumes) = futures_util::future::try_join(networks, volumes).await?;
    observed.networks.extend(networks.into_iter().flatten());
    observed.volumes.extend(volumes.into_iter().flatten());
    Ok(())
}
