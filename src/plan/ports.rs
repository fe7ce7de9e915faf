//! Which ports of the host the services of a project are published at.
//!
//! In: a project, what is observed of all projects, and a [`Host`] that can be asked for a port.
//! Out: [`Ports`]: what to publish, and the variables that tell it.
//!
//! An instance gets the port that its files want if it is free, else one of a fixed range that is
//! its own as long as nothing is in the way. In any other project a port is chosen only where the
//! runtime would choose and the files use its variable.
//!
//! # Invariants
//!
//! - What a container was made with stays, as long as the files still allow it: choosing again
//!   changes nothing.
//! - The same project, observed the same way on the same host, gets the same ports.

mod entry;
mod others;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use indexmap::IndexMap;

use crate::model::observed::ObservedContainer;
use crate::model::port::{self, VARIABLE, variable_suffix};
use crate::model::{Port, Project};

use entry::Entry;
use others::Others;

/// Where ports are taken from that the files do not name. Kernels give out higher ones to
/// connections.
pub const POOL: RangeInclusive<u16> = 20_000..=29_999;

/// A port of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// Address of the host; empty: all.
    pub host_ip: String,
    /// The port.
    pub port: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
}

/// Knows the ports of the host.
pub trait Host {
    /// Takes a port, if nobody has it.
    fn take(&mut self, port: &HostPort) -> bool;

    /// Lets nobody else take a port that the project has.
    fn hold(&mut self, port: &HostPort);
}

/// A host where every port is free, to tell what a project would like.
#[derive(Clone, Copy, Debug)]
pub struct Idle;

impl Host for Idle {
    fn take(&mut self, _port: &HostPort) -> bool {
        true
    }

    fn hold(&mut self, _port: &HostPort) {}
}

/// Whose ports are chosen.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The project.
    pub project: &'a Project,
    /// Numbers of containers that replace those of the project.
    pub scale: &'a BTreeMap<String, u64>,
    /// The variables that the files use.
    pub used: &'a BTreeSet<String>,
    /// The containers of all projects.
    pub observed: &'a [ObservedContainer],
}

/// The ports that a project gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// By service, and by place in its list.
    chosen: BTreeMap<(String, usize), Choice>,
}

/// What is published.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Choice {
    /// As it stands in a file: a port, or a range for several containers.
    published: String,
    /// The port of the first container.
    port: u16,
}

/// The variables for ports that texts use, by whole name.
pub fn used<'t>(texts: impl IntoIterator<Item = &'t str>) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let names = texts
        .into_iter()
        .flat_map(|text| text.match_indices(VARIABLE).zip(std::iter::repeat(text)));
    names
        .map(|((start, _), text)| {
            let name = &text[start..];
            name[..name.find(|c| !is_part(c)).unwrap_or(name.len())].to_owned()
        })
        .collect()
}

/// Chooses ports; gives the paths of those that cannot be had, and why.
///
/// # Errors
///
/// If nothing is free.
pub fn choose(ask: &Ask<'_>, host: &mut dyn Host) -> Result<Ports, Vec<(String, String)>> {
    let others = Others::of(ask);
    let mut chooser = Chooser { host, others, given: Vec::new(), ports: Ports::default() };
    let entries = entry::entries(ask);
    // What is there already comes first: nobody else of the project may get it.
    let open: Vec<Entry<'_>> =
        entries.into_iter().filter(|entry| !chooser.keep(ask, entry)).collect();
    let refused: Vec<_> = open.iter().filter_map(|entry| chooser.find(entry)).collect();
    if refused.is_empty() { Ok(chooser.ports) } else { Err(refused) }
}

/// Chooses one port after the other.
struct Chooser<'h> {
    host: &'h mut dyn Host,
    others: Others,
    /// What this project has got so far.
    given: Vec<HostPort>,
    ports: Ports,
}

impl Chooser<'_> {
    /// Leaves a port as the containers have it, if that will do.
    fn keep(&mut self, ask: &Ask<'_>, entry: &Entry<'_>) -> bool {
        let (recorded, actual) = entry.present(ask);
        let kept = recorded.as_deref().and_then(port::range).filter(|range| entry.allows(range));
        let (published, range) = match (kept, recorded, actual) {
            (Some(range), Some(recorded), _) => (recorded, range),
            // The runtime has chosen, as the files want it.
            (None, _, Some(port)) if !entry.is_fixed() && !entry.is_of_instance() => {
                (entry.port.published.clone(), port..=port)
            }
            _ => return false,
        };
        let block: Vec<HostPort> = range.clone().map(|port| entry.at(port)).collect();
        if actual.is_some() {
            for port in &block {
                self.host.hold(port);
            }
        } else if !self.take(&block) {
            return false;
        }
        let first = actual.filter(|port| range.contains(port)).unwrap_or(*range.start());
        self.give(entry, block, Choice { published, port: first });
        true
    }

    /// Finds ports for an entry; tells if there are none.
    fn find(&mut self, entry: &Entry<'_>) -> Option<(String, String)> {
        for range in entry.candidates() {
            let block: Vec<HostPort> = range.clone().map(|port| entry.at(port)).collect();
            if self.take(&block) {
                let (first, last) = (*range.start(), *range.end());
                let published =
                    if first == last { first.to_string() } else { format!("{first}-{last}") };
                self.give(entry, block, Choice { published, port: first });
                return None;
            }
        }
        entry.refusal()
    }

    fn take(&mut self, block: &[HostPort]) -> bool {
        block.iter().all(|port| {
            let is_given = self.given.iter().any(|given| others::clash(given, port));
            !is_given && !self.others.have(port) && self.host.take(port)
        })
    }

    fn give(&mut self, entry: &Entry<'_>, block: Vec<HostPort>, choice: Choice) {
        self.given.extend(block);
        self.ports.chosen.insert((entry.service.to_owned(), entry.index), choice);
    }
}

impl Ports {
    /// Publishes the ports of a project where they were chosen.
    pub fn apply(&self, project: &mut Project) {
        for (service, settings) in
            project.services.iter_mut().chain(project.disabled_services.iter_mut())
        {
            for (index, port) in settings.ports.iter_mut().enumerate() {
                if let Some(choice) = self.chosen.get(&(service.clone(), index)) {
                    port.published.clone_from(&choice.published);
                }
            }
        }
    }

    /// The variables that tell the ports of a project.
    pub fn variables(&self, project: &Project) -> IndexMap<String, String> {
        let mut variables = IndexMap::new();
        for (service, settings) in project.services.iter().chain(&project.disabled_services) {
            for (index, port) in settings.ports.iter().enumerate() {
                let chosen = self.chosen.get(&(service.clone(), index)).map(|choice| choice.port);
                if let Some(number) = chosen.or_else(|| only(port)) {
                    let name = variable(service, port);
                    variables.entry(name).or_insert_with(|| number.to_string());
                }
            }
        }
        variables
    }
}

/// The port of the host, if the files leave no choice.
fn only(port: &Port) -> Option<u16> {
    let wanted = port.wanted()?;
    (wanted.start() == wanted.end()).then(|| *wanted.start())
}

fn variable(service: &str, port: &Port) -> String {
    format!("{VARIABLE}{}", variable_suffix(service, port.target, port.protocol()))
}

#[cfg(test)]
mod tests;
