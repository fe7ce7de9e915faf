//! Volumes: a directory for each, with what it is and its data.
//!
//! In: specs and names. Out: directories of data, and what there is. The driver is `local`, with
//! the options that mount a directory of the host (`o: bind`).
//!
//! # Invariants
//!
//! - A volume appears and vanishes whole: it is made aside and renamed, and renamed before it is
//!   removed. Names of volumes do not begin with a dot, names aside do.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

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
    bound(name, &options)?;
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
    Ok(())
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

/// Where the data of a volume is; `None` if there is no such volume.
pub(super) fn data(root: &Root, name: &str) -> Result<Option<PathBuf>> {
    let Some(record) = read(root, name)? else { return Ok(None) };
    let own = root.volumes().join(name).join("_data");
    Ok(Some(bound(name, &record.options)?.unwrap_or(own)))
}

fn read(root: &Root, name: &str) -> Result<Option<Record>> {
    if check(name).is_err() {
        return Ok(None);
    }
    state::read(&root.volumes().join(name).join("volume.json"))
}

/// The directory of the host that the options name; `None` if they name none.
fn bound(name: &str, options: &Dict) -> Result<Option<PathBuf>> {
    let option = |key: &str| options.get(key).map_or("", String::as_str);
    if let Some(unknown) = options.keys().find(|key| !["type", "o", "device"].contains(&&***key)) {
        let said = format!("volume `{name}`: `{unknown}` is no option of the driver `local`");
        return Err(RuntimeError::Refused(said));
    }
    if options.is_empty() {
        return Ok(None);
    }
    let is_bind = option("o").split(',').any(|word| matches!(word, "bind" | "rbind"));
    let device = Path::new(option("device"));
    if !is_bind {
        return Err(RuntimeError::Unsupported(format!(
            "volume `{name}`: of the volumes that are mounted only `o: bind` works without an \
             engine, not the type `{}`",
            option("type")
        )));
    }
    if !device.is_absolute() {
        let said = format!("volume `{name}`: `device` must be the absolute path of a directory");
        return Err(RuntimeError::Refused(said));
    }
    Ok(Some(device.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{Root, VolumeSpec, create, data, find, list, remove, sweep};
    use crate::model::{Dict, Volume};

    fn spec(name: &str, options: &[(&str, &str)]) -> VolumeSpec {
        let driver_opts: Dict =
            options.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        let volume = Volume { name: name.to_owned(), driver_opts, ..Volume::default() };
        VolumeSpec { volume, labels: Dict::from([("a".to_owned(), "b".to_owned())]) }
    }

    #[test]
    fn volumes_are_made_once_found_and_removed() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::at(directory.path(), directory.path());
        std::fs::create_dir(root.volumes()).unwrap();
        create(&root, &spec("v", &[])).unwrap();
        let path = data(&root, "v").unwrap().unwrap();
        std::fs::write(path.join("file"), "x").unwrap();
        create(&root, &spec("v", &[])).unwrap();
        assert!(path.join("file").exists(), "it stays as it is");
        assert_eq!(find(&root, "v").unwrap().unwrap().labels["a"], "b");
        assert_eq!(find(&root, "..").unwrap(), None);
        assert_eq!(list(&root).unwrap().len(), 1);
        for unfinished in [".new-x", ".old-y"] {
            std::fs::create_dir(root.volumes().join(unfinished)).unwrap();
        }
        sweep(&root).unwrap();
        assert_eq!(std::fs::read_dir(root.volumes()).unwrap().count(), 1, "the volume");
        remove(&root, "v").unwrap();
        remove(&root, "v").unwrap();
        assert_eq!(std::fs::read_dir(root.volumes()).unwrap().count(), 0, "nothing is left");
    }

    #[test]
    fn a_directory_of_the_host_is_a_volume() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::at(directory.path(), directory.path());
        std::fs::create_dir(root.volumes()).unwrap();
        let bind = [("type", "none"), ("o", "bind"), ("device", "/srv/x")];
        create(&root, &spec("v", &bind)).unwrap();
        assert_eq!(data(&root, "v").unwrap().unwrap().to_str(), Some("/srv/x"));
        for wrong in [&[("type", "nfs")][..], &[("o", "bind"), ("device", "x")], &[("size", "1")]] {
            assert!(create(&root, &spec("w", wrong)).is_err(), "{wrong:?}");
        }
        assert_eq!(find(&root, "w").unwrap(), None);
    }
}
