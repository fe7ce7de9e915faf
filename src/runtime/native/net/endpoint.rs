//! A container's place in a network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::model::Dict;

/// A container that joins networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Its id: 64 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// A container's place in a network: what `R/net/NAME/ep/ID.json` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Name of the network.
    pub network: String,
    /// Id of the container.
    pub container: String,
    /// Name of the container.
    pub name: String,
    /// All further names, in small letters: aliases and the short id.
    pub aliases: Vec<String>,
    /// Its IPv4 address.
    pub ipv4: Option<Address<Ipv4Addr>>,
    /// Its IPv6 address.
    pub ipv6: Option<Address<Ipv6Addr>>,
    /// Further link-local addresses.
    pub link_local: Vec<IpAddr>,
    /// The hardware address, such as `02:42:ac:12:00:02`.
    pub mac: String,
    /// Name of the interface in the container.
    pub interface: String,
    /// Rank as the default way out; the highest wins.
    pub gw_priority: i64,
    /// Whether the network has no way to the outside.
    pub internal: bool,
    /// Where the host answers in this network; none in an internal one.
    pub host: Option<Ipv4Addr>,
    /// Settings of the kernel for the interface: path below `/proc/sys` and value.
    pub sysctls: Dict,
}

/// An address in a subnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address<A> {
    /// The address.
    pub ip: A,
    /// Bits of the subnet.
    pub prefix: u8,
    /// Where packets to other subnets go.
    pub gateway: A,
}
