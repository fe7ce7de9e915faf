//! Who is in a network: addresses and names.
//!
//! In: containers, and how they join. Out: endpoint files.
//!
//! `R/net/NAME/ip/ADDRESS` holds the id of the container that has the address, and
//! `R/net/NAME/ep/ID.json` is its endpoint. Names resolve by the latter alone.
//!
//! # Invariants
//!
//! - An endpoint file is written when its addresses are taken, and removed before they are free.
//! - Addresses are taken under the lock of the network.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::model::ServiceNetwork;
use crate::runtime::native::lock::{self, Lock};
use crate::runtime::{Result, RuntimeError};

use super::attach::{parse_mac, wrong_mac};
use super::definition::Definition;
use super::endpoint::{Address, Endpoint, Member, Wishes};
use super::pool::Pool;
use super::store::{self, Lasting};
use super::subnet::Ip;
use super::{Checked, failed};

/// Where the locks of all networks lie. No network has a dot in front of its name.
const LOCKS: &str = ".locks";
/// Digits of an id that are a name too.
const SHORT_ID: usize = 12;

/// The members of one network: `R/net/NAME`.
#[derive(Debug)]
pub(super) struct Members {
    directory: PathBuf,
    lock: PathBuf,
}

/// Where the endpoint files of a network lie.
pub(super) fn endpoint_directory(volatile: &Path, network: &str) -> PathBuf {
    volatile.join("net").join(network).join("ep")
}

impl Members {
    pub(super) fn new(volatile: &Path, network: &str) -> Self {
        let all = volatile.join("net");
        // Beside the directory, which comes and goes under the lock.
        Self { directory: all.join(network), lock: all.join(LOCKS).join(network) }
    }

    /// Where all of this lies.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    fn endpoint(&self, container: &str) -> PathBuf {
        self.directory.join("ep").join(format!("{container}.json"))
    }

    /// The endpoint of a container, if it has one.
    pub(super) fn find(&self, container: &str) -> Result<Option<Endpoint>> {
        store::load(&self.endpoint(container))
    }

    /// Ids of all containers that have an endpoint.
    pub(super) fn ids(&self) -> Result<Vec<String>> {
        let names = store::names(&self.directory.join("ep"))?;
        let ids = names.iter().filter_map(|name| name.strip_suffix(".json"));
        Ok(ids.map(str::to_owned).collect())
    }

    /// Waits until nobody else takes or frees addresses, or removes the network.
    pub(super) fn lock(&self) -> Result<Lock> {
        if let Some(directory) = self.lock.parent() {
            store::make_directory(directory)?;
        }
        lock::wait(&self.lock)
    }

    /// Gives the lock back; with the last member its file goes.
    pub(super) fn unlock(&self, lock: Lock) -> Result<()> {
        if self.directory.is_dir() { Ok(()) } else { lock::remove(lock, &self.lock) }
    }

    /// Gives a container its place, under the lock. `taken`: names of interfaces that it has.
    pub(super) fn join(
        &self,
        definition: &Definition,
        member: &Member,
        options: &ServiceNetwork,
        taken: &[String],
    ) -> Result<Endpoint> {
        let refuse = |why: String| {
            let network = &definition.name;
            RuntimeError::Refused(format!("cannot put {} into {network}: {why}", member.name))
        };
        for part in ["ip", "ep"] {
            store::make_directory(&self.directory.join(part))?;
        }
        let wishes = Wishes::of(options).map_err(refuse)?;
        let interface = interface(definition, &wishes, taken).map_err(refuse)?;
        let wanted_mac = Some(&options.mac_address).filter(|mac| !mac.is_empty());
        let wanted_mac = wanted_mac.map(|mac| parse_mac(mac).ok_or_else(|| wrong_mac(mac)));
        let wanted_mac = wanted_mac.transpose()?;
        let id = &member.id;
        let ipv4 = self.address(definition.ipv4.as_ref(), &options.ipv4_address, id);
        let ipv4 = ipv4?.map_err(refuse)?;
        let ipv6 = self.address(definition.ipv6.as_ref(), &options.ipv6_address, id);
        let ipv6 = ipv6?.map_err(refuse)?;
        let mac = match (wanted_mac, ipv4) {
            (Some(mac), _) => mac,
            // Whoever gets the address next has the same one: what neighbours remember holds.
            (None, Some(address)) => {
                let [a, b, c, d] = address.ip.octets();
                [0x02, 0x42, a, b, c, d]
            }
            (None, None) => {
                let [a, b, c, d] = store::random::<4>()?;
                [0x02, 0x42, a, b, c, d]
            }
        };
        let endpoint = Endpoint {
            network: definition.name.clone(),
            container: id.clone(),
            name: member.name.clone(),
            aliases: aliases(member, options),
            ipv4,
            ipv6,
            link_local: wishes.link_local.clone(),
            mac: mac.map(|byte| format!("{byte:02x}")).join(":"),
            sysctls: wishes.sysctls_of(&interface),
            interface,
            gw_priority: options.gw_priority,
            internal: definition.internal,
            host: None,
        };
        store::save(&self.endpoint(id), &endpoint, Lasting::Boot)?;
        Ok(endpoint)
    }

    /// Writes an endpoint again.
    pub(super) fn update(&self, endpoint: &Endpoint) -> Result<()> {
        store::save(&self.endpoint(&endpoint.container), endpoint, Lasting::Boot)
    }

    /// Takes an address: the one that is asked for, else the lowest free one.
    fn address<A: Ip>(
        &self,
        pool: Option<&Pool<A>>,
        wanted: &str,
        container: &str,
    ) -> Result<Checked<Option<Address<A>>>> {
        let Some(pool) = pool else {
            let why = format!("it has no {} addresses, but `{wanted}` is asked for", A::NAME);
            return Ok(if wanted.is_empty() { Ok(None) } else { Err(why) });
        };
        let place = |ip| Address { ip, prefix: pool.subnet.prefix(), gateway: pool.gateway };
        if wanted.is_empty() {
            let mut failure = None;
            let found = pool.next(&mut |ip| match self.take(ip, container) {
                Ok(taken) => taken,
                Err(error) => failure.replace(error).is_none(),
            });
            if let Some(error) = failure {
                return Err(error);
            }
            let why = || format!("all addresses of {} are taken", pool.subnet);
            return Ok(found.map(place).ok_or_else(why).map(Some));
        }
        let parsed =
            wanted.parse::<A>().map_err(|_| format!("`{wanted}` is no {} address", A::NAME));
        let ip = match parsed.and_then(|ip| pool.check(ip).map(|()| ip)) {
            Ok(ip) => ip,
            Err(why) => return Ok(Err(why)),
        };
        let taken = self.take(ip, container)?;
        Ok(if taken { Ok(Some(place(ip))) } else { Err(format!("the address {ip} is in use")) })
    }

    /// Takes an address, unless another container has it.
    fn take(&self, ip: impl Into<IpAddr>, container: &str) -> Result<bool> {
        let path = self.directory.join("ip").join(ip.into().to_string());
        let file = File::options().write(true).create_new(true).open(&path);
        match file.and_then(|mut file| file.write_all(container.as_bytes())) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                // What a killed process took has its id, or none.
                let holder = store::read(&path)?.unwrap_or_default();
                if holder.is_empty() {
                    std::fs::write(&path, container)
                        .map_err(failed(format!("write `{}`", path.display())))?;
                }
                Ok(holder.is_empty() || holder == container)
            }
            Err(error) => Err(failed(format!("take the address `{}`", path.display()))(error)),
        }
    }

    /// Takes a container's names and addresses away, under the lock.
    pub(super) fn leave(&self, container: &str) -> Result<()> {
        let endpoint = self.find(container)?;
        store::remove(&self.endpoint(container))?;
        let directory = self.directory.join("ip");
        let taken = match endpoint {
            Some(Endpoint { ipv4, ipv6, .. }) => {
                let ipv4 = ipv4.map(|address| address.ip.to_string());
                ipv4.into_iter().chain(ipv6.map(|address| address.ip.to_string())).collect()
            }
            // Who was killed while it joined has addresses, but no endpoint.
            None => store::names(&directory)?,
        };
        for ip in taken {
            let path = directory.join(ip);
            if store::read(&path)?.as_deref() == Some(container) {
                store::remove(&path)?;
            }
        }
        Ok(())
    }

    /// Ids of all containers that have an endpoint, or only an address.
    pub(super) fn holders(&self) -> Result<Vec<String>> {
        let mut ids = self.ids()?;
        let directory = self.directory.join("ip");
        for ip in store::names(&directory)? {
            ids.extend(store::read(&directory.join(ip))?);
        }
        ids.sort();
        ids.dedup();
        Ok(ids)
    }
}

/// The name that the interface gets.
fn interface(definition: &Definition, wishes: &Wishes, taken: &[String]) -> Checked<String> {
    if let Some(name) = &wishes.interface {
        let is_free = !taken.contains(name);
        return is_free
            .then(|| name.clone())
            .ok_or_else(|| format!("the container has an interface `{name}` already"));
    }
    let mut names = (0..=taken.len()).map(|number| format!("{}{number}", definition.interface));
    Ok(names.find(|name| !taken.contains(name)).unwrap_or_default())
}

/// All names of a container in a network but its own one.
fn aliases(member: &Member, options: &ServiceNetwork) -> Vec<String> {
    let short = member.id.get(..SHORT_ID).unwrap_or(&member.id);
    let mut names: Vec<String> = options.aliases.iter().map(|name| name.to_lowercase()).collect();
    names.push(short.to_owned());
    names.sort();
    names.dedup();
    names
}
