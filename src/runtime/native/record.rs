//! What a container is: `config.json`, written once, before the container gets its name.
//!
//! In: a spec, and what its image says. Out: all that the shim and those who observe need, with
//! nothing left to look up but what may change: networks, and the state.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::container::Config;
use super::health::{Check, Probe};
use super::log::LogSettings;
use super::restart::Policy;
use super::root::Place;
use super::state;
use crate::model::{Dict, Port, Service, ServiceNetwork};
use crate::runtime::Result;

/// What a container is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    /// When it was made, in nanoseconds since 1970.
    pub(super) created: i64,
    /// The reference of its image.
    pub(super) image: String,
    /// The identity of its image.
    pub(super) image_id: String,
    /// All its labels.
    pub(super) labels: Dict,
    /// Its command on one line.
    pub(super) command: String,
    /// Ports to publish.
    pub(super) ports: Vec<Port>,
    /// Ports that are only told of: number and protocol.
    pub(super) exposed: Vec<(u16, String)>,
    /// The networks that it was made for; [`joinings`] tells those that it is to join now.
    pub(super) networks: Vec<Joining>,
    /// What others are called in it.
    pub(super) names: Names,
    /// How to find out whether it works.
    pub(super) check: Option<Check>,
    /// How to find it out from outside.
    pub(super) probe: Option<Probe>,
    /// When it is started again.
    pub(super) restart: Policy,
    /// How long it may take to stop, in nanoseconds, if the user says so.
    pub(super) grace: Option<i64>,
    /// Where its output goes.
    pub(super) log: LogSettings,
    /// Whether it is removed when it ends.
    pub(super) auto_remove: bool,
    /// Its standard input.
    pub(super) stdin: Stdin,
    /// Volumes that were made for it and have no name of their own.
    pub(super) anonymous: Vec<String>,
    /// What the kernel is told.
    pub(super) config: Config,
}

/// The standard input of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stdin {
    /// There is none.
    #[default]
    Closed,
    /// It is open whether somebody is attached or not.
    Open,
    /// It is closed for good by the first who has been attached.
    Once,
}

/// What hosts are called in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Names {
    hostname: String,
    domainname: String,
    extra_hosts: BTreeMap<String, Vec<String>>,
    /// Servers for names of the world.
    pub(super) dns: Vec<String>,
    dns_opt: Vec<String>,
    dns_search: Vec<String>,
    /// The network mode, with containers in place of services.
    pub(super) network_mode: String,
    /// Links: `CONTAINER:ALIAS`.
    pub(super) links: Vec<String>,
}

impl Names {
    /// What a service says.
    pub(super) fn of(service: &Service, links: &[String]) -> Self {
        Self {
            hostname: service.hostname.clone(),
            domainname: service.domainname.clone(),
            extra_hosts: service.extra_hosts.clone(),
            dns: service.dns.clone(),
            dns_opt: service.dns_opt.clone(),
            dns_search: service.dns_search.clone(),
            network_mode: service.network_mode.clone(),
            links: links.to_vec(),
        }
    }

    /// A service that says this and nothing else.
    pub(super) fn service(&self) -> Service {
        Service {
            hostname: self.hostname.clone(),
            domainname: self.domainname.clone(),
            extra_hosts: self.extra_hosts.clone(),
            dns: self.dns.clone(),
            dns_opt: self.dns_opt.clone(),
            dns_search: self.dns_search.clone(),
            network_mode: self.network_mode.clone(),
            ..Service::default()
        }
    }
}

impl Record {
    /// Reads what a container is; `None` if it is gone.
    pub(super) fn read(place: &Place) -> Result<Option<Self>> {
        state::read(&place.config())
    }
}

/// A network that a container is to join when it starts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Joining {
    /// Name of the network.
    pub(super) network: String,
    /// How it is joined.
    pub(super) options: ServiceNetwork,
}

/// The networks that a container is to join, the primary one first.
pub(super) fn joinings(place: &Place) -> Result<Vec<Joining>> {
    match state::read(&place.networks())? {
        Some(changed) => Ok(changed),
        None => Ok(Record::read(place)?.map(|record| record.networks).unwrap_or_default()),
    }
}
