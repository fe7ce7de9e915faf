//! What happens when files change while somebody develops.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mark::{always_in_json, is_default};
use super::{Extensions, Hook, form};

/// Settings for development.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("type" = ["object", "null"]))]
pub struct Develop {
    /// Files to watch and what to do when they change.
    #[serde(skip_serializing_if = "is_default")]
    pub watch: Vec<Trigger>,
    /// Attributes that start with `x-`: free for your own use.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    #[schemars(with = "form::Any")]
    pub extensions: Extensions,
}

/// Files to watch and what to do when they change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["path", "action"]))]
pub struct Trigger {
    /// File or directory to watch.
    pub path: String,
    /// What to do.
    #[schemars(extend("enum" = ["rebuild", "sync", "restart", "sync+restart", "sync+exec"]))]
    pub action: String,
    /// Path in the container that `sync` copies to.
    #[serde(skip_serializing_if = "is_default")]
    pub target: String,
    /// Command that `sync+exec` runs in the container.
    #[serde(serialize_with = "always_in_json")]
    pub exec: Hook,
    /// Patterns of the files to heed. Default: all.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::StringOrList")]
    pub include: Vec<String>,
    /// Patterns of files to ignore.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::StringOrList")]
    pub ignore: Vec<String>,
    /// Whether to copy everything once when watching starts. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    pub initial_sync: bool,
    /// Attributes that start with `x-`: free for your own use.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    #[schemars(with = "form::Any")]
    pub extensions: Extensions,
}
