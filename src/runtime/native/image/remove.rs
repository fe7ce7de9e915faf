//! What goes: names, images, layers, and what commands that were killed have left.
//!
//! In: references. Out: what was removed.
//!
//! # Invariants
//!
//! - What a container uses stays, whoever forces what.
//! - A layer goes with the last image that has it. It vanishes by one rename under the lock; the
//!   files are removed after that, without the lock.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::FlockOperation;

use super::digest::Digest;
use super::place::{Staging, failed, read_json};
use super::record::{LayerInfo, Names};
use super::reference::Name;
use super::store::{Store, familiar, is_digest_name, no_such_image};
use super::{Force, Image, Pruned, Removed, Unneeded};
use crate::runtime::native::lock::{self, Lock};
use crate::runtime::{Result, RuntimeError};

/// How long a download that was cut is kept.
const KEPT: Duration = Duration::from_hours(24);

impl Store {
    /// Removes a name of an image, and with the last one the image and the layers that no other
    /// image has.
    ///
    /// # Errors
    ///
    /// A container uses the image, it is asked for by an identity and has names in several
    /// repositories, or it is not there.
    pub fn remove(&self, reference: &str, force: Force) -> Result<Vec<Removed>> {
        self.sweep()?;
        let lock = self.place.lock()?;
        let mut names = self.names()?;
        let id = self.resolve(reference, &names)?.ok_or_else(|| no_such_image(reference))?;
        let own: Vec<String> = names
            .by_image()
            .remove(&id)
            .unwrap_or_default()
            .iter()
            .map(|it| (*it).into())
            .collect();
        let asked = asked_name(reference, &own);
        let going = match &asked {
            Some(name) => going_with(name, &own),
            None => own.clone(),
        };
        let is_last = going.len() == own.len();
        let holders = if is_last { self.holders(&id)? } else { Vec::new() };
        // Names may be forced away from what is used; the image itself may not.
        if asked.is_none() || force == Force::No {
            check_unused(&id, &holders)?;
        }
        if asked.is_none() && force == Force::No {
            check_one_repository(&id, &going)?;
        }
        let mut taken = Vec::new();
        let mut removed = untag(&going, &mut names);
        self.write_names(&names, &lock)?;
        if is_last && holders.is_empty() {
            removed.extend(self.take_image(&id, &lock, &mut taken)?);
        }
        drop(lock);
        Ok(removed)
    }

    /// Removes an image that has no name and that nobody uses.
    ///
    /// # Errors
    ///
    /// The store cannot be read or written.
    pub fn forget(&self, id: &Digest) -> Result<()> {
        let mut taken = Vec::new();
        let lock = self.place.lock()?;
        let is_named = self.names()?.by_image().contains_key(id);
        if !is_named && self.holders(id)?.is_empty() {
            self.take_image(id, &lock, &mut taken)?;
        }
        drop(lock);
        Ok(())
    }

    /// Removes images that nobody needs, among those that are chosen, and what commands that were
    /// killed have left.
    ///
    /// # Errors
    ///
    /// The store cannot be read or written.
    pub fn prune(&self, which: Unneeded, is_chosen: &dyn Fn(&Image) -> bool) -> Result<Pruned> {
        self.sweep()?;
        let lock = self.place.lock()?;
        let mut names = self.names()?;
        let mut pruned = Pruned::default();
        let mut taken = Vec::new();
        for id in self.ids()? {
            let Some(image) = self.image(&id, &names)? else { continue };
            let is_unneeded = which == Unneeded::Unused || image.names.is_empty();
            if !is_unneeded || !is_chosen(&image) || !self.holders(&id)?.is_empty() {
                continue;
            }
            let own = names.by_image().remove(&id).unwrap_or_default();
            let own: Vec<String> = own.into_iter().map(str::to_owned).collect();
            pruned.removed.extend(untag(&own, &mut names));
            self.write_names(&names, &lock)?;
            pruned.removed.extend(self.take_image(&id, &lock, &mut taken)?);
        }
        pruned.removed.extend(self.take_orphans(&lock, &mut taken)?);
        drop(lock);
        pruned.bytes = taken.iter().map(|(_, bytes)| bytes).sum();
        Ok(pruned)
    }

    /// Removes what commands that were killed have left.
    pub(super) fn sweep(&self) -> Result<()> {
        let lock = self.place.lock()?;
        let remains = self.place.remains(&lock)?;
        let partial = self.place.path("partial");
        for entry in fs::read_dir(&partial).map_err(failed("read", &partial))?.flatten() {
            let path = entry.path();
            if is_old(&path) && is_free(&path) {
                fs::remove_file(&path).map_err(failed("remove", &path))?;
            }
        }
        drop(lock);
        drop(remains);
        Ok(())
    }

    /// Takes an image away, with the layers that no other image has.
    fn take_image(
        &self,
        id: &Digest,
        lock: &Lock,
        taken: &mut Vec<(Staging, u64)>,
    ) -> Result<Vec<Removed>> {
        let Some(record) = self.record_of(id)? else { return Ok(Vec::new()) };
        let mut removed = vec![Removed::Image(id.clone())];
        taken.extend(self.place.take(&self.place.image(id.hex()), lock)?.map(|it| (it, 0)));
        let holds = self.place.holds(id.hex());
        taken.extend(self.place.take(&holds, lock)?.map(|it| (it, 0)));
        let used = self.used_layers()?;
        let own: BTreeSet<String> =
            record.layers.into_iter().map(|layer| layer.directory).collect();
        for layer in own.difference(&used) {
            removed.extend(self.take_layer(layer, lock, taken)?);
        }
        Ok(removed)
    }

    /// The layers that images have, and those that spare steps of builds.
    fn used_layers(&self) -> Result<BTreeSet<String>> {
        let mut used = BTreeSet::new();
        for id in self.ids()? {
            let record = self.record_of(&id)?.unwrap_or_default();
            used.extend(record.layers.into_iter().map(|layer| layer.directory));
        }
        used.extend(self.layers_of_steps()?);
        Ok(used)
    }

    /// The covers of `rootfs:/`, unless a container of something that is not in the store lives.
    fn unused_covers(&self) -> Result<Vec<std::path::PathBuf>> {
        let images = self.ids()?;
        let holds = self.place.path("holds");
        for entry in fs::read_dir(&holds).map_err(failed("read", &holds))?.flatten() {
            let name = entry.file_name();
            let Ok(id) = format!("sha256:{}", name.to_string_lossy()).parse::<Digest>() else {
                continue;
            };
            let is_stored = images.contains(&id);
            let is_above = self.record_of(&id)?.is_some_and(|record| record.below.is_some());
            if (!is_stored || is_above) && !self.holders(&id)?.is_empty() {
                return Ok(Vec::new());
            }
        }
        let covers = self.place.path("covers");
        let entries = fs::read_dir(&covers).map_err(failed("read", &covers))?;
        Ok(entries.flatten().map(|entry| entry.path()).collect())
    }

    fn take_layer(
        &self,
        name: &str,
        lock: &Lock,
        taken: &mut Vec<(Staging, u64)>,
    ) -> Result<Option<Removed>> {
        let directory = self.place.layer(name);
        let info: Option<LayerInfo> = read_json(&directory.join("layer.json"))?;
        let Some(staging) = self.place.take(&directory, lock)? else { return Ok(None) };
        taken.push((staging, info.as_ref().map_or(0, |info| info.size)));
        let shown = info.map_or_else(|| format!("sha256:{name}"), |info| info.diff_id.to_string());
        Ok(Some(Removed::Layer(shown)))
    }

    /// Takes layers that no image has, unless somebody is making an image of them.
    fn take_orphans(&self, lock: &Lock, taken: &mut Vec<(Staging, u64)>) -> Result<Vec<Removed>> {
        let Some(_alone) = self.place.alone()? else { return Ok(Vec::new()) };
        let used = self.used_layers()?;
        let layers = self.place.path("layers");
        let mut removed = Vec::new();
        for entry in fs::read_dir(&layers).map_err(failed("read", &layers))? {
            let name = entry.map_err(failed("read", &layers))?.file_name();
            let name = name.to_string_lossy();
            if !used.contains(&*name) {
                removed.extend(self.take_layer(&name, lock, taken)?);
            }
        }
        for cover in self.unused_covers()? {
            taken.extend(self.place.take(&cover, lock)?.map(|it| (it, 0)));
        }
        let partial = self.place.path("partial");
        for entry in fs::read_dir(&partial).map_err(failed("read", &partial))?.flatten() {
            let bytes = entry.metadata().map_or(0, |found| found.len());
            if is_free(&entry.path()) {
                taken.extend(self.place.take(&entry.path(), lock)?.map(|it| (it, bytes)));
            }
        }
        Ok(removed)
    }
}

fn check_unused(id: &Digest, holders: &[std::path::PathBuf]) -> Result<()> {
    let Some(holder) = holders.first() else { return Ok(()) };
    let who = holder.file_name().unwrap_or_default().to_string_lossy();
    let who: String = who.chars().take(12).collect();
    Err(RuntimeError::Conflict(format!(
        "image `{}` is used by container `{who}`; remove the container first",
        &id.hex()[..12]
    )))
}

fn check_one_repository(id: &Digest, going: &[String]) -> Result<()> {
    let names = going.iter().filter_map(|name| name.parse::<Name>().ok());
    let repositories: BTreeSet<String> = names.map(|name| name.familiar_repository()).collect();
    if repositories.len() < 2 {
        return Ok(());
    }
    Err(RuntimeError::Conflict(format!(
        "image `{}` has names in several repositories; remove them one by one, or use --force",
        &id.hex()[..12]
    )))
}

/// The stored name that a reference is; `None` if it is an identity.
fn asked_name(reference: &str, own: &[String]) -> Option<String> {
    let name = match reference.parse().ok()? {
        super::Reference::Registry(name) => match &name.digest {
            Some(digest) => name.with_digest(digest.clone()).to_string(),
            None => name.to_string(),
        },
        source => super::source::name_and_stamp(&source).ok()?.0,
    };
    own.contains(&name).then_some(name)
}

/// A name, and with the last tag of a repository its digests.
fn going_with(name: &str, own: &[String]) -> Vec<String> {
    let repository = |name: &str| name.parse::<Name>().ok().map(|name| name.familiar_repository());
    let same: Vec<&String> =
        own.iter().filter(|other| repository(other) == repository(name)).collect();
    let tags = same.iter().filter(|other| !is_digest_name(other)).count();
    if is_digest_name(name) || tags > 1 || repository(name).is_none() {
        return vec![name.to_owned()];
    }
    same.into_iter().cloned().collect()
}

fn untag(going: &[String], names: &mut Names) -> Vec<Removed> {
    let remove = |name: &String| {
        names.names.remove(name);
        Removed::Name(familiar(name))
    };
    going.iter().map(remove).collect()
}

fn is_old(path: &Path) -> bool {
    let age = || SystemTime::now().duration_since(path.metadata().ok()?.modified().ok()?).ok();
    age().is_some_and(|age| age > KEPT)
}

/// Whether nobody writes a download.
fn is_free(path: &Path) -> bool {
    let Ok(file) = fs::File::open(path) else { return false };
    lock::on(file.into(), FlockOperation::NonBlockingLockExclusive).is_ok()
}

#[cfg(test)]
mod tests {
    use super::going_with;

    #[test]
    fn digests_go_with_the_last_tag_of_their_repository() {
        let digest = format!("docker.io/library/a@sha256:{}", "0".repeat(64));
        let own = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let all = own(&["docker.io/library/a:1", &digest, "box.org/a:1"]);
        assert_eq!(going_with("docker.io/library/a:1", &all), all[..2]);
        assert_eq!(going_with("box.org/a:1", &all), all[2..]);
        let two = own(&["docker.io/library/a:1", "docker.io/library/a:2", &digest]);
        assert_eq!(going_with("docker.io/library/a:1", &two), two[..1]);
        assert_eq!(going_with(&digest, &two), two[2..]);
    }
}
