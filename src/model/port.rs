//! A published port.

use std::ops::RangeInclusive;

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

/// How the variables begin that hold published ports.
pub const VARIABLE: &str = "KETCH_PORT_";

impl Port {
    /// The protocol, also where none is named.
    pub fn protocol(&self) -> &str {
        if self.protocol.is_empty() { "tcp" } else { &self.protocol }
    }

    /// The ports of the host that are asked for; `None`: any free one.
    pub fn wanted(&self) -> Option<RangeInclusive<u16>> {
        range(&self.published).filter(|wanted| *wanted != (0..=0))
    }
}

/// Reads `80` or `80-90`.
pub fn range(published: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = published.split_once('-').unwrap_or((published, published));
    let range = first.parse().ok()?..=last.parse().ok()?;
    (!range.is_empty()).then_some(range)
}

/// A part of the name of a variable that stands for a service: `web-1` is `WEB_1`.
pub fn variable_part(service: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    service.chars().map(letter).collect()
}

/// The port of a service in the name of a variable: `WEB_80`, or `DNS_53_UDP`.
pub fn variable_suffix(service: &str, target: u32, protocol: &str) -> String {
    let service = variable_part(service);
    match protocol {
        "" | "tcp" => format!("{service}_{target}"),
        other => format!("{service}_{target}_{}", variable_part(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::{range, variable_suffix};

    #[test]
    fn a_port_of_a_service_has_a_variable() {
        assert_eq!(variable_suffix("my-web.1", 80, "tcp"), "MY_WEB_1_80");
        assert_eq!(variable_suffix("dns", 53, "udp"), "DNS_53_UDP");
    }

    #[test]
    fn ports_of_the_host_are_read_or_left_to_the_runtime() {
        assert_eq!(range("80"), Some(80..=80));
        assert_eq!(range("80-90"), Some(80..=90));
        for text in ["", "90-80", "x", "70000", "80-", "-80"] {
            assert_eq!(range(text), None, "{text}");
        }
    }
}
