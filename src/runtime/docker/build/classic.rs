//! The engine's classic builder, which needs nothing but the engine.
//!
//! In: a [`BuildSpec`] of which nothing is left that only BuildKit can do. Out: an image.

use futures_util::TryStreamExt as _;
use hyper::Method;
use serde_json::json;

use super::context::{Context, Dockerfile};
use super::{Docker, Source, failed, line};
use crate::model::label;
use crate::model::spec::BuildSpec;
use crate::runtime::docker::image::Line;
use crate::runtime::docker::wire::Call;
use crate::runtime::{OnProgress, Result, RuntimeError};

/// Refuses what only BuildKit can do. `why`: why it is not used.
pub(super) fn refuse(spec: &BuildSpec, why: &str) -> Result<()> {
    let (build, options) = (&spec.build, &spec.options);
    let is_asked = |text: &str| !matches!(text, "" | "false");
    let is_flag_asked = |flag: &Option<String>| flag.as_deref().is_some_and(is_asked);
    let needs = [
        ("build.secrets", !spec.secrets.is_empty() || !build.secrets.is_empty()),
        ("build.ssh", !build.ssh.is_empty()),
        ("build.additional_contexts", !build.additional_contexts.is_empty()),
        ("build.platforms", spec.platform.is_empty() && build.platforms.len() > 1),
        ("build.privileged", build.privileged),
        ("build.entitlements", !build.entitlements.is_empty()),
        ("build.cache_to", !build.cache_to.is_empty()),
        ("build.provenance", is_asked(&build.provenance) || is_flag_asked(&options.provenance)),
        ("build.sbom", is_asked(&build.sbom) || is_flag_asked(&options.sbom)),
        ("--builder", options.builder.as_deref().is_some_and(|name| !name.is_empty())),
        ("--check", options.check),
    ];
    let remote = matches!(Source::of(&build.context), Source::Remote(_));
    let inline_remote = ("build.dockerfile_inline", remote && !build.dockerfile_inline.is_empty());
    match needs.into_iter().chain([inline_remote]).find(|(_, needed)| *needed) {
        None => Ok(()),
        Some((attribute, _)) => Err(RuntimeError::Unsupported(format!(
            "`{attribute}` of service `{}` needs BuildKit: {why}",
            spec.service_name
        ))),
    }
}

impl Docker {
    pub(super) async fn build_classic(
        &self,
        spec: &BuildSpec,
        progress: OnProgress<'_>,
    ) -> Result<()> {
        let registries = self.credentials().await?.header_of_all().await;
        let call = |parameters: &[(&str, String)]| {
            Call::new(Method::POST, "/build")
                .query(parameters)
                .header("X-Registry-Config", registries)
        };
        match Source::of(&spec.build.context) {
            Source::Remote(address) => {
                let mut parameters = parameters(spec, &spec.build.dockerfile);
                parameters.push(("remote", address.to_owned()));
                self.follow(call(&parameters), progress).await?;
            }
            Source::Directory(root) => {
                let dockerfile = match (&*spec.build.dockerfile_inline, &*spec.build.dockerfile) {
                    ("", "") => Dockerfile::Path("Dockerfile"),
                    ("", path) => Dockerfile::Path(path),
                    (text, _) => Dockerfile::Inline(text),
                };
                let context = Context::of(root, dockerfile).await.map_err(unreadable)?;
                let parameters = parameters(spec, &context.dockerfile);
                let (archive, task) = context.archive();
                let built = self.follow(call(&parameters).archive(archive), progress).await;
                // An archive that could not be made says more than the request that lacks it.
                match (built, task.await) {
                    (Err(_), Ok(Err(error))) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                        return Err(unreadable(error));
                    }
                    (built, _) => built?,
                }
            }
        }
        if spec.options.push {
            for tag in &spec.tags {
                self.push_image(tag, progress).await?;
            }
        }
        Ok(())
    }

    /// Sends the request and tells what the engine says, to its end.
    async fn follow(&self, call: Call, progress: OnProgress<'_>) -> Result<()> {
        let mut lines = self.wire().lines::<Line>(call).await?;
        let mut step = String::new();
        while let Some(said) = lines.try_next().await? {
            if !said.error.is_empty() {
                return Err(failed(&step, &said.error));
            }
            for text in said.stream.lines().map(str::trim_end).filter(|text| !text.is_empty()) {
                match text.strip_prefix("Step ") {
                    Some(next) => next.clone_into(&mut step),
                    None => progress(line(&step, text)),
                }
            }
            let layer = said.progress();
            if !layer.status.is_empty() {
                progress(layer);
            }
        }
        Ok(())
    }
}

fn unreadable(source: std::io::Error) -> RuntimeError {
    RuntimeError::Io { action: "read the build context".to_owned(), source }
}

/// The query of the request; what is empty is not said.
fn parameters(spec: &BuildSpec, dockerfile: &str) -> Vec<(&'static str, String)> {
    let build = &spec.build;
    let flag = |set: bool| if set { "1".to_owned() } else { String::new() };
    let number = |value: i64| if value > 0 { value.to_string() } else { String::new() };
    let mut labels = build.labels.clone();
    labels.extend(spec.labels.clone());
    labels.insert(label::BUILDER.to_owned(), "classic".to_owned());
    let ulimit = |(name, limit): (&String, &crate::model::Ulimit)| {
        let (soft, hard) = limits(*limit);
        json!({ "Name": name, "Soft": soft, "Hard": hard })
    };
    let ulimits: Vec<_> = build.ulimits.iter().map(ulimit).collect();
    let platform = match build.platforms.as_slice() {
        [only] if spec.platform.is_empty() => only,
        _ => &spec.platform,
    };
    let mut query = vec![
        ("dockerfile", dockerfile.to_owned()),
        ("buildargs", json!(build.args).to_string()),
        ("labels", json!(labels).to_string()),
        ("cachefrom", json!(build.cache_from).to_string()),
        ("ulimits", json!(ulimits).to_string()),
        ("target", build.target.clone()),
        ("networkmode", build.network.clone()),
        ("isolation", build.isolation.clone()),
        ("platform", platform.clone()),
        ("nocache", flag(build.no_cache || spec.options.no_cache)),
        ("pull", flag(build.pull || spec.options.pull)),
        ("shmsize", number(build.shm_size.0)),
        ("memory", number(spec.options.memory)),
        ("rm", flag(true)),
        ("forcerm", flag(true)),
    ];
    query.extend(spec.tags.iter().map(|tag| ("t", tag.clone())));
    let hosts = build.extra_hosts.iter();
    query.extend(hosts.flat_map(|(host, addresses)| {
        addresses.iter().map(move |address| ("extrahosts", format!("{host}:{address}")))
    }));
    query
}

/// Soft and hard limit.
pub(super) fn limits(limit: crate::model::Ulimit) -> (i64, i64) {
    if limit.single == 0 { (limit.soft, limit.hard) } else { (limit.single, limit.single) }
}
