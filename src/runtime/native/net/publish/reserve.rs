//! Ports of the host, reserved by listening on them.
//!
//! In: ports as a service asks for them. Out: sockets, all or none.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::model::Port;
use crate::runtime::{Result, RuntimeError};

use super::Listeners;

/// Connections that wait to be accepted; the kernel lowers it to what it permits.
const BACKLOG: i32 = 4096;
/// How often other free ports are tried, if one is free for one address only.
const ATTEMPTS: usize = 16;

/// How packets of a port are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }

    /// The number that packets carry.
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

/// A port of one address of the host.
#[derive(Debug)]
pub(super) struct Reserved {
    pub(super) protocol: Protocol,
    pub(super) address: SocketAddr,
    /// The port in the container.
    pub(super) target: u16,
    /// It listens; reading never blocks.
    pub(super) socket: OwnedFd,
}

/// A port that is asked for.
struct Wanted {
    protocol: Protocol,
    addresses: Vec<IpAddr>,
    /// Ports of the host, any of which will do; 0: any free one.
    published: RangeInclusive<u16>,
    target: u16,
}

/// Reserves all these ports, or none.
///
/// # Errors
/// [`RuntimeError::PortTaken`] if a port is taken; another one if it cannot be published at all.
pub fn reserve(ports: &[Port]) -> Result<Listeners> {
    let mut reserved = Vec::new();
    for port in ports {
        reserved.extend(one(&wanted(port)?)?);
    }
    Ok(Listeners { reserved })
}

/// Whether a port of the host can be had; one that only others may take cannot.
pub fn is_free(port: &Port) -> bool {
    match reserve(std::slice::from_ref(port)) {
        Err(RuntimeError::PortTaken { .. }) => false,
        Err(RuntimeError::Io { source, .. }) => source.kind() != io::ErrorKind::PermissionDenied,
        // Of other errors whoever publishes it says what is wrong.
        Ok(_) | Err(_) => true,
    }
}

fn wanted(port: &Port) -> Result<Wanted> {
    let refuse = |why: &str| {
        let published = if port.published.is_empty() { "0" } else { &port.published };
        RuntimeError::Refused(format!("cannot publish port {published}:{}: {why}", port.target))
    };
    let protocol = match port.protocol.as_str() {
        "" | "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        other => {
            let why = format!("the native runtime forwards tcp and udp, not `{other}`");
            return Err(RuntimeError::Unsupported(refuse(&why).to_string()));
        }
    };
    let target = u16::try_from(port.target).ok().filter(|target| *target != 0);
    let number = |text: &str| text.parse::<u16>().map_err(|_| refuse("it is no port"));
    let published = match port.published.split_once('-') {
        Some((first, last)) => number(first)?..=number(last)?,
        None if port.published.is_empty() => 0..=0,
        None => number(&port.published)?..=number(&port.published)?,
    };
    if published.is_empty() {
        return Err(refuse("the range ends before it begins"));
    }
    let addresses = match port.host_ip.trim_matches(['[', ']']) {
        "" => vec![IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)],
        ip => vec![ip.parse().map_err(|_| refuse(&format!("`{ip}` is no address")))?],
    };
    let target = target.ok_or_else(|| refuse("the container has no such port"))?;
    Ok(Wanted { protocol, addresses, published, target })
}

/// Reserves the first port that is free for all addresses.
fn one(wanted: &Wanted) -> Result<Vec<Reserved>> {
    let any = wanted.published == (0..=0);
    let mut failure = None;
    let attempts: Box<dyn Iterator<Item = u16>> = if any {
        Box::new(std::iter::repeat_n(0, ATTEMPTS))
    } else {
        Box::new(wanted.published.clone())
    };
    for port in attempts {
        match at(wanted, port) {
            Ok(reserved) => return Ok(reserved),
            Err((address, error)) => {
                let is_taken = error.kind() == io::ErrorKind::AddrInUse;
                if !is_taken {
                    return Err(refused(address, wanted, error));
                }
                failure.get_or_insert((address, error));
            }
        }
    }
    let (first, last) = (*wanted.published.start(), *wanted.published.end());
    let ip = wanted.addresses.first().copied().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let address = failure.map_or(SocketAddr::new(ip, first), |(address, _)| address);
    let protocol = wanted.protocol.word();
    let message = if first == last {
        format!("cannot listen on {address}/{protocol}: the port is already in use")
    } else {
        let ip = address.ip();
        format!("cannot listen on {ip}, {protocol}: all ports from {first} to {last} are in use")
    };
    Err(RuntimeError::PortTaken { port: first, message })
}

fn refused(address: SocketAddr, wanted: &Wanted, source: io::Error) -> RuntimeError {
    if source.kind() == io::ErrorKind::AddrNotAvailable {
        let ip = address.ip();
        return RuntimeError::Refused(format!(
            "cannot listen on {address}: {ip} is not an address of this host"
        ));
    }
    let action = format!("listen on {address}/{}", wanted.protocol.word());
    RuntimeError::Io { action, source }
}

/// Listens on a port of all addresses; 0: the one that the first address gets.
fn at(wanted: &Wanted, port: u16) -> std::result::Result<Vec<Reserved>, (SocketAddr, io::Error)> {
    let mut port = port;
    let mut reserved: Vec<Reserved> = Vec::new();
    for ip in &wanted.addresses {
        let address = SocketAddr::new(*ip, port);
        match listen(wanted.protocol, address) {
            Ok((socket, address)) => {
                port = address.port();
                let (protocol, target) = (wanted.protocol, wanted.target);
                reserved.push(Reserved { protocol, address, target, socket });
            }
            // Nobody asked for IPv6 in particular: a host without it has ports too.
            Err(error) if !reserved.is_empty() && ip.is_ipv6() && has_no_ipv6(&error) => {}
            Err(error) => return Err((address, error)),
        }
    }
    Ok(reserved)
}

fn has_no_ipv6(error: &io::Error) -> bool {
    let codes = [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL];
    codes.iter().any(|code| error.raw_os_error() == Some(code.raw_os_error()))
}

fn listen(protocol: Protocol, address: SocketAddr) -> io::Result<(OwnedFd, SocketAddr)> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let kind = match protocol {
        Protocol::Tcp => SocketType::STREAM,
        Protocol::Udp => SocketType::DGRAM,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, kind, flags, None)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if protocol == Protocol::Tcp {
        // Connections of the last container that linger are no listeners.
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    rustix::net::bind(&socket, &address)?;
    if protocol == Protocol::Tcp {
        rustix::net::listen(&socket, BACKLOG)?;
    }
    let bound = SocketAddr::try_from(rustix::net::getsockname(&socket)?)?;
    Ok((socket, bound))
}

#[cfg(test)]
mod tests {
    use super::reserve;
    use crate::model::Port;
    use crate::runtime::RuntimeError;

    fn port(yaml: &str) -> Port {
        serde_yaml::from_str(yaml).expect("a port")
    }

    fn numbers(ports: &[Port]) -> Vec<u16> {
        let reserved = reserve(ports).expect("free ports").ports();
        reserved.iter().filter_map(|port| port.published).collect()
    }

    #[test]
    fn a_port_is_reserved_for_both_families_until_it_is_let_go_of() {
        let any = port("{target: 80}");
        let reserved = reserve(std::slice::from_ref(&any)).expect("a free port");
        let ports = reserved.ports();
        assert!(ports.iter().all(|port| port.published == ports[0].published));
        let number = ports[0].published.expect("a number");
        let same = port(&format!("{{target: 80, published: '{number}', host_ip: 127.0.0.1}}"));
        let error = reserve(std::slice::from_ref(&same)).expect_err("taken");
        assert!(matches!(error, RuntimeError::PortTaken { port, .. } if port == number), "{error}");
        drop(reserved);
        assert_eq!(numbers(&[same]), [number]);
    }

    #[test]
    fn of_a_range_the_first_free_port_is_taken() {
        let low = reserve(&[port("{target: 1, host_ip: 127.0.0.1}")]).expect("a free port");
        let taken = low.ports()[0].published.expect("a number");
        let last = taken.saturating_add(20);
        let range = format!("{{target: 80, published: '{taken}-{last}', host_ip: 127.0.0.1}}");
        let found = numbers(&[port(&range)]);
        assert!(found[0] > taken && found[0] <= last, "{found:?}");
        let only = format!("{{target: 80, published: '{taken}-{taken}', host_ip: 127.0.0.1}}");
        assert!(reserve(&[port(&only)]).is_err());
    }

    #[test]
    fn tcp_and_udp_are_different_ports_and_others_are_refused() {
        let tcp = reserve(&[port("{target: 53, host_ip: 127.0.0.1}")]).expect("a free port");
        let number = tcp.ports()[0].published.expect("a number");
        let udp =
            format!("{{target: 53, published: '{number}', host_ip: 127.0.0.1, protocol: udp}}");
        assert_eq!(numbers(&[port(&udp)]), [number]);
        for bad in [
            "{target: 80, protocol: sctp}",
            "{target: 0}",
            "{target: 70000}",
            "{target: 80, published: x}",
            "{target: 80, published: 9-8}",
            "{target: 80, published: '70000'}",
            "{target: 80, host_ip: nowhere}",
            "{target: 80, host_ip: 192.0.2.77}",
        ] {
            let error = reserve(&[port(bad)]).expect_err(bad);
            assert!(!matches!(error, RuntimeError::PortTaken { .. }), "{bad}: {error}");
        }
    }
}
