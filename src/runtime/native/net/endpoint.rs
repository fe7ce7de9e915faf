//! A container's place in a network.
//!
//! In: how a service joins a network. Out: addresses, names and settings, each checked.
//!
//! # Not here
//!
//! Which addresses are free: `membership`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::model::{Dict, ServiceNetwork};

use super::definition::is_interface;

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

/// The endpoints whose networks are the default ways out, by IPv4 and IPv6: those of the highest
/// rank, and among them the first by name, as for Docker.
pub(super) fn way_out(endpoints: &[Endpoint]) -> (Option<&Endpoint>, Option<&Endpoint>) {
    let best = |usable: &dyn Fn(&Endpoint) -> bool| {
        let usable = endpoints.iter().filter(|endpoint| !endpoint.internal && usable(endpoint));
        usable.min_by_key(|endpoint| (-endpoint.gw_priority.max(-i64::MAX), &endpoint.network))
    };
    (best(&|endpoint| endpoint.ipv4.is_some()), best(&|endpoint| endpoint.ipv6.is_some()))
}

/// What a service asks for beside addresses.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wishes {
    /// Name of the interface.
    pub(super) interface: Option<String>,
    pub(super) sysctls: Dict,
    pub(super) link_local: Vec<IpAddr>,
}

impl Wishes {
    /// What the options of a connection ask for.
    pub(super) fn of(options: &ServiceNetwork) -> Result<Self, String> {
        let mut wishes = Self::default();
        if !options.interface_name.is_empty() {
            wishes.interface = Some(options.interface_name.clone());
        }
        for (key, value) in &options.driver_opts {
            match key.as_str() {
                "com.docker.network.endpoint.ifname" => wishes.interface = Some(value.clone()),
                // They name the interface, whose name is only known later.
                "com.docker.network.endpoint.sysctls" => {
                    for setting in value.split(',').filter(|setting| !setting.is_empty()) {
                        let (key, value) = setting_of(setting)?;
                        wishes.sysctls.insert(key, value);
                    }
                }
                _ => return Err(format!("driver_opts: the native runtime has no option `{key}`")),
            }
        }
        if let Some(name) = wishes.interface.as_ref().filter(|name| !is_interface(name)) {
            return Err(format!("`{name}` cannot be the name of an interface"));
        }
        for ip in &options.link_local_ips {
            let ip = ip.parse().map_err(|_| format!("link_local_ips: `{ip}` is no address"))?;
            wishes.link_local.push(ip);
        }
        Ok(wishes)
    }

    /// The settings for an interface of this name.
    pub(super) fn sysctls_of(&self, interface: &str) -> Dict {
        let name =
            |(key, value): (&String, &String)| (key.replace(PLACE, interface), value.clone());
        self.sysctls.iter().map(name).collect()
    }
}

/// Stands for the name of the interface in a setting of the kernel.
const PLACE: &str = "IFNAME";

/// `net.ipv4.conf.IFNAME.log_martians=1` as path and value.
fn setting_of(text: &str) -> Result<(String, String), String> {
    let wrong = || {
        format!(
            "driver_opts: `{text}` is not of the form net.(ipv4|ipv6|mpls).(conf|neigh).IFNAME.\
             SETTING=VALUE"
        )
    };
    let (key, value) = text.split_once('=').ok_or_else(wrong)?;
    let parts: Vec<&str> = key.trim().split('.').collect();
    let ["net", family, group, PLACE, setting] = parts[..] else { return Err(wrong()) };
    let is_word = |word: &str| {
        !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let known = ["ipv4", "ipv6", "mpls"].contains(&family) && ["conf", "neigh"].contains(&group);
    if !known || !is_word(setting) {
        return Err(wrong());
    }
    Ok((parts.join("/"), value.trim().to_owned()))
}
