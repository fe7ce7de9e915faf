//! Packet filters: what the kernel is told to forward and to translate.
//!
//! In: tables, chains, rules and elements. Out: batches, which apply as a whole or not at all.
//!
//! Tables of an Ketch of their own have one name; those of other programs are only looked at, but
//! for the accept rules of [`forward`].
//!
//! # Not here
//!
//! Filters that live outside nf_tables: `host::legacy`.

mod batch;
pub(super) mod forward;
mod rule;
pub(super) mod tables;
pub(super) mod wire;

use std::io;
use std::net::IpAddr;

use super::netlink::{ACK, DUMP, HEADER, REQUEST, Socket};

pub(super) use batch::Batch;

/// Families of addresses, as nf_tables counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    pub(super) fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// Its number.
    pub(super) fn number(self) -> u8 {
        match self {
            Self::V4 => 2,
            Self::V6 => 10,
        }
    }
}

/// The packet filters of one namespace.
#[derive(Debug)]
pub(super) struct Filters {
    /// Always there, but while this is dropped.
    socket: Option<Socket>,
    /// Whether something was removed.
    has_removed: bool,
}

impl Drop for Filters {
    /// Closing a socket waits until the kernel has let go of what was removed by it, which may
    /// take longer than all the rest: nobody has to wait for that.
    fn drop(&mut self) {
        let socket = self.socket.take().filter(|_| self.has_removed);
        if socket.is_some() {
            let _ = std::thread::Builder::new().spawn(move || drop(socket));
        }
    }
}

impl Filters {
    /// Of the namespace of the calling thread.
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self { socket: Some(Socket::netfilter()?), has_removed: false })
    }

    fn socket(&mut self) -> io::Result<&mut Socket> {
        self.socket.as_mut().ok_or(io::ErrorKind::NotConnected.into())
    }

    /// Does all that a batch says, or nothing.
    pub(super) fn apply(&mut self, batch: Batch) -> io::Result<()> {
        self.has_removed |= batch.removes();
        let socket = self.socket()?;
        let (bytes, last) = batch.finish(socket);
        if last == 0 { Ok(()) } else { socket.finish(&bytes, last) }
    }

    /// Asks for all objects of a kind, and gives each one: family and attributes.
    fn dump(
        &mut self,
        kind: u8,
        (family, attributes): (u8, &[u8]),
        take: &mut dyn FnMut(u8, &[u8]),
    ) -> io::Result<()> {
        let socket = self.socket()?;
        let number = socket.next();
        let mut request = Vec::new();
        wire::begin(&mut request, batch::message(kind), REQUEST | DUMP, number);
        request.extend([family, 0, 0, 0]);
        request.extend(attributes);
        wire::end(&mut request, 0);
        socket.ask(&request, number, &mut |message| {
            if let Some((header, attributes)) = message.body.split_at_checked(4) {
                take(header[0], attributes);
            }
        })
    }

    /// Whether a table is there.
    pub(super) fn has_table(&mut self, family: Family, name: &str) -> io::Result<bool> {
        let socket = self.socket()?;
        let number = socket.next();
        let mut request = Vec::with_capacity(HEADER + 64);
        wire::begin(&mut request, batch::message(batch::GET_TABLE), REQUEST | ACK, number);
        request.extend([family.number(), 0, 0, 0]);
        wire::text(&mut request, 1, name);
        wire::end(&mut request, 0);
        match socket.ask(&request, number, &mut |_| {}) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            other => other.map(|()| true),
        }
    }
}
