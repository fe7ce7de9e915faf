//! Credentials of a managed service account.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mark::is_default;
use super::{Extensions, form};

/// Where the credentials of a managed service account come from (Windows).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CredentialSpec {
    /// Name of a config.
    #[serde(skip_serializing_if = "is_default")]
    pub config: String,
    /// Path of a file.
    #[serde(skip_serializing_if = "is_default")]
    pub file: String,
    /// Name of a value in the registry of the host.
    #[serde(skip_serializing_if = "is_default")]
    pub registry: String,
    /// Attributes that start with `x-`: free for your own use.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    #[schemars(with = "form::Any")]
    pub extensions: Extensions,
}
