//! Other Compose files that a file takes in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::form;

/// Another Compose application to take in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Include {
    /// Its file, or several that are merged.
    #[schemars(with = "form::StringOrList")]
    pub path: Vec<String>,
    /// Directory that its relative paths start from. Default: that of its first file.
    pub project_directory: String,
    /// Files with variables for its `${…}`. Default: `.env` in its directory.
    #[schemars(with = "form::StringOrList")]
    pub env_file: Vec<String>,
}
