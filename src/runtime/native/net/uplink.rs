//! The namespaces of projects, and their way to the host.
//!
//! In: the name of a namespace. Out: that namespace, pinned, with one interface to the host.
//!
//! `R/ns/NAME` is the pinned namespace, `R/uplink/NAME.json` says how it is connected; the latter
//! is written last, and counts only for the very namespace that it names.
//!
//! # Invariants
//!
//! - Namespaces are made and removed under one lock.
//! - Nobody waits until the kernel has removed an interface: names on the host are never used
//!   again.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::runtime::native::lock::{self, Lock};
use crate::runtime::{Result, RuntimeError};

use super::failed;
use super::host::{Host, set_sysctl, sysctl};
use super::namespace::Namespace;
use super::netlink::link::{Links, Request, Veth};
use super::nft::{Family, Filters, tables};
use super::store::{self, Lasting};
use super::subnet::Subnet;

/// Name of the interface to the host, inside.
pub(super) const INSIDE: &str = "up";
/// Name of the table of packet filters, inside.
pub(super) const TABLE: &str = "ketch";
/// The largest packets are those of networks; this way holds nothing up.
const MTU: u32 = 65535;
/// Subnets that the ways to projects may lie in; the first one that the host does not use.
const BLOCKS: [(Ipv4Addr, u8); 6] = [
    (Ipv4Addr::new(10, 254, 0, 0), 16),
    (Ipv4Addr::new(10, 253, 0, 0), 16),
    (Ipv4Addr::new(192, 168, 254, 0), 24),
    (Ipv4Addr::new(192, 168, 253, 0), 24),
    (Ipv4Addr::new(172, 31, 254, 0), 24),
    (Ipv4Addr::new(100, 127, 254, 0), 24),
];

/// How a namespace is connected to the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Uplink {
    /// Which namespace it is.
    pub(super) inode: u64,
    /// Name of the interface on the host.
    pub(super) link: String,
    /// Number of the interface inside.
    pub(super) index: u32,
    pub(super) ipv4: Ends<Ipv4Addr>,
    pub(super) ipv6: Option<Ends<Ipv6Addr>>,
}

/// The addresses of both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ends<A> {
    pub(super) host: A,
    pub(super) inside: A,
}

/// A namespace that is there, and how it is connected.
#[derive(Debug)]
pub(super) struct Project {
    pub(super) namespace: Namespace,
    pub(super) uplink: Uplink,
}

/// The namespaces below a volatile root.
#[derive(Debug)]
pub(super) struct Projects<'a> {
    volatile: &'a Path,
    host: Host<'a>,
}

impl<'a> Projects<'a> {
    pub(super) fn new(volatile: &'a Path) -> Self {
        Self { volatile, host: Host::new(volatile) }
    }

    fn pin(&self, name: &str) -> PathBuf {
        self.volatile.join("ns").join(name)
    }

    fn record(&self, name: &str) -> PathBuf {
        self.volatile.join("uplink").join(format!("{name}.json"))
    }

    fn lock(&self) -> Result<Lock> {
        store::make_directory(&self.volatile.join("ns"))?;
        store::make_directory(&self.volatile.join("uplink"))?;
        lock::wait(&self.volatile.join("uplink").join(".lock"))
    }

    /// The namespace, if it is there and whole.
    pub(super) fn find(&self, name: &str) -> Result<Option<Project>> {
        let Some(uplink) = store::load::<Uplink>(&self.record(name))? else { return Ok(None) };
        let Ok(namespace) = Namespace::open(&self.pin(name)) else { return Ok(None) };
        Ok((namespace.inode()? == uplink.inode).then_some(Project { namespace, uplink }))
    }

    /// The namespace, which is made if it is not there. `avoid`: subnets that are in it.
    pub(super) fn ensure(&self, name: &str, avoid: &[Subnet<Ipv4Addr>]) -> Result<Project> {
        if let Some(project) = self.find(name)? {
            return Ok(project);
        }
        let _lock = self.lock()?;
        if let Some(project) = self.find(name)? {
            return Ok(project);
        }
        self.forget(name)?;
        let uplink = self.make(name, avoid)?;
        store::save(&self.record(name), &uplink, Lasting::Boot)?;
        let project = self.find(name)?;
        project.ok_or_else(|| RuntimeError::Refused(format!("the namespace of {name} is gone")))
    }

    fn make(&self, name: &str, avoid: &[Subnet<Ipv4Addr>]) -> Result<Uplink> {
        let pin = self.pin(name);
        let inside = Namespace::create(&pin, || -> Result<(Links, Filters)> {
            set_sysctl("net/ipv4/ip_forward", "1")?;
            // Frames between containers of one network are nobody's to filter.
            for kind in ["iptables", "ip6tables", "arptables"] {
                let name = format!("net/bridge/bridge-nf-call-{kind}");
                if sysctl(&name)?.is_some() {
                    set_sysctl(&name, "0")?;
                }
            }
            let links = Links::open().map_err(failed("open a socket to the kernel"))?;
            let filters = Filters::open().map_err(failed("open a packet filter socket"))?;
            Ok((links, filters))
        });
        let (mut links, mut filters) = inside??;
        let namespace = Namespace::open(&pin)?;
        let mut host = Links::open().map_err(failed("open a socket to the kernel"))?;
        let ipv4 = free_ends(&mut host, avoid)?;
        let link = format!("{}{}", self.host.prefix(), store::hex(&store::random::<3>()?));
        let mut connect = || -> io::Result<u32> {
            let veth = Veth { name: &link, bridge: None, mtu: MTU, peer: INSIDE, mac: None };
            host.run(vec![Request::veth(&veth, &namespace)])?;
            let outside = host.index(&link)?.unwrap_or_default();
            let index = links.index(INSIDE)?.unwrap_or_default();
            host.run(vec![Request::address(outside, ipv4.host.into(), 31)])?;
            links.run(vec![
                Request::up(1),
                Request::address(index, ipv4.inside.into(), 31),
                Request::up(index),
                Request::default_route(index, ipv4.host.into()),
            ])?;
            filters.apply(tables::project(TABLE, index, ipv4.host.into()))?;
            Ok(index)
        };
        let action = format!("connect the network namespace `{}` to the host", pin.display());
        let index = connect().map_err(failed(action))?;
        self.host.open(Family::V4)?;
        Ok(Uplink { inode: namespace.inode()?, link, index, ipv4, ipv6: None })
    }

    /// Gives a namespace its way to the host for IPv6 too.
    pub(super) fn ensure_ipv6(&self, name: &str, project: Project) -> Result<Project> {
        if project.uplink.ipv6.is_some() {
            return Ok(project);
        }
        let _lock = self.lock()?;
        let Some(Project { namespace, mut uplink }) = self.find(name)? else { return Ok(project) };
        if uplink.ipv6.is_none() {
            let ends = self.ipv6_ends(uplink.ipv4);
            connect_ipv6(&namespace, &uplink, ends)?;
            self.host.open(Family::V6)?;
            uplink.ipv6 = Some(ends);
            store::save(&self.record(name), &uplink, Lasting::Boot)?;
        }
        Ok(Project { namespace, uplink })
    }

    /// Addresses that are as unique as those of IPv4 are.
    fn ipv6_ends(&self, ipv4: Ends<Ipv4Addr>) -> Ends<Ipv6Addr> {
        let tag =
            self.host.prefix().bytes().fold(0, |sum: u128, byte| {
                (sum.wrapping_mul(31) ^ u128::from(byte)) & 0xff_ffff_ffff
            });
        let of = |ip: Ipv4Addr| {
            Ipv6Addr::from_bits(0xfd << 120 | tag << 80 | 0xffff << 64 | u128::from(ip.to_bits()))
        };
        Ends { host: of(ipv4.host), inside: of(ipv4.inside) }
    }

    /// Makes sure that no other program drops what this host forwards for projects.
    pub(super) fn let_forward(&self) -> Result<()> {
        let mut filters = Filters::open().map_err(failed("open a packet filter socket"))?;
        let _lock = self.lock()?;
        self.host.let_forward(&mut filters)
    }

    /// Lets go of a namespace. Its record goes first: the next namespace may have the same number.
    fn forget(&self, name: &str) -> Result<()> {
        store::remove(&self.record(name))?;
        Namespace::unpin(&self.pin(name))
    }

    /// Removes a namespace, whether it is there or not; with the last one, all that the host got.
    pub(super) fn remove(&self, name: &str) -> Result<()> {
        let _lock = self.lock()?;
        self.forget(name)?;
        if store::names(&self.volatile.join("uplink"))?.is_empty() {
            self.host.close()?;
        }
        Ok(())
    }

    /// The names of all namespaces that are pinned or were connected.
    pub(super) fn names(&self) -> Result<Vec<String>> {
        let mut names = store::names(&self.volatile.join("ns"))?;
        let records = store::names(&self.volatile.join("uplink"))?;
        names.extend(
            records.iter().filter_map(|name| name.strip_suffix(".json")).map(str::to_owned),
        );
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// Removes interfaces of the host that belong to no namespace of ours.
    pub(super) fn sweep_links(&self) -> Result<usize> {
        let _lock = self.lock()?;
        let mut known = Vec::new();
        for record in store::names(&self.volatile.join("uplink"))? {
            let path = self.volatile.join("uplink").join(record);
            known.extend(store::load::<Uplink>(&path)?.map(|uplink| uplink.link));
        }
        let prefix = self.host.prefix();
        let sweep = || -> io::Result<usize> {
            let mut links = Links::open()?;
            let all = links.all()?;
            let stale: Vec<_> = all
                .into_iter()
                .filter(|(_, name)| name.starts_with(&prefix) && !known.contains(name))
                .collect();
            for (index, _) in &stale {
                // The kernel may be removing it at this moment.
                let _ = links.run(vec![Request::delete(*index)]);
            }
            Ok(stale.len())
        };
        sweep().map_err(failed("remove interfaces that lead nowhere"))
    }
}

/// Two addresses that nobody uses: not the host, nor `avoid`.
fn free_ends(host: &mut Links, avoid: &[Subnet<Ipv4Addr>]) -> Result<Ends<Ipv4Addr>> {
    let routes = host.destinations().map_err(failed("list the routes of the host"))?;
    let used: Vec<Subnet<Ipv4Addr>> = ipv4_subnets(&routes);
    let [high, low] = store::random::<2>()?;
    let start = u128::from(u16::from_be_bytes([high, low]));
    for (first, prefix) in BLOCKS {
        let block = Subnet::around(first, prefix);
        // Ways to other projects lie in the block; anything larger is somebody else's.
        let is_foreign = |subnet: &&Subnet<Ipv4Addr>| subnet.prefix() < 31;
        if used.iter().filter(is_foreign).any(|subnet| subnet.overlaps(&block)) {
            continue;
        }
        let pairs = block.last().div_ceil(2);
        for number in 0..pairs {
            let Some(first) = block.nth((start + number) % pairs * 2) else { continue };
            let pair = Subnet::around(first, 31);
            if let (Some(host), Some(inside)) = (pair.nth(0), pair.nth(1))
                && !used.iter().chain(avoid).any(|subnet| subnet.overlaps(&pair))
            {
                return Ok(Ends { host, inside });
            }
        }
    }
    Err(RuntimeError::Refused(
        "no addresses are left for the way to a project: the host uses 10.254.0.0/16, \
         10.253.0.0/16 and all others that would do"
            .to_owned(),
    ))
}

/// The subnets of IPv4 among destinations.
pub(super) fn ipv4_subnets(routes: &[(IpAddr, u8)]) -> Vec<Subnet<Ipv4Addr>> {
    let ipv4 = |(ip, prefix): &(IpAddr, u8)| match ip {
        IpAddr::V4(ip) => Some(Subnet::around(*ip, *prefix)),
        IpAddr::V6(_) => None,
    };
    routes.iter().filter_map(ipv4).collect()
}

fn connect_ipv6(namespace: &Namespace, uplink: &Uplink, ends: Ends<Ipv6Addr>) -> Result<()> {
    let connect_inside = || -> Result<()> {
        set_sysctl("net/ipv6/conf/all/forwarding", "1")?;
        set_sysctl(&format!("net/ipv6/conf/{INSIDE}/disable_ipv6"), "0")?;
        let connect = || -> io::Result<()> {
            Links::open()?.run(vec![
                Request::address(uplink.index, ends.inside.into(), 127),
                Request::default_route(uplink.index, ends.host.into()),
            ])?;
            let table = tables::project(TABLE, uplink.index, ends.host.into());
            super::host::already(Filters::open()?.apply(table))
        };
        connect().map_err(failed("connect a network namespace to the host by IPv6"))
    };
    let connect_outside = || -> io::Result<()> {
        let mut host = Links::open()?;
        let outside = host.index(&uplink.link)?.unwrap_or_default();
        host.run(vec![Request::address(outside, ends.host.into(), 127)])
    };
    set_sysctl(&format!("net/ipv6/conf/{}/disable_ipv6", uplink.link), "0")?;
    connect_outside().map_err(failed("give the host an IPv6 address"))?;
    namespace.visit(connect_inside)?
}
