//! Networks, and how services join them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mark::{always_in_json, is_default};
use super::{Dict, Extensions, form};

/// A network that services share.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("type" = ["object", "null"]))]
pub struct Network {
    /// Name in the engine. Default: `PROJECT_KEY`.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Network driver. Default: `bridge`.
    #[serde(skip_serializing_if = "is_default")]
    pub driver: String,
    /// Options of the driver.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::Options")]
    pub driver_opts: Dict,
    /// How addresses are given out.
    #[serde(serialize_with = "always_in_json")]
    pub ipam: Ipam,
    /// Whether it exists already and is not managed here. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::External")]
    pub external: bool,
    /// Whether it has no way to the outside. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::BoolOrString")]
    pub internal: bool,
    /// Whether other containers may join it. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::BoolOrString")]
    pub attachable: bool,
    /// Labels of the network.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::ListOrDict")]
    pub labels: Dict,
    /// Whether it gives out IPv4 addresses. Default: true.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::BoolOrString")]
    pub enable_ipv4: Option<bool>,
    /// Whether it gives out IPv6 addresses. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::BoolOrString")]
    pub enable_ipv6: Option<bool>,
    /// Attributes that start with `x-`: free for your own use.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    #[schemars(with = "form::Any")]
    pub extensions: Extensions,
}

/// How addresses of a network are given out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Ipam {
    /// Driver that gives them out. Default: the engine's.
    #[serde(skip_serializing_if = "is_default")]
    pub driver: String,
    /// Ranges of addresses.
    #[serde(skip_serializing_if = "is_default")]
    pub config: Vec<IpamPool>,
    /// Accepted and ignored: options of the driver.
    #[serde(skip_serializing)]
    #[schemars(with = "form::StringMap")]
    pub options: Dict,
    /// Attributes that start with `x-`: free for your own use.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    #[schemars(with = "form::Any")]
    pub extensions: Extensions,
}

/// A range of addresses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct IpamPool {
    /// Subnet, such as `172.28.0.0/16`.
    #[serde(skip_serializing_if = "is_default")]
    pub subnet: String,
    /// Address of the gateway.
    #[serde(skip_serializing_if = "is_default")]
    pub gateway: String,
    /// Part of the subnet from which containers get addresses.
    #[serde(skip_serializing_if = "is_default")]
    pub ip_range: String,
    /// Addresses that the driver uses itself: name to address.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::StringMap")]
    pub aux_addresses: Dict,
    /// Attributes that start with `x-`: free for your own use. Compose never prints these.
    #[serde(rename = "#extensions", skip_serializing)]
    #[schemars(with = "form::Any")]
    pub extensions: Extensions,
}

/// How a service joins a network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ServiceNetwork {
    /// Further names of the service in this network.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::UniqueList<String>")]
    pub aliases: Vec<String>,
    /// Options of the driver for this connection.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::Options")]
    pub driver_opts: Dict,
    /// Rank of this network as the default way out; the highest wins. Default: 0.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::Number")]
    pub gw_priority: i64,
    /// Name of the network interface inside the container.
    #[serde(skip_serializing_if = "is_default")]
    pub interface_name: String,
    /// Fixed IPv4 address.
    #[serde(skip_serializing_if = "is_default")]
    pub ipv4_address: String,
    /// Fixed IPv6 address.
    #[serde(skip_serializing_if = "is_default")]
    pub ipv6_address: String,
    /// Further link-local addresses.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::UniqueList<String>")]
    pub link_local_ips: Vec<String>,
    /// MAC address in this network.
    #[serde(skip_serializing_if = "is_default")]
    pub mac_address: String,
    /// Rank in which networks are joined; the highest is first. Default: 0.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::Number")]
    pub priority: i64,
    /// Attributes that start with `x-`: free for your own use.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    #[schemars(with = "form::Any")]
    pub extensions: Extensions,
}
