//! What the native runtime keeps on disk, and what of it nobody needs.
//!
//! In: the places. Out: sizes by kind; removed containers, networks, volumes and images.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::container::Source;
use super::image::{Store, Unneeded};
use super::record::Record;
use super::volume::{self, ANONYMOUS};
use super::{Native, lock, names, record, snapshot};
use crate::model::label;
use crate::runtime::{Result, Snapshots as _, Volumes};

/// What there is of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// How many.
    pub total: usize,
    /// How many are in use.
    pub active: usize,
    /// Bytes of all.
    pub size: u64,
    /// Bytes of those that nobody uses.
    pub reclaimable: u64,
}

/// What there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskUse {
    /// Images.
    pub images: Share,
    /// Containers: what they have changed, and their logs.
    pub containers: Share,
    /// Volumes.
    pub volumes: Share,
    /// Snapshots; in use while there is anything of their project.
    pub snapshots: Share,
}

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Names of containers.
    pub containers: Vec<String>,
    /// Names of networks.
    pub networks: Vec<String>,
    /// Names of volumes.
    pub volumes: Vec<String>,
    /// Snapshots, as `PROJECT/NAME`.
    pub snapshots: Vec<String>,
    /// How many images and layers.
    pub images: usize,
    /// Bytes that are free now.
    pub bytes: u64,
}

/// What else `prune` takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Also {
    /// All images that no container uses, instead of those without a name.
    pub images: bool,
    /// Volumes without a name of their own that no container uses.
    pub volumes: bool,
}

impl Native {
    /// What there is on disk.
    ///
    /// # Errors
    ///
    /// Something cannot be read.
    pub fn disk_use(&self) -> Result<DiskUse> {
        let mut found = DiskUse::default();
        let (mut images, mut volumes) = (BTreeSet::new(), BTreeSet::new());
        for named in names::all(&self.root)? {
            let place = self.root.container(&named.id);
            let Some(record) = Record::read(&place)? else { continue };
            let is_up = lock::is_held(&place.lock())?;
            add(&mut found.containers, is_up.into(), size(&place.upper()) + size(&place.log()));
            images.insert(record.image_id);
            volumes.extend(record.config.mounts.iter().filter_map(|mount| match &mount.source {
                Source::Volume { name, .. } => Some(name.clone()),
                _ => None,
            }));
        }
        for volume in volume::list(&self.root)? {
            let bytes = size(&self.root.volumes().join(&volume.name).join("_data"));
            add(&mut found.volumes, volumes.contains(&volume.name).into(), bytes);
        }
        for image in Store::open(&self.root.images())?.list()? {
            add(&mut found.images, images.contains(&image.id.to_string()).into(), image.size);
        }
        let projects = self.projects()?;
        for snapshot in snapshot::list(&self.root, None)? {
            let directory = self.root.snapshots().join(&snapshot.project).join(&snapshot.name);
            let need = projects.contains(&snapshot.project).into();
            add(&mut found.snapshots, need, size(&directory));
        }
        Ok(found)
    }

    /// The projects of which there is a container or a volume.
    fn projects(&self) -> Result<BTreeSet<String>> {
        let mut projects = BTreeSet::new();
        for named in names::all(&self.root)? {
            let record = Record::read(&self.root.container(&named.id))?;
            projects.extend(record.and_then(|it| it.labels.get(label::PROJECT).cloned()));
        }
        let volumes = volume::list(&self.root)?.into_iter();
        projects.extend(volumes.filter_map(|it| it.labels.get(label::PROJECT).cloned()));
        Ok(projects)
    }

    /// Removes the snapshots of projects of which nothing else is left.
    async fn prune_snapshots(&self, pruned: &mut Pruned) -> Result<()> {
        let projects = self.projects()?;
        for snapshot in snapshot::list(&self.root, None)? {
            if !projects.contains(&snapshot.project) {
                self.remove_snapshot(&snapshot.project, &snapshot.name).await?;
                pruned.snapshots.push(format!("{}/{}", snapshot.project, snapshot.name));
            }
        }
        Ok(())
    }

    /// Removes what nobody needs: containers that do not run, networks that no container is to
    /// join, snapshots of projects of which nothing is left, images without a name; more if that
    /// is wanted.
    ///
    /// # Errors
    ///
    /// Something cannot be removed.
    pub async fn prune(&self, also: Also) -> Result<Pruned> {
        let before = self.disk_use()?;
        let mut pruned = Pruned::default();
        let mut joined = BTreeSet::new();
        for named in names::all(&self.root)? {
            let place = self.root.container(&named.id);
            if lock::is_held(&place.lock())? {
                joined.extend(record::joinings(&place)?.into_iter().map(|it| it.network));
            } else {
                self.delete(&named.id, Volumes::Keep).await?;
                pruned.containers.push(named.name);
            }
        }
        self.sweep_networks()?;
        for network in self.networks.list()? {
            if !joined.contains(&network.name) {
                self.networks.remove(&network.name)?;
                pruned.networks.push(network.name);
            }
        }
        if also.volumes {
            self.prune_volumes(&mut pruned)?;
        }
        self.prune_snapshots(&mut pruned).await?;
        self.prune_builds()?;
        let which = if also.images { Unneeded::Unused } else { Unneeded::Nameless };
        let removed = Store::open(&self.root.images())?.prune(which, &|_| true)?;
        pruned.images = removed.removed.len();
        let after = self.disk_use()?;
        let gone =
            |part: fn(&DiskUse) -> Share| part(&before).size.saturating_sub(part(&after).size);
        pruned.bytes = removed.bytes
            + gone(|it| it.containers)
            + gone(|it| it.volumes)
            + gone(|it| it.snapshots);
        Ok(pruned)
    }

    /// Forgets what builds keep, unless one is going on. Layers that no image has go with images.
    fn prune_builds(&self) -> Result<()> {
        let store = Store::open(&self.root.images())?;
        // No build begins until all of it is gone.
        let Some(_idle) = store.idle()? else { return Ok(()) };
        store.forget_steps()?;
        super::build::forget(&self.root.built(), &store)?;
        let path = self.root.builds();
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(super::state::failed("remove", &path, error))
            }
            _ => Ok(()),
        }
    }

    fn prune_volumes(&self, pruned: &mut Pruned) -> Result<()> {
        for volume in volume::list(&self.root)? {
            if !volume.labels.contains_key(ANONYMOUS) {
                continue;
            }
            match self.delete_volume(&volume.name) {
                Err(crate::runtime::RuntimeError::Conflict(_)) => {}
                done => {
                    done?;
                    pruned.volumes.push(volume.name);
                }
            }
        }
        Ok(())
    }
}

/// Whether somebody uses something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Used,
    Unused,
}

impl From<bool> for Need {
    fn from(is_used: bool) -> Self {
        if is_used { Self::Used } else { Self::Unused }
    }
}

fn add(share: &mut Share, need: Need, size: u64) {
    share.total += 1;
    share.size += size;
    match need {
        Need::Used => share.active += 1,
        Need::Unused => share.reclaimable += size,
    }
}

/// Bytes that a directory takes on disk. What vanishes meanwhile takes none.
fn size(directory: &Path) -> u64 {
    const BLOCK: u64 = 512;
    let entries = walkdir::WalkDir::new(directory).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.metadata().ok()?.blocks() * BLOCK)).sum()
}
