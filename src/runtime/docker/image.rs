//! Images: what is there, pull, push, remove, commit.
//!
//! In: references. Out: images as they are, and progress layer by layer.

use std::collections::HashMap;

use bollard::models::{ContainerConfig, ImageInspect};
use bollard::query_parameters::{CommitContainerOptions, ListImagesOptions, RemoveImageOptions};
use futures_util::TryStreamExt as _;
use hyper::Method;
use serde::Deserialize;

use super::Docker;
use super::wire::Call;
use crate::model::label;
use crate::model::observed::ObservedImage;
use crate::model::spec::PullSpec;
use crate::runtime::{Commit, OnProgress, Progress, Result, RuntimeError};

/// A line of what the engine says while it pulls, pushes or builds.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Line {
    /// Which layer.
    id: String,
    /// What happens to it.
    status: String,
    #[serde(rename = "progressDetail")]
    detail: Option<Detail>,
    /// Output of a build.
    pub(super) stream: String,
    /// Why it failed.
    pub(super) error: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Detail {
    current: Option<i64>,
    total: Option<i64>,
}

impl Line {
    /// What it says about progress.
    pub(super) fn progress(self) -> Progress {
        let detail = self.detail.unwrap_or_default();
        let count = |number: Option<i64>| number.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        Progress {
            part: self.id,
            status: self.status,
            current: count(detail.current),
            total: count(detail.total),
        }
    }
}

/// The parts of a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reference<'a> {
    /// Everything before tag and digest.
    name: &'a str,
    /// Digest, else tag; empty if there is none.
    version: &'a str,
}

impl<'a> Reference<'a> {
    fn parse(text: &'a str) -> Self {
        let (tagged, digest) = text.split_once('@').unwrap_or((text, ""));
        // A colon before the last slash belongs to a port.
        let (name, tag) = match tagged.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, tag),
            _ => (tagged, ""),
        };
        Self { name, version: if digest.is_empty() { tag } else { digest } }
    }

    /// Tag or digest, and without either what Docker takes.
    fn version_or_latest(self) -> String {
        if self.version.is_empty() { "latest".to_owned() } else { self.version.to_owned() }
    }
}

impl Docker {
    pub(super) async fn image_named(&self, reference: &str) -> Result<Option<ObservedImage>> {
        match self.client.inspect_image(reference).await.map_err(|error| self.failure(error)) {
            Ok(image) => Ok(Some(observed(image))),
            Err(RuntimeError::NotFound(_)) => Ok(None),
            Err(other) => Err(other),
        }
    }

    pub(super) async fn pull_image(
        &self,
        image: &PullSpec,
        progress: OnProgress<'_>,
    ) -> Result<()> {
        let reference = Reference::parse(&image.image);
        let call = Call::new(Method::POST, "/images/create").query(&[
            ("fromImage", reference.name.to_owned()),
            ("tag", reference.version_or_latest()),
            ("platform", image.platform.clone()),
        ]);
        self.transfer(call, &image.image, progress).await
    }

    pub(super) async fn push_image(&self, image: &str, progress: OnProgress<'_>) -> Result<()> {
        let reference = Reference::parse(image);
        let call = Call::new(Method::POST, format!("/images/{}/push", reference.name))
            .query(&[("tag", reference.version_or_latest())]);
        self.transfer(call, image, progress).await
    }

    /// Sends a request with the credentials for an image and follows it to its end.
    async fn transfer(&self, call: Call, image: &str, progress: OnProgress<'_>) -> Result<()> {
        let credential = self.credentials().await?.for_image(image).await?;
        let call = call.header("X-Registry-Auth", credential.header());
        let mut lines = self.wire().lines::<Line>(call).await?;
        while let Some(line) = lines.try_next().await? {
            if !line.error.is_empty() {
                return Err(RuntimeError::Refused(line.error));
            }
            progress(line.progress());
        }
        Ok(())
    }

    /// Asks the registry of an image, by way of the engine.
    pub(super) async fn digest_of(&self, image: &str) -> Result<String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Found {
            descriptor: Descriptor,
        }
        #[derive(Deserialize)]
        struct Descriptor {
            digest: String,
        }
        let credential = self.credentials().await?.for_image(image).await?;
        let call = Call::new(Method::GET, format!("/distribution/{image}/json"))
            .header("X-Registry-Auth", credential.header());
        let mut found = self.wire().lines::<Found>(call).await?;
        let found = found.try_next().await?.map(|found| found.descriptor.digest);
        found.ok_or_else(|| RuntimeError::Refused("the engine tells no digest".to_owned()))
    }

    pub(super) async fn images_of(&self, project: &str) -> Result<Vec<String>> {
        let filters = HashMap::from([
            ("label".to_owned(), vec![format!("{}={project}", label::PROJECT)]),
            ("dangling".to_owned(), vec!["false".to_owned()]),
        ]);
        let options = ListImagesOptions { filters: Some(filters), ..ListImagesOptions::default() };
        let found =
            self.client.list_images(Some(options)).await.map_err(|error| self.failure(error))?;
        let mut names: Vec<String> = found.into_iter().flat_map(|image| image.repo_tags).collect();
        names.retain(|name| name != "<none>:<none>");
        names.sort();
        Ok(names)
    }

    pub(super) async fn delete_image(&self, reference: &str) -> Result<()> {
        let removed = self.patient.remove_image(reference, None::<RemoveImageOptions>, None).await;
        match removed.map_err(|error| self.failure(error)) {
            Ok(_) | Err(RuntimeError::NotFound(_)) => Ok(()),
            Err(other) => Err(other),
        }
    }

    pub(super) async fn commit_image(&self, container: &str, commit: &Commit) -> Result<String> {
        let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let reference = Reference::parse(&commit.reference);
        let options = CommitContainerOptions {
            container: said(container),
            repo: said(reference.name),
            tag: said(reference.version),
            comment: said(&commit.message),
            author: said(&commit.author),
            pause: commit.pause,
            changes: said(&commit.changes.join("\n")),
        };
        let made = self.patient.commit_container(options, ContainerConfig::default()).await;
        Ok(made.map_err(|error| self.failure(error))?.id)
    }
}

fn observed(image: ImageInspect) -> ObservedImage {
    let config = image.config.unwrap_or_default();
    let parts = [image.os, image.architecture, image.variant];
    let parts: Vec<String> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
    let tagged = image.metadata.and_then(|metadata| metadata.last_tag_time);
    let tagged = tagged.map_or((0, 0), |time| moment(&time));
    ObservedImage {
        id: image.id.unwrap_or_default(),
        names: image.repo_tags.unwrap_or_default(),
        platform: parts.join("/"),
        volumes: config.volumes.unwrap_or_default(),
        tagged: tagged.0,
        tagged_nanos: tagged.1,
        size: image.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
        labels: config.labels.unwrap_or_default().into_iter().collect(),
    }
}

/// Seconds since 1970 and nanoseconds; 0 for Docker's word for never, the year 1.
fn moment(time: &str) -> (i64, i32) {
    let time = time.parse::<jiff::Timestamp>().ok().filter(|time| time.as_second() > 0);
    time.map_or((0, 0), |time| (time.as_second(), time.subsec_nanosecond()))
}

#[cfg(test)]
mod tests {
    use super::super::trial::{IMAGE, Registry, Trial, docker, engine};
    use super::*;

    #[test]
    fn references_have_a_name_and_a_version() {
        for (text, name, version) in [
            ("busybox", "busybox", "latest"),
            ("busybox:1", "busybox", "1"),
            ("localhost:5000/a/b", "localhost:5000/a/b", "latest"),
            ("localhost:5000/a/b:v2", "localhost:5000/a/b", "v2"),
            ("a/b:v2@sha256:0123", "a/b", "sha256:0123"),
            ("a@sha256:0123", "a", "sha256:0123"),
        ] {
            let found = Reference::parse(text);
            assert_eq!((found.name, found.version_or_latest().as_str()), (name, version), "{text}");
        }
    }

    #[test]
    fn times_are_seconds_and_never_is_zero() {
        assert_eq!(moment("1970-01-02T00:00:01.5Z"), (86_401, 500_000_000));
        assert_eq!(moment("1970-01-01T02:00:00.123456789+01:00"), (3600, 123_456_789));
        assert_eq!(moment("0001-01-01T00:00:00Z"), (0, 0));
        assert_eq!(moment("never"), (0, 0));
    }

    #[test]
    fn progress_tells_layer_and_bytes() {
        let line = r#"{"status":"Downloading","progressDetail":{"current":5,"total":9},"id":"ab"}"#;
        let line: Line = serde_json::from_str(line).unwrap();
        let expected =
            Progress { part: "ab".into(), status: "Downloading".into(), current: 5, total: 9 };
        assert_eq!(line.progress(), expected);
        let line: Line = serde_json::from_str(r#"{"status":"x","progressDetail":{}}"#).unwrap();
        assert_eq!(line.progress(), Progress { status: "x".into(), ..Progress::default() });
    }

    async fn quietly(engine: &Docker, image: &str) -> Result<()> {
        let pull = PullSpec { image: image.to_owned(), platform: String::new() };
        engine.pull_image(&pull, &|_| {}).await
    }

    #[tokio::test]
    async fn what_an_image_is() {
        let Some(engine) = engine().await else { return };
        let found = engine.image_named(IMAGE).await.unwrap().unwrap();
        assert!(found.id.starts_with("sha256:") && found.tagged > 1_700_000_000, "{found:?}");
        assert_eq!(found.platform, "linux/amd64");
        assert!(found.names.iter().any(|name| name == IMAGE), "{found:?}");
        assert_eq!(engine.image_named("hstreams/none:1").await.unwrap(), None);
        engine.delete_image("hstreams/none:1").await.unwrap();
        let trial = Trial::run("image-used", &[IMAGE, "sleep", "600"]);
        let name = format!("{}:1", trial.name);
        docker(&["commit", &trial.name, &name]);
        let user = Trial::run("image-user", &[&name, "sleep", "600"]);
        let error = engine.delete_image(&name).await.unwrap_err();
        assert!(matches!(error, RuntimeError::Conflict(_)), "{error:?}");
        drop(user);
        engine.delete_image(&name).await.unwrap();
        assert_eq!(engine.image_named(&name).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_container_becomes_an_image_of_a_project() {
        let Some(engine) = engine().await else { return };
        let trial = Trial::create("commit", &[IMAGE, "true"]);
        let reference = format!("{}:2", trial.name);
        let project = format!("{}=hstreams-commit", label::PROJECT);
        let commit = Commit {
            reference: reference.clone(),
            author: "somebody".into(),
            message: "why".into(),
            changes: vec![format!("LABEL {project}"), "VOLUME /data".into()],
            pause: true,
        };
        let id = engine.commit_image(&trial.name, &commit).await.unwrap();
        let found = engine.image_named(&reference).await.unwrap().unwrap();
        assert_eq!((found.id, found.volumes), (id, vec!["/data".to_owned()]));
        assert_eq!(engine.images_of("hstreams-commit").await.unwrap(), [reference.as_str()]);
        engine.delete_image(&reference).await.unwrap();
        assert!(engine.images_of("hstreams-commit").await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn images_go_to_a_registry_and_come_back() {
        let Some(engine) = engine().await else { return };
        let Some(registry) = Registry::start().await else { return };
        let image = format!("{}/hstreams/a:1", registry.address);
        docker(&["tag", IMAGE, &image]);
        let home = tempfile::tempdir().unwrap();
        registry.login(home.path(), "wrong");
        let engine = engine.with_variable("DOCKER_CONFIG", &home.path().display().to_string());
        let refused = engine.push_image(&image, &|_| {}).await.unwrap_err().to_string();
        registry.login(home.path(), Registry::PASSWORD);
        let seen = std::sync::Mutex::new(Vec::new());
        let progress = |told: Progress| seen.lock().unwrap().push(told);
        let pushed = engine.push_image(&image, &progress).await;
        docker(&["rmi", &image]);
        let pulled = quietly(&engine, &image).await;
        let found = engine.image_named(&image).await;
        let missing = quietly(&engine, &image.replace("a:1", "b:1")).await;
        docker(&["rmi", &image]);
        pushed.unwrap();
        pulled.unwrap();
        assert!(found.unwrap().is_some());
        assert!(refused.contains("no basic auth credentials") || refused.contains("unauthorized"));
        let seen = seen.into_inner().unwrap();
        let layer = |told: &Progress| told.part.len() == 12 && told.status == "Pushed";
        assert!(seen.iter().any(layer), "{seen:?}");
        let missing = missing.unwrap_err();
        assert!(matches!(missing, RuntimeError::NotFound(_)), "{missing:?}");
        assert!(missing.to_string().contains("hstreams/b:1"), "{missing}");
    }
}
