//! What a network is: checked when it is created, kept in `network.json`.
//!
//! In: a spec. Out: a definition in which every attribute is settled but the addresses.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::model::observed::ObservedNetwork;
use crate::model::spec::NetworkSpec;
use crate::model::{Dict, Network, label};
use crate::runtime::{Result, RuntimeError};

use super::pool::Pool;
use super::{Checked, store};

/// The network of containers without one, which is there as long as it has containers.
pub(in crate::runtime::native) const DEFAULT: &str = "bridge";
/// Networks that Docker always has.
pub(super) const PREDEFINED: [&str; 3] = [DEFAULT, "host", "none"];
/// Bytes of a packet, if nothing else is asked for.
const MTU: u32 = 1500;
/// The longest name: it is the name of a file, with something behind it.
const LONGEST_NAME: usize = 200;
/// The longest name of an interface.
const LONGEST_INTERFACE: usize = 15;

/// A network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Definition {
    /// 64 hexadecimal digits.
    pub(super) id: String,
    pub(super) name: String,
    pub(super) labels: Dict,
    /// The pinned namespace that its bridge is in.
    pub(super) namespace: String,
    /// Name of the bridge there.
    pub(super) bridge: String,
    /// Whether it has no way to the outside.
    pub(super) internal: bool,
    /// Whether its containers do not reach each other.
    pub(super) isolated: bool,
    pub(super) mtu: u32,
    /// What the names of interfaces begin with.
    pub(super) interface: String,
    pub(super) ipv4: Option<Pool<Ipv4Addr>>,
    pub(super) ipv6: Option<Pool<Ipv6Addr>>,
}

impl Definition {
    /// What a spec asks for. Pools that it leaves open are not there yet.
    pub(super) fn of(spec: &NetworkSpec) -> Result<Self> {
        let network = &spec.network;
        let refuse = |why: String| refused(&network.name, &why);
        check_name(&network.name).map_err(refuse)?;
        check_driver(network).map_err(refuse)?;
        let id = store::hex(&store::random::<32>()?);
        let namespace = match spec.labels.get(label::PROJECT).filter(|name| !name.is_empty()) {
            Some(project) => {
                let fits = check_name(project).map(|()| !project.contains('.'));
                if fits != Ok(true) {
                    return Err(refuse(format!("`{project}` is not a name of a project")));
                }
                project.clone()
            }
            // No project has a dot in its name.
            None => format!("net.{}", network.name),
        };
        let mut definition = Self {
            bridge: format!("br-{}", &id[..12]),
            id,
            name: network.name.clone(),
            labels: spec.labels.clone(),
            namespace,
            internal: network.internal,
            isolated: false,
            mtu: MTU,
            interface: "eth".to_owned(),
            ipv4: None,
            ipv6: None,
        };
        definition.set_pools(network).map_err(refuse)?;
        for (key, value) in &network.driver_opts {
            definition.set_option(key, value).map_err(refuse)?;
        }
        Ok(definition)
    }

    fn set_pools(&mut self, network: &Network) -> Checked<()> {
        for pool in &network.ipam.config {
            if pool.subnet.is_empty() {
                let is_empty = pool.gateway.is_empty()
                    && pool.ip_range.is_empty()
                    && pool.aux_addresses.is_empty();
                if !is_empty {
                    return Err("ipam: an address needs the subnet that it is in".to_owned());
                }
                continue;
            }
            match (Pool::given(pool), Pool::given(pool)) {
                (Some(ipv4), _) => put(&mut self.ipv4, ipv4?)?,
                (None, Some(ipv6)) => put(&mut self.ipv6, ipv6?)?,
                (None, None) => {}
            }
        }
        if network.enable_ipv4 == Some(false) && self.ipv4.is_some() {
            return Err("it has an IPv4 subnet, and `enable_ipv4: false`".to_owned());
        }
        if network.enable_ipv6 == Some(false) && self.ipv6.is_some() {
            return Err("it has an IPv6 subnet, and `enable_ipv6: false`".to_owned());
        }
        if network.enable_ipv4 == Some(false) && !wants_ipv6(network) && self.ipv6.is_none() {
            return Err("it has neither IPv4 nor IPv6".to_owned());
        }
        Ok(())
    }

    fn set_option(&mut self, key: &str, value: &str) -> Checked<()> {
        let wrong = || format!("driver_opts: {key}: `{value}` cannot be used");
        match key {
            "com.docker.network.driver.mtu" | "mtu" => {
                self.mtu = value
                    .parse()
                    .ok()
                    .filter(|mtu| (68..=65535).contains(mtu))
                    .ok_or_else(wrong)?;
            }
            "com.docker.network.bridge.name" => {
                self.bridge =
                    Some(value.to_owned()).filter(|name| is_interface(name)).ok_or_else(wrong)?;
            }
            "com.docker.network.bridge.enable_icc" => {
                self.isolated = !truth(value).ok_or_else(wrong)?;
            }
            // What always holds here.
            "com.docker.network.bridge.enable_ip_masquerade" if truth(value) == Some(true) => {}
            "com.docker.network.container_iface_prefix" => {
                let fits = is_interface(value) && value.len() + 3 <= LONGEST_INTERFACE;
                self.interface = Some(value.to_owned()).filter(|_| fits).ok_or_else(wrong)?;
            }
            _ => {
                return Err(format!(
                    "driver_opts: the native runtime has no option `{key}` with value `{value}`"
                ));
            }
        }
        Ok(())
    }

    /// As others see it.
    pub(super) fn observed(&self) -> ObservedNetwork {
        ObservedNetwork {
            id: self.id.clone(),
            name: self.name.clone(),
            driver: "bridge".to_owned(),
            labels: self.labels.clone(),
        }
    }
}

/// Whether a network asks for IPv6 in so many words.
pub(super) fn wants_ipv6(network: &Network) -> bool {
    network.enable_ipv6 == Some(true)
}

/// Why a network is not made.
pub(super) fn refused(name: &str, why: &str) -> RuntimeError {
    RuntimeError::Refused(format!("cannot create network `{name}`: {why}"))
}

/// Whether a name can be that of an interface.
pub(super) fn is_interface(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_graphic() && !['/', ':', '%'].contains(&c);
    !name.is_empty()
        && name.len() <= LONGEST_INTERFACE
        && name.chars().all(plain)
        && !["lo", ".", "..", "all", "default", super::uplink::INSIDE].contains(&name)
}

fn put<T>(place: &mut Option<T>, value: T) -> Checked<()> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err("ipam: a bridge has at most one subnet of each family".to_owned()),
    }
}

fn check_name(name: &str) -> Checked<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || ['_', '.', '-'].contains(&c);
    let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    if !begins || !name.chars().all(plain) || name.len() > LONGEST_NAME {
        return Err(format!("`{name}` is not a name of letters, digits, `_`, `.` and `-`"));
    }
    Ok(())
}

fn check_driver(network: &Network) -> Checked<()> {
    let why = match network.driver.as_str() {
        "" | "bridge" | "default" => None,
        driver @ ("host" | "none" | "null") => {
            Some(format!("driver `{driver}`: give its services `network_mode` in its place"))
        }
        driver @ ("ipvlan" | "macvlan") => Some(format!(
            "driver `{driver}`: its containers would share an interface of the host, from which \
             the native runtime keeps them apart; use `bridge` and publish ports"
        )),
        "overlay" => Some("driver `overlay`: it needs a swarm".to_owned()),
        driver => Some(format!("driver `{driver}`: the native runtime has no plugins")),
    };
    let ipam = network.ipam.driver.as_str();
    let why = why.or_else(|| {
        (!["", "default"].contains(&ipam))
            .then(|| format!("ipam driver `{ipam}`: the native runtime has no plugins"))
    });
    why.map_or(Ok(()), Err)
}

fn truth(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "t" | "true" => Some(true),
        "0" | "f" | "false" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Definition;
    use crate::model::label;
    use crate::model::spec::NetworkSpec;

    fn define(yaml: &str) -> Result<Definition, String> {
        let network = serde_yaml::from_str(yaml).expect("a network");
        let labels = [(label::PROJECT.to_owned(), "shop".to_owned())].into_iter().collect();
        Definition::of(&NetworkSpec { network, labels }).map_err(|error| error.to_string())
    }

    #[test]
    fn a_network_of_a_project_is_in_its_namespace_and_others_have_their_own() {
        assert_eq!(define("name: shop_default").expect("plain").namespace, "shop");
        let network = serde_yaml::from_str("name: front").expect("a network");
        let spec = NetworkSpec { network, ..NetworkSpec::default() };
        assert_eq!(Definition::of(&spec).expect("plain").namespace, "net.front");
    }

    #[test]
    fn options_that_are_known_are_obeyed() {
        let options = "{name: a, driver_opts: {com.docker.network.driver.mtu: '1400',
            com.docker.network.bridge.name: wide, com.docker.network.bridge.enable_icc: 'false',
            com.docker.network.container_iface_prefix: net}}";
        let network = define(options).expect("known options");
        assert_eq!((network.mtu, network.bridge.as_str()), (1400, "wide"));
        assert!(network.isolated);
        assert_eq!(network.interface, "net");
    }

    #[test]
    fn what_cannot_be_had_is_refused_with_a_reason() {
        let cases = [
            ("{name: a, driver: macvlan}", "interface of the host"),
            ("{name: a, driver: overlay}", "swarm"),
            ("{name: a, driver: host}", "network_mode"),
            ("{name: a, driver: weave}", "plugins"),
            ("{name: a, ipam: {driver: dhcp}}", "plugins"),
            ("{name: a, driver_opts: {parent: eth0}}", "`parent`"),
            ("{name: a, driver_opts: {mtu: '12'}}", "`12`"),
            ("{name: a, driver_opts: {com.docker.network.bridge.name: a/b}}", "`a/b`"),
            ("{name: ../a}", "letters"),
            ("{name: ''}", "letters"),
            ("{name: a, enable_ipv4: false}", "neither"),
            ("{name: a, ipam: {config: [{gateway: 10.0.0.1}]}}", "subnet"),
            (
                "{name: a, ipam: {config: [{subnet: 10.0.0.0/8}, {subnet: 11.0.0.0/8}]}}",
                "at most one",
            ),
            ("{name: a, enable_ipv6: false, ipam: {config: [{subnet: 'fd00::/64'}]}}", "IPv6"),
        ];
        for (yaml, part) in cases {
            let error = define(yaml).expect_err(yaml);
            assert!(error.contains(part), "{yaml}: {error}");
        }
    }
}
