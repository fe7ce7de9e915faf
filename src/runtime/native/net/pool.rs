//! Subnets for networks, and addresses for containers.
//!
//! In: what a network asks for, and what is taken. Out: a pool, and the next free address. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::model::IpamPool;

use super::subnet::{Ip, Subnet};

/// Where the addresses of a network come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(serialize = "A: Ip + Serialize", deserialize = "A: Ip + Deserialize<'de>"))]
pub(super) struct Pool<A> {
    pub(super) subnet: Subnet<A>,
    /// Address of the bridge.
    pub(super) gateway: A,
    /// Part that containers get addresses from.
    range: Option<Subnet<A>>,
    /// Addresses that no container may get.
    reserved: Vec<A>,
}

impl<A: Ip> Pool<A> {
    /// All of a subnet; the gateway is its first address.
    pub(super) fn whole(subnet: Subnet<A>) -> Self {
        let gateway = subnet.nth(1).or(subnet.nth(0)).unwrap_or(A::of_number(0));
        Self { subnet, gateway, range: None, reserved: Vec::new() }
    }

    /// What a network asks for; none if that is of the other family.
    pub(super) fn given(pool: &IpamPool) -> Option<Result<Self, String>> {
        let ip = pool.subnet.split('/').next().unwrap_or_default().parse::<IpAddr>();
        match ip {
            Ok(ip) => A::of(ip).map(|_| Self::parse(pool)),
            Err(_) => Some(Err(format!("`{}` is no subnet", pool.subnet))),
        }
    }

    fn parse(pool: &IpamPool) -> Result<Self, String> {
        let subnet: Subnet<A> = pool.subnet.parse()?;
        let mut parsed = Self::whole(subnet);
        let inside = |attribute: &str, text: &str| {
            let ip: A = text
                .parse()
                .map_err(|_| format!("{attribute}: `{text}` is no {} address", A::NAME))?;
            let fits = subnet.contains(ip);
            fits.then_some(ip).ok_or_else(|| format!("{attribute}: `{text}` is not in {subnet}"))
        };
        if !pool.gateway.is_empty() {
            parsed.gateway = inside("gateway", &pool.gateway)?;
        }
        if !pool.ip_range.is_empty() {
            let range: Subnet<A> = pool.ip_range.parse()?;
            if !subnet.covers(&range) {
                return Err(format!("ip_range: `{range}` is not in {subnet}"));
            }
            parsed.range = Some(range);
        }
        for address in pool.aux_addresses.values() {
            parsed.reserved.push(inside("aux_addresses", address)?);
        }
        if subnet.last() < 1 {
            return Err(format!("{subnet} has no room for containers"));
        }
        Ok(parsed)
    }

    /// The lowest free address.
    pub(super) fn next(&self, is_free: &mut dyn FnMut(A) -> bool) -> Option<A> {
        let range = self.range.unwrap_or(self.subnet);
        // What is taken is a file each: this many are never there.
        let last = range.last().min(1 << 20);
        let mut candidates = (0..=last).filter_map(|number| range.nth(number));
        candidates.find(|ip| self.permits(*ip) && is_free(*ip))
    }

    /// Whether a container may have an address that it asks for.
    pub(super) fn check(&self, ip: A) -> Result<(), String> {
        if !self.subnet.contains(ip) {
            return Err(format!("the address {ip} is not in the subnet {}", self.subnet));
        }
        let permitted = self.permits(ip) || self.reserved.contains(&ip) && ip != self.gateway;
        permitted.then_some(()).ok_or_else(|| format!("the address {ip} is the network's own"))
    }

    fn permits(&self, ip: A) -> bool {
        let number = ip.number() - self.subnet.nth(0).map_or(0, A::number);
        // The first address names the subnet, the last one of IPv4 all its machines.
        let has_ends = self.subnet.last() > 1;
        let is_end = number == 0 || A::BITS == 32 && number == self.subnet.last();
        !(has_ends && is_end || ip == self.gateway || self.reserved.contains(&ip))
    }
}

/// The default subnets: those of Docker.
fn defaults() -> impl Iterator<Item = Subnet<Ipv4Addr>> {
    let large = (17..=31).map(|second| Subnet::around(Ipv4Addr::new(172, second, 0, 0), 16));
    let small = (0..=15).map(|part| Subnet::around(Ipv4Addr::new(192, 168, part * 16, 0), 20));
    large.chain(small)
}

/// A default subnet. `taken` must not be touched; `preferably` what others may have too.
pub(super) fn choose(
    taken: &[Subnet<Ipv4Addr>],
    preferably: &[Subnet<Ipv4Addr>],
) -> Option<Subnet<Ipv4Addr>> {
    let clear = |subnet: &Subnet<Ipv4Addr>, of: &[Subnet<Ipv4Addr>]| {
        !of.iter().any(|other| other.overlaps(subnet))
    };
    let usable: Vec<_> = defaults().filter(|subnet| clear(subnet, taken)).collect();
    let best = usable.iter().find(|subnet| clear(subnet, preferably));
    best.or(usable.first()).copied()
}

/// A subnet of IPv6 that is nobody else's: local, with 56 bits of a hash.
pub(super) fn local(hash: [u8; 7]) -> Subnet<Ipv6Addr> {
    let mut octets = [0; 16];
    octets[0] = 0xfd;
    octets[1..8].copy_from_slice(&hash);
    Subnet::around(octets.into(), 64)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::{Pool, Subnet, choose, defaults};
    use crate::model::IpamPool;

    fn subnet(text: &str) -> Subnet<Ipv4Addr> {
        text.parse().expect("a subnet")
    }

    fn pool(yaml: &str) -> Result<Pool<Ipv4Addr>, String> {
        let pool: IpamPool = serde_yaml::from_str(yaml).expect("a pool");
        Pool::given(&pool).expect("of this family")
    }

    #[test]
    fn default_subnets_avoid_what_is_taken_and_if_possible_what_others_have() {
        assert_eq!(choose(&[], &[]), Some(subnet("172.17.0.0/16")));
        let host = [subnet("172.16.0.0/12")];
        assert_eq!(choose(&host, &[]), Some(subnet("192.168.0.0/20")));
        assert_eq!(choose(&[], &[subnet("172.17.9.0/24")]), Some(subnet("172.18.0.0/16")));
        let all: Vec<_> = defaults().collect();
        assert_eq!(all.len(), 31);
        assert_eq!(choose(&all[..1], &all), Some(subnet("172.18.0.0/16")), "shared at need");
        assert_eq!(choose(&all, &[]), None);
    }

    #[test]
    fn addresses_are_given_from_the_lowest_and_never_the_networks_own() {
        let whole = pool("subnet: 10.1.0.0/29").expect("a pool");
        let mut taken = vec![];
        while let Some(ip) = whole.next(&mut |ip| !taken.contains(&ip)) {
            taken.push(ip);
        }
        let last: Vec<u8> = taken.iter().map(|ip| ip.octets()[3]).collect();
        assert_eq!(last, [2, 3, 4, 5, 6]);

        let part = "{subnet: 10.1.0.0/16, ip_range: 10.1.5.0/30, gateway: 10.1.5.1,
                     aux_addresses: {a: 10.1.5.2}}";
        let part = pool(part).expect("a pool");
        assert_eq!(part.next(&mut |_| true), Some(Ipv4Addr::new(10, 1, 5, 0)));
        assert_eq!(part.next(&mut |ip| ip.octets()[3] != 0), Some(Ipv4Addr::new(10, 1, 5, 3)));
    }

    #[test]
    fn fixed_addresses_may_be_anywhere_in_the_subnet() {
        let pool = pool("{subnet: 10.1.0.0/16, ip_range: 10.1.5.0/24}").expect("a pool");
        assert_eq!(pool.check(Ipv4Addr::new(10, 1, 9, 9)), Ok(()));
        for bad in [[10, 1, 0, 0], [10, 1, 0, 1], [10, 1, 255, 255], [10, 2, 0, 5]] {
            assert!(pool.check(bad.into()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn pools_that_do_not_fit_are_refused() {
        let cases = [
            "{subnet: 10.1.0.0/16, gateway: 10.2.0.1}",
            "{subnet: 10.1.0.0/16, gateway: x}",
            "{subnet: 10.1.0.0/16, ip_range: 10.2.0.0/24}",
            "{subnet: 10.1.0.0/16, aux_addresses: {a: 1.2.3.4}}",
            "{subnet: 10.1.0.0/32}",
            "{subnet: 10.1.0.0/99}",
            "{subnet: nonsense}",
        ];
        for case in cases {
            assert!(pool(case).is_err(), "{case}");
        }
    }
}
