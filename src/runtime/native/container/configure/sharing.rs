//! What a container shares, and what it is called.

use std::collections::BTreeMap;

use super::refused;
use crate::model::Service;
use crate::runtime::Result;
use crate::runtime::native::container::config::{Namespace, Namespaces};

/// The longest name that the kernel takes.
const LONGEST_NAME: usize = 64;

/// The namespaces of a service.
pub(super) fn namespaces(service: &Service) -> Result<Namespaces> {
    if !["", "host"].contains(&service.userns_mode.as_str()) {
        let mode = &service.userns_mode;
        return Err(refused(format!("invalid USER mode: `{mode}`")));
    }
    let (ipc, without_shm) = match service.ipc.as_str() {
        "none" => (Namespace::Own, true),
        "private" | "shareable" => (Namespace::Own, false),
        other => (namespace("IPC", other)?, false),
    };
    let network = match service.network_mode.as_str() {
        "host" => Namespace::Host,
        other => of(other).unwrap_or_default(),
    };
    let cgroup = match service.cgroup.as_str() {
        "" | "private" => Namespace::Own,
        "host" => Namespace::Host,
        other => return Err(refused(format!("invalid cgroup namespace mode: `{other}`"))),
    };
    Ok(Namespaces {
        network,
        pid: namespace("PID", &service.pid)?,
        ipc,
        uts: namespace("UTS", &service.uts)?,
        cgroup,
        without_shm,
    })
}

/// `container:NAME`.
fn of(mode: &str) -> Option<Namespace> {
    let name = mode.strip_prefix("container:")?;
    Some(Namespace::Of(name.to_owned()))
}

fn namespace(kind: &str, mode: &str) -> Result<Namespace> {
    match mode {
        "" => Ok(Namespace::Own),
        "host" => Ok(Namespace::Host),
        mode => of(mode).ok_or_else(|| refused(format!("invalid {kind} mode: `{mode}`"))),
    }
}

/// Host name and domain name. Who shares the network of others is called as they are.
pub(super) fn names(
    service: &Service,
    id: &str,
    namespaces: &Namespaces,
) -> Result<(String, String)> {
    let (hostname, domainname) = (service.hostname.clone(), service.domainname.clone());
    for name in [&hostname, &domainname] {
        if name.len() > LONGEST_NAME {
            return Err(refused(format!("the name `{name}` has more than {LONGEST_NAME} bytes")));
        }
    }
    if namespaces.uts == Namespace::Host && !hostname.is_empty() {
        return Err(refused("conflicting options: `hostname` and `uts: host`"));
    }
    if matches!(namespaces.network, Namespace::Of(_)) && !hostname.is_empty() {
        return Err(refused("conflicting options: `hostname` and `network_mode: container:…`"));
    }
    let own = namespaces.network == Namespace::Own && namespaces.uts == Namespace::Own;
    if !hostname.is_empty() || !own {
        let hostname = if hostname.is_empty() { shared_name(namespaces) } else { hostname };
        return Ok((hostname, domainname));
    }
    Ok((id.chars().take(12).collect(), domainname))
}

/// The name of the host, for those who share it; that of another container is found at the start.
fn shared_name(namespaces: &Namespaces) -> String {
    if matches!(namespaces.network, Namespace::Of(_)) || matches!(namespaces.uts, Namespace::Of(_))
    {
        return String::new();
    }
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Parameters of the kernel: those of the container's own namespaces alone. In a network of its
/// own, every user may use every port, and ping.
pub(super) fn sysctls(
    service: &Service,
    namespaces: &Namespaces,
) -> Result<BTreeMap<String, String>> {
    let mut sysctls = BTreeMap::new();
    if namespaces.network == Namespace::Own {
        sysctls.insert("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned());
        let groups = "0 2147483647".to_owned();
        sysctls.insert("net.ipv4.ping_group_range".to_owned(), groups);
    }
    for (name, value) in &service.sysctls {
        let name = name.replace('/', ".");
        let (namespace, kind) = match name.as_str() {
            name if name.starts_with("net.") => (&namespaces.network, "network"),
            name if is_of_ipc(name) => (&namespaces.ipc, "ipc"),
            "kernel.domainname" | "kernel.hostname" => (&namespaces.uts, "uts"),
            _ => {
                let text = format!("sysctl `{name}` is not in a separate kernel namespace");
                return Err(refused(text));
            }
        };
        if *namespace != Namespace::Own {
            let text =
                format!("sysctl `{name}` is not allowed where the {kind} namespace is shared");
            return Err(refused(text));
        }
        if name.split('.').any(|part| part.is_empty() || part == "..") {
            return Err(refused(format!("sysctl `{name}` is no name of a parameter")));
        }
        sysctls.insert(name, value.clone());
    }
    Ok(sysctls)
}

fn is_of_ipc(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    NAMES.contains(&name) || name.starts_with("fs.mqueue.")
}
