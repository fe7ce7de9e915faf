//! Removing a container and all that it had of the host.
//!
//! In: a container that does not run, and whose lock is held. Out: nothing.
//!
//! # Invariants
//!
//! - What was begun may be repeated: each step does nothing when it was done.
//! - The name goes before the files: a directory without a name is swept up.

use std::fs;
use std::io;

use super::container::Cgroup;
use super::lock;
use super::names;
use super::net::Networks;
use super::record::Record;
use super::root::{Place, Root};
use super::state::{self, Durability, Phase, Status, failed};
use super::volume;
use crate::runtime::{Result, RuntimeError, Volumes};

/// Gives back what the kernel and the networks keep for a container that has ended.
pub(super) fn release(root: &Root, place: &Place, record: &Record) -> Result<()> {
    let networks = Networks::new(root.durable(), root.volatile());
    for endpoint in networks.endpoints(&place.id)? {
        networks.leave(&place.id, &endpoint.network)?;
    }
    volume::let_go(root, &record.config.mounts)?;
    let removed = Cgroup::open(&record.config).and_then(|cgroup| {
        cgroup.kill()?;
        cgroup.remove()
    });
    removed.map_err(|source| RuntimeError::Io {
        action: format!("remove the cgroup of container {}", place.id),
        source,
    })
}

/// Removes a container. With `volumes` those that were made for it go too.
pub(super) fn delete(root: &Root, (name, place): (&str, &Place), volumes: Volumes) -> Result<()> {
    let record = Record::read(place)?.unwrap_or_default();
    let status: Status = state::read(&place.state())?.unwrap_or_default();
    let removing = Status { phase: Phase::Removing, ..status };
    // Nobody needs to see it; and a full disk gets room by removing.
    let _ = state::write(&place.state(), &removing, Durability::Volatile);
    let subject = super::events::Subject {
        id: &place.id,
        name,
        image: &record.image,
        labels: &record.labels,
    };
    if volumes == Volumes::Remove {
        remove_volumes(root, &record.anonymous)?;
    }
    keep_volumes(place)?;
    names::take_away(root, name)?;
    super::events::tell(root, subject, "destroy", &[]);
    remove_directories(place)
}

fn remove_volumes(root: &Root, names: &[String]) -> Result<()> {
    names.iter().try_for_each(|name| volume::remove(root, name))
}

/// From now on the volumes of a container stay when only its directory is left of it.
pub(super) fn keep_volumes(place: &Place) -> Result<()> {
    let path = place.intended_volumes();
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed("remove", &path, error))
        }
        _ => Ok(()),
    }
}

/// Removes the directories of a container.
fn remove_directories(place: &Place) -> Result<()> {
    for directory in [&place.volatile, &place.durable] {
        match fs::remove_dir_all(directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("remove", directory, error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Removes what commands that were killed have left: containers that never got a name or have it
/// no longer, with the volumes that were made for the former, and volumes that were set aside. Does nothing while somebody makes a container.
pub(super) fn sweep(root: &Root) -> Result<usize> {
    let Some(_lock) = lock::take(&root.making())? else { return Ok(0) };
    let named: std::collections::BTreeSet<String> =
        names::all(root)?.into_iter().map(|named| named.id).collect();
    let directory = root.containers();
    let entries = match fs::read_dir(&directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries.map_err(|error| failed("read", &directory, error))?,
    };
    let mut swept = 0;
    for entry in entries {
        let entry = entry.map_err(|error| failed("read", &directory, error))?;
        let id = entry.file_name().to_string_lossy().into_owned();
        let place = root.container(&id);
        // A directory with a lock that is held belongs to a shim that removes it.
        if !named.contains(&id) && entry.path().is_dir() && !lock::is_held(&place.lock())? {
            let volumes: Option<Vec<String>> = state::read(&place.intended_volumes())?;
            remove_volumes(root, &volumes.unwrap_or_default())?;
            // A step of a build that was killed.
            if let Some(record) = Record::read(&place)? {
                release(root, &place, &record)?;
            }
            remove_directories(&place)?;
            swept += 1;
        }
    }
    volume::sweep(root)?;
    Ok(swept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Dict;

    #[test]
    fn volumes_of_a_container_that_never_got_a_name_go_with_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = Root::at(folder.path(), &folder.path().join("run"));
        for directory in [root.volumes(), root.names(), folder.path().join("run")] {
            fs::create_dir_all(directory).expect("a directory");
        }
        let container = |id: &str, volume: &str| {
            let place = root.container(id);
            fs::create_dir_all(&place.durable).expect("a directory");
            state::write(&place.intended_volumes(), &[volume], Durability::Volatile).expect("kept");
            volume::create_anonymous(&root, volume, &Dict::new()).expect("a volume");
            place
        };
        container("begun", "made");
        // It had a name once, and its volumes were to stay.
        keep_volumes(&container("ended", "left")).expect("forgotten");
        assert_eq!(sweep(&root).expect("swept"), 2);
        let left = volume::list(&root).expect("a list");
        assert_eq!(left.into_iter().map(|it| it.name).collect::<Vec<_>>(), ["left"]);
    }
}
