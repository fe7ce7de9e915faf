//! Networks of the native runtime: addresses, names and ports.
//!
//! In: specs of networks, how containers join them, and the network namespaces of containers. Out:
//! interfaces with addresses and routes, names that resolve, ports that are served.
//!
//! A project is one network namespace, pinned under `R/ns/`; each of its networks is a bridge in
//! it. One veth pair leads from there to the host, with masquerade. A network that belongs to no
//! project has a namespace of its own. Containers of any project may join any network.
//!
//! Where a container begins, its shim calls in this order:
//!
//! 1. [`publish::reserve`], which fails if a port of the host is taken;
//! 2. [`Networks::join`] for each network: addresses, and names that others see;
//! 3. [`Networks::attach`] with the namespace of the container: interfaces and routes;
//! 4. [`files`]: what stands in `/etc/hosts` and `/etc/resolv.conf`;
//! 5. [`dns::bind`] and [`dns::Server`]: names that the container sees;
//! 6. [`Networks::publish`]: the ports.
//!
//! When it ends: drop what 5 and 6 gave, [`Networks::leave`].
//!
//! # Invariants
//!
//! - The namespace that a thread calls from is the host's, before and after.
//! - What a process leaves when it is killed is found again by [`Networks::sweep`].
//! - No other program is run.
//!
//! # Not here
//!
//! When containers start and stop (`shim`), and which process is in which namespace (`container`).

mod attach;
mod bridge;
mod definition;
pub mod dns;
mod endpoint;
pub mod files;
mod host;
mod legacy;
mod membership;
mod namespace;
mod netlink;
mod nft;
mod pool;
pub mod publish;
mod store;
mod subnet;
mod sweep;
#[cfg(test)]
mod tests;
mod uplink;

use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::model::observed::ObservedNetwork;
use crate::model::spec::{self, NetworkSpec};
use crate::runtime::native::lock::{self, Lock};
use crate::runtime::{Result, RuntimeError};

pub(super) use definition::DEFAULT;
use definition::{Definition, PREDEFINED};
use membership::Members;
use netlink::link::Links;
use pool::Pool;
use store::Lasting;
use subnet::Subnet;
use uplink::{Project, Projects};

pub use endpoint::{Address, Endpoint, Member};
pub use namespace::Namespace;
pub use sweep::Swept;

/// What a value is, or why it cannot be used.
type Checked<T> = std::result::Result<T, String>;

/// All networks below two roots.
#[derive(Clone, Debug)]
pub struct Networks {
    definitions: PathBuf,
    volatile: PathBuf,
}

impl Networks {
    /// The networks whose definitions lie in `DURABLE/networks`, and whose addresses and
    /// namespaces lie below `volatile`.
    pub fn new(durable: &Path, volatile: &Path) -> Self {
        Self { definitions: durable.join("networks"), volatile: volatile.to_owned() }
    }

    /// Creates a network. One of that name that exists already will do.
    ///
    /// # Errors
    /// If an attribute cannot be had, a subnet is not free, or the kernel refuses.
    pub fn create(&self, network: &NetworkSpec) -> Result<()> {
        let name = &network.network.name;
        if PREDEFINED.contains(&name.as_str()) {
            return Err(definition::refused(name, "this name is taken by a network of the system"));
        }
        let wanted = Definition::of(network)?;
        let _lock = self.lock()?;
        if let Some(definition) = self.definition(name)? {
            self.ensure(&definition)?;
        } else {
            self.make(&self.define(wanted, network)?)?;
        }
        self.projects().let_forward()
    }

    /// The network of this name. `bridge`, `host` and `none` always exist.
    ///
    /// # Errors
    /// If its definition cannot be read.
    pub fn find(&self, name: &str) -> Result<Option<ObservedNetwork>> {
        if let Some(definition) = self.definition(name)? {
            return Ok(Some(definition.observed()));
        }
        let predefined = PREDEFINED.contains(&name).then(|| ObservedNetwork {
            id: store::hex(&Sha256::digest(name)),
            name: name.to_owned(),
            driver: if name == "none" { "null" } else { name }.to_owned(),
            labels: crate::model::Dict::new(),
        });
        Ok(predefined)
    }

    /// All networks that were created, in order of their names.
    ///
    /// # Errors
    /// If a definition cannot be read.
    pub fn list(&self) -> Result<Vec<ObservedNetwork>> {
        Ok(self.all()?.iter().map(Definition::observed).collect())
    }

    /// Removes a network, and the namespace with its last one. One that is gone already will do.
    /// Refused while a container is in it.
    ///
    /// # Errors
    /// If a container is in it, or the kernel refuses.
    pub fn remove(&self, name: &str) -> Result<()> {
        let _lock = self.lock()?;
        let Some(definition) = self.definition(name)? else { return Ok(()) };
        let members = Members::new(&self.volatile, name);
        let within = members.lock()?;
        let ids = members.ids()?;
        let mut names: Vec<String> =
            ids.iter().filter_map(|id| Some(members.find(id).ok()??.name)).collect();
        names.sort();
        if !ids.is_empty() {
            let who = names.join(", ");
            let message = format!("cannot remove network `{name}`: containers are in it: {who}");
            return Err(RuntimeError::Conflict(message));
        }
        // A bridge that stays behind goes with the namespace, or when the next one is made.
        if self.neighbours(&definition.namespace)?.len() <= 1 {
            self.projects().remove(&definition.namespace)?;
        }
        store::remove_directory(&self.definitions.join(name))?;
        store::remove_directory(&self.volatile.join("net").join(name))?;
        members.unlock(within)
    }

    /// Gives a container its place in a network: addresses, and names by which others find it
    /// from now on. Calling it again gives the same place.
    ///
    /// # Errors
    /// If the network is not there, or has no such address free.
    pub fn join(&self, member: &Member, wanted: &spec::Endpoint) -> Result<Endpoint> {
        loop {
            let definition = self.required(&wanted.network)?;
            if let Some(endpoint) = self.join_one(&definition, member, wanted)? {
                return Ok(endpoint);
            }
        }
    }

    /// The place of a container in a network; none if the network was removed meanwhile.
    fn join_one(
        &self,
        definition: &Definition,
        member: &Member,
        wanted: &spec::Endpoint,
    ) -> Result<Option<Endpoint>> {
        let name = &definition.name;
        let taken = self.endpoints(&member.id)?;
        self.check_overlap(definition, &taken)?;
        let taken: Vec<String> = taken.into_iter().map(|endpoint| endpoint.interface).collect();
        let members = Members::new(&self.volatile, name);
        let lock = members.lock()?;
        if self.definition(name)?.is_none_or(|now| now.id != definition.id) {
            members.unlock(lock)?;
            return Ok(None);
        }
        let project = self.project(definition)?;
        let mut endpoint = match members.find(&member.id)? {
            Some(endpoint) => endpoint,
            None => members.join(definition, member, &wanted.options, &taken)?,
        };
        let host = (!definition.internal).then_some(project.uplink.ipv4.host);
        if endpoint.host != host {
            endpoint.host = host;
            members.update(&endpoint)?;
        }
        Ok(Some(endpoint))
    }

    /// Takes away what [`Networks::join`] gave, whether it is there or not. The interface is not
    /// touched: it goes with the container's namespace, or by [`Networks::detach`].
    ///
    /// # Errors
    /// If a file cannot be removed.
    pub fn leave(&self, container: &str, network: &str) -> Result<()> {
        if !self.volatile.join("net").join(network).is_dir() {
            return Ok(());
        }
        let members = Members::new(&self.volatile, network);
        let lock = members.lock()?;
        members.leave(container)?;
        members.unlock(lock)?;
        if network == DEFAULT {
            // Nobody made it, so nobody would remove it.
            return match self.remove(network) {
                Err(RuntimeError::Conflict(_)) => Ok(()),
                other => other,
            };
        }
        Ok(())
    }

    /// The places that a container has now, in the order of their interfaces.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn endpoints(&self, container: &str) -> Result<Vec<Endpoint>> {
        let mut found = Vec::new();
        for network in store::names(&self.volatile.join("net"))? {
            found.extend(Members::new(&self.volatile, &network).find(container)?);
        }
        found.sort_by(|a: &Endpoint, b: &Endpoint| {
            (a.interface.len(), &a.interface).cmp(&(b.interface.len(), &b.interface))
        });
        Ok(found)
    }

    /// Gives a namespace the interfaces, addresses and routes of all these endpoints, which are
    /// all that the container has; interfaces that are there already stay. Bridges and namespaces
    /// that are missing, as after a reboot, are made. With no endpoints, only the loopback
    /// interface is taken up.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn attach(&self, endpoints: &[Endpoint], container: &Namespace) -> Result<()> {
        let mut new = Vec::new();
        for endpoint in endpoints {
            let definition = self.required(&endpoint.network)?;
            let (project, bridge) = self.ensure(&definition)?;
            let socket = attach::Socket {
                namespace: project.namespace,
                bridge,
                mtu: definition.mtu,
                isolated: definition.isolated,
            };
            if attach::plug(endpoint, &socket, container)? {
                new.push(endpoint);
            }
        }
        container.visit(|| attach::configure(endpoints, &new))?
    }

    /// Takes the interface of an endpoint out of a container that goes on running. The routes of
    /// the others are set by [`Networks::attach`].
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn detach(&self, endpoint: &Endpoint, container: &Namespace) -> Result<()> {
        container.visit(|| attach::unplug(&endpoint.interface))?
    }

    fn projects(&self) -> Projects<'_> {
        Projects::new(&self.volatile)
    }

    /// Waits until nobody else creates or removes networks.
    fn lock(&self) -> Result<Lock> {
        store::make_directory(&self.definitions)?;
        lock::wait(&self.definitions.join(".lock"))
    }

    fn definition(&self, name: &str) -> Result<Option<Definition>> {
        // A name that no network can have is that of none.
        let is_file = !name.is_empty() && !name.contains('/') && !name.starts_with('.');
        if is_file {
            store::load(&self.definitions.join(name).join("network.json"))
        } else {
            Ok(None)
        }
    }

    fn required(&self, name: &str) -> Result<Definition> {
        if ["host", "none"].contains(&name) {
            let why = format!("network {name} cannot be joined: use `network_mode: {name}`");
            return Err(RuntimeError::Unsupported(why));
        }
        if name == DEFAULT && self.definition(name)?.is_none() {
            let _lock = self.lock()?;
            if self.definition(name)?.is_none() {
                let network = crate::model::Network { name: name.to_owned(), ..Default::default() };
                let spec = NetworkSpec { network, ..NetworkSpec::default() };
                let definition = self.define(Definition::of(&spec)?, &spec)?;
                return self.make(&definition).map(|()| definition);
            }
        }
        self.definition(name)?
            .ok_or_else(|| RuntimeError::NotFound(format!("network {name} not found")))
    }

    fn all(&self) -> Result<Vec<Definition>> {
        let mut all = Vec::new();
        for name in store::names(&self.definitions)? {
            all.extend(self.definition(&name)?);
        }
        Ok(all)
    }

    /// The networks of a namespace.
    fn neighbours(&self, namespace: &str) -> Result<Vec<Definition>> {
        let mut all = self.all()?;
        all.retain(|definition| definition.namespace == namespace);
        Ok(all)
    }

    /// Settles the addresses of a new network, under the lock.
    fn define(&self, mut definition: Definition, spec: &NetworkSpec) -> Result<Definition> {
        let name = definition.name.clone();
        let all = self.all()?;
        let pools = |near: bool| {
            let namespace = &definition.namespace;
            let others = all.iter().filter(move |other| (other.namespace == *namespace) == near);
            others.filter_map(|other| Some(other.ipv4.as_ref()?.subnet)).collect::<Vec<_>>()
        };
        let (near, far) = (pools(true), pools(false));
        match &definition.ipv4 {
            Some(pool) => {
                if let Some(other) = near.iter().find(|other| other.overlaps(&pool.subnet)) {
                    let subnet = pool.subnet;
                    let why = format!("its subnet {subnet} overlaps {other} of the same project");
                    return Err(definition::refused(&name, &why));
                }
            }
            None if spec.network.enable_ipv4 != Some(false) => {
                definition.ipv4 = Some(Pool::whole(Self::default_subnet(&name, near, &far)?));
            }
            None => {}
        }
        if definition.ipv6.is_none() && definition::wants_ipv6(&spec.network) {
            let mut hash = Sha256::new();
            hash.update(self.volatile.as_os_str().as_encoded_bytes());
            hash.update(&definition.id);
            let hash = hash.finalize();
            let mut start = [0; 7];
            start.copy_from_slice(&hash[..7]);
            definition.ipv6 = Some(Pool::whole(pool::local(start)));
        }
        Ok(definition)
    }

    /// Writes a new network down and makes its bridge, at the same time: disks are slow.
    fn make(&self, definition: &Definition) -> Result<()> {
        let directory = self.definitions.join(&definition.name);
        let save = || {
            store::make_directory(&directory)?;
            store::save(&directory.join("network.json"), definition, Lasting::Disk)
        };
        let (saved, made) = std::thread::scope(|scope| {
            let saving = scope.spawn(save);
            let made = self.ensure(definition);
            (saving.join(), made)
        });
        let panicked = |_| RuntimeError::Refused("a thread has panicked".to_owned());
        if let Err(error) = saved.map_err(panicked).and_then(|saved| saved).and(made) {
            store::remove_directory(&directory)?;
            return Err(error);
        }
        Ok(())
    }

    /// A subnet that neither the host nor the project uses, and if possible no other project.
    fn default_subnet(
        name: &str,
        mut taken: Vec<Subnet<std::net::Ipv4Addr>>,
        others: &[Subnet<std::net::Ipv4Addr>],
    ) -> Result<Subnet<std::net::Ipv4Addr>> {
        let routes = Links::open().and_then(|mut links| links.destinations());
        let routes = routes.map_err(failed("list the routes of the host"))?;
        taken.extend(uplink::ipv4_subnets(&routes));
        taken.extend(files::host_servers()?.into_iter().filter_map(|server| match server {
            std::net::IpAddr::V4(ip) => Some(Subnet::around(ip, 32)),
            std::net::IpAddr::V6(_) => None,
        }));
        pool::choose(&taken, others).ok_or_else(|| {
            let why = "the host or this project uses all default subnets; give it one of its own \
                       under `ipam`";
            definition::refused(name, why)
        })
    }

    /// Two networks of one container must not have the same addresses.
    fn check_overlap(&self, definition: &Definition, has: &[Endpoint]) -> Result<()> {
        for endpoint in has.iter().filter(|endpoint| endpoint.network != definition.name) {
            let Some(other) = self.definition(&endpoint.network)? else { continue };
            if let (Some(mine), Some(its)) = (&definition.ipv4, &other.ipv4)
                && mine.subnet.overlaps(&its.subnet)
            {
                return Err(RuntimeError::Conflict(format!(
                    "{} cannot be in network {} ({}) and in network {} ({}): their subnets \
                     overlap; give one of them another subnet under `ipam`",
                    endpoint.name, definition.name, mine.subnet, other.name, its.subnet
                )));
            }
        }
        Ok(())
    }

    /// The namespace of a network, which is made if it is not there.
    fn project(&self, definition: &Definition) -> Result<Project> {
        let name = &definition.namespace;
        let projects = self.projects();
        let project = if let Some(project) = projects.find(name)? {
            project
        } else {
            let near = self.neighbours(name)?;
            let near = near.iter().filter_map(|other| Some(other.ipv4.as_ref()?.subnet));
            projects.ensure(name, &near.collect::<Vec<_>>())?
        };
        if definition.ipv6.is_some() && !definition.internal {
            return projects.ensure_ipv6(name, project);
        }
        Ok(project)
    }

    /// The namespace and the bridge of a network, which are made if they are not there.
    fn ensure(&self, definition: &Definition) -> Result<(Project, bridge::Bridge)> {
        let project = self.project(definition)?;
        let members = Members::new(&self.volatile, &definition.name);
        let names = || {
            let near = self.neighbours(&definition.namespace)?;
            Ok(near.into_iter().map(|other| other.bridge).collect())
        };
        let bridge = bridge::ensure(definition, &project, &names, &members)?;
        Ok((project, bridge))
    }
}

/// Chains of other programs that drop what this host forwards, as a person names them. Containers
/// reach the outside all the same: their packets are accepted in each by a rule of our own, which
/// goes with the last network.
///
/// # Errors
/// If the kernel does not tell.
pub fn dropping_chains() -> Result<Vec<String>> {
    let chains = nft::Filters::open().and_then(|mut filters| filters.dropping_chains());
    let chains = chains.map_err(failed("look at the packet filters of the host"))?;
    let mut names: Vec<String> = chains.iter().map(nft::forward::Chain::describe).collect();
    let old = legacy::dropping().map_err(failed("look at the iptables of the host"))?;
    names.extend(old);
    Ok(names)
}

/// Says what could not be done, and why.
fn failed<E: Into<io::Error>>(action: impl Into<String>) -> impl FnOnce(E) -> RuntimeError {
    let action = action.into();
    move |error| RuntimeError::Io { action, source: error.into() }
}
