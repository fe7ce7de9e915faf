//! Published ports: ports of the host that lead to a container.
//!
//! In: ports of a service. Out: listeners that reserve the ports, and what forwards them.
//!
//! Two ways lead in. Packets for addresses of the host that others see are led by the kernel
//! (`lead`), which keeps the address of the client. All else, and everything where the kernel
//! cannot, arrives at the listeners and is carried over (`tcp`, `udp`) from the namespace of the
//! network: the client is the gateway then, as with Docker.
//!
//! # Invariants
//!
//! - A port is listened on from the moment when it is reserved: nobody else gets it.
//! - Idle connections cost no memory but their own.
//!
//! # Not here
//!
//! When ports are reserved and let go of: `shim`.

mod dial;
mod lead;
mod reserve;
mod tcp;
mod udp;

use std::net::IpAddr;
use std::rc::Rc;

use crate::model::observed::ObservedPort;
use crate::runtime::Result;

use super::endpoint::way_out;
use super::{Endpoint, Networks};
use dial::Dialer;
use reserve::{Protocol, Reserved};

pub use reserve::{is_free, reserve};

/// Ports of the host that are reserved as long as this lives.
#[derive(Debug)]
pub struct Listeners {
    reserved: Vec<Reserved>,
}

impl Listeners {
    /// The ports as they were chosen, one for each address of the host.
    pub fn ports(&self) -> Vec<ObservedPort> {
        let port = |reserved: &Reserved| ObservedPort {
            host_ip: reserved.address.ip().to_string(),
            published: Some(reserved.address.port()),
            target: reserved.target,
            protocol: reserved.protocol.word().to_owned(),
        };
        self.reserved.iter().map(port).collect()
    }
}

/// Reserved ports that lead to a container. Dropping it ends that; the ports stay reserved.
#[derive(Debug)]
pub struct Published {
    listeners: Rc<Listeners>,
    /// None if the container is in no network with a way to the outside.
    dialer: Option<Dialer>,
    networks: Networks,
    container: String,
}

impl Published {
    /// Carries over what the kernel does not lead by itself, for ever. It needs a `LocalSet`, and
    /// ends by being dropped, with all its connections.
    pub async fn serve(&self) {
        let Some(dialer) = &self.dialer else { return std::future::pending().await };
        let serve = self.listeners.reserved.iter().map(async |reserved| {
            let done = match reserved.protocol {
                Protocol::Tcp => tcp::serve(reserved, dialer).await,
                Protocol::Udp => udp::serve(reserved, dialer).await,
            };
            if let Err(error) = done {
                tracing::warn!("port {} is not served any more: {error}", reserved.address);
            }
        });
        futures_util::future::join_all(serve).await;
        std::future::pending::<()>().await;
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        // The ports are still reserved: nobody else has them.
        if let Err(error) = self.networks.forget_ports(&self.container, &[]) {
            tracing::warn!("ports of {} stay behind: {error}", self.container);
        }
    }
}

impl Networks {
    /// Leads reserved ports to a container, until what it returns is dropped.
    ///
    /// # Errors
    /// If what names the ports cannot be written, or the namespace of the network is gone.
    pub fn publish(
        &self,
        container: &str,
        listeners: Rc<Listeners>,
        endpoints: &[Endpoint],
    ) -> Result<Published> {
        let (ipv4, ipv6) = way_out(endpoints);
        let target = match (ipv4, ipv6) {
            (Some(endpoint), _) => endpoint.ipv4.map(|at| (endpoint, IpAddr::V4(at.ip))),
            (None, Some(endpoint)) => endpoint.ipv6.map(|at| (endpoint, IpAddr::V6(at.ip))),
            (None, None) => None,
        };
        let dialer = match target {
            Some((endpoint, ip)) if !listeners.reserved.is_empty() => {
                let project = self.project(&self.required(&endpoint.network)?)?;
                self.lead_ports(container, &listeners.reserved, (ipv4, ipv6))?;
                Some(Dialer::new(project.namespace, ip))
            }
            _ => None,
        };
        Ok(Published { listeners, dialer, networks: self.clone(), container: container.to_owned() })
    }
}
