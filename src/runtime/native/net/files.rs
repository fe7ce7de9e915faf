//! What stands in a container's `/etc/hosts` and `/etc/resolv.conf`.
//!
//! In: a service, how its container is connected, and the host's files. Out: text, as Docker
//! writes it.

use std::net::IpAddr;
use std::path::Path;

use crate::model::Service;
use crate::runtime::{Result, RuntimeError};

use super::endpoint::way_out;
use super::{Endpoint, dns, store};

/// Stands for the address of the host in `extra_hosts`.
const GATEWAY: &str = "host-gateway";
/// What every `/etc/hosts` has.
const LOCAL: &str = "127.0.0.1\tlocalhost\n\
    ::1\tlocalhost ip6-localhost ip6-loopback\n\
    fe00::\tip6-localnet\n\
    ff00::\tip6-mcastprefix\n\
    ff02::1\tip6-allnodes\n\
    ff02::2\tip6-allrouters\n";

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
    let mut text = match connection {
        Connection::Host => {
            let mut text = store::read(Path::new("/etc/hosts"))?.unwrap_or(LOCAL.to_owned());
            if !text.ends_with('\n') {
                text.push('\n');
            }
            text
        }
        Connection::Networks(_) | Connection::None => LOCAL.to_owned(),
    };
    let mut lines = Vec::new();
    for (name, addresses) in &service.extra_hosts {
        for address in addresses {
            let address = match address.as_str() {
                GATEWAY => gateway(connection).ok_or_else(|| {
                    RuntimeError::Refused(format!(
                        "extra_hosts: `{name}:{GATEWAY}`: the container has no way to the host"
                    ))
                })?,
                address => address.to_owned(),
            };
            lines.push(format!("{address}\t{name}\n"));
        }
    }
    if let Connection::Networks(endpoints) = connection {
        let names = match service.domainname.as_str() {
            "" => hostname.to_owned(),
            domain => format!("{hostname}.{domain} {hostname}"),
        };
        for endpoint in endpoints {
            let ipv4 = endpoint.ipv4.map(|address| IpAddr::V4(address.ip));
            let ipv6 = endpoint.ipv6.map(|address| IpAddr::V6(address.ip));
            for ip in ipv4.into_iter().chain(ipv6) {
                lines.push(format!("{ip}\t{names}\n"));
            }
        }
    }
    text.push_str(&lines.concat());
    Ok(text)
}

/// Where the host answers.
fn gateway(connection: Connection<'_>) -> Option<String> {
    match connection {
        Connection::Networks(endpoints) => {
            let first = way_out(endpoints).0.and_then(|endpoint| endpoint.host);
            let any = || endpoints.iter().find_map(|endpoint| endpoint.host);
            first.or_else(any).map(|ip| ip.to_string())
        }
        Connection::Host => Some("127.0.0.1".to_owned()),
        Connection::None => None,
    }
}

/// What stands in `/etc/resolv.conf`. `host` is what stands in the host's.
pub fn resolv_conf(service: &Service, host: &str, connection: Connection<'_>) -> String {
    let given = |wanted: &str| {
        let line = host.lines().rev().find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some(wanted)).then(|| words.map(str::to_owned).collect::<Vec<_>>())
        });
        line.unwrap_or_default()
    };
    let own = |own: &[String], wanted: &str| match own {
        [] => given(wanted),
        own => own.to_vec(),
    };
    let mut servers = match &service.dns[..] {
        [] => servers(host).iter().map(IpAddr::to_string).collect(),
        servers => servers.to_vec(),
    };
    let mut search = own(&service.dns_search, "search");
    // A dot alone stands for none.
    search.retain(|domain| domain != ".");
    let mut options = own(&service.dns_opt, "options");
    if let Connection::Networks(_) = connection {
        servers = vec![dns::ADDRESS.to_string()];
        if !options.iter().any(|option| option.starts_with("ndots:")) {
            options.push("ndots:0".to_owned());
        }
    }
    let servers = servers.iter().map(|server| format!("nameserver {server}\n"));
    let lists = [("search", search), ("options", options)].into_iter();
    let lists = lists.filter(|(_, values)| !values.is_empty());
    servers.chain(lists.map(|(word, values)| format!("{word} {}\n", values.join(" ")))).collect()
}

/// The servers that a `resolv.conf` names.
pub(super) fn servers(text: &str) -> Vec<IpAddr> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        let is_server = words.next() == Some("nameserver");
        words.next().filter(|_| is_server)?.parse().ok()
    };
    text.lines().filter_map(server).collect()
}

/// The servers that the host asks.
pub(super) fn host_servers() -> Result<Vec<IpAddr>> {
    let text = store::read(Path::new("/etc/resolv.conf"))?;
    Ok(servers(&text.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::{Connection, LOCAL, hosts, resolv_conf};
    use crate::model::Service;
    use crate::runtime::native::net::{Address, Endpoint};

    fn service(yaml: &str) -> Service {
        serde_yaml::from_str(yaml).expect("a service")
    }

    fn endpoint() -> Endpoint {
        let ip = Ipv4Addr::new(172, 18, 0, 2);
        Endpoint {
            network: "net".to_owned(),
            container: "0".repeat(64),
            name: "web".to_owned(),
            aliases: Vec::new(),
            ipv4: Some(Address { ip, prefix: 16, gateway: Ipv4Addr::new(172, 18, 0, 1) }),
            ipv6: None,
            link_local: Vec::new(),
            mac: String::new(),
            interface: "eth0".to_owned(),
            gw_priority: 0,
            internal: false,
            host: Some(Ipv4Addr::new(10, 254, 0, 8)),
            sysctls: crate::model::Dict::new(),
        }
    }

    #[test]
    fn hosts_has_the_container_and_what_was_asked_for() {
        let web = service(
            "{domainname: example.com, extra_hosts: {db: [10.0.0.9, '::1'], host: [host-gateway]}}",
        );
        let endpoints = [endpoint()];
        let text = hosts(&web, "web", Connection::Networks(&endpoints)).expect("text");
        let own = text.strip_prefix(LOCAL).expect("the usual ones first");
        assert_eq!(
            own,
            "10.0.0.9\tdb\n::1\tdb\n10.254.0.8\thost\n172.18.0.2\tweb.example.com web\n"
        );
        let error = hosts(&web, "web", Connection::None).expect_err("no way").to_string();
        assert!(error.contains("host-gateway"), "{error}");
        assert!(hosts(&web, "web", Connection::Host).expect("text").contains("127.0.0.1\thost\n"));
    }

    #[test]
    fn the_resolver_is_ours_and_searches_as_the_host_does() {
        let host = "# made by hand\nnameserver 192.0.2.53\nnameserver 192.0.2.54\n\
                    search lan corp\noptions edns0 timeout:1\n";
        let plain = service("{}");
        let endpoints = [endpoint()];
        let networks = Connection::Networks(&endpoints);
        assert_eq!(
            resolv_conf(&plain, host, networks),
            "nameserver 127.0.0.11\nsearch lan corp\noptions edns0 timeout:1 ndots:0\n"
        );
        assert_eq!(
            resolv_conf(&plain, host, Connection::Host),
            "nameserver 192.0.2.53\nnameserver 192.0.2.54\nsearch lan corp\n\
             options edns0 timeout:1\n"
        );
        let own = service("{dns: [9.9.9.9], dns_search: ['.'], dns_opt: ['ndots:2']}");
        assert_eq!(resolv_conf(&own, host, networks), "nameserver 127.0.0.11\noptions ndots:2\n");
        assert_eq!(
            resolv_conf(&own, host, Connection::None),
            "nameserver 9.9.9.9\noptions ndots:2\n"
        );
    }
}
