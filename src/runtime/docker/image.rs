//! Images: what is there, pull, push, remove, commit.
//!
//! In: references. Out: images as they are, and progress layer by layer.

use std::collections::HashMap;

use bollard::models::{ContainerConfig, ImageInspect};
use bollard::query_parameters::{CommitContainerOptions, ListImagesOptions, RemoveImageOptions};
use futures_util::TryStreamExt as _;
use hyper::Method;
use serde::Deserialize;

use super::wire::Call;
use super::{Docker, failure};
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
        match self.client.inspect_image(reference).await.map_err(failure::told) {
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

    pub(super) async fn images_of(&self, project: &str) -> Result<Vec<String>> {
        let filters = HashMap::from([
            ("label".to_owned(), vec![format!("{}={project}", label::PROJECT)]),
            ("dangling".to_owned(), vec!["false".to_owned()]),
        ]);
        let options = ListImagesOptions { filters: Some(filters), ..ListImagesOptions::default() };
        let found = self.client.list_images(Some(options)).await.map_err(failure::told)?;
        let mut names: Vec<String> = found.into_iter().flat_map(|image| image.repo_tags).collect();
        names.retain(|name| name != "<none>:<none>");
        names.sort();
        Ok(names)
    }

    pub(super) async fn delete_image(&self, reference: &str) -> Result<()> {
        let removed =
            self.patient().remove_image(reference, None::<RemoveImageOptions>, None).await;
        match removed.map_err(failure::told) {
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
        let made = self.patient().commit_container(options, ContainerConfig::default()).await;
        Ok(made.map_err(failure::told)?.id)
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
}
