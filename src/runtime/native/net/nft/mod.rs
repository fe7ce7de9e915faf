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
    socket: Socket,
}

impl Filters {
    /// Of the namespace of the calling thread.
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self { socket: Socket::netfilter()? })
    }

    /// Does all that a batch says, or nothing.
    pub(super) fn apply(&mut self, batch: Batch) -> io::Result<()> {
        let (bytes, last) = batch.finish(&mut self.socket);
        if last == 0 { Ok(()) } else { self.socket.finish(&bytes, last) }
    }

    /// Asks for all objects of a kind, and gives each one: family and attributes.
    fn dump(
        &mut self,
        kind: u8,
        (family, attributes): (u8, &[u8]),
        take: &mut dyn FnMut(u8, &[u8]),
    ) -> io::Result<()> {
        let number = self.socket.next();
        let mut request = Vec::new();
        wire::begin(&mut request, batch::message(kind), REQUEST | DUMP, number);
        request.extend([family, 0, 0, 0]);
        request.extend(attributes);
        wire::end(&mut request, 0);
        self.socket.ask(&request, number, &mut |message| {
            if let Some((header, attributes)) = message.body.split_at_checked(4) {
                take(header[0], attributes);
            }
        })
    }

    /// Whether a table is there.
    pub(super) fn has_table(&mut self, family: Family, name: &str) -> io::Result<bool> {
        let number = self.socket.next();
        let mut request = Vec::with_capacity(HEADER + 64);
        wire::begin(&mut request, batch::message(batch::GET_TABLE), REQUEST | ACK, number);
        request.extend([family.number(), 0, 0, 0]);
        wire::text(&mut request, 1, name);
        wire::end(&mut request, 0);
        match self.socket.ask(&request, number, &mut |_| {}) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            other => other.map(|()| true),
        }
    }
}
