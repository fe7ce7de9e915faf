//! A published port.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mark::is_default;
use super::{Extensions, form};

/// A port of the container and how it is published.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Port {
    /// Name of the port, for people.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// `ingress` (default) or `host`. For orchestrators of many hosts.
    #[serde(skip_serializing_if = "is_default")]
    pub mode: String,
    /// Address of the host to listen on. Default: all.
    #[serde(skip_serializing_if = "is_default")]
    pub host_ip: String,
    /// Port inside the container.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::IntegerOrString")]
    pub target: u32,
    /// Port of the host, or a range to choose from. Default: any free one.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::IntegerOrString")]
    pub published: String,
    /// `tcp` (default), `udp` or `sctp`.
    #[serde(skip_serializing_if = "is_default")]
    pub protocol: String,
    /// What is spoken on the port, such as `http`. A hint for people and tools.
    #[serde(skip_serializing_if = "is_default")]
    pub app_protocol: String,
    /// Attributes that start with `x-`: free for your own use.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    #[schemars(with = "form::Any")]
    pub extensions: Extensions,
}
