//! Which networks a container is made in.
//!
//! In: the endpoints of a spec, the primary one first, or its `network_mode`. Out: what stands in
//! the request, and the endpoints to join afterwards: before API 1.44 a request names one network.
//!
//! # Invariants
//!
//! - The address of the network card stands in one place: at the primary endpoint since API 1.44,
//!   at the container before.

use std::collections::HashMap;

use bollard::models::EndpointSettings;

use crate::model::spec::{ContainerSpec, Endpoint};
use crate::runtime::docker::network;
use crate::runtime::{Result, RuntimeError};

/// Where a container stands.
#[derive(Debug, Default)]
pub(super) struct Attachment {
    /// The network mode: a way of networking, or the name of the primary network.
    pub(super) mode: String,
    /// Networks of the request.
    pub(super) endpoints: HashMap<String, EndpointSettings>,
    /// Networks to join when the container is there.
    pub(super) later: Vec<Endpoint>,
    /// The container's own hardware address, for old engines.
    pub(super) mac_address: Option<String>,
    /// What cannot be had.
    pub(super) remarks: Vec<String>,
}

/// Finds out where a container stands. `many`: whether the engine takes many networks at once.
pub(super) fn attach(container: &ContainerSpec, many: Many) -> Result<Attachment> {
    let service = &container.service;
    let own_address = service.mac_address.as_str();
    if !service.network_mode.is_empty() {
        return Ok(without_networks(&service.network_mode, own_address, many));
    }
    let Some((primary, others)) = container.endpoints.split_first() else {
        return Ok(Attachment { mode: "none".to_owned(), ..Attachment::default() });
    };
    let address = match primary.options.mac_address.as_str() {
        "" => own_address,
        address if own_address.is_empty() || address == own_address => address,
        _ => {
            return Err(RuntimeError::Unsupported(format!(
                "`mac_address` of the service and of its network `{}` must be the same",
                primary.network
            )));
        }
    };
    let mut attachment = Attachment { mode: primary.network.clone(), ..Attachment::default() };
    let mut first = network::endpoint(&primary.options, &container.links);
    first.mac_address = None;
    match many {
        Many::Yes => first.mac_address = network::text(address),
        Many::No => attachment.mac_address = network::text(address),
    }
    attachment.endpoints.insert(primary.network.clone(), first);
    for other in others {
        attachment.add(other, container, many);
    }
    Ok(attachment)
}

/// Whether a request may name many networks: since API 1.44.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Many {
    /// It may.
    Yes,
    /// It may name one.
    No,
}

impl Attachment {
    /// Adds a network that is not the primary one.
    fn add(&mut self, other: &Endpoint, container: &ContainerSpec, many: Many) {
        if many == Many::Yes {
            let settings = network::endpoint(&other.options, &container.links);
            self.endpoints.insert(other.network.clone(), settings);
            return;
        }
        if !other.options.mac_address.is_empty() {
            self.remarks.push(format!(
                "`mac_address` in the network `{}` has no effect: an engine older than Docker 25 \
                 sets it only in the network of the highest priority",
                other.network
            ));
        }
        self.later.push(other.clone());
    }
}

/// A container with a `network_mode`.
fn without_networks(mode: &str, mac_address: &str, many: Many) -> Attachment {
    let mut attachment = Attachment { mode: mode.to_owned(), ..Attachment::default() };
    let own_card = !["none", "host", "disabled"].contains(&mode) && !mode.starts_with("container:");
    if many == Many::No {
        attachment.mac_address = network::text(mac_address);
    } else if own_card && !mac_address.is_empty() {
        let settings = EndpointSettings {
            mac_address: network::text(mac_address),
            ..EndpointSettings::default()
        };
        attachment.endpoints.insert(mode.to_owned(), settings);
    }
    attachment
}

#[cfg(test)]
mod tests {
    use super::{Attachment, ContainerSpec, Endpoint, Many, attach};
    use crate::model::{Service, ServiceNetwork};

    fn spec(service: &str, networks: &[(&str, &str)]) -> ContainerSpec {
        let service: Service = serde_yaml::from_str(service).unwrap();
        let endpoint = |(network, mac): &(&str, &str)| Endpoint {
            network: (*network).to_owned(),
            options: ServiceNetwork { mac_address: (*mac).to_owned(), ..Default::default() },
        };
        ContainerSpec {
            service: service.into(),
            endpoints: networks.iter().map(endpoint).collect(),
            links: vec!["db:x".to_owned()],
            ..ContainerSpec::default()
        }
    }

    fn mac<'a>(attachment: &'a Attachment, network: &str) -> Option<&'a str> {
        attachment.endpoints[network].mac_address.as_deref()
    }

    #[test]
    fn new_engines_take_all_networks_at_once() {
        let spec = spec("{mac_address: m1}", &[("a", ""), ("b", "m2")]);
        let found = attach(&spec, Many::Yes).unwrap();
        assert_eq!(
            (found.mode.as_str(), found.later.len(), found.mac_address.clone()),
            ("a", 0, None)
        );
        assert_eq!((mac(&found, "a"), mac(&found, "b")), (Some("m1"), Some("m2")));
        assert_eq!(found.endpoints["b"].links.as_deref(), Some(&["db:x".to_owned()][..]));
    }

    #[test]
    fn old_engines_join_the_others_later() {
        let spec = spec("{}", &[("a", "m1"), ("b", "m2")]);
        let found = attach(&spec, Many::No).unwrap();
        assert_eq!(found.mac_address.as_deref(), Some("m1"));
        assert_eq!(mac(&found, "a"), None);
        assert_eq!((found.endpoints.len(), found.later[0].network.as_str()), (1, "b"));
        assert_eq!(found.remarks.len(), 1);
    }

    #[test]
    fn two_addresses_for_one_card_are_refused() {
        let spec = spec("{mac_address: m1}", &[("a", "m2")]);
        assert!(attach(&spec, Many::Yes).is_err());
    }

    #[test]
    fn a_network_mode_stands_alone() {
        let none = attach(&spec("{}", &[]), Many::No).unwrap();
        assert_eq!((none.mode.as_str(), none.endpoints.len()), ("none", 0));
        let host = spec("{network_mode: host, mac_address: m}", &[("a", "")]);
        let found = attach(&host, Many::Yes).unwrap();
        assert_eq!((found.mode.as_str(), found.endpoints.len()), ("host", 0));
        let bridge = spec("{network_mode: bridge, mac_address: m}", &[]);
        assert_eq!(mac(&attach(&bridge, Many::Yes).unwrap(), "bridge"), Some("m"));
        let old = attach(&bridge, Many::No).unwrap();
        assert_eq!((old.mac_address.as_deref(), old.endpoints.len()), (Some("m"), 0));
    }
}
