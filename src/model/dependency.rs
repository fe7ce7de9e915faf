//! Services that need each other.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mark::is_default;
use super::{Extensions, form};

/// A service that another one needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["condition"]))]
pub struct Dependency {
    /// What to wait for: that it runs, that it is healthy, or that it has ended well.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(extend("enum" = ["service_started", "service_healthy", "service_completed_successfully"]))]
    pub condition: String,
    /// Whether this service restarts when that one does. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::BoolOrString")]
    pub restart: bool,
    /// Whether that service must exist and start. Default: true.
    pub required: bool,
    /// Attributes that start with `x-`: free for your own use.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    #[schemars(with = "form::Any")]
    pub extensions: Extensions,
}

impl Default for Dependency {
    fn default() -> Self {
        Self {
            condition: String::new(),
            restart: false,
            required: true,
            extensions: Extensions::new(),
        }
    }
}
