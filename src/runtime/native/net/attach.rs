//! Interfaces of containers.
//!
//! In: endpoints, and the namespaces that they join. Out: one pair of interfaces for each, with
//! addresses and routes inside.
//!
//! # Invariants
//!
//! - The end outside has a name that was never used: the one of a container that has just ended
//!   may still be there.

use std::io;
use std::net::IpAddr;

use crate::runtime::{Result, RuntimeError};

use super::bridge::Bridge;
use super::endpoint::{Endpoint, way_out};
use super::failed;
use super::host::{set_sysctl, sysctl};
use super::namespace::Namespace;
use super::netlink::link::{Links, Mac, Request, Veth};
use super::store;

/// What the names of the ends in a project's namespace begin with; 12 digits follow.
pub(super) const VETH: &str = "v";

/// Where an endpoint is plugged in.
#[derive(Debug)]
pub(super) struct Socket {
    /// The namespace of the network.
    pub(super) namespace: Namespace,
    pub(super) bridge: Bridge,
    pub(super) mtu: u32,
    /// Whether its containers do not reach each other.
    pub(super) isolated: bool,
}

/// Makes the interface of one endpoint inside a container; says whether it was not there.
pub(super) fn plug(endpoint: &Endpoint, socket: &Socket, container: &Namespace) -> Result<bool> {
    let mut links =
        socket.namespace.visit(Links::open)?.map_err(failed("open a socket to the kernel"))?;
    let name = format!("{VETH}{}", store::hex(&store::random::<6>()?));
    let veth = Veth {
        name: &name,
        bridge: Some(socket.bridge.index),
        mtu: socket.mtu,
        peer: &endpoint.interface,
        mac: Some(parse_mac(&endpoint.mac).ok_or_else(|| wrong_mac(&endpoint.mac))?),
    };
    let mut plug = || -> io::Result<bool> {
        match links.run(vec![Request::veth(&veth, container)]) {
            // The name outside was never used: it is the one inside that is there.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            made => made?,
        }
        if socket.isolated
            && let Some(port) = links.index(&name)?
        {
            links.run(vec![Request::isolate(port)])?;
        }
        Ok(true)
    };
    plug().map_err(failed(format!("put the container into network {}", endpoint.network)))
}

/// Gives the interfaces their settings, addresses and routes, inside the container. `new`: those
/// that have none yet.
pub(super) fn configure(all: &[Endpoint], new: &[&Endpoint]) -> Result<()> {
    let mut links = Links::open().map_err(failed("open a socket to the kernel"))?;
    links.run(vec![Request::up(1)]).map_err(failed("take the loopback interface up"))?;
    let mut numbers = Vec::with_capacity(all.len());
    for endpoint in all {
        let index = links.index(&endpoint.interface).map_err(failed("look for an interface"))?;
        numbers.push(index.ok_or_else(|| {
            let name = &endpoint.interface;
            RuntimeError::NotFound(format!("the interface `{name}` of a container is gone"))
        })?);
    }
    for (endpoint, index) in all.iter().zip(&numbers) {
        if new.iter().any(|other| other.interface == endpoint.interface) {
            settings(endpoint)?;
            let action = format!("give the interface `{}` its addresses", endpoint.interface);
            links.run(addresses(endpoint, *index)).map_err(failed(action))?;
        }
    }
    let (ipv4, ipv6) = way_out(all);
    let number = |found: &Endpoint| {
        let at = all.iter().position(|endpoint| endpoint.interface == found.interface);
        at.and_then(|at| numbers.get(at)).copied().unwrap_or_default()
    };
    let mut routes = Vec::new();
    if let Some((endpoint, address)) = ipv4.and_then(|found| Some((found, found.ipv4?))) {
        routes.push(Request::default_route(number(endpoint), IpAddr::V4(address.gateway)));
    }
    if let Some((endpoint, address)) = ipv6.and_then(|found| Some((found, found.ipv6?))) {
        routes.push(Request::default_route(number(endpoint), IpAddr::V6(address.gateway)));
    }
    links.run(routes).map_err(failed("set the default route of a container"))
}

/// Takes an interface away, inside the container.
pub(super) fn unplug(interface: &str) -> Result<()> {
    let unplug = || -> io::Result<()> {
        let mut links = Links::open()?;
        match links.index(interface)? {
            Some(index) => links.run(vec![Request::delete(index)]),
            None => Ok(()),
        }
    };
    unplug().map_err(failed(format!("remove the interface `{interface}` of a container")))
}

/// Tells the kernel how to treat an interface that is not up yet.
fn settings(endpoint: &Endpoint) -> Result<()> {
    let name = &endpoint.interface;
    let directory = format!("net/ipv6/conf/{name}");
    // A kernel may have no IPv6 at all.
    if sysctl(&format!("{directory}/disable_ipv6"))?.is_some() {
        let disabled = if endpoint.ipv6.is_some() { "0" } else { "1" };
        set_sysctl(&format!("{directory}/disable_ipv6"), disabled)?;
        // No neighbour may play the router.
        set_sysctl(&format!("{directory}/accept_ra"), "0")?;
    }
    for (key, value) in &endpoint.sysctls {
        set_sysctl(key, value)?;
    }
    Ok(())
}

fn addresses(endpoint: &Endpoint, index: u32) -> Vec<Request> {
    let mut requests = Vec::new();
    if let Some(address) = endpoint.ipv4 {
        requests.push(Request::address(index, address.ip.into(), address.prefix));
    }
    if let Some(address) = endpoint.ipv6 {
        requests.push(Request::address(index, address.ip.into(), address.prefix));
    }
    for ip in &endpoint.link_local {
        requests.push(Request::address(index, *ip, if ip.is_ipv4() { 16 } else { 64 }));
    }
    requests.push(Request::up(index));
    requests
}

/// A hardware address of its usual form.
pub(super) fn parse_mac(text: &str) -> Option<Mac> {
    let mut mac = [0; 6];
    let mut parts = text.split([':', '-']);
    for byte in &mut mac {
        let is_hex = |part: &&str| part.len() == 2 && part.bytes().all(|c| c.is_ascii_hexdigit());
        let part = parts.next().filter(is_hex)?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    // One that is a group's is no interface's.
    (parts.next().is_none() && mac[0] & 1 == 0).then_some(mac)
}

/// Says that text is no hardware address.
pub(super) fn wrong_mac(text: &str) -> RuntimeError {
    RuntimeError::Refused(format!("invalid MAC address `{text}`: use the form 02:42:ac:11:00:02"))
}
