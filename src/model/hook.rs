//! Commands that run inside a container at points of its life.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mark::{always_in_json, is_default};
use super::{Environment, Extensions, ShellCommand, form};

/// A command to run inside a container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["command"]))]
pub struct Hook {
    /// The command.
    #[serde(serialize_with = "always_in_json")]
    #[schemars(with = "form::Command")]
    pub command: ShellCommand,
    /// User that runs it. Default: the user of the container.
    #[serde(skip_serializing_if = "is_default")]
    pub user: String,
    /// Whether it may do nearly everything that the host may. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::BoolOrString")]
    pub privileged: bool,
    /// Its working directory. Default: that of the container.
    #[serde(skip_serializing_if = "is_default")]
    pub working_dir: String,
    /// Its environment variables, besides those of the container.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::ListOrDict")]
    pub environment: Environment,
    /// Attributes that start with `x-`: free for your own use.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    #[schemars(with = "form::Any")]
    pub extensions: Extensions,
}
