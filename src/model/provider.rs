//! Services that an external program runs.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mark::is_default;
use super::{Extensions, form};

/// The external program that runs a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["type"]))]
pub struct Provider {
    /// Name of the program.
    #[serde(rename = "type")]
    #[serde(skip_serializing_if = "is_default")]
    pub kind: String,
    /// Options for it; one with several values is given several times.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::ProviderOptions")]
    pub options: BTreeMap<String, Vec<String>>,
    /// Attributes that start with `x-`: free for your own use.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    #[schemars(with = "form::Any")]
    pub extensions: Extensions,
}
