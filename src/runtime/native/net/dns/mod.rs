//! Names of containers, answered at 127.0.0.11 inside each container's own namespace.
//!
//! In: queries. Out: answers from the endpoint files of the container's networks; all other names
//! are asked for upstream.
//!
//! - `message`: queries and answers as bytes;
//! - `names`: who has a name;
//! - `watch`: the endpoint files, as they are at this moment;
//! - `upstream`: other servers;
//! - `serve`: what arrives, and how much of it at once.
//!
//! # Invariants
//!
//! - The sockets are in the container's namespace, all else is in the host's.
//! - A container finds an endpoint whose file was there when it asked.
//! - Nothing happens while nobody asks.

mod message;
mod names;
mod serve;
mod upstream;
mod watch;

use std::cell::RefCell;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};

use crate::runtime::{Result, RuntimeError};

use super::nft::{Batch, Family, Filters, tables};
use super::uplink::TABLE;
use super::{Namespace, Networks, failed};
use upstream::Upstream;
use watch::Watch;

/// Where a container asks.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
const PORT: u16 = 53;
/// How often another port is tried, if one is free for one kind of socket only.
const ATTEMPTS: usize = 16;

/// The sockets that queries of a container arrive at.
#[derive(Debug)]
pub struct Sockets {
    udp: UdpSocket,
    tcp: TcpListener,
    container: Namespace,
}

/// What a container may look up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Id of the container.
    pub container: String,
    /// Links: `CONTAINER:ALIAS`.
    pub links: Vec<String>,
    /// Servers for all other names: `dns`. Empty: those of the host.
    pub servers: Vec<String>,
}

/// Answers queries. The networks are those that the container was in when [`Server::refresh`] was
/// called last.
#[derive(Debug)]
pub struct Server {
    udp: tokio::net::UdpSocket,
    tcp: tokio::net::TcpListener,
    watch: RefCell<Watch>,
    upstream: Upstream,
}

/// Makes 127.0.0.11:53 answer in a container's namespace, whose loopback interface must be up.
///
/// The sockets are bound to another port, to which packets are led: a container may have a server
/// of its own at port 53 of all its addresses.
///
/// # Errors
/// If the address is taken there.
pub fn bind(container: &Namespace) -> Result<Sockets> {
    let asked = SocketAddrV4::new(ADDRESS, PORT);
    let lead = |port| -> io::Result<()> {
        let mut filters = Filters::open()?;
        if filters.has_table(Family::V4, TABLE)? {
            let mut old = Batch::new(Family::V4, TABLE);
            old.delete_table();
            filters.apply(old)?;
        }
        filters.apply(tables::container(TABLE, asked, port))
    };
    let bind = || -> io::Result<(UdpSocket, TcpListener)> {
        let (udp, tcp) = pair(0)?;
        match lead(udp.local_addr()?.port()) {
            Ok(()) => Ok((udp, tcp)),
            // The kernel has no packet filters: then it must be that port.
            Err(_) => pair(PORT),
        }
    };
    let bound = container.visit(bind)?;
    let (udp, tcp) = bound.map_err(failed(format!("listen on {asked} inside a container")))?;
    Ok(Sockets { udp, tcp, container: container.try_clone()? })
}

/// Sockets of both kinds at one port; 0: any.
fn pair(port: u16) -> io::Result<(UdpSocket, TcpListener)> {
    let mut attempts = 0;
    loop {
        let udp = UdpSocket::bind((ADDRESS, port))?;
        match TcpListener::bind((ADDRESS, udp.local_addr()?.port())) {
            Ok(tcp) => {
                udp.set_nonblocking(true)?;
                tcp.set_nonblocking(true)?;
                return Ok((udp, tcp));
            }
            Err(_) if port == 0 && attempts < ATTEMPTS => attempts += 1,
            Err(error) => return Err(error),
        }
    }
}

impl Server {
    /// A server that knows the networks which the container has joined by now. Must be called
    /// inside the async runtime.
    ///
    /// # Errors
    /// If an endpoint file cannot be read, or a server has no address.
    pub fn new(networks: &Networks, sockets: Sockets, settings: Settings) -> Result<Self> {
        let upstream = Upstream::new(&settings.servers, sockets.container)?;
        let watch = Watch::new(networks.clone(), settings)?;
        let take = || -> io::Result<_> {
            let udp = tokio::net::UdpSocket::from_std(sockets.udp)?;
            Ok((udp, tokio::net::TcpListener::from_std(sockets.tcp)?))
        };
        let (udp, tcp) = take().map_err(failed("wait for queries of a container"))?;
        Ok(Self { udp, tcp, watch: RefCell::new(watch), upstream })
    }

    /// Looks again which networks the container has joined.
    ///
    /// # Errors
    /// If an endpoint file cannot be read.
    pub fn refresh(&self) -> Result<()> {
        self.watch.borrow_mut().refresh()
    }

    /// Answers for ever. Not `Send`; it ends by being dropped.
    pub async fn serve(&self) {
        serve::forever(self).await;
    }
}

/// Says that a server of `dns` is none.
fn wrong_server(text: &str) -> RuntimeError {
    RuntimeError::Refused(format!("dns: `{text}` is no address"))
}
