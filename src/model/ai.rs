//! AI models, and how services use them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mark::is_default;
use super::{Extensions, form};

/// An AI model that services use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["model"]))]
pub struct Model {
    /// Name in the engine. Default: `PROJECT_KEY`.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// The model itself: an OCI reference.
    #[serde(skip_serializing_if = "is_default")]
    pub model: String,
    /// Number of tokens that it keeps in mind. Default: the model's own.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::Integer")]
    pub context_size: i64,
    /// Flags for the inference engine.
    #[serde(skip_serializing_if = "is_default")]
    pub runtime_flags: Vec<String>,
    /// Attributes that start with `x-`: free for your own use.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    #[schemars(with = "form::Any")]
    pub extensions: Extensions,
}

/// How a service learns about an AI model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ServiceModel {
    /// Environment variable that gets the address of the model. Default: `NAME_URL`.
    #[serde(skip_serializing_if = "is_default")]
    pub endpoint_var: String,
    /// Environment variable that gets the name of the model. Default: `NAME_MODEL`.
    #[serde(skip_serializing_if = "is_default")]
    pub model_var: String,
    /// Attributes that start with `x-`: free for your own use.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    #[schemars(with = "form::Any")]
    pub extensions: Extensions,
}
