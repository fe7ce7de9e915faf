//! Flows that the kernel remembers: which way their packets go.
//!
//! In: a protocol and a port. Out: flows to it are forgotten, so that their next packet is looked
//! at anew.
//!
//! A client that goes on sending from one port would else reach for ever what stood behind the
//! published port when it began.

use std::io;
use std::net::IpAddr;

use super::super::nft::{Family, wire};
use super::{ACK, DUMP, REQUEST, Socket};

/// Messages about flows.
const GET: u16 = 0x101;
const DELETE: u16 = 0x102;
/// Attributes: the packets of the one who began, their addresses and their ports.
const ORIGIN: u16 = 1;
const ADDRESSES: u16 = 1;
const PORTS: u16 = 2;

/// Forgets the flows to a port of an address, or of any address.
pub(in super::super) fn forget(
    family: Family,
    address: Option<IpAddr>,
    (protocol, port): (u8, u16),
) -> io::Result<()> {
    let mut socket = Socket::netfilter()?;
    let mut found = Vec::new();
    let number = socket.next();
    let mut request = Vec::new();
    begin(&mut request, (GET, REQUEST | DUMP), (number, family));
    wire::end(&mut request, 0);
    socket.ask(&request, number, &mut |message| {
        let attributes = message.body.get(4..).unwrap_or_default();
        let origin = wire::attributes(attributes).find(|(kind, _)| *kind == ORIGIN);
        found.extend(
            origin
                .map(|(_, origin)| origin.to_vec())
                .filter(|origin| leads_to(origin, address, (protocol, port)).is_some()),
        );
    })?;
    for origin in found {
        let number = socket.next();
        let mut request = Vec::new();
        begin(&mut request, (DELETE, REQUEST | ACK), (number, family));
        wire::put(&mut request, ORIGIN | wire::NESTED, &origin);
        wire::end(&mut request, 0);
        match socket.finish(&request, number) {
            // It has ended by itself.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(())
}

fn begin(bytes: &mut Vec<u8>, (kind, flags): (u16, u16), (number, family): (u32, Family)) {
    wire::begin(bytes, kind, flags, number);
    bytes.extend([family.number(), 0, 0, 0]);
}

/// Whether a flow goes there.
fn leads_to(origin: &[u8], address: Option<IpAddr>, wanted: (u8, u16)) -> Option<()> {
    let get = |bytes, wanted| {
        wire::attributes(bytes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
    };
    let ports = get(origin, PORTS)?;
    let protocol = *get(ports, 1)?.first()?;
    let port = u16::from_be_bytes(*get(ports, 3)?.first_chunk()?);
    let addresses = get(origin, ADDRESSES)?;
    let there = match address {
        None => true,
        Some(IpAddr::V4(ip)) => get(addresses, 2)? == ip.octets(),
        Some(IpAddr::V6(ip)) => get(addresses, 4)? == ip.octets(),
    };
    (there && (protocol, port) == wanted).then_some(())
}
