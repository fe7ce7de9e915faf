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
//! - The namespace that a thread calls from is the host's. None of these calls changes it.
//! - What a process leaves when it is killed is found again by [`Networks::sweep`].
//! - No other program is run.
//!
//! # Not here
//!
//! When containers start and stop (`shim`), and which process is in which namespace (`container`).

pub mod dns;
mod endpoint;
pub mod files;
mod namespace;
pub mod publish;

use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::model::observed::ObservedNetwork;
use crate::model::spec::{self, NetworkSpec};
use crate::runtime::{Result, RuntimeError};

pub use endpoint::{Address, Endpoint, Member};
pub use namespace::Namespace;

/// All networks below two roots.
#[derive(Clone, Debug)]
pub struct Networks {
    definitions: PathBuf,
    volatile: PathBuf,
}

/// What [`Networks::sweep`] found and removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Endpoints of containers that do not live.
    pub endpoints: usize,
    /// Published ports of containers that do not live.
    pub ports: usize,
    /// Namespaces that no network needs.
    pub namespaces: usize,
    /// Interfaces of the host that lead nowhere.
    pub links: usize,
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
        Err(unbuilt(&network.network.name))
    }

    /// The network of this name. `bridge`, `host` and `none` always exist.
    ///
    /// # Errors
    /// If its definition cannot be read.
    pub fn find(&self, name: &str) -> Result<Option<ObservedNetwork>> {
        Err(unbuilt(name))
    }

    /// All networks that were created, in order of their names.
    ///
    /// # Errors
    /// If a definition cannot be read.
    pub fn list(&self) -> Result<Vec<ObservedNetwork>> {
        Err(unbuilt(&self.definitions.display().to_string()))
    }

    /// Removes a network, and the namespace with its last one. One that is gone already will do.
    /// Refused while a container is in it.
    ///
    /// # Errors
    /// If a container is in it, or the kernel refuses.
    pub fn remove(&self, name: &str) -> Result<()> {
        Err(unbuilt(name))
    }

    /// Gives a container its place in a network: addresses, and names by which others find it
    /// from now on. Calling it again gives the same place.
    ///
    /// # Errors
    /// If the network is not there, or has no such address free.
    pub fn join(&self, member: &Member, wanted: &spec::Endpoint) -> Result<Endpoint> {
        let _ = member;
        Err(unbuilt(&wanted.network))
    }

    /// Takes away what [`Networks::join`] gave, whether it is there or not. The interface is not
    /// touched: it goes with the container's namespace, or by [`Networks::detach`].
    ///
    /// # Errors
    /// If a file cannot be removed.
    pub fn leave(&self, container: &str, network: &str) -> Result<()> {
        let _ = container;
        Err(unbuilt(network))
    }

    /// The places that a container has now, in the order of their interfaces.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn endpoints(&self, container: &str) -> Result<Vec<Endpoint>> {
        Err(unbuilt(container))
    }

    /// Gives a namespace the interfaces, addresses and routes of all these endpoints, which are
    /// all that the container has; interfaces that are there already stay. Bridges and namespaces
    /// that are missing, as after a reboot, are made.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn attach(&self, endpoints: &[Endpoint], container: &Namespace) -> Result<()> {
        let _ = (endpoints, container);
        Err(unbuilt("attach"))
    }

    /// Takes the interface of an endpoint out of a container that goes on running. The routes of
    /// the others are set by [`Networks::attach`].
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn detach(&self, endpoint: &Endpoint, container: &Namespace) -> Result<()> {
        let _ = container;
        Err(unbuilt(&endpoint.network))
    }

    /// Leads reserved ports to a container, until what it returns is dropped.
    ///
    /// # Errors
    /// If what names the ports cannot be written.
    pub fn publish(
        &self,
        container: &str,
        listeners: Rc<publish::Listeners>,
        endpoints: &[Endpoint],
    ) -> Result<publish::Published> {
        let _ = (listeners, endpoints);
        Err(unbuilt(container))
    }

    /// Removes what processes left that were killed. `lives`: whether the container of an id is
    /// looked after.
    ///
    /// # Errors
    /// If a directory cannot be read.
    pub fn sweep(&self, lives: &dyn Fn(&str) -> bool) -> Result<Swept> {
        let _ = lives;
        Err(unbuilt(&self.volatile.display().to_string()))
    }
}

fn unbuilt(what: &str) -> RuntimeError {
    RuntimeError::Unsupported(format!("networks are not built yet: `{what}`"))
}
