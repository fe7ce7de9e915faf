//! Where the logs of a container go.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mark::is_default;
use super::{Dict, Extensions, form};

/// Where the logs of a container go.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Logging {
    /// Logging driver, such as `json-file`, `syslog` or `none`. Default: the engine's.
    #[serde(skip_serializing_if = "is_default")]
    pub driver: String,
    /// Options of the driver, such as `max-size`.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::NullableOptions")]
    pub options: Dict,
    /// Attributes that start with `x-`: free for your own use.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    #[schemars(with = "form::Any")]
    pub extensions: Extensions,
}
