//! One port of a service for which a port of the host is chosen.
//!
//! In: a project. Out: the ports to choose, what their containers have now, and which ports of the
//! host will do, the best first.

use std::ops::RangeInclusive;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{Ask, HostPort, POOL, only, variable};
use crate::model::observed::ObservedContainer;
use crate::model::{Instance, Port, Project, Service, label};
use crate::plan::Up;

/// A port to choose.
pub(super) struct Entry<'a> {
    pub(super) service: &'a str,
    /// Its place in the list of the service.
    pub(super) index: usize,
    pub(super) port: &'a Port,
    /// How many containers need one.
    count: u16,
    project: &'a Project,
}

/// The ports to choose; those of services that run come first.
pub(super) fn entries<'a>(ask: &Ask<'a>) -> Vec<Entry<'a>> {
    let Ask { project, used, .. } = *ask;
    let up = Up { scale: ask.scale.clone(), ..Up::all(project) };
    let enabled = project.services.iter().map(|(name, it)| (name, it, true));
    let disabled = project.disabled_services.iter().map(|(name, it)| (name, it, false));
    let all = enabled.chain(disabled).filter(|(_, settings, _)| is_published(settings));
    let entries = all.flat_map(|(service, settings, is_enabled)| {
        let count = u16::try_from(up.replicas(service).max(1)).unwrap_or(u16::MAX);
        settings.ports.iter().enumerate().filter_map(move |(index, port)| {
            let is_used = used.contains(&variable(service, port));
            let is_chosen = match project.instance {
                Some(_) => is_enabled || is_used,
                None => is_used && only(port).is_none(),
            };
            let is_odd = port.wanted().is_none() && !matches!(&*port.published, "" | "0");
            (is_chosen && !is_odd).then_some(Entry { service, index, port, count, project })
        })
    });
    entries.collect()
}

/// Whether the ports of a service are ports of its containers alone.
fn is_published(settings: &Service) -> bool {
    settings.network_mode.is_empty() && settings.provider.is_none()
}

impl Entry<'_> {
    /// This port of the host, for this entry.
    pub(super) fn at(&self, port: u16) -> HostPort {
        let host_ip = self.port.host_ip.clone();
        HostPort { host_ip, port, protocol: self.port.protocol().to_owned() }
    }

    pub(super) fn is_of_instance(&self) -> bool {
        self.project.instance.is_some()
    }

    /// Whether the files name one port.
    pub(super) fn is_fixed(&self) -> bool {
        only(self.port).is_some()
    }

    /// What the containers of the service were made with, and the first port that they have.
    pub(super) fn present(&self, ask: &Ask<'_>) -> (Option<String>, Option<u16>) {
        let containers = || {
            ask.observed.iter().filter(|container| {
                container.label(label::PROJECT) == self.project.name
                    && container.service() == self.service
                    && !container.is_one_off()
            })
        };
        let up = || containers().filter(|container| container.is_up());
        let recorded = up().chain(containers()).find_map(|container| self.recorded(container));
        let ports = up().flat_map(|container| &container.ports).filter(|port| {
            u32::from(port.target) == self.port.target && port.protocol == self.port.protocol()
        });
        (recorded, ports.filter_map(|port| port.published).min())
    }

    /// What a container was made with.
    fn recorded(&self, container: &ObservedContainer) -> Option<String> {
        let record: Value = serde_json::from_str(container.label(label::SPEC)).ok()?;
        let ports = record.get("ports")?.as_array()?;
        let text = |port: &Value, key: &str| port[key].as_str().unwrap_or_default().to_owned();
        let is_same = |port: &&Value| {
            port["target"].as_u64() == Some(u64::from(self.port.target))
                && text(port, "protocol") == self.port.protocol
                && text(port, "host_ip") == self.port.host_ip
        };
        let same = |other: &&Port| {
            (other.target, &other.protocol, &other.host_ip)
                == (self.port.target, &self.port.protocol, &self.port.host_ip)
        };
        let settings = self.project.services.get(self.service);
        let settings = settings.or_else(|| self.project.disabled_services.get(self.service))?;
        let before = settings.ports.iter().take(self.index).filter(same).count();
        ports.iter().filter(is_same).nth(before).map(|port| text(port, "published"))
    }

    /// Whether the files allow these ports.
    pub(super) fn allows(&self, range: &RangeInclusive<u16>) -> bool {
        let is_within = |all: &RangeInclusive<u16>| {
            all.contains(range.start()) && (all.contains(range.end()) || self.is_fixed())
        };
        range.len() >= usize::from(self.count)
            && (self.port.wanted().as_ref().is_some_and(is_within)
                || (self.has_pool() && is_within(&POOL)))
    }

    /// Whether any port will do if those that are wanted cannot be had.
    fn has_pool(&self) -> bool {
        self.is_of_instance() || self.port.wanted().is_none()
    }

    /// Ports that would do, one block for all containers, the best first.
    pub(super) fn candidates(&self) -> impl Iterator<Item = RangeInclusive<u16>> + use<> {
        let wanted = self.port.wanted().map(|wanted| {
            let (first, last) = (*wanted.start(), *wanted.end());
            // One port for several containers: those after it.
            let end = if first == last { first } else { last.saturating_sub(self.count - 1) };
            first..=end.max(first)
        });
        let start = self.start();
        let pool = self.has_pool().then_some(POOL);
        let pool = pool.into_iter().flatten().map(move |port| {
            let shifted = usize::from(port - POOL.start()) + start;
            POOL.start() + u16::try_from(shifted % POOL.len()).unwrap_or_default()
        });
        let count = self.count;
        let in_pool = move |block: &RangeInclusive<u16>| block.end() <= POOL.end();
        let block = move |port: u16| Some(port..=port.checked_add(count - 1)?);
        let wanted = wanted.into_iter().flatten().filter_map(block);
        wanted.chain(pool.filter_map(block).filter(in_pool))
    }

    /// Where the search begins: somewhere else for everybody, and always at the same place.
    fn start(&self) -> usize {
        let mut digest = Sha256::new();
        let Instance { name, project } = self.project.instance.clone().unwrap_or_else(|| {
            Instance { name: String::new(), project: self.project.name.clone() }
        });
        let target = self.port.target.to_string();
        for part in [&project, &name, self.service, &target, self.port.protocol()] {
            digest.update(part);
            digest.update([0]);
        }
        let bytes = digest.finalize();
        usize::from(u16::from_be_bytes([bytes[0], bytes[1]])) % POOL.len()
    }

    /// Why there is nothing for it; `None`: the runtime may look for itself.
    pub(super) fn refusal(&self) -> Option<(String, String)> {
        let Self { service, index, port, .. } = self;
        let (first, last) = POOL.into_inner();
        let text = format!(
            "no port of the host is free for port {}/{} of service `{service}`: nothing from {first} to {last} is; take \
             down instances that nobody needs, which `ketch ls` shows",
            port.target,
            port.protocol()
        );
        let path = format!("services.{service}.ports.{index}");
        self.has_pool().then_some((path, text))
    }
}
