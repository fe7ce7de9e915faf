//! The documents of images as the OCI image specification and Docker write them.
//!
//! In and out: JSON. Only what is read here has a field; the rest of a config is kept as it is.
//! The crate `oci-spec` is not used: it brings builders and getters of forty crates for these
//! few types, and refuses Docker's media types.
//!
//! # Invariants
//!
//! - A document is identified by the digest of its bytes: it is never written anew unless it
//!   changes.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::digest::Digest;
use super::platform::Platform;

/// The most bytes that a document may have.
pub(super) const MAX_DOCUMENT: u64 = 8 << 20;

/// Media types.
pub(super) mod media {
    pub(in super::super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    pub(in super::super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    pub(in super::super) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    pub(in super::super) const TAR: &str = "application/vnd.oci.image.layer.v1.tar";
    pub(in super::super) const TAR_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    pub(in super::super) const DOCKER_LIST: &str =
        "application/vnd.docker.distribution.manifest.list.v2+json";
    pub(in super::super) const DOCKER_MANIFEST: &str =
        "application/vnd.docker.distribution.manifest.v2+json";
    pub(in super::super) const DOCKER_SCHEMA_1: &str =
        "application/vnd.docker.distribution.manifest.v1";
}

/// A list that may be `null`.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Where something is: by its digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    #[serde(default)]
    pub(super) media_type: String,
    pub(super) digest: Digest,
    pub(super) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) platform: Option<Platform>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) annotations: Option<BTreeMap<String, String>>,
    /// Other addresses of layers that registries may not hand out.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub(super) urls: Vec<String>,
}

impl Descriptor {
    pub(super) fn new(media_type: String, digest: Digest, size: u64) -> Self {
        Self { media_type, digest, size, platform: None, annotations: None, urls: Vec::new() }
    }
}

/// Config and layers of one image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    #[serde(default)]
    pub(super) schema_version: u32,
    #[serde(default)]
    pub(super) media_type: String,
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
}

/// The same image for several platforms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Index {
    #[serde(default)]
    pub(super) schema_version: u32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) media_type: String,
    pub(super) manifests: Vec<Descriptor>,
}

/// What an image is and how it was made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageConfig {
    /// What it runs on.
    #[serde(flatten)]
    pub platform: Platform,
    /// When it was made, as RFC 3339 has it; may be empty.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub created: String,
    /// Who made it.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub author: String,
    /// How its containers run.
    #[serde(deserialize_with = "or_default")]
    pub config: Defaults,
    /// Its layers.
    pub rootfs: RootFs,
    /// How each layer came to be.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub history: Vec<History>,
    /// What nobody here reads.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What containers of an image have unless they are told otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Defaults {
    /// `USER[:GROUP]`; empty: root.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub user: String,
    /// `NAME=VALUE`.
    #[serde(deserialize_with = "or_default")]
    pub env: Vec<String>,
    /// What is put before the command.
    #[serde(deserialize_with = "or_default")]
    pub entrypoint: Vec<String>,
    /// The command.
    #[serde(deserialize_with = "or_default")]
    pub cmd: Vec<String>,
    /// Where it runs; empty: `/`.
    #[serde(deserialize_with = "or_default")]
    pub working_dir: String,
    /// Paths that get a volume.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "or_default")]
    pub volumes: BTreeMap<String, Value>,
    /// `PORT/PROTOCOL` that somebody listens to.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "or_default")]
    pub exposed_ports: BTreeMap<String, Value>,
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
    /// Name or number; empty: `SIGTERM`.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub stop_signal: String,
    /// How to see that it is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<HealthCheck>,
    /// What runs commands in shell form; empty: `/bin/sh -c`.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub shell: Vec<String>,
    /// What nobody here reads.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A health check; times in nanoseconds, 0: the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct HealthCheck {
    /// `NONE`, `CMD` and words, or `CMD-SHELL` and a command.
    #[serde(deserialize_with = "or_default")]
    pub test: Vec<String>,
    /// Between two probes.
    #[serde(skip_serializing_if = "is_zero")]
    pub interval: i64,
    /// How long a probe may take.
    #[serde(skip_serializing_if = "is_zero")]
    pub timeout: i64,
    /// How long failures do not count after the start.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_period: i64,
    /// Between two probes meanwhile.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    /// How many failures in a row make it unhealthy.
    #[serde(skip_serializing_if = "is_zero")]
    pub retries: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// The layers of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Digests of the archives before compression, lowest first.
    #[serde(deserialize_with = "or_default")]
    pub diff_ids: Vec<Digest>,
}

/// How a layer came to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// When.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub created: String,
    /// By which command.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub created_by: String,
    /// By whom.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub author: String,
    /// Why.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub comment: String,
    /// Whether it has no layer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

#[cfg(test)]
mod tests {
    use super::{ImageConfig, Manifest};

    #[test]
    fn a_config_of_docker_is_read_and_keeps_what_is_unknown() {
        let text = r#"{"architecture":"arm","variant":"v7","os":"linux","docker_version":"20",
            "config":{"Env":["A=b"],"Entrypoint":null,"Cmd":["sh"],"Volumes":{"/d":{}},
                      "Labels":null,"OnBuild":["RUN x"],"Healthcheck":{"Test":["NONE"]}},
            "rootfs":{"type":"layers","diff_ids":null},"history":null}"#;
        let config: ImageConfig = serde_json::from_str(text).unwrap();
        assert_eq!(config.platform.to_string(), "linux/arm/v7");
        assert_eq!((config.config.cmd.len(), config.config.entrypoint.len()), (1, 0));
        assert_eq!(config.config.healthcheck.as_ref().unwrap().test, ["NONE"]);
        let again = serde_json::to_value(&config).unwrap();
        assert_eq!(again["config"]["OnBuild"][0], "RUN x");
        assert_eq!((&again["docker_version"], &again["variant"]), (&"20".into(), &"v7".into()));
        let empty: ImageConfig =
            serde_json::from_str(r#"{"config":null,"rootfs":{"type":"layers"}}"#).unwrap();
        assert_eq!(empty.config, super::Defaults::default());
    }

    #[test]
    fn a_manifest_with_a_digest_that_is_none_is_refused() {
        let text = r#"{"config":{"digest":"sha256:../x","size":1},"layers":[]}"#;
        let error = serde_json::from_str::<Manifest>(text).unwrap_err().to_string();
        assert!(error.contains("is not `sha256:`"), "{error}");
    }
}
