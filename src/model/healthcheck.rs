//! How to find out whether a container works.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mark::is_default;
use super::{Duration, Extensions, form};

/// How to find out whether a container works.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Healthcheck {
    /// Command: text for a shell, or a list that starts with `CMD`, `CMD-SHELL` or `NONE`.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::StringOrPlainList")]
    pub test: Vec<String>,
    /// How long a check may take, such as `10s`. Default: 30s.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "Duration")]
    pub timeout: Option<Duration>,
    /// Pause between checks. Default: 30s.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "Duration")]
    pub interval: Option<Duration>,
    /// Number of failures in a row that make the container unhealthy. Default: 3.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::NumberOrString")]
    pub retries: Option<u64>,
    /// Time after the start during which failures do not count. Default: 0s.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "Duration")]
    pub start_period: Option<Duration>,
    /// Pause between checks during `start_period`. Default: 5s.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "Duration")]
    pub start_interval: Option<Duration>,
    /// Whether to turn off the check that the image defines. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::BoolOrString")]
    pub disable: bool,
    /// Attributes that start with `x-`: free for your own use.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    #[schemars(with = "form::Any")]
    pub extensions: Extensions,
}
