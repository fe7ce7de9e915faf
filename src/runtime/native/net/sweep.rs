//! What killed processes left behind.
//!
//! In: which containers live. Out: only what they need is left.

use crate::runtime::Result;

use super::Networks;
use super::membership::Members;
use super::store;

/// What was found and removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Places in networks of containers that do not live.
    pub endpoints: usize,
    /// Containers that do not live but had ports.
    pub ports: usize,
    /// Namespaces that no network needs.
    pub namespaces: usize,
    /// Interfaces of the host that lead nowhere.
    pub links: usize,
}

impl Networks {
    /// Removes what processes left that were killed. `lives`: whether the container of an id is
    /// looked after.
    ///
    /// # Errors
    /// If a directory cannot be read, or the kernel refuses.
    pub fn sweep(&self, lives: &dyn Fn(&str) -> bool) -> Result<Swept> {
        let mut swept = Swept::default();
        for network in store::names(&self.volatile.join("net"))? {
            let members = Members::new(&self.volatile, &network);
            for id in members.holders()?.into_iter().filter(|id| !lives(id)) {
                let _lock = members.lock()?;
                // It may have been started since.
                if !lives(&id) {
                    members.leave(&id)?;
                    swept.endpoints += 1;
                }
            }
        }
        swept.ports = self.sweep_ports(lives)?;
        let _lock = self.lock()?;
        let projects = self.projects();
        let needed: Vec<String> =
            self.all()?.into_iter().map(|definition| definition.namespace).collect();
        for name in projects.names()?.into_iter().filter(|name| !needed.contains(name)) {
            projects.remove(&name)?;
            swept.namespaces += 1;
        }
        for network in store::names(&self.volatile.join("net"))? {
            if self.definition(&network)?.is_none() {
                store::remove_directory(&self.volatile.join("net").join(network))?;
            }
        }
        if self.volatile.join("uplink").is_dir() {
            swept.links = projects.sweep_links()?;
        }
        Ok(swept)
    }
}
