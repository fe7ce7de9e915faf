//! `config --resolve-image-digests` and `--lock-image-digests`: images by what they are now, not by
//! a name that may mean something else tomorrow.
//!
//! In: references of images. Out: the same with digests, which the runtime asks their registries
//! for.

use futures_util::future::try_join_all;

use crate::cli::engine::Engine;
use crate::cli::exit::Failure;
use crate::cli::session::Session;
use crate::model::{Project, Service};

/// Gives every image its digest. Those that have one keep it, and lose their tag.
pub(super) async fn resolve<'i>(
    session: &mut Session<'_>,
    images: impl Iterator<Item = &'i mut String>,
) -> Result<(), Failure> {
    let mut open: Vec<&mut String> = Vec::new();
    for image in images.filter(|image| !image.is_empty()) {
        match complete(image) {
            Reference { name, digest: Some(digest), .. } => *image = format!("{name}@{digest}"),
            Reference { name, tag, digest: None } => {
                *image = format!("{name}:{tag}");
                open.push(image);
            }
        }
    }
    if open.is_empty() {
        return Ok(());
    }
    let engine = Engine::connect(session).await?;
    let asked = open.into_iter().map(async |image| {
        let digest = engine
            .runtime
            .image_digest(image)
            .await
            .map_err(|source| Failure::Digest { image: image.clone(), source })?;
        *image = format!("{image}@{digest}");
        Ok::<_, Failure>(())
    });
    try_join_all(asked).await?;
    Ok(())
}

/// The project as an override that says nothing but images.
pub(super) fn lock(project: &Project) -> Project {
    let image_of =
        |service: &Service| Service { image: service.image.clone(), ..Service::default() };
    let services = project.services.iter().map(|(name, it)| (name.clone(), Box::new(image_of(it))));
    Project { services: services.collect(), ..Project::default() }
}

/// A reference with all its parts.
#[derive(Debug, PartialEq, Eq)]
struct Reference {
    /// Registry and repository.
    name: String,
    tag: String,
    digest: Option<String>,
}

/// Adds what Docker implies: its own registry, `library`, `latest`.
fn complete(image: &str) -> Reference {
    let (tagged, digest) = match image.split_once('@') {
        Some((tagged, digest)) => (tagged, Some(digest.to_owned())),
        None => (image, None),
    };
    // A colon before the last slash belongs to a port.
    let (name, tag) = match tagged.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (tagged, "latest"),
    };
    let is_registry = |part: &str| part.contains(['.', ':']) || part == "localhost";
    let (registry, repository) = match name.split_once('/') {
        Some((registry, rest)) if is_registry(registry) => (registry, rest),
        _ => ("docker.io", name),
    };
    let registry = if registry == "index.docker.io" { "docker.io" } else { registry };
    let library =
        if registry == "docker.io" && !repository.contains('/') { "library/" } else { "" };
    Reference { name: format!("{registry}/{library}{repository}"), tag: tag.to_owned(), digest }
}

#[cfg(test)]
mod tests {
    use super::complete;

    #[test]
    fn references_are_completed_as_docker_does() {
        for (image, name, tag, digest) in [
            ("nginx", "docker.io/library/nginx", "latest", None),
            ("index.docker.io/a/b:1", "docker.io/a/b", "1", None),
            ("localhost:5000/x", "localhost:5000/x", "latest", None),
            ("localhost/x:y", "localhost/x", "y", None),
            ("box.example/a/b/c:1@sha256:ff", "box.example/a/b/c", "1", Some("sha256:ff")),
        ] {
            let found = complete(image);
            let parts = (found.name.as_str(), found.tag.as_str(), found.digest.as_deref());
            assert_eq!(parts, (name, tag, digest), "{image}");
        }
    }
}
