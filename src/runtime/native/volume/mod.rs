//! Volumes: a directory for each, with what it is and its data.
//!
//! In: specs and names. Out: directories of data, and what there is. The driver is `local`; its
//! options are read in `options`, and what they mount is mounted in `hold`.
//!
//! # Invariants
//!
//! - A volume appears and vanishes whole: it is made aside and renamed, and renamed before it is
//!   removed. Names of volumes do not begin with a dot, names aside do.

mod hold;
mod options;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

pub(super) use hold::{Hold, hold, let_go};
use options::{Data, parse};

use super::names::check;
use super::root::Root;
use super::state::{self, Durability, failed};
use super::{clock, lock};
use crate::model::Dict;
use crate::model::observed::ObservedVolume;
use crate::model::spec::VolumeSpec;
use crate::runtime::{Result, RuntimeError};

/// The label of volumes that were made for one container, as Docker has it.
pub(super) const ANONYMOUS: &str = "com.docker.volume.anonymous";

/// What stands in `volume.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    created: i64,
    labels: Dict,
    options: Dict,
}

/// Makes a volume; one of that name will do.
pub(super) fn create(root: &Root, spec: &VolumeSpec) -> Result<()> {
    let name = &spec.volume.name;
    check(name)?;
    if !matches!(spec.volume.driver.as_str(), "" | "local") {
        return Err(RuntimeError::Unsupported(format!(
            "the volume driver `{}` of `{name}` needs an engine; without one there is `local`",
            spec.volume.driver
        )));
    }
    let options = spec.volume.driver_opts.clone();
    parse(name, &options)?;
    let record = Record { created: clock::now(), labels: spec.labels.clone(), options };
    if root.volumes().join(name).is_dir() {
        return Ok(());
    }
    make(root, name, &record)
}

/// Makes a volume for one container; gives its name.
pub(super) fn create_anonymous(root: &Root, name: &str, labels: &Dict) -> Result<()> {
    let mut labels = labels.clone();
    labels.insert(ANONYMOUS.to_owned(), String::new());
    let record = Record { created: clock::now(), labels, options: Dict::new() };
    make(root, name, &record)
}

fn make(root: &Root, name: &str, record: &Record) -> Result<()> {
    // Whoever sweeps waits until it has its name.
    let _making = lock::share(&root.making())?;
    let parent = root.volumes();
    let aside = tempfile::Builder::new().prefix(".new-").tempdir_in(&parent);
    let aside = aside.map_err(|error| failed("make a directory in", &parent, error))?;
    let data = aside.path().join("_data");
    let made = fs::DirBuilder::new().mode(0o755).create(&data);
    made.map_err(|error| failed("make", &data, error))?;
    state::write(&aside.path().join("volume.json"), record, Durability::Durable)?;
    let target = parent.join(name);
    match renameat_with(CWD, aside.path(), CWD, &target, RenameFlags::NOREPLACE) {
        Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(failed("make", &target, error.into())),
        Ok(()) => {
            // It has another name now.
            let _ = aside.keep();
            Ok(())
        }
    }
}

/// Removes a volume and its data; one that is gone will do.
pub(super) fn remove(root: &Root, name: &str) -> Result<()> {
    check(name)?;
    let path = root.volumes().join(name);
    let aside = root.volumes().join(format!(".old-{name}"));
    match fs::rename(&path, &aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        done => done.map_err(|error| failed("remove", &path, error))?,
    }
    hold::forget(root, name)?;
    match fs::remove_dir_all(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed("remove", &aside, error))
        }
        _ => Ok(()),
    }
}

/// Removes what commands that were killed have set aside or not finished. Nobody makes a volume
/// meanwhile: the caller holds the lock.
pub(super) fn sweep(root: &Root) -> Result<()> {
    let parent = root.volumes();
    let entries = match fs::read_dir(&parent) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|error| failed("read", &parent, error))?,
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(".old-") || name.starts_with(".new-") {
            let path = entry.path();
            fs::remove_dir_all(&path).map_err(|error| failed("remove", &path, error))?;
        }
    }
    hold::sweep(root)
}

/// The volume of this name.
pub(super) fn find(root: &Root, name: &str) -> Result<Option<ObservedVolume>> {
    Ok(read(root, name)?.map(|record| ObservedVolume {
        name: name.to_owned(),
        driver: "local".to_owned(),
        mountpoint: root.volumes().join(name).join("_data").display().to_string(),
        labels: record.labels,
    }))
}

/// All volumes, in order of their names.
pub(super) fn list(root: &Root) -> Result<Vec<ObservedVolume>> {
    let parent = root.volumes();
    let entries = match fs::read_dir(&parent) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| failed("read", &parent, error))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| failed("read", &parent, error))?;
        found.extend(find(root, &entry.file_name().to_string_lossy())?);
    }
    found.sort_by(|a: &ObservedVolume, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Where the data of a volume is, if it is to be mounted while it is held; `None` if there is no
/// such volume.
pub(super) fn data(root: &Root, name: &str) -> Result<Option<PathBuf>> {
    let Some(record) = read(root, name)? else { return Ok(None) };
    Ok(Some(match parse(name, &record.options)? {
        Data::Own => root.volumes().join(name).join("_data"),
        Data::Bound(path) => path,
        Data::Mounted(_) => hold::mountpoint(root, name),
    }))
}

fn read(root: &Root, name: &str) -> Result<Option<Record>> {
    if check(name).is_err() {
        return Ok(None);
    }
    state::read(&root.volumes().join(name).join("volume.json"))
}
