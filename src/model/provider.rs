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

/// What a provider says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ProviderMetadata {
    /// What it is.
    pub description: String,
    /// Options that it takes to bring a service up.
    pub up: ProviderCommand,
    /// Options that it takes to remove one.
    pub down: ProviderCommand,
    /// Options that it takes to let one rest; `None`: it cannot.
    pub stop: Option<ProviderCommand>,
}

/// A command of a provider.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ProviderCommand {
    /// Its options; `None`: it does not tell them.
    pub parameters: Option<Vec<ProviderParameter>>,
}

/// An option of a provider.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ProviderParameter {
    /// Its name.
    pub name: String,
    /// Whether it must be there.
    pub required: bool,
}

impl ProviderMetadata {
    /// Whether it says nothing: then every option is passed on.
    pub fn is_silent(&self) -> bool {
        self.description.is_empty()
            && self.up.parameters.is_none()
            && self.down.parameters.is_none()
    }
}
