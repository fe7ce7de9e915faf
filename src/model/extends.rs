//! Services that take over the attributes of another one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mark::is_default;

/// The service whose attributes another one takes over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["service"]))]
pub struct Extends {
    /// File that defines the service. Default: this one.
    #[serde(skip_serializing_if = "is_default")]
    pub file: String,
    /// Name of the service.
    #[serde(skip_serializing_if = "is_default")]
    pub service: String,
}
