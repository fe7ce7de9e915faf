//! The ports of this machine, as a command sees them that chooses some.
//!
//! In: ports. Out: whether they can be had, and claims that keep others of us from choosing the
//! same until the command has ended.
//!
//! # Invariants
//!
//! - A claim is a name among the sockets of the machine's network, where the port is, too: users
//!   and run directories do not matter, nothing lies in a file system, and the kernel gives it back
//!   when the command ends in any way.
//! - A port is claimed before it is tried: nobody's attempt to listen meets ours.

use std::collections::BTreeMap;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use crate::model::Port;
use crate::plan::ports::{Host, HostPort};
use crate::runtime::native::net::publish::is_free;

/// How many claims are held: each is an open file. What goes beyond is not protected.
const MOST: usize = 256;

/// Ports that are held until this is dropped.
#[derive(Debug)]
pub(super) struct HostPorts {
    claims: BTreeMap<(String, u16), Option<UnixDatagram>>,
    machine: Machine,
}

/// Whose ports they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Machine {
    /// They can be tried.
    This,
    /// Only the runtime knows them.
    Other,
}

impl HostPorts {
    pub(super) fn of(machine: Machine) -> Self {
        Self { claims: BTreeMap::new(), machine }
    }

    /// Claims a port; false: somebody else has.
    fn claim(&mut self, port: &HostPort) -> bool {
        let key = (port.protocol.clone(), port.port);
        if self.claims.contains_key(&key) {
            return true;
        }
        let name = format!("ketch/port/{}/{}", port.protocol, port.port);
        let bound = match SocketAddr::from_abstract_name(name) {
            Ok(address) if self.claims.len() < MOST => UnixDatagram::bind_addr(&address).map(Some),
            _ => Ok(None),
        };
        match bound {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => false,
            claim => {
                self.claims.insert(key, claim.unwrap_or_default());
                true
            }
        }
    }
}

impl Host for HostPorts {
    fn take(&mut self, port: &HostPort) -> bool {
        let before = self.claims.len();
        if !self.claim(port) {
            return false;
        }
        let wanted = Port {
            host_ip: port.host_ip.clone(),
            published: port.port.to_string(),
            protocol: port.protocol.clone(),
            target: 1,
            ..Port::default()
        };
        let is_taken = self.machine == Machine::This && !is_free(&wanted);
        if is_taken && self.claims.len() > before {
            self.claims.remove(&(port.protocol.clone(), port.port));
        }
        !is_taken
    }

    fn hold(&mut self, port: &HostPort) {
        // It is ours already, whoever looks at it right now.
        self.claim(port);
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::{HostPorts, Machine};
    use crate::plan::ports::{Host as _, HostPort};

    #[test]
    fn a_port_is_taken_by_one_at_a_time_and_if_nobody_listens() {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = socket.local_addr().expect("an address").port();
        let at = |host_ip: &str| HostPort {
            host_ip: host_ip.to_owned(),
            port,
            protocol: "tcp".to_owned(),
        };
        let mut first = HostPorts::of(Machine::This);
        assert!(!first.take(&at("127.0.0.1")) && !first.take(&at("")), "somebody listens");
        assert!(HostPorts::of(Machine::Other).take(&at("")), "not our machine");
        drop(socket);
        assert!(first.take(&at("127.0.0.1")));
        let mut second = HostPorts::of(Machine::This);
        assert!(!second.take(&at("127.0.0.1")), "claimed");
        assert!(first.take(&at("127.0.0.1")), "by us");
        drop(first);
        assert!(second.take(&at("127.0.0.1")));
    }
}
