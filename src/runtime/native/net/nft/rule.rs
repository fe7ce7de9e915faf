//! Rules: what a packet must be, and what becomes of it.
//!
//! In: conditions in the order in which they are looked at. Out: nf_tables expressions.
//!
//! Registers are four bytes each; numbers of the kernel's own are in its byte order.

use std::net::Ipv4Addr;

use super::Family;
use super::wire::{nest, number, put, text};

/// The first register: of keys that are looked up, and of what was found.
const FIRST: u32 = 8;
/// A register that none of those reach into.
const SPARE: u32 = 16;

/// What a packet came in by or goes out by.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    In,
    Out,
}

/// A rule.
#[derive(Debug, Default)]
pub(super) struct Rule {
    pub(super) expressions: Vec<u8>,
    pub(super) comment: Option<String>,
}

impl Rule {
    fn expression(mut self, name: &str, fill: impl FnOnce(&mut Vec<u8>)) -> Self {
        nest(&mut self.expressions, 1, |expression| {
            text(expression, 1, name);
            nest(expression, 2, fill);
        });
        self
    }

    fn meta(self, key: u32, register: u32) -> Self {
        self.expression("meta", |data| {
            number(data, 1, register);
            number(data, 2, key);
        })
    }

    fn compare(self, register: u32, operation: u32, value: &[u8]) -> Self {
        self.expression("cmp", |data| {
            number(data, 1, register);
            number(data, 2, operation);
            nest(data, 3, |value_of| put(value_of, 1, value));
        })
    }

    fn payload(self, base: u32, (offset, length): (u32, u32), register: u32) -> Self {
        self.expression("payload", |data| {
            number(data, 1, register);
            number(data, 2, base);
            number(data, 3, offset);
            number(data, 4, length);
        })
    }

    fn mask(self, register: u32, mask: &[u8]) -> Self {
        let length = u32::try_from(mask.len()).unwrap_or(u32::MAX);
        self.expression("bitwise", |data| {
            number(data, 1, register);
            number(data, 2, register);
            number(data, 3, length);
            nest(data, 4, |value| put(value, 1, mask));
            nest(data, 5, |value| put(value, 1, &vec![0; mask.len()]));
        })
    }

    /// Its interface is this one.
    pub(super) fn interface(self, way: Way, index: u32) -> Self {
        self.meta(way.key(), SPARE).compare(SPARE, 0, &index.to_ne_bytes())
    }

    /// Its interface is another one.
    pub(super) fn other_interface(self, way: Way, index: u32) -> Self {
        self.meta(way.key(), SPARE).compare(SPARE, 1, &index.to_ne_bytes())
    }

    /// The name of its interface begins so.
    pub(super) fn interfaces(self, way: Way, prefix: &str) -> Self {
        // Register 1 has room for a whole name.
        self.meta(way.key() + 2, 1).compare(1, 0, prefix.as_bytes())
    }

    /// It is for this machine.
    pub(super) fn local(self) -> Self {
        self.expression("fib", |data| {
            number(data, 1, SPARE);
            number(data, 2, 3);
            number(data, 3, 2);
        })
        .compare(SPARE, 0, &2_u32.to_ne_bytes())
    }

    /// It is not for a loopback address. All of 127/8 is, and one address of IPv6.
    pub(super) fn not_loopback(self, family: Family) -> Self {
        match family {
            Family::V4 => self
                .payload(1, family.destination(), SPARE)
                .mask(SPARE, &[255, 0, 0, 0])
                .compare(SPARE, 1, &[127, 0, 0, 0]),
            Family::V6 => {
                let address = std::net::Ipv6Addr::LOCALHOST.octets();
                self.payload(1, family.destination(), SPARE).compare(SPARE, 1, &address)
            }
        }
    }

    /// It goes to, or comes from, a port at an IPv4 address; the port becomes another one. No
    /// checksum is changed: on the loopback interface none is made.
    pub(super) fn move_port(self, side: Side, (ip, port): (Ipv4Addr, u16), to: u16) -> Self {
        let (address, at) = match side {
            Side::Source => (Family::V4.source(), (0, 2)),
            Side::Destination => (Family::V4.destination(), (2, 2)),
        };
        self.payload(1, address, SPARE)
            .compare(SPARE, 0, &ip.octets())
            .payload(2, at, SPARE)
            .compare(SPARE, 0, &port.to_be_bytes())
            .expression("immediate", |data| {
                number(data, 1, SPARE);
                nest(data, 2, |value| put(value, 1, &to.to_be_bytes()));
            })
            .expression("payload", |data| {
                number(data, 5, SPARE);
                number(data, 2, 2);
                number(data, 3, at.0);
                number(data, 4, at.1);
            })
    }

    /// Its connection has one of these states.
    pub(super) fn connection(self, key: Connection) -> Self {
        let (key, bits) = match key {
            Connection::Known => (0, 2 | 4),
            Connection::Translated => (2, 1 << 5),
        };
        let bits: u32 = bits;
        self.expression("ct", |data| {
            number(data, 1, SPARE);
            number(data, 2, key);
        })
        .mask(SPARE, &bits.to_ne_bytes())
        .compare(SPARE, 1, &[0; 4])
    }

    /// Its interfaces, in and out, are in a set.
    pub(super) fn passes(self, set: &str) -> Self {
        self.meta(Way::In.key(), FIRST).meta(Way::Out.key(), FIRST + 1).lookup(set, FIRST, None)
    }

    /// It goes to where a map says for its protocol and port.
    pub(super) fn lead_by_port(self, family: Family, map: &str) -> Self {
        self.port(FIRST)
            .lookup(map, FIRST, Some(FIRST))
            .lead(family, Some(FIRST + family.destination().1 / 4))
    }

    /// It goes to where a map says for its address, protocol and port.
    pub(super) fn lead_by_address(self, family: Family, map: &str) -> Self {
        let after = FIRST + family.destination().1 / 4;
        self.payload(1, family.destination(), FIRST)
            .port(after)
            .lookup(map, FIRST, Some(FIRST))
            .lead(family, Some(FIRST + family.destination().1 / 4))
    }

    /// It goes to this address.
    pub(super) fn lead_to(self, family: Family, address: &[u8]) -> Self {
        self.expression("immediate", |data| {
            number(data, 1, FIRST);
            nest(data, 2, |value| put(value, 1, address));
        })
        .lead(family, None)
    }

    /// Protocol and port that it goes to.
    fn port(self, register: u32) -> Self {
        self.meta(16, register).payload(2, (2, 2), register + 1)
    }

    fn lookup(self, set: &str, key: u32, value: Option<u32>) -> Self {
        self.expression("lookup", |data| {
            text(data, 1, set);
            number(data, 2, key);
            if let Some(value) = value {
                number(data, 3, value);
            }
        })
    }

    fn lead(self, family: Family, port: Option<u32>) -> Self {
        self.expression("nat", |data| {
            number(data, 1, 1);
            number(data, 2, family.number().into());
            number(data, 3, FIRST);
            if let Some(port) = port {
                number(data, 5, port);
            }
        })
    }

    /// It seems to come from this machine.
    pub(super) fn masquerade(self) -> Self {
        self.expression("masq", |_| {})
    }

    /// It is counted, as iptables does for every rule.
    pub(super) fn counted(self) -> Self {
        self.expression("counter", |_| {})
    }

    /// It may go on.
    pub(super) fn accept(self) -> Self {
        self.expression("immediate", |data| {
            number(data, 1, 0);
            nest(data, 2, |value| nest(value, 2, |verdict| number(verdict, 1, 1)));
        })
    }

    /// Another chain decides.
    #[cfg(test)]
    pub(super) fn jump(self, chain: &str) -> Self {
        self.expression("immediate", |data| {
            number(data, 1, 0);
            nest(data, 2, |value| {
                nest(value, 2, |verdict| {
                    put(verdict, 1, &(-3_i32).to_be_bytes());
                    text(verdict, 2, chain);
                });
            });
        })
    }

    /// What is told of the rule.
    pub(super) fn comment(mut self, comment: &str) -> Self {
        self.comment = Some(comment.to_owned());
        self
    }
}

/// Which of its ports is meant.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    Source,
    Destination,
}

/// What a connection may be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Connection {
    /// Established, or related to one that is.
    Known,
    /// Its destination was changed.
    Translated,
}

impl Way {
    fn key(self) -> u32 {
        match self {
            Self::In => 4,
            Self::Out => 5,
        }
    }
}

impl Family {
    /// Where the address that a packet comes from stands: offset and length.
    fn source(self) -> (u32, u32) {
        match self {
            Self::V4 => (12, 4),
            Self::V6 => (8, 16),
        }
    }

    /// Where the address that a packet goes to stands: offset and length.
    pub(super) fn destination(self) -> (u32, u32) {
        match self {
            Self::V4 => (16, 4),
            Self::V6 => (24, 16),
        }
    }
}
