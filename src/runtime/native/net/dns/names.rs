//! Who has a name.
//!
//! In: the endpoints of all containers in the networks of one. Out: addresses for a name, and the
//! name of an address. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::super::Endpoint;
use super::super::subnet::Subnet;

/// What one container may find.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Its networks, the first one first: names, and endpoints by the ids of their containers.
    pub(super) networks: Vec<Network>,
    /// Containers that have another name for this one alone: container and alias.
    pub(super) links: Vec<(String, String)>,
}

/// One network.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) name: String,
    pub(super) endpoints: BTreeMap<String, Endpoint>,
}

impl Names {
    /// The addresses of all containers of this name, those of IPv4 first; none if nobody has it.
    pub(super) fn find(&self, name: &str) -> Option<Vec<IpAddr>> {
        let link = self.links.iter().find(|(_, alias)| alias.eq_ignore_ascii_case(name));
        if let Some((container, _)) = link
            && let Some(found) = self.first(|endpoint, _| endpoint.name == *container)
        {
            return Some(found);
        }
        let has = |endpoint: &Endpoint, name: &str| {
            endpoint.name.eq_ignore_ascii_case(name) || endpoint.aliases.iter().any(|it| it == name)
        };
        self.first(|endpoint, network| {
            // The name of the network may stand behind.
            let short = name.len().checked_sub(network.len() + 1).and_then(|end| {
                let (short, rest) = name.split_at_checked(end)?;
                rest[1..]
                    .eq_ignore_ascii_case(network)
                    .then_some(short)
                    .filter(|_| rest.starts_with('.'))
            });
            has(endpoint, name) || short.is_some_and(|short| has(endpoint, short))
        })
    }

    /// The addresses of all that fit in the first network where one does.
    fn first(&self, fits: impl Fn(&Endpoint, &str) -> bool) -> Option<Vec<IpAddr>> {
        self.networks.iter().find_map(|network| {
            let fitting = || network.endpoints.values().filter(|one| fits(one, &network.name));
            fitting().next()?;
            let ipv4 = fitting().filter_map(|one| Some(IpAddr::V4(one.ipv4?.ip)));
            let ipv6 = fitting().filter_map(|one| Some(IpAddr::V6(one.ipv6?.ip)));
            Some(ipv4.chain(ipv6).collect())
        })
    }

    /// The container that has an address.
    pub(super) fn pointer(&self, ip: IpAddr) -> Pointer {
        let mut found = Pointer::Foreign;
        for network in &self.networks {
            for endpoint in network.endpoints.values() {
                let (mine, near) = match ip {
                    IpAddr::V4(ip) => endpoint.ipv4.map_or((false, false), |at| {
                        (at.ip == ip, Subnet::around(at.ip, at.prefix).contains(ip))
                    }),
                    IpAddr::V6(ip) => endpoint.ipv6.map_or((false, false), |at| {
                        (at.ip == ip, Subnet::around(at.ip, at.prefix).contains(ip))
                    }),
                };
                if mine {
                    return Pointer::Container(format!("{}.{}", endpoint.name, network.name));
                }
                if near {
                    found = Pointer::Nobody;
                }
            }
        }
        found
    }

    /// Whether the container has no way to the outside.
    pub(super) fn is_internal(&self, container: &str) -> bool {
        let mut own = self.networks.iter().filter_map(|network| network.endpoints.get(container));
        own.all(|endpoint| endpoint.internal)
    }
}

/// Who has an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pointer {
    /// This container.
    Container(String),
    /// Nobody in a network of ours.
    Nobody,
    /// Somebody elsewhere.
    Foreign,
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::{Names, Network, Pointer};
    use crate::runtime::native::net::{Address, Endpoint};

    fn endpoint(network: &str, name: &str, last: u8, aliases: &[&str]) -> Endpoint {
        let third = u8::try_from(network.len()).expect("a short name");
        Endpoint {
            network: network.to_owned(),
            container: name.to_owned(),
            name: name.to_owned(),
            aliases: aliases.iter().map(|&name| name.to_owned()).collect(),
            ipv4: Some(Address {
                ip: Ipv4Addr::new(10, 0, third, last),
                prefix: 24,
                gateway: Ipv4Addr::new(10, 0, third, 1),
            }),
            ipv6: None,
            link_local: Vec::new(),
            mac: String::new(),
            interface: String::new(),
            gw_priority: 0,
            internal: network == "back",
            host: None,
            sysctls: crate::model::Dict::new(),
        }
    }

    fn names() -> Names {
        let network = |name: &str, endpoints: Vec<Endpoint>| Network {
            name: name.to_owned(),
            endpoints: endpoints.into_iter().map(|one| (one.container.clone(), one)).collect(),
        };
        Names {
            networks: vec![
                network(
                    "back",
                    vec![
                        endpoint("back", "shop-db-1", 2, &["db"]),
                        endpoint("back", "shop-db-2", 3, &["db"]),
                    ],
                ),
                network(
                    "front.net",
                    vec![endpoint("front.net", "shop-web-1", 2, &["web", "db", "other.name"])],
                ),
            ],
            links: vec![("shop-web-1".to_owned(), "Site".to_owned())],
        }
    }

    fn found(name: &str) -> Option<Vec<String>> {
        Some(names().find(name)?.iter().map(IpAddr::to_string).collect())
    }

    #[test]
    fn names_are_looked_for_in_the_first_network_that_has_them() {
        assert_eq!(found("db"), Some(vec!["10.0.4.2".to_owned(), "10.0.4.3".to_owned()]));
        assert_eq!(found("web"), Some(vec!["10.0.9.2".to_owned()]));
        assert_eq!(found("other.name"), found("web"));
        assert_eq!(found("shop-db-2"), Some(vec!["10.0.4.3".to_owned()]));
        assert_eq!(found("db.front.net"), found("web"), "in that network");
        assert_eq!(found("db.back"), found("db"));
        assert_eq!(found("site"), found("web"), "a link");
        for nobody in ["", "d", "dbx", "db.", "db.fronts", "x.back", ".back", "dbxback"] {
            assert_eq!(found(nobody), None, "{nobody:?}");
        }
    }

    #[test]
    fn an_address_has_the_name_of_its_container_and_network() {
        let names = names();
        let at = |third, last| names.pointer(IpAddr::V4(Ipv4Addr::new(10, 0, third, last)));
        assert_eq!(at(9, 2), Pointer::Container("shop-web-1.front.net".to_owned()));
        assert_eq!(at(9, 77), Pointer::Nobody);
        assert_eq!(at(5, 2), Pointer::Foreign);
    }

    #[test]
    fn a_container_is_internal_if_all_its_networks_are() {
        assert!(names().is_internal("shop-db-1"));
        assert!(!names().is_internal("shop-web-1"));
    }
}
