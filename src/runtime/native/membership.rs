//! Which networks containers are in.
//!
//! In: containers and networks by name. Out: lists of what a container joins when it starts; of
//! one that runs, interfaces at once.

use super::control::Request;
use super::names::{self, Named};
use super::net::{Member, Namespace};
use super::record::{self, Joining, Record};
use super::root::Place;
use super::state::{self, Durability};
use super::{Native, lock, volume};
use crate::model::ServiceNetwork;
use crate::model::spec;
use crate::runtime::{Result, RuntimeError};

impl Native {
    pub(super) async fn join_network(
        &self,
        network: &str,
        container: &str,
        options: &ServiceNetwork,
    ) -> Result<()> {
        let named = names::the(&self.root, container)?;
        let place = self.root.container(&named.id);
        let network = self.network_name(network)?;
        let network = network.as_str();
        if self.networks.find(network)?.is_none() {
            return Err(RuntimeError::NotFound(format!("no such network: {network}")));
        }
        let joining = Joining { network: network.to_owned(), options: options.clone() };
        let added = change(&place, |all| {
            let is_new = !all.iter().any(|joining| joining.network == network);
            if is_new {
                all.push(joining.clone());
            }
            is_new
        })?;
        if added && let Ok(target) = self.target(container).await {
            let member = Member { id: named.id.clone(), name: named.name.clone() };
            let Joining { network, options } = joining;
            self.networks.join(&member, &spec::Endpoint { network, options })?;
            let endpoints = self.networks.endpoints(&named.id)?;
            self.networks.attach(&endpoints, &namespace(target.pid)?)?;
            self.ask(container, &Request::Refresh).await?;
        }
        Ok(())
    }

    pub(super) async fn leave_network(&self, network: &str, container: &str) -> Result<()> {
        let Some(named) = names::find(&self.root, container)? else { return Ok(()) };
        let place = self.root.container(&named.id);
        let network = self.network_name(network)?;
        let network = network.as_str();
        let removed = change(&place, |all| {
            let before = all.len();
            all.retain(|joining| joining.network != network);
            all.len() < before
        })?;
        if !removed {
            return Ok(());
        }
        let endpoints = self.networks.endpoints(&named.id)?;
        let endpoint = endpoints.iter().find(|endpoint| endpoint.network == network);
        if let (Some(endpoint), Ok(target)) = (endpoint, self.target(container).await) {
            let namespace = namespace(target.pid)?;
            self.networks.detach(endpoint, &namespace)?;
            self.networks.leave(&named.id, network)?;
            self.networks.attach(&self.networks.endpoints(&named.id)?, &namespace)?;
            self.ask(container, &Request::Refresh).await?;
            return Ok(());
        }
        self.networks.leave(&named.id, network)
    }

    /// Tells the networks the new name of a container.
    pub(super) fn rename_endpoints(&self, id: &str, name: &str) -> Result<()> {
        let place = self.root.container(id);
        let member = Member { id: id.to_owned(), name: name.to_owned() };
        let joined = self.networks.endpoints(id)?;
        for Joining { network, options } in record::joinings(&place)? {
            if joined.iter().any(|endpoint| endpoint.network == network) {
                self.networks.join(&member, &spec::Endpoint { network, options })?;
            }
        }
        Ok(())
    }

    /// The name of a network that may be named by its id.
    fn network_name(&self, network: &str) -> Result<String> {
        if self.networks.find(network)?.is_some() {
            return Ok(network.to_owned());
        }
        let found = self.networks.list()?.into_iter().find(|it| it.id == network);
        Ok(found.map_or_else(|| network.to_owned(), |it| it.name))
    }

    pub(super) fn delete_network(&self, network: &str) -> Result<()> {
        let network = self.network_name(network)?;
        let network = network.as_str();
        if let Some(user) = self.user_of(|_, place| {
            let joinings = record::joinings(place)?;
            let is_joined = joinings.iter().any(|joining| joining.network == network);
            // One that does not run does not keep a network, as with Docker.
            Ok(is_joined && lock::is_held(&place.lock())?)
        })? {
            let said = format!("network {network} is in use by container {}", user.name);
            return Err(RuntimeError::Conflict(said));
        }
        match self.networks.remove(network) {
            // Containers whose shims were killed, as nobody who runs is in it.
            Err(RuntimeError::Conflict(_)) => {
                self.sweep_networks()?;
                self.networks.remove(network)
            }
            removed => removed,
        }
    }

    /// Takes containers that nobody looks after out of all networks.
    pub(super) fn sweep_networks(&self) -> Result<()> {
        let lives = |id: &str| lock::is_held(&self.root.container(id).lock()).unwrap_or(true);
        let swept = self.networks.sweep(&lives)?;
        tracing::debug!(?swept, "networks are swept");
        Ok(())
    }

    pub(super) fn delete_volume(&self, volume: &str) -> Result<()> {
        if let Some(user) = self.user_of(|_, place| {
            let record = Record::read(place)?.unwrap_or_default();
            Ok(record.config.mounts.iter().any(|mount| mounts(mount, volume)))
        })? {
            let said = format!("volume {volume} is in use by container {}", user.name);
            return Err(RuntimeError::Conflict(said));
        }
        volume::remove(&self.root, volume)
    }

    /// A container of which something holds.
    fn user_of(&self, uses: impl Fn(&Named, &Place) -> Result<bool>) -> Result<Option<Named>> {
        for named in names::all(&self.root)? {
            if uses(&named, &self.root.container(&named.id))? {
                return Ok(Some(named));
            }
        }
        Ok(None)
    }
}

fn mounts(mount: &super::container::Mount, volume: &str) -> bool {
    matches!(&mount.source, super::container::Source::Volume { name, .. } if name == volume)
}

fn namespace(pid: i32) -> Result<Namespace> {
    Namespace::of_process(u32::try_from(pid).unwrap_or_default())
}

/// Changes the list of networks of a container; gives what the change says.
fn change(place: &Place, change: impl FnOnce(&mut Vec<Joining>) -> bool) -> Result<bool> {
    let _lock = lock::wait(&place.networks_lock())?;
    let mut all = record::joinings(place)?;
    let is_changed = change(&mut all);
    if is_changed {
        state::write(&place.networks(), &all, Durability::Durable)?;
    }
    Ok(is_changed)
}
