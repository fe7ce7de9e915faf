//! Addresses as numbers, and subnets.
//!
//! In: addresses and `ADDRESS/BITS`. Out: which addresses lie in what. Pure.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An address of either family.
pub(super) trait Ip:
    Copy + Eq + Ord + fmt::Display + fmt::Debug + FromStr + Into<IpAddr>
{
    /// Bits of an address.
    const BITS: u8;
    /// What the family is called.
    const NAME: &'static str;
    /// The address as a number.
    fn number(self) -> u128;
    /// The address of a number, whose higher bits are ignored.
    fn of_number(number: u128) -> Self;
    /// The address, if it is of this family.
    fn of(ip: IpAddr) -> Option<Self>;
}

impl Ip for Ipv4Addr {
    const BITS: u8 = 32;
    const NAME: &'static str = "IPv4";

    fn number(self) -> u128 {
        self.to_bits().into()
    }

    fn of_number(number: u128) -> Self {
        Self::from_bits(u32::try_from(number & u128::from(u32::MAX)).unwrap_or_default())
    }

    fn of(ip: IpAddr) -> Option<Self> {
        if let IpAddr::V4(ip) = ip { Some(ip) } else { None }
    }
}

impl Ip for Ipv6Addr {
    const BITS: u8 = 128;
    const NAME: &'static str = "IPv6";

    fn number(self) -> u128 {
        self.to_bits()
    }

    fn of_number(number: u128) -> Self {
        Self::from_bits(number)
    }

    fn of(ip: IpAddr) -> Option<Self> {
        if let IpAddr::V6(ip) = ip { Some(ip) } else { None }
    }
}

/// All addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
#[serde(bound(serialize = "A: Ip", deserialize = "A: Ip"))]
pub(super) struct Subnet<A> {
    first: A,
    prefix: u8,
}

impl<A: Ip> Subnet<A> {
    /// The subnet of this size that an address lies in.
    pub(super) fn around(ip: A, prefix: u8) -> Self {
        let prefix = prefix.min(A::BITS);
        Self { first: A::of_number(ip.number() & !Self::mask(prefix)), prefix }
    }

    /// The bits that tell the addresses of a subnet apart.
    fn mask(prefix: u8) -> u128 {
        u128::MAX.checked_shr((128 - u32::from(A::BITS)) + u32::from(prefix)).unwrap_or(0)
    }

    /// Bits that all its addresses begin with.
    pub(super) fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Number of the last address, counted from the first.
    pub(super) fn last(&self) -> u128 {
        Self::mask(self.prefix)
    }

    /// The address of this number, counted from the first.
    pub(super) fn nth(&self, number: u128) -> Option<A> {
        (number <= self.last()).then(|| A::of_number(self.first.number() + number))
    }

    /// Whether an address lies in it.
    pub(super) fn contains(&self, ip: A) -> bool {
        Self::around(ip, self.prefix) == *self
    }

    /// Whether another subnet lies in it.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.first)
    }

    /// Whether an address lies in both.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.covers(other) || other.covers(self)
    }
}

impl<A: Ip> fmt::Display for Subnet<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

impl<A: Ip> FromStr for Subnet<A> {
    type Err = String;

    /// The bits after the prefix need not be zero: `10.0.0.1/8` is `10.0.0.0/8`, as for Docker.
    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (ip, prefix) = text.split_once('/')?;
            let prefix: u8 = prefix.parse().ok().filter(|prefix| *prefix <= A::BITS)?;
            Some(Self::around(ip.parse().ok()?, prefix))
        };
        parse().ok_or_else(|| format!("`{text}` is no {} subnet", A::NAME))
    }
}

impl<A: Ip> From<Subnet<A>> for String {
    fn from(subnet: Subnet<A>) -> Self {
        subnet.to_string()
    }
}

impl<A: Ip> TryFrom<String> for Subnet<A> {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::Subnet;

    #[test]
    fn subnets_know_their_addresses() {
        let subnet: Subnet<Ipv4Addr> = "172.28.5.9/16".parse().expect("a subnet");
        assert_eq!(subnet.to_string(), "172.28.0.0/16");
        assert_eq!(subnet.nth(2), Some(Ipv4Addr::new(172, 28, 0, 2)));
        assert_eq!(subnet.nth(0x1_0000), None);
        assert_eq!(subnet.last(), 0xffff);
        assert!(subnet.contains(Ipv4Addr::new(172, 28, 255, 255)));
        assert!(!subnet.contains(Ipv4Addr::new(172, 29, 0, 0)));
        let other = |text: &str| text.parse::<Subnet<Ipv4Addr>>().expect("a subnet");
        assert!(
            subnet.overlaps(&other("172.16.0.0/12")) && !subnet.covers(&other("172.16.0.0/12"))
        );
        assert!(subnet.overlaps(&other("172.28.1.0/31")) && subnet.overlaps(&other("0.0.0.0/0")));
        assert!(!subnet.overlaps(&other("172.27.0.0/16")));
    }

    #[test]
    fn the_largest_and_smallest_subnets_are_no_trap() {
        let all: Subnet<Ipv6Addr> = "::/0".parse().expect("a subnet");
        assert_eq!(all.last(), u128::MAX);
        let one: Subnet<Ipv6Addr> = "fd00::1/128".parse().expect("a subnet");
        assert_eq!((one.last(), one.nth(0)), (0, Some("fd00::1".parse().expect("an address"))));
        for bad in ["", "1.2.3.4", "1.2.3.4/33", "1.2.3/8", "fd00::/8", "1.2.3.4/-1"] {
            assert!(bad.parse::<Subnet<Ipv4Addr>>().is_err(), "{bad}");
        }
    }
}
