//! Links, addresses and routes.
//!
//! In: what shall be. Out: rtnetlink messages, and what the kernel has.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, AsRawFd};

use netlink_packet_core::{NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_packet_route::link::{
    InfoBridge, InfoBridgePort, InfoData, InfoKind, InfoPortData, InfoPortKind, InfoVeth,
    LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::route::{
    RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::{ACK, CREATE, DUMP, EXCL, REPLACE, REQUEST, Socket};

/// A hardware address.
pub(in super::super) type Mac = [u8; 6];

/// Links, addresses and routes of one namespace.
#[derive(Debug)]
pub(in super::super) struct Links {
    socket: Socket,
}

/// Something to be done.
#[derive(Debug)]
pub(in super::super) struct Request {
    message: RouteNetlinkMessage,
    flags: u16,
}

/// A pair of interfaces.
#[derive(Debug)]
pub(in super::super) struct Veth<'a> {
    /// Name of the end in the namespace of the socket.
    pub(in super::super) name: &'a str,
    /// The bridge that this end is put into.
    pub(in super::super) bridge: Option<u32>,
    /// Bytes of a packet.
    pub(in super::super) mtu: u32,
    /// Name of the other end.
    pub(in super::super) peer: &'a str,
    /// Hardware address of the other end.
    pub(in super::super) mac: Option<Mac>,
}

impl Links {
    /// Of the namespace of the calling thread.
    pub(in super::super) fn open() -> io::Result<Self> {
        Ok(Self { socket: Socket::route()? })
    }

    /// Does all this, in this order.
    pub(in super::super) fn run(&mut self, requests: Vec<Request>) -> io::Result<()> {
        let mut bytes = Vec::new();
        let mut last = 0;
        for request in requests {
            last = self.socket.next();
            encode(request.message, REQUEST | ACK | request.flags, last, &mut bytes);
        }
        if bytes.is_empty() { Ok(()) } else { self.socket.finish(&bytes, last) }
    }

    /// Number of the interface of this name.
    pub(in super::super) fn index(&mut self, name: &str) -> io::Result<Option<u32>> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        let mut found = None;
        let asked = self.ask(RouteNetlinkMessage::GetLink(message), ACK, &mut |answer| {
            if let RouteNetlinkMessage::NewLink(link) = answer {
                found = Some(link.header.index);
            }
        });
        match asked {
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error()) => {
                Ok(None)
            }
            other => other.map(|()| found),
        }
    }

    /// All interfaces: numbers and names.
    pub(in super::super) fn all(&mut self) -> io::Result<Vec<(u32, String)>> {
        let mut found = Vec::new();
        let message = RouteNetlinkMessage::GetLink(LinkMessage::default());
        self.ask(message, DUMP, &mut |answer| {
            let RouteNetlinkMessage::NewLink(link) = answer else { return };
            found.extend(link.attributes.into_iter().find_map(|attribute| match attribute {
                LinkAttribute::IfName(name) => Some((link.header.index, name)),
                _ => None,
            }));
        })?;
        Ok(found)
    }

    /// Where routes lead to, but for the default ones: addresses and the bits of their subnets.
    pub(in super::super) fn destinations(&mut self) -> io::Result<Vec<(IpAddr, u8)>> {
        let mut found = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let message = route(family, 0);
            self.ask(RouteNetlinkMessage::GetRoute(message), DUMP, &mut |answer| {
                let RouteNetlinkMessage::NewRoute(route) = answer else { return };
                found.extend(destination(&route));
            })?;
        }
        Ok(found)
    }

    fn ask(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
        take: &mut dyn FnMut(RouteNetlinkMessage),
    ) -> io::Result<()> {
        let number = self.socket.next();
        let mut bytes = Vec::new();
        encode(message, REQUEST | flags, number, &mut bytes);
        self.socket.ask(&bytes, number, &mut |message| {
            let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(message.whole);
            // What this library does not understand is nothing that is looked for here.
            if let Ok((_, NetlinkPayload::InnerMessage(answer))) =
                answer.map(NetlinkMessage::into_parts)
            {
                take(answer);
            }
        })
    }
}

impl Request {
    /// Makes a bridge that is up.
    pub(in super::super) fn bridge(name: &str, mac: Mac, mtu: u32) -> Self {
        let mut message = LinkMessage::default();
        set_up(&mut message);
        message.attributes = vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::Address(mac.to_vec()),
            LinkAttribute::Mtu(mtu),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Bridge),
                // Ports forward at once: there are no loops to be learned first.
                LinkInfo::Data(InfoData::Bridge(vec![InfoBridge::ForwardDelay(0)])),
            ]),
        ];
        Self { message: RouteNetlinkMessage::NewLink(message), flags: CREATE | EXCL }
    }

    /// Makes a pair whose other end is born in `namespace`. This end is up.
    pub(in super::super) fn veth(veth: &Veth<'_>, namespace: &impl AsFd) -> Self {
        let mut peer = LinkMessage::default();
        peer.attributes = vec![
            LinkAttribute::IfName(veth.peer.to_owned()),
            LinkAttribute::Mtu(veth.mtu),
            LinkAttribute::NetNsFd(namespace.as_fd().as_raw_fd()),
        ];
        peer.attributes.extend(veth.mac.map(|mac| LinkAttribute::Address(mac.to_vec())));
        let mut message = LinkMessage::default();
        set_up(&mut message);
        message.attributes =
            vec![LinkAttribute::IfName(veth.name.to_owned()), LinkAttribute::Mtu(veth.mtu)];
        message.attributes.extend(veth.bridge.map(LinkAttribute::Controller));
        message.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
        ]));
        Self { message: RouteNetlinkMessage::NewLink(message), flags: CREATE | EXCL }
    }

    /// Lets a port of a bridge reach no other port that is so too.
    pub(in super::super) fn isolate(port: u32) -> Self {
        let mut message = numbered(port);
        message.attributes = vec![LinkAttribute::LinkInfo(vec![
            LinkInfo::PortKind(InfoPortKind::Bridge),
            LinkInfo::PortData(InfoPortData::BridgePort(vec![InfoBridgePort::Isolated(true)])),
        ])];
        Self { message: RouteNetlinkMessage::NewLink(message), flags: 0 }
    }

    /// Takes an interface up.
    pub(in super::super) fn up(index: u32) -> Self {
        let mut message = numbered(index);
        set_up(&mut message);
        Self { message: RouteNetlinkMessage::SetLink(message), flags: 0 }
    }

    /// Removes an interface.
    pub(in super::super) fn delete(index: u32) -> Self {
        Self { message: RouteNetlinkMessage::DelLink(numbered(index)), flags: 0 }
    }

    /// Gives an interface an address, which is used at once.
    pub(in super::super) fn address(index: u32, ip: IpAddr, prefix: u8) -> Self {
        let mut message = AddressMessage::default();
        message.header.family = family(ip);
        message.header.prefix_len = prefix;
        message.header.index = index;
        message.attributes = vec![AddressAttribute::Local(ip), AddressAttribute::Address(ip)];
        message.attributes.push(match ip {
            IpAddr::V4(ip) => AddressAttribute::Broadcast(broadcast(ip, prefix)),
            IpAddr::V6(_) => AddressAttribute::Flags(AddressFlags::Nodad),
        });
        Self { message: RouteNetlinkMessage::NewAddress(message), flags: CREATE | REPLACE }
    }

    /// Makes this the way to everywhere.
    pub(in super::super) fn default_route(index: u32, gateway: IpAddr) -> Self {
        let mut message = route(family(gateway), RouteHeader::RT_TABLE_MAIN);
        message.attributes =
            vec![RouteAttribute::Gateway(gateway.into()), RouteAttribute::Oif(index)];
        Self { message: RouteNetlinkMessage::NewRoute(message), flags: CREATE | REPLACE }
    }
}

fn encode(message: RouteNetlinkMessage, flags: u16, number: u32, bytes: &mut Vec<u8>) {
    let mut header = NetlinkHeader::default();
    header.flags = flags;
    header.sequence_number = number;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
    message.finalize();
    let start = bytes.len().next_multiple_of(4);
    bytes.resize(start + message.buffer_len(), 0);
    message.serialize(&mut bytes[start..]);
}

/// The address of all machines of a subnet; one of two addresses has none.
fn broadcast(ip: Ipv4Addr, prefix: u8) -> Ipv4Addr {
    match u32::MAX.checked_shr(prefix.into()) {
        Some(hosts) if hosts > 1 => Ipv4Addr::from_bits(ip.to_bits() | hosts),
        _ => Ipv4Addr::UNSPECIFIED,
    }
}

fn numbered(index: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message
}

fn set_up(message: &mut LinkMessage) {
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
}

fn route(family: AddressFamily, table: u8) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family;
    message.header.table = table;
    if table != 0 {
        message.header.protocol = RouteProtocol::Static;
        message.header.scope = RouteScope::Universe;
        message.header.kind = RouteType::Unicast;
    }
    message
}

/// Where a route to other machines leads to, unless that is everywhere.
fn destination(route: &RouteMessage) -> Option<(IpAddr, u8)> {
    use netlink_packet_route::route::RouteAddress;
    if route.header.kind != RouteType::Unicast || route.header.destination_prefix_length == 0 {
        return None;
    }
    route.attributes.iter().find_map(|attribute| {
        let ip = match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(ip)) => IpAddr::V4(*ip),
            RouteAttribute::Destination(RouteAddress::Inet6(ip)) => IpAddr::V6(*ip),
            _ => return None,
        };
        Some((ip, route.header.destination_prefix_length))
    })
}

fn family(ip: IpAddr) -> AddressFamily {
    if ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

#[cfg(test)]
mod tests {
    use super::broadcast;

    #[test]
    fn a_subnet_has_an_address_for_all() {
        for (prefix, expected) in [
            (16, "10.1.255.255"),
            (29, "10.1.2.7"),
            (30, "10.1.2.3"),
            (31, "0.0.0.0"),
            (32, "0.0.0.0"),
        ] {
            assert_eq!(broadcast([10, 1, 2, 3].into(), prefix).to_string(), expected, "/{prefix}");
        }
    }
}
