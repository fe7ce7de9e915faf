//! `env`: where a project can be reached, as variables.
//!
//! In: the containers that run. Out: names and values, and their text for shells, programs and env
//! files.
//!
//! # Invariants
//!
//! - Whatever a value holds, who reads the text gets that value and nothing else happens.

use std::fmt::Write as _;

use indexmap::IndexMap;

use super::containers::address;
use super::listing::compact;
use crate::model::Instance;
use crate::model::observed::{ObservedContainer, ObservedPort};
use crate::model::port::{VARIABLE, variable_part, variable_suffix};

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
    let host = match (port.host_ip.as_str(), machine) {
        ("" | "0.0.0.0" | "::", Some(machine)) => machine,
        ("" | "0.0.0.0", None) => "127.0.0.1",
        ("::", None) => "::1",
        (address, _) => address,
    };
    let suffix = variable_suffix(service, port.target.into(), &port.protocol);
    let mut set = |name: String, value: String| {
        found.entry(name).or_insert(value);
    };
    set(format!("KETCH_HOST_{}", variable_part(service)), host.to_owned());
    set(format!("{VARIABLE}{suffix}"), number.to_string());
    set(format!("KETCH_ADDRESS_{suffix}"), address(host, number));
}

/// For `eval` in a shell.
pub fn shell(variables: &Variables) -> String {
    let mut text = String::new();
    for (name, value) in variables {
        // Nothing is special between these but the sign itself.
        let quoted = value.replace('\'', r"'\''");
        let _ = writeln!(text, "export {name}='{quoted}'");
    }
    text
}

/// For programs.
pub fn json(variables: &Variables) -> String {
    compact(variables) + "\n"
}

/// For env files.
pub fn dotenv(variables: &Variables) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/@[]".contains(c);
    let mut text = String::new();
    for (name, value) in variables {
        if value.chars().all(is_plain) {
            let _ = writeln!(text, "{name}={value}");
            continue;
        }
        let _ = write!(text, "{name}=\"");
        for c in value.chars() {
            match c {
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '"' | '\\' | '$' => text.extend(['\\', c]),
                _ => text.push(c),
            }
        }
        text.push_str("\"\n");
    }
    text
}

#[cfg(test)]
mod tests;
