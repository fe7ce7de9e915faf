//! Ports that the kernel leads to a container.
//!
//! In: reserved ports, and the endpoints that they lead to. Out: elements of packet filters, and
//! `R/ports/ID.json`, which names them before they are there and until they are gone.
//!
//! # Invariants
//!
//! - Addresses of the loopback interface are not led: the listener serves them.
//! - What cannot be led is not an error: the listener serves it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::runtime::Result;

use super::super::netlink::flow;
use super::super::nft::tables::Lead;
use super::super::nft::{Batch, Family, Filters};
use super::super::store::{self, Lasting};
use super::super::uplink::{Project, TABLE};
use super::super::{Endpoint, Networks, failed, host};
use super::reserve::{Protocol, Reserved};

/// How many other ports are tried inside, if several addresses of the host have the same one.
const ATTEMPTS: usize = 16;
/// The first of these: others are seldom published.
const CHOSEN: u16 = 61000;

/// A port on its way through host and project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Led {
    /// The pinned namespace.
    namespace: String,
    /// From the host to the project.
    outside: Lead,
    /// From there to the container.
    inside: Lead,
}

impl Networks {
    fn ports_file(&self, container: &str) -> PathBuf {
        self.volatile.join("ports").join(format!("{container}.json"))
    }

    /// Has the kernel lead what it can: `ways` are the endpoints by IPv4 and IPv6.
    pub(super) fn lead_ports(
        &self,
        container: &str,
        reserved: &[Reserved],
        ways: (Option<&Endpoint>, Option<&Endpoint>),
    ) -> Result<()> {
        let mut led = Vec::new();
        for port in reserved {
            let Some((namespace, project, ip)) = self.way(port, ways)? else { continue };
            let Some(middle) = middle(&project, ip) else { continue };
            let number = self.free_inside(&namespace, port)?;
            let address = Some(port.address.ip()).filter(|ip| !ip.is_unspecified());
            let (protocol, target) = (port.protocol.number(), SocketAddr::new(ip, port.target));
            let outside = Lead {
                address,
                protocol,
                port: port.address.port(),
                target: SocketAddr::new(middle, number),
            };
            let inside = Lead { address: None, protocol, port: number, target };
            led.push(Led { namespace, outside, inside });
            store::make_directory(&self.volatile.join("ports"))?;
            store::save(&self.ports_file(container), &led, Lasting::Boot)?;
        }
        for one in &led {
            if let Err(error) = self.lead_one(one) {
                tracing::warn!("port {} goes the long way: {error}", one.outside.port);
            }
        }
        Ok(())
    }

    /// Where a port leads to: namespace, project and address of the container.
    fn way(
        &self,
        port: &Reserved,
        (ipv4, ipv6): (Option<&Endpoint>, Option<&Endpoint>),
    ) -> Result<Option<(String, Project, IpAddr)>> {
        let ip = port.address.ip();
        let found = match ip {
            _ if ip.is_loopback() => None,
            IpAddr::V4(_) => ipv4.and_then(|at| Some((at, IpAddr::V4(at.ipv4?.ip)))),
            IpAddr::V6(_) => ipv6.and_then(|at| Some((at, IpAddr::V6(at.ipv6?.ip)))),
        };
        let Some((endpoint, ip)) = found else { return Ok(None) };
        let definition = self.required(&endpoint.network)?;
        let project = self.project(&definition)?;
        Ok(Some((definition.namespace, project, ip)))
    }

    /// A port of a project's own address that leads nowhere yet: the same as outside, unless
    /// another address of the host has that one.
    fn free_inside(&self, namespace: &str, port: &Reserved) -> Result<u16> {
        let mut number = port.address.port();
        // Whoever has a port of all addresses has it alone, but for those that were chosen here.
        if port.address.ip().is_unspecified() && number < CHOSEN {
            return Ok(number);
        }
        let taken = self.led_to_others("")?;
        let is_taken = |number: u16| {
            taken.iter().any(|led| {
                led.namespace == namespace
                    && led.inside.protocol == port.protocol.number()
                    && led.inside.port == number
                    && led.outside.address != Some(port.address.ip())
                    && led.outside.target.is_ipv4() == port.address.is_ipv4()
            })
        };
        for _ in 0..ATTEMPTS {
            if !is_taken(number) {
                break;
            }
            number = CHOSEN + u16::from_be_bytes(store::random::<2>()?) % (u16::MAX - CHOSEN);
        }
        Ok(number)
    }

    fn lead_one(&self, led: &Led) -> Result<()> {
        let action = || failed::<io::Error>("lead a port by the packet filter");
        let project = self.projects().find(&led.namespace)?;
        let project = project.ok_or(io::Error::from(io::ErrorKind::NotFound)).map_err(action())?;
        project.namespace.visit(|| lead(TABLE, &led.inside))?.map_err(action())?;
        let table = host::Host::new(&self.volatile).table();
        lead(&table, &led.outside).map_err(action())
    }

    /// All ports of containers but this one.
    fn led_to_others(&self, container: &str) -> Result<Vec<Led>> {
        let mut found = Vec::new();
        for name in store::names(&self.volatile.join("ports"))? {
            let Some(id) = name.strip_suffix(".json").filter(|id| *id != container) else {
                continue;
            };
            found.extend(store::load::<Vec<Led>>(&self.ports_file(id))?.unwrap_or_default());
        }
        Ok(found)
    }

    /// Undoes what was led to a container. `others`: what is led elsewhere and must stay.
    pub(super) fn forget_ports(&self, container: &str, others: &[Led]) -> Result<()> {
        let led: Vec<Led> = store::load(&self.ports_file(container))?.unwrap_or_default();
        let must_go = |same: &dyn Fn(&Led) -> bool| !others.iter().any(same);
        let outside = led.iter().map(|led| &led.outside);
        let outside = outside.filter(|lead| must_go(&|other| other.outside.is_same_port(lead)));
        unlead(&host::Host::new(&self.volatile).table(), &outside.collect::<Vec<_>>())?;
        let mut namespaces: Vec<&String> = led.iter().map(|led| &led.namespace).collect();
        namespaces.dedup();
        for namespace in namespaces {
            let Some(project) = self.projects().find(namespace)? else { continue };
            let here = led.iter().filter(|led| led.namespace == *namespace);
            let inside = here.map(|led| &led.inside).filter(|lead| {
                must_go(&|other| other.namespace == *namespace && other.inside.is_same_port(lead))
            });
            let inside: Vec<_> = inside.collect();
            project.namespace.visit(|| unlead(TABLE, &inside))??;
        }
        store::remove(&self.ports_file(container))
    }

    /// Undoes what was led to containers that do not live; returns how many had ports.
    pub(in super::super) fn sweep_ports(&self, lives: &dyn Fn(&str) -> bool) -> Result<usize> {
        let mut dead = 0;
        for name in store::names(&self.volatile.join("ports"))? {
            if let Some(id) = name.strip_suffix(".json").filter(|id| !lives(id)) {
                // A container that came later may have the very same port.
                self.forget_ports(id, &self.led_to_others(id)?)?;
                dead += 1;
            }
        }
        Ok(dead)
    }
}

/// The address of a project at which packets for a container arrive.
fn middle(project: &Project, ip: IpAddr) -> Option<IpAddr> {
    match ip {
        IpAddr::V4(_) => Some(IpAddr::V4(project.uplink.ipv4.inside)),
        IpAddr::V6(_) => project.uplink.ipv6.map(|ends| IpAddr::V6(ends.inside)),
    }
}

fn lead(table: &str, lead: &Lead) -> io::Result<()> {
    Filters::open()?.lead(table, lead)?;
    forget_flows(lead)
}

fn unlead(table: &str, leads: &[&Lead]) -> Result<()> {
    let unlead = || {
        let mut filters = Filters::open()?;
        for lead in leads {
            let mut batch = Batch::new(Family::of(lead.target.ip()), table);
            batch.unlead(lead);
            host::missing(filters.apply(batch))?;
            forget_flows(lead)?;
        }
        Ok(())
    };
    unlead().map_err(failed::<io::Error>("take a port out of a packet filter"))
}

/// Streams end by themselves; packets may come for ever.
fn forget_flows(lead: &Lead) -> io::Result<()> {
    if lead.protocol != Protocol::Udp.number() {
        return Ok(());
    }
    flow::forget(Family::of(lead.target.ip()), lead.address, (lead.protocol, lead.port))
}
