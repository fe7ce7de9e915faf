//! Devices that containers use.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mark::is_default;
use super::{Dict, Extensions, form};

/// A device of the host and where the container sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["source"]))]
pub struct DeviceMapping {
    /// Path on the host, or CDI name.
    #[serde(skip_serializing_if = "is_default")]
    pub source: String,
    /// Path in the container. Default: that of the host.
    #[serde(skip_serializing_if = "is_default")]
    pub target: String,
    /// What the container may do: read (`r`), write (`w`), make nodes (`m`). Default: `rwm`.
    #[serde(skip_serializing_if = "is_default")]
    pub permissions: String,
    /// Attributes that start with `x-`: free for your own use.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    #[schemars(with = "form::Any")]
    pub extensions: Extensions,
}

/// Devices that the engine shall find, such as GPUs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["capabilities"], "patternProperties" = { "^x-": {} }))]
pub struct DeviceRequest {
    /// What the devices must be able to do, such as `gpu` or `compute`.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::UniqueList<String>")]
    pub capabilities: Vec<String>,
    /// Device driver, such as `nvidia`.
    #[serde(skip_serializing_if = "is_default")]
    pub driver: String,
    /// How many devices, or `all` (inside: -1). Default: all.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::IntegerOrString")]
    pub count: i64,
    /// The very devices, in place of a number.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::UniqueList<String>")]
    pub device_ids: Vec<String>,
    /// Options of the driver.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::ListOrDict")]
    pub options: Dict,
}
