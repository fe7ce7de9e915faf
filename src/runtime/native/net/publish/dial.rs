//! Connections to a container, from the namespace of its network.
//!
//! In: ports of the container. Out: connected sockets.
//!
//! Sockets are made several at a time: the way into a namespace and back is longer than that to a
//! container.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};

use super::super::Namespace;

/// How many sockets a visit makes.
const BATCH: usize = 16;

/// Makes connections to one container.
#[derive(Debug)]
pub(super) struct Dialer {
    namespace: Namespace,
    ip: IpAddr,
    spare: RefCell<Vec<OwnedFd>>,
}

impl Dialer {
    pub(super) fn new(namespace: Namespace, ip: IpAddr) -> Self {
        Self { namespace, ip, spare: RefCell::default() }
    }

    /// A connection to a port of the container.
    pub(super) async fn stream(&self, port: u16) -> io::Result<TcpStream> {
        let spare = self.spare.borrow_mut().pop();
        let socket = if let Some(socket) = spare {
            socket
        } else {
            let mut made = self.sockets(SocketType::STREAM, BATCH)?;
            let first = made.pop().ok_or(io::ErrorKind::NotFound)?;
            self.spare.borrow_mut().extend(made);
            first
        };
        let socket = TcpSocket::from_std_stream(socket.into());
        socket.connect(SocketAddr::new(self.ip, port)).await
    }

    /// A socket for packets to a port of the container, and from it.
    pub(super) async fn packets(&self, port: u16) -> io::Result<UdpSocket> {
        let made = self.sockets(SocketType::DGRAM, 1)?.pop();
        let socket = UdpSocket::from_std(made.ok_or(io::ErrorKind::NotFound)?.into())?;
        socket.connect(SocketAddr::new(self.ip, port)).await?;
        Ok(socket)
    }

    fn sockets(&self, kind: SocketType, count: usize) -> io::Result<Vec<OwnedFd>> {
        let family = if self.ip.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let make = || {
            let one = || rustix::net::socket_with(family, kind, flags, None);
            (0..count).map(|_| one()).collect::<Result<Vec<_>, _>>()
        };
        Ok(self.namespace.visit(make).map_err(io::Error::other)??)
    }
}
