//! How a container is connected: ports, addresses, names.
//!
//! In: the networks that it is to join. Out: interfaces in its namespace, the files `hosts` and
//! `resolv.conf`, and what answers queries and connections.

use std::cell::RefCell;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::rc::Rc;

use super::Shim;
use crate::model::spec;
use crate::runtime::native::container::Namespace as Sharing;
use crate::runtime::native::net::{Endpoint, Member, Namespace, dns, files, publish};
use crate::runtime::native::record;
use crate::runtime::native::state::{BoundPort, failed};
use crate::runtime::{Result, RuntimeError};

/// The connections of a container.
#[derive(Debug)]
pub(super) struct Connected {
    listeners: RefCell<Option<Rc<publish::Listeners>>>,
    endpoints: Vec<Endpoint>,
    server: RefCell<Option<Rc<dns::Server>>>,
    published: RefCell<Option<Rc<publish::Published>>>,
}

impl Connected {
    /// Reserves ports and addresses before the container starts.
    pub(super) fn reserve(shim: &Shim) -> Result<Self> {
        let (mut listeners, mut endpoints) = (None, Vec::new());
        if shim.record.config.namespaces.network == Sharing::Own {
            if !shim.record.ports.is_empty() {
                listeners = Some(Rc::new(publish::reserve(&shim.record.ports)?));
            }
            let member = Member { id: shim.place.id.clone(), name: shim.name() };
            for joining in record::joinings(&shim.place)? {
                let wanted = spec::Endpoint { network: joining.network, options: joining.options };
                endpoints.push(shim.networks.join(&member, &wanted)?);
            }
        }
        let (server, published) = (RefCell::default(), RefCell::default());
        Ok(Self { listeners: RefCell::new(listeners), endpoints, server, published })
    }

    /// Connects the namespace of a container that is about to start.
    pub(super) fn attach(&self, shim: &Shim, pid: i32) -> Result<()> {
        let record = &shim.record;
        let connection = match &record.config.namespaces.network {
            // It has the files of the other one.
            Sharing::Of(_) => return Ok(()),
            Sharing::Host => files::Connection::Host,
            Sharing::Own if self.endpoints.is_empty() => files::Connection::None,
            Sharing::Own => files::Connection::Networks(&self.endpoints),
        };
        if record.config.namespaces.network == Sharing::Own {
            let pid = u32::try_from(pid).unwrap_or_default();
            self.connect(shim, &Namespace::of_process(pid)?)?;
        }
        let service = record.names.service();
        let hosts = files::hosts(&service, &record.config.hostname, connection)?;
        let resolv = files::resolv_conf(&service, &host_resolv_conf(), connection);
        let directory = shim.place.files();
        overwrite(&directory.join("hosts"), &hosts)?;
        overwrite(&directory.join("resolv.conf"), &resolv)?;
        let hostname = if record.config.hostname.is_empty() {
            rustix::system::uname().nodename().to_string_lossy().into_owned()
        } else {
            record.config.hostname.clone()
        };
        overwrite(&directory.join("hostname"), &format!("{hostname}\n"))
    }

    fn connect(&self, shim: &Shim, namespace: &Namespace) -> Result<()> {
        shim.networks.attach(&self.endpoints, namespace)?;
        if !self.endpoints.is_empty() {
            let settings = dns::Settings {
                container: shim.place.id.clone(),
                links: shim.record.names.links.clone(),
                servers: shim.record.names.dns.clone(),
            };
            let server = dns::Server::new(&shim.networks, dns::bind(namespace)?, settings)?;
            self.server.replace(Some(Rc::new(server)));
        }
        if let Some(listeners) = self.listeners.borrow().clone() {
            let published = shim.networks.publish(&shim.place.id, listeners, &self.endpoints)?;
            self.published.replace(Some(Rc::new(published)));
        }
        Ok(())
    }

    /// The ports as they were chosen.
    pub(super) fn ports(&self) -> Vec<BoundPort> {
        let listeners = self.listeners.borrow();
        let ports = listeners.iter().flat_map(|listeners| listeners.ports());
        let bound = ports.filter_map(|port| {
            Some(BoundPort {
                host_ip: port.host_ip.clone(),
                published: port.published?,
                target: port.target,
                protocol: port.protocol.clone(),
            })
        });
        bound.collect()
    }

    /// Answers queries and connections, for ever.
    pub(super) async fn serve(&self) {
        let (server, published) = (self.server.borrow().clone(), self.published.borrow().clone());
        let names = async {
            match &server {
                Some(server) => server.serve().await,
                None => std::future::pending().await,
            }
        };
        let ports = async {
            match &published {
                Some(published) => published.serve().await,
                None => std::future::pending().await,
            }
        };
        tokio::join!(names, ports);
    }

    /// Lets go of ports and addresses at which it answered: the next start wants the same ones.
    pub(super) fn close(&self) {
        self.server.take();
        self.published.take();
        self.listeners.take();
    }

    /// The container has joined or left a network.
    pub(super) fn refresh(&self) -> Result<()> {
        match self.server.borrow().as_ref() {
            Some(server) => server.refresh(),
            None => Ok(()),
        }
    }

    /// An address of the container at which it can be reached from the host.
    pub(super) fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }
}

/// What stands in the host's `/etc/resolv.conf`.
pub(in crate::runtime::native) fn host_resolv_conf() -> String {
    const LONGEST: u64 = 64 * 1024;
    let mut text = String::new();
    // A host without the file has the defaults.
    let _ = std::fs::File::open("/etc/resolv.conf")
        .and_then(|file| file.take(LONGEST).read_to_string(&mut text));
    text
}

/// Writes into the very file, which is mounted into the container.
pub(in crate::runtime::native) fn overwrite(path: &Path, text: &str) -> Result<()> {
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error: std::io::Error| -> RuntimeError { failed("write", path, error) })
}
