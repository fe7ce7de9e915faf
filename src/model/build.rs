//! How the image of a service is built.
//!
//! # Invariants
//!
//! - The order of the fields is the order of Compose's own type.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::mark::is_default;
use super::{Bytes, Dict, Environment, Extensions, FileReference, Ulimit, form};

/// How to build the image of a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Build {
    /// Directory with the files for the build, or the URL of a repository. Default: `.`.
    #[serde(skip_serializing_if = "is_default")]
    pub context: String,
    /// Name of the Dockerfile, relative to the context. Default: `Dockerfile`.
    #[serde(skip_serializing_if = "is_default")]
    pub dockerfile: String,
    /// The Dockerfile itself, in place of a file.
    #[serde(skip_serializing_if = "is_default")]
    pub dockerfile_inline: String,
    /// Privileges that the build may use, such as `network.host`.
    #[serde(skip_serializing_if = "is_default")]
    pub entitlements: Vec<String>,
    /// Values for the `ARG`s of the Dockerfile. One without a value is taken from your environment.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::ListOrDict")]
    pub args: Environment,
    /// Whether and how to record where the image comes from.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::BoolOrString")]
    pub provenance: String,
    /// Whether and how to record what the image consists of.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::BoolOrString")]
    pub sbom: String,
    /// SSH agents and keys that the build may use: `default` or `ID=PATH`.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::ListOrDict")]
    pub ssh: Vec<SshKey>,
    /// Labels of the image.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::ListOrDict")]
    pub labels: Dict,
    /// Images and caches that spare build steps.
    #[serde(skip_serializing_if = "is_default")]
    pub cache_from: Vec<String>,
    /// Where to store the build cache.
    #[serde(skip_serializing_if = "is_default")]
    pub cache_to: Vec<String>,
    /// Whether to run every build step anew. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::BoolOrString")]
    pub no_cache: bool,
    /// Further build contexts: name to path, URL, image or `service:NAME`.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::ListOrDict")]
    pub additional_contexts: Dict,
    /// Whether to look for newer base images. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::BoolOrString")]
    pub pull: bool,
    /// Host names to add to `/etc/hosts` during the build.
    #[serde(serialize_with = "super::host::serialize")]
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::ExtraHosts")]
    pub extra_hosts: BTreeMap<String, Vec<String>>,
    /// Isolation technology of the build.
    #[serde(skip_serializing_if = "is_default")]
    pub isolation: String,
    /// Network of the build: `none`, `host`, `default` or a name.
    #[serde(skip_serializing_if = "is_default")]
    pub network: String,
    /// Stage of the Dockerfile to build. Default: the last one.
    #[serde(skip_serializing_if = "is_default")]
    pub target: String,
    /// Secrets that the build may use.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "Vec<form::ShortOr<FileReference>>")]
    pub secrets: Vec<FileReference>,
    /// Size of `/dev/shm` during the build, in bytes or with a unit.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::IntegerOrString")]
    pub shm_size: Bytes,
    /// Further names for the image.
    #[serde(skip_serializing_if = "is_default")]
    pub tags: Vec<String>,
    /// Limits of the processes of the build.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::Ulimits")]
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Platforms to build for, such as `linux/amd64`.
    #[serde(skip_serializing_if = "is_default")]
    pub platforms: Vec<String>,
    /// Whether build steps may do nearly everything that the host may.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::BoolOrString")]
    pub privileged: bool,
    /// Attributes that start with `x-`: free for your own use.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    #[schemars(with = "form::Any")]
    pub extensions: Extensions,
}

/// An SSH agent or key that the build may use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SshKey {
    /// Name under which the Dockerfile asks for it.
    pub id: String,
    /// Path of the socket or key. Empty: your SSH agent.
    pub path: String,
}

impl Serialize for SshKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.path.is_empty() {
            serializer.serialize_str(&self.id)
        } else {
            serializer.collect_str(&format_args!("{}: {}", self.id, self.path))
        }
    }
}
