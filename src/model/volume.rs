//! Named volumes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mark::is_default;
use super::{Dict, Extensions, form};

/// A volume that services share and that outlives their containers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("type" = ["object", "null"]))]
pub struct Volume {
    /// Name in the engine. Default: `PROJECT_KEY`.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Volume driver. Default: `local`.
    #[serde(skip_serializing_if = "is_default")]
    pub driver: String,
    /// Options of the driver.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::Options")]
    pub driver_opts: Dict,
    /// Whether it exists already and is not managed here. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::External")]
    pub external: bool,
    /// Labels of the volume.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::ListOrDict")]
    pub labels: Dict,
    /// Attributes that start with `x-`: free for your own use.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    #[schemars(with = "form::Any")]
    pub extensions: Extensions,
}
