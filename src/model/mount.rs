//! What is mounted into a container.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mark::is_default;
use super::{Bytes, Dict, Extensions, form};

/// Something that is mounted into a container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["type"]))]
pub struct Mount {
    /// What it is.
    #[serde(rename = "type")]
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(extend("enum" = ["bind", "volume", "tmpfs", "cluster", "npipe", "image"]))]
    pub kind: String,
    /// Path on the host, name of a volume, or image.
    #[serde(skip_serializing_if = "is_default")]
    pub source: String,
    /// Path in the container.
    #[serde(skip_serializing_if = "is_default")]
    pub target: String,
    /// Whether the container may not write to it. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::BoolOrString")]
    pub read_only: bool,
    /// How closely host and container must agree. Has no effect on Linux.
    #[serde(skip_serializing_if = "is_default")]
    pub consistency: String,
    /// Options for `bind`.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "BindOptions")]
    pub bind: Option<BindOptions>,
    /// Options for `volume`.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "VolumeOptions")]
    pub volume: Option<VolumeOptions>,
    /// Options for `tmpfs`.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "TmpfsOptions")]
    pub tmpfs: Option<TmpfsOptions>,
    /// Options for `image`.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "ImageOptions")]
    pub image: Option<ImageOptions>,
    /// Attributes that start with `x-`: free for your own use.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    #[schemars(with = "form::Any")]
    pub extensions: Extensions,
}

/// Options for a path of the host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BindOptions {
    /// SELinux label: `z` for shared content, `Z` for private content.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(extend("enum" = ["z", "Z"]))]
    pub selinux: String,
    /// How later mounts spread: `private`, `shared`, `slave`, each also with `r` in front.
    #[serde(skip_serializing_if = "is_default")]
    pub propagation: String,
    /// Whether to create a missing path on the host. Default: true.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::BoolOrString")]
    pub create_host_path: bool,
    /// Whether mounts below the path come along, and whether those are read-only too.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(extend("enum" = ["enabled", "disabled", "writable", "readonly"]))]
    pub recursive: String,
    /// Attributes that start with `x-`: free for your own use.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    #[schemars(with = "form::Any")]
    pub extensions: Extensions,
}

/// Options for a volume.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct VolumeOptions {
    /// Labels of the volume.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::ListOrDict")]
    pub labels: Dict,
    /// Whether a new volume starts empty, without the files of the image. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::BoolOrString")]
    pub nocopy: bool,
    /// Path inside the volume to mount. Default: all of it.
    #[serde(skip_serializing_if = "is_default")]
    pub subpath: String,
    /// Attributes that start with `x-`: free for your own use.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    #[schemars(with = "form::Any")]
    pub extensions: Extensions,
}

/// Options for a file system in memory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TmpfsOptions {
    /// Its size, in bytes or with a unit. 0: no limit.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::RangeOrString<0, { i64::MAX }>")]
    pub size: Bytes,
    /// Permission bits of its root, in octal.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::NumberOrString")]
    pub mode: u32,
    /// Attributes that start with `x-`: free for your own use.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    #[schemars(with = "form::Any")]
    pub extensions: Extensions,
}

/// Options for the files of an image.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ImageOptions {
    /// Path inside the image to mount. Default: all of it.
    #[serde(skip_serializing_if = "is_default")]
    pub subpath: String,
    /// Attributes that start with `x-`: free for your own use.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    #[schemars(with = "form::Any")]
    pub extensions: Extensions,
}
