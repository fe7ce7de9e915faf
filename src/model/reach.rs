//! Where the services of a project that runs are reached from outside.
//!
//! In: the containers that run. Out: addresses, and variables that tell them to programs.

use indexmap::IndexMap;

use super::Instance;
use super::observed::{ObservedContainer, ObservedPort};
use super::port::{VARIABLE, variable_part, variable_suffix};

/// Names and values, in the order in which they are told.
pub type Variables = IndexMap<String, String>;

/// The variables of a project. `machine` is where ports are published if that is not this one.
pub fn variables(
    containers: &[ObservedContainer],
    (project, instance): (&str, Option<&Instance>),
    machine: Option<&str>,
) -> Variables {
    let mut found = Variables::new();
    found.insert("COMPOSE_PROJECT_NAME".to_owned(), project.to_owned());
    if let Some(instance) = instance {
        found.insert("KETCH_PROJECT".to_owned(), instance.project.clone());
        found.insert("KETCH_INSTANCE".to_owned(), instance.name.clone());
    }
    let mut replicas: Vec<_> = containers.iter().filter(|it| !it.is_one_off()).collect();
    replicas.sort_by_key(|container| (container.service(), container.number()));
    for container in replicas {
        let mut ports: Vec<_> =
            container.ports.iter().filter(|port| port.published.is_some()).collect();
        ports.sort_by_key(|port| (port.target, &port.protocol, port.host_ip.contains(':')));
        for port in ports {
            add(&mut found, container.service(), (port, machine));
        }
    }
    found
}

/// Adds a port; of several for the same one the first counts.
fn add(found: &mut Variables, service: &str, (port, machine): (&ObservedPort, Option<&str>)) {
    let Some(number) = port.published else { return };
    let host = host(port, machine);
    let suffix = variable_suffix(service, port.target.into(), &port.protocol);
    let mut set = |name: String, value: String| {
        found.entry(name).or_insert(value);
    };
    set(format!("KETCH_HOST_{}", variable_part(service)), host.to_owned());
    set(format!("{VARIABLE}{suffix}"), number.to_string());
    set(format!("KETCH_ADDRESS_{suffix}"), address(host, number));
}

/// The host at which a published port is reached; `machine` is where ports are published if that is
/// not this one.
pub fn host<'p>(port: &'p ObservedPort, machine: Option<&'p str>) -> &'p str {
    match (port.host_ip.as_str(), machine) {
        ("" | "0.0.0.0" | "::", Some(machine)) => machine,
        ("" | "0.0.0.0", None) => "127.0.0.1",
        ("::", None) => "::1",
        (address, _) => address,
    }
}

/// `0.0.0.0:8080`, `[::]:8080`.
pub fn address(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
