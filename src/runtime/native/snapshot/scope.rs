//! What belongs to a project: its containers, their files and its volumes.
//!
//! In: the name of a project. Out: trees on disk, and whose they are; what is left alone; and
//! whether a snapshot still fits.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::manifest::{Manifest, Member, Owner};
use crate::model::label;
use crate::runtime::native::container::Source;
use crate::runtime::native::names::{self, Named};
use crate::runtime::native::record::Record;
use crate::runtime::native::recover::look;
use crate::runtime::native::root::Root;
use crate::runtime::native::state::Phase;
use crate::runtime::native::volume::{self, ANONYMOUS};
use crate::runtime::{Result, RuntimeError};

/// A container of the project.
#[derive(Clone, Debug)]
pub(super) struct Container {
    /// Which.
    pub(super) named: Named,
    /// What it is.
    pub(super) record: Record,
    /// What it does.
    pub(super) phase: Phase,
}

/// What belongs to a project.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    /// The project.
    pub(super) project: String,
    /// The containers of its services, in order of their names.
    pub(super) containers: Vec<Container>,
    /// Other containers that have a part in its volumes: those of `run`, and of other projects.
    pub(super) others: Vec<Container>,
    /// The trees, and where each lies.
    pub(super) trees: BTreeMap<Owner, PathBuf>,
    /// What it uses but is not its own, in words.
    pub(super) left_alone: Vec<String>,
}

impl Scope {
    /// What there is.
    pub(super) fn of(root: &Root, project: &str) -> Result<Self> {
        let mut scope = Self { project: project.to_owned(), ..Self::default() };
        for named in names::all(root)? {
            let place = root.container(&named.id);
            let Some(record) = Record::read(&place)? else { continue };
            let Some(seen) = look(root, &named)? else { continue };
            let container = Container { named, record, phase: seen.status.phase };
            if container.is_of(project) {
                scope.containers.push(container);
            } else {
                scope.others.push(container);
            }
        }
        let mut left = scope.volumes(root)?;
        for container in &scope.containers {
            let changes = Owner::Changes { container: container.named.name.clone() };
            scope.trees.insert(changes, root.container(&container.named.id).upper());
            left.extend(mounted(root, container, &mut scope.trees)?);
        }
        scope.left_alone = left.into_iter().collect();
        let volumes = scope.volume_names();
        scope.others.retain(|other| other.volumes().any(|name| volumes.contains(name)));
        Ok(scope)
    }

    /// Takes in the volumes that carry the project's label; gives those that lie elsewhere.
    fn volumes(&mut self, root: &Root) -> Result<BTreeSet<String>> {
        let mut left = BTreeSet::new();
        for found in volume::list(root)? {
            let is_ours = found.labels.get(label::PROJECT) == Some(&self.project);
            if !is_ours || found.labels.contains_key(ANONYMOUS) {
                continue;
            }
            let name = found.name;
            match own_data(root, &name)? {
                Some(path) => {
                    self.trees.insert(Owner::Volume { name }, path);
                }
                None => {
                    left.insert(format!("volume `{name}`, whose data lie elsewhere"));
                }
            }
        }
        Ok(left)
    }

    /// The names of all volumes of the project.
    fn volume_names(&self) -> BTreeSet<String> {
        let named = self.trees.keys().filter_map(|owner| match owner {
            Owner::Volume { name } => Some(name.clone()),
            _ => None,
        });
        let anonymous = self.containers.iter().flat_map(|it| it.record.anonymous.iter().cloned());
        named.chain(anonymous).collect()
    }

    /// The containers as a snapshot remembers them.
    pub(super) fn members(&self) -> Vec<Member> {
        self.containers.iter().map(Container::member).collect()
    }

    /// Refuses what cannot be dealt with at one moment.
    pub(super) fn check_others(&self, is_in_the_way: impl Fn(&Container) -> bool) -> Result<()> {
        let in_the_way = self.others.iter().filter(|it| it.phase.is_up() && is_in_the_way(it));
        let names: Vec<String> = in_the_way.map(|it| it.named.name.clone()).collect();
        if names.is_empty() {
            return Ok(());
        }
        Err(RuntimeError::Conflict(format!(
            "volumes of project `{}` are in use by {}, which no service of it has: stop that first",
            self.project,
            names.join(", ")
        )))
    }

    /// Why a snapshot does not fit any more, each in words; empty if it does.
    pub(super) fn differences(&self, manifest: &Manifest) -> Vec<String> {
        let mut found = Vec::new();
        let now: BTreeMap<String, Member> =
            self.members().into_iter().map(|it| (it.name.clone(), it)).collect();
        for then in &manifest.members {
            let Member { name, service, .. } = then;
            match now.get(name) {
                None => found.push(format!("service `{service}` has no container {name}")),
                Some(now) if now.image != then.image => {
                    found.push(format!("service `{service}` has another image"));
                }
                Some(now) if now.hash != then.hash => {
                    found.push(format!("settings of service `{service}` have changed"));
                }
                Some(_) => {}
            }
        }
        for name in now.keys().filter(|name| manifest.members.iter().all(|it| it.name != **name)) {
            found.push(format!("container {name} was not there"));
        }
        let gone = manifest.trees.iter().filter(|it| !self.trees.contains_key(it));
        let gone = gone.map(|owner| (owner, format!("{} is gone", owner.words())));
        let new = self.trees.keys().filter(|it| !manifest.trees.contains(it));
        let new = new.map(|owner| (owner, format!("{} was not there", owner.words())));
        let is_volume = |(owner, _): &(&Owner, String)| matches!(owner, Owner::Volume { .. });
        let (volumes, parts): (Vec<_>, Vec<_>) = gone.chain(new).partition(is_volume);
        found.extend(volumes.into_iter().map(|(_, words)| words));
        // What belongs to a container is told by that container, if that is another one.
        if found.is_empty() {
            found.extend(parts.into_iter().map(|(_, words)| words));
        }
        found
    }
}

impl Container {
    fn is_of(&self, project: &str) -> bool {
        let labels = &self.record.labels;
        labels.get(label::PROJECT).is_some_and(|it| it == project)
            && labels.get(label::ONE_OFF).is_none_or(|it| it != "True")
    }

    /// Whether it was made by `run` in this project.
    pub(super) fn is_one_off_of(&self, project: &str) -> bool {
        self.record.labels.get(label::PROJECT).is_some_and(|it| it == project)
    }

    fn volumes(&self) -> impl Iterator<Item = &String> {
        self.record.config.mounts.iter().filter_map(|mount| match &mount.source {
            Source::Volume { name, .. } => Some(name),
            _ => None,
        })
    }

    fn member(&self) -> Member {
        let label = |name: &str| self.record.labels.get(name).cloned().unwrap_or_default();
        Member {
            name: self.named.name.clone(),
            service: label(label::SERVICE),
            image: self.record.image_id.clone(),
            hash: label(label::CONFIG_HASH),
            ran: self.phase.is_up(),
        }
    }
}

/// The data of a volume that lies where Ketch keeps volumes; `None`: elsewhere, or it is gone.
fn own_data(root: &Root, name: &str) -> Result<Option<PathBuf>> {
    let path = volume::data(root, name)?;
    Ok(path.filter(|path| path.starts_with(root.volumes())))
}

/// Takes in what is mounted in a container and belongs to it; gives what does not.
fn mounted(
    root: &Root,
    container: &Container,
    trees: &mut BTreeMap<Owner, PathBuf>,
) -> Result<BTreeSet<String>> {
    let mut left = BTreeSet::new();
    let own = root.container(&container.named.id).durable;
    for mount in &container.record.config.mounts {
        let (container, target) = (container.named.name.clone(), mount.target.clone());
        match &mount.source {
            Source::Bind { path, .. } if path.starts_with(root.containers()) => {}
            Source::Bind { path, .. } => {
                left.insert(format!("`{}` of the host", path.display()));
            }
            Source::Volume { name, .. } => {
                if trees.contains_key(&Owner::Volume { name: name.clone() }) {
                    continue;
                }
                let found = volume::find(root, name)?;
                let is_anonymous = found.is_some_and(|it| it.labels.contains_key(ANONYMOUS));
                match own_data(root, name)? {
                    Some(path) if is_anonymous => {
                        if !trees.values().any(|other| *other == path) {
                            trees.insert(Owner::Anonymous { container, target }, path);
                        }
                    }
                    _ => {
                        left.insert(format!("volume `{name}`, which is not the project's own"));
                    }
                }
            }
            Source::Image { files, .. } => {
                let changes = files.changes.as_ref().map(|changes| changes.upper.clone());
                if let Some(path) = changes.filter(|path| path.starts_with(&own)) {
                    trees.insert(Owner::Image { container, target }, path);
                }
            }
            Source::Tmpfs { .. } => {
                left.insert(format!("memory at `{target}` of container {container}"));
            }
        }
    }
    Ok(left)
}
