//! Bridges: one for each network, in the namespace of its project.
//!
//! In: a definition. Out: a bridge with the addresses of the gateway, whose containers may go
//! where the network lets them.
//!
//! `R/net/NAME/bridge.json` is written when all is done, and counts only for the namespace that it
//! names.

use std::io;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::runtime::Result;

use super::definition::Definition;
use super::failed;
use super::host::already;
use super::membership::Members;
use super::netlink::link::{Links, Request};
use super::nft::{Batch, Family, Filters};
use super::store::{self, Lasting};
use super::uplink::{INSIDE, Project, TABLE};

/// A bridge that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bridge {
    /// The way to the host of the namespace that it is in: its name is never used again, but the
    /// number of a namespace is.
    link: String,
    /// Number of the interface.
    pub(super) index: u32,
}

/// The bridge of a network, which is made if it is not there. `others`: the bridges of all
/// networks in this namespace; what is left of removed ones goes.
pub(super) fn ensure(
    definition: &Definition,
    project: &Project,
    others: &dyn Fn() -> Result<Vec<String>>,
    members: &Members,
) -> Result<Bridge> {
    let marker = members.directory().join("bridge.json");
    let link = &project.uplink.link;
    let find = || -> Result<Option<Bridge>> {
        Ok(store::load::<Bridge>(&marker)?.filter(|bridge| bridge.link == *link))
    };
    if let Some(bridge) = find()? {
        return Ok(bridge);
    }
    let _lock = members.lock()?;
    store::make_directory(members.directory())?;
    if let Some(bridge) = find()? {
        return Ok(bridge);
    }
    let wanted = others()?;
    let index = project.namespace.visit(|| make(definition, project, &wanted))??;
    let bridge = Bridge { link: link.clone(), index };
    store::save(&marker, &bridge, Lasting::Boot)?;
    Ok(bridge)
}

fn make(definition: &Definition, project: &Project, wanted: &[String]) -> Result<u32> {
    let mac = store::random::<4>()?;
    let mac = [0x02, 0x42, mac[0], mac[1], mac[2], mac[3]];
    let make = || -> io::Result<u32> {
        let mut links = Links::open()?;
        for (index, name) in links.all()? {
            // Containers' interfaces begin with a `v`; they go with their containers.
            let is_stale = !wanted.contains(&name) && !is_own(&name) || name == definition.bridge;
            if is_stale {
                links.run(vec![Request::delete(index)])?;
            }
        }
        links.run(vec![Request::bridge(&definition.bridge, mac, definition.mtu)])?;
        let index = links.index(&definition.bridge)?.unwrap_or_default();
        links.run(addresses(definition, index))?;
        let mut filters = Filters::open()?;
        let families = [Some(Family::V4), project.uplink.ipv6.map(|_| Family::V6)];
        for family in families.into_iter().flatten() {
            let passes = |from, to| {
                let mut batch = Batch::new(family, TABLE);
                batch.let_pass(from, to);
                batch
            };
            if !definition.isolated {
                already(filters.apply(passes(index, index)))?;
            }
            if !definition.internal {
                already(filters.apply(passes(index, project.uplink.index)))?;
            }
        }
        Ok(index)
    };
    make().map_err(failed(format!("make the bridge of network {}", definition.name)))
}

/// Whether an interface of a project's namespace is no bridge.
fn is_own(name: &str) -> bool {
    ["lo", INSIDE].contains(&name) || name.starts_with(super::attach::VETH) && name.len() == 13
}

fn addresses(definition: &Definition, index: u32) -> Vec<Request> {
    let ipv4 = definition
        .ipv4
        .as_ref()
        .map(|pool| Request::address(index, IpAddr::V4(pool.gateway), pool.subnet.prefix()));
    let ipv6 = definition
        .ipv6
        .as_ref()
        .map(|pool| Request::address(index, IpAddr::V6(pool.gateway), pool.subnet.prefix()));
    ipv4.into_iter().chain(ipv6).collect()
}
