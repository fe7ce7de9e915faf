//! What stands in a container's `/etc/hosts` and `/etc/resolv.conf`.

use crate::model::Service;
use crate::runtime::{Result, RuntimeError};

use super::Endpoint;

/// How a container is connected, for its files.
#[derive(Clone, Copy, Debug)]
pub enum Connection<'a> {
    /// By networks: names are asked for at 127.0.0.11.
    Networks(&'a [Endpoint]),
    /// It has the host's network.
    Host,
    /// It has no network.
    None,
}

/// What stands in `/etc/hosts`: the container's own name, and `extra_hosts`.
///
/// # Errors
/// If an address of `extra_hosts` cannot be had.
pub fn hosts(service: &Service, hostname: &str, connection: Connection<'_>) -> Result<String> {
    let _ = (service, connection);
    Err(RuntimeError::Unsupported(hostname.to_owned()))
}

/// What stands in `/etc/resolv.conf`. `host` is what stands in the host's.
pub fn resolv_conf(service: &Service, host: &str, connection: Connection<'_>) -> String {
    let _ = (service, connection);
    host.to_owned()
}
pub(super) fn host_servers() -> Result<Vec<std::net::IpAddr>> {
    Ok(vec![])
}
