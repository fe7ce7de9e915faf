//! Configs and secrets: files that containers get without being part of the image.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mark::is_default;
use super::{Dict, Extensions, FileMode, form};

/// A config or secret as a container sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FileReference {
    /// Its name among the top-level `configs` or `secrets`.
    #[serde(skip_serializing_if = "is_default")]
    pub source: String,
    /// Path in the container. Default: `/SOURCE` for configs, `/run/secrets/SOURCE` for secrets.
    #[serde(skip_serializing_if = "is_default")]
    pub target: String,
    /// Owner of the file, as a number. Default: 0.
    #[serde(skip_serializing_if = "is_default")]
    pub uid: String,
    /// Group of the file, as a number. Default: 0.
    #[serde(skip_serializing_if = "is_default")]
    pub gid: String,
    /// Permission bits of the file, in octal. Default: 0444.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "FileMode")]
    pub mode: Option<FileMode>,
    /// Attributes that start with `x-`: free for your own use.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    #[schemars(with = "form::Any")]
    pub extensions: Extensions,
}

/// A config or secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FileObject {
    /// Name in the engine. Default: `PROJECT_KEY`.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Path of the file with the content.
    #[serde(skip_serializing_if = "is_default")]
    pub file: String,
    /// Environment variable with the content.
    #[serde(skip_serializing_if = "is_default")]
    pub environment: String,
    /// The content itself.
    #[serde(skip_serializing_if = "is_default")]
    pub content: String,
    /// Whether it exists already and is not managed here. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::OpenExternal")]
    pub external: bool,
    /// Labels of the config or secret.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::ListOrDict")]
    pub labels: Dict,
    /// Driver that stores the secret.
    #[serde(skip_serializing_if = "is_default")]
    pub driver: String,
    /// Options of the driver.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::Options")]
    pub driver_opts: Dict,
    /// Driver that fills templates in the content.
    #[serde(skip_serializing_if = "is_default")]
    pub template_driver: String,
    /// Attributes that start with `x-`: free for your own use.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    #[schemars(with = "form::Any")]
    pub extensions: Extensions,
}
