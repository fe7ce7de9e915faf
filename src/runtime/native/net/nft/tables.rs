//! The tables of our own: one on the host, one in each project's namespace, and a small one in
//! each container's, which keeps port 53 free for its programs.
//!
//! ```text
//! host                                                project
//! prerouting, output: local, address.protocol.port    prerouting: local, from the host:
//!     or protocol.port -> project.port                    protocol.port -> container.port
//! postrouting: from a project -> masquerade           prerouting: local, from a bridge -> host
//!                                                     postrouting: to the host -> masquerade
//!                                                     forward: drop but replies, published
//!                                                         ports, and pairs of interfaces
//! ```
//!
//! # Invariants
//!
//! - What comes to 127/8 or ::1 is left to the listeners of `publish`: no `route_localnet`.

use std::net::{IpAddr, SocketAddr, SocketAddrV4};

use serde::{Deserialize, Serialize};

use super::batch::{Batch, Hook, Policy, Type};
use super::rule::{Connection, Rule, Side, Way};
use super::{Family, Filters};

/// Set of a project: pairs of interfaces that may speak.
const PASS: &str = "pass";
/// Map: protocol and port to where they lead.
const PORTS: &str = "ports";
/// Map of the host: address, protocol and port to where they lead.
const ADDRESSED: &str = "addressed";

const PREROUTING: Hook = Hook { kind: "nat", number: 0, priority: -100, policy: Policy::Accept };
const OUTPUT: Hook = Hook { kind: "nat", number: 3, priority: -100, policy: Policy::Accept };
const POSTROUTING: Hook = Hook { kind: "nat", number: 4, priority: 100, policy: Policy::Accept };
const MANGLE: Hook = Hook { kind: "filter", number: 3, priority: -150, policy: Policy::Accept };
const FORWARD: Hook = Hook { kind: "filter", number: 2, priority: 0, policy: Policy::Drop };

/// What leads to a container, in one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Lead {
    /// The address that it is for; none: any of this machine.
    pub(in super::super) address: Option<IpAddr>,
    /// Number of the protocol: 6 or 17.
    pub(in super::super) protocol: u8,
    /// The port that it is for.
    pub(in super::super) port: u16,
    /// Where it goes.
    pub(in super::super) target: SocketAddr,
}

impl Family {
    fn address(self) -> Type {
        match self {
            Self::V4 => Type { id: 7, length: 4 },
            Self::V6 => Type { id: 8, length: 16 },
        }
    }
}

const PROTOCOL: Type = Type { id: 12, length: 4 };
const PORT: Type = Type { id: 13, length: 4 };
const INTERFACE: Type = Type { id: 20, length: 4 };

/// The type of several things in a row.
fn joined(types: &[Type]) -> Type {
    types.iter().fold(Type { id: 0, length: 0 }, |all, one| Type {
        id: all.id << 6 | one.id,
        length: all.length + one.length,
    })
}

/// Makes the table of the host: its name, and what the names of interfaces to projects begin with.
pub(in super::super) fn host(family: Family, (name, prefix): (&str, &str)) -> Batch {
    let mut batch = Batch::new(family, name);
    let target = joined(&[family.address(), PORT]);
    batch.make_table();
    batch.set(PORTS, joined(&[PROTOCOL, PORT]), Some(target));
    batch.set(ADDRESSED, joined(&[family.address(), PROTOCOL, PORT]), Some(target));
    batch.chain("prerouting", PREROUTING);
    batch.chain("output", OUTPUT);
    batch.chain("postrouting", POSTROUTING);
    for chain in ["prerouting", "output"] {
        let local = || Rule::default().local().not_loopback(family);
        batch.append(chain, local().lead_by_address(family, ADDRESSED));
        batch.append(chain, local().lead_by_port(family, PORTS));
    }
    batch.append("postrouting", Rule::default().interfaces(Way::In, prefix).masquerade());
    batch
}

/// Makes the table of a project, whose interface to the host is `uplink`; `host` is the address
/// at its other end.
pub(in super::super) fn project(name: &str, uplink: u32, host: IpAddr) -> Batch {
    let family = Family::of(host);
    let mut batch = Batch::new(family, name);
    batch.make_table();
    batch.set(PASS, joined(&[INTERFACE, INTERFACE]), None);
    let target = joined(&[family.address(), PORT]);
    batch.set(PORTS, joined(&[PROTOCOL, PORT]), Some(target));
    batch.chain("forward", FORWARD);
    batch.chain("prerouting", PREROUTING);
    batch.chain("postrouting", POSTROUTING);

    let rule = Rule::default;
    batch.append("forward", rule().connection(Connection::Known).accept());
    let from_host = || rule().interface(Way::In, uplink);
    batch.append("forward", from_host().connection(Connection::Translated).accept());
    batch.append("forward", rule().passes(PASS).accept());
    batch.append("prerouting", from_host().local().lead_by_port(family, PORTS));
    // Whoever asks at the gateway's address means the host, as with a bridge of the host.
    let host = octets(host);
    let from_container = rule().other_interface(Way::In, uplink);
    batch.append("prerouting", from_container.local().lead_to(family, &host));
    batch.append("postrouting", rule().interface(Way::Out, uplink).masquerade());
    batch
}

/// Makes the table of a container: what it sends to `asked` arrives at another port of the same
/// address, and what comes from there seems to come from `asked`.
pub(in super::super) fn container(name: &str, asked: SocketAddrV4, port: u16) -> Batch {
    let mut batch = Batch::new(Family::V4, name);
    let (ip, usual) = (*asked.ip(), asked.port());
    batch.make_table();
    batch.chain("output", MANGLE);
    let rule = Rule::default;
    batch.append("output", rule().move_port(Side::Destination, (ip, usual), port));
    batch.append("output", rule().move_port(Side::Source, (ip, port), usual));
    batch
}

impl Batch {
    /// Lets packets pass from one interface to another.
    pub(in super::super) fn let_pass(&mut self, from: u32, to: u32) {
        self.add(PASS, &pair(from, to), None);
    }

    /// Leads a port.
    pub(in super::super) fn lead(&mut self, lead: &Lead) {
        let (map, key) = lead.key();
        let mut value = octets(lead.target.ip());
        value.extend(padded_port(lead.target.port()));
        self.add(map, &key, Some(&value));
    }

    /// Undoes [`Batch::lead`].
    pub(in super::super) fn unlead(&mut self, lead: &Lead) {
        let (map, key) = lead.key();
        self.remove(map, &key);
    }
}

impl Lead {
    /// Whether both are for the same address, protocol and port.
    pub(in super::super) fn is_same_port(&self, other: &Self) -> bool {
        let family = |lead: &Self| Family::of(lead.target.ip());
        family(self) == family(other) && self.key() == other.key()
    }

    fn key(&self) -> (&'static str, Vec<u8>) {
        let mut key = self.address.map(octets).unwrap_or_default();
        key.extend([self.protocol, 0, 0, 0]);
        key.extend(padded_port(self.port));
        (if self.address.is_some() { ADDRESSED } else { PORTS }, key)
    }
}

impl Filters {
    /// Leads ports, in the place of what a killed process may have left for the same ones.
    pub(in super::super) fn lead(&mut self, table: &str, lead: &Lead) -> std::io::Result<()> {
        let family = Family::of(lead.target.ip());
        let mut batch = Batch::new(family, table);
        batch.lead(lead);
        match self.apply(batch) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                let mut batch = Batch::new(family, table);
                batch.unlead(lead);
                batch.lead(lead);
                self.apply(batch)
            }
            other => other,
        }
    }
}

fn pair(from: u32, to: u32) -> Vec<u8> {
    [from.to_ne_bytes(), to.to_ne_bytes()].concat()
}

fn padded_port(port: u16) -> [u8; 4] {
    let [high, low] = port.to_be_bytes();
    [high, low, 0, 0]
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}
