//! What other projects have of the ports of the host.
//!
//! In: the containers of all projects. Out: whether a port is taken.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::Value;

use super::{Ask, HostPort};
use crate::model::label;
use crate::model::observed::ObservedContainer;
use crate::model::port::range;

/// The ports that others have.
pub(super) struct Others(BTreeMap<u16, Vec<HostPort>>);

impl Others {
    /// What is published, and what containers of instances that are stopped will want back.
    pub(super) fn of(ask: &Ask<'_>) -> Self {
        let mut taken: BTreeMap<u16, Vec<HostPort>> = BTreeMap::new();
        let others = ask.observed.iter();
        for container in others.filter(|it| it.label(label::PROJECT) != ask.project.name) {
            let published = container.ports.iter().filter_map(|port| {
                let (host_ip, protocol) = (port.host_ip.clone(), port.protocol.clone());
                Some(HostPort { host_ip, port: port.published?, protocol })
            });
            for port in published.chain(promised(container)) {
                taken.entry(port.port).or_default().push(port);
            }
        }
        Self(taken)
    }

    /// Whether somebody has this port.
    pub(super) fn have(&self, port: &HostPort) -> bool {
        self.0.get(&port.port).is_some_and(|taken| taken.iter().any(|it| clash(it, port)))
    }
}

/// The ports that a container of an instance was made with.
fn promised(container: &ObservedContainer) -> Vec<HostPort> {
    if container.label(label::INSTANCE).is_empty() {
        return Vec::new();
    }
    let record = serde_json::from_str(container.label(label::SPEC)).unwrap_or(Value::Null);
    let ports = record.get("ports").and_then(Value::as_array);
    let text = |port: &Value, key: &str| port[key].as_str().unwrap_or_default().to_owned();
    let ports = ports.into_iter().flatten().filter_map(|port| {
        let (host_ip, protocol) = (text(port, "host_ip"), text(port, "protocol"));
        let published = range(&text(port, "published"))?;
        Some(published.map(move |port| {
            let (host_ip, protocol) = (host_ip.clone(), protocol.clone());
            HostPort { host_ip, port, protocol }
        }))
    });
    ports.flatten().collect()
}

/// Whether two ports cannot both be had.
pub(super) fn clash(one: &HostPort, other: &HostPort) -> bool {
    one.port == other.port
        && one.protocol == other.protocol
        && overlap(&one.host_ip, &other.host_ip)
}

/// Whether two addresses of the host have one in common.
fn overlap(one: &str, other: &str) -> bool {
    let (Ok(first), Ok(second)) = (one.parse::<IpAddr>(), other.parse::<IpAddr>()) else {
        return true;
    };
    let is_all = first.is_unspecified() || second.is_unspecified();
    first == second || (is_all && first.is_ipv4() == second.is_ipv4())
}

#[cfg(test)]
mod tests {
    use super::overlap;

    #[test]
    fn addresses_overlap_if_one_is_part_of_the_other() {
        for (one, other, expected) in [
            ("", "127.0.0.1", true),
            ("0.0.0.0", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("0.0.0.0", "::", false),
            ("::", "::1", true),
            ("::1", "127.0.0.1", false),
        ] {
            assert_eq!(overlap(one, other), expected, "{one} {other}");
            assert_eq!(overlap(other, one), expected, "{other} {one}");
        }
    }
}
