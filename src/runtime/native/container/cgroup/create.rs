//! Makes the cgroup of a container.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::hierarchy::{self, Hierarchies, Hierarchy};
use super::setting::{self, Block, Need, Numbered, Setting};
use super::{Cgroup, device, text};
use crate::runtime::native::container::config::{Config, Namespace};
use crate::runtime::native::container::error::{StartError, kernel};

use super::limits::{BlockRate, DeviceRule};

/// The ways into a cgroup, open.
#[derive(Debug, Default)]
pub(in crate::runtime::native::container) struct Entrances {
    /// The directory of version 2, for a process that is made in it.
    pub(in crate::runtime::native::container) unified: Option<OwnedFd>,
    /// `cgroup.procs` of version 1: who writes `0` is in.
    pub(in crate::runtime::native::container) old: Vec<OwnedFd>,
}

impl Cgroup {
    /// Makes the cgroup of a container and sets its limits. `devices` are rules besides those that
    /// every container has; `None`: it may use all devices.
    pub(in crate::runtime::native::container) fn create(
        config: &Config,
        devices: Option<&[DeviceRule]>,
    ) -> Result<Self, StartError> {
        let invalid = |error: io::Error| StartError::Invalid(error.to_string());
        let place = hierarchy::place(&config.cgroup_parent, &config.id).map_err(invalid)?;
        let hosts = Hierarchies::find().map_err(kernel(|| "read the mount table".to_owned()))?;
        let cgroup = Self { at: hosts.at(&place) };
        let made = cgroup.fill(&hosts, config, devices);
        if made.is_err() {
            let _ = cgroup.remove();
        }
        made.map(|()| cgroup)
    }

    fn fill(
        &self,
        hosts: &Hierarchies,
        config: &Config,
        devices: Option<&[DeviceRule]>,
    ) -> Result<(), StartError> {
        let block = block(config)?;
        let new = setting::new(&config.limits, &block);
        if let (Some(root), Some(path)) = (&hosts.unified, &self.at.unified) {
            let wanted: Vec<_> = new.iter().map(|setting| setting.controller).collect();
            make_unified(root, path, &wanted)?;
        }
        for (host, own) in hosts.old.iter().zip(&self.at.old) {
            make_old(host, &own.path)?;
        }
        for setting in setting::old(&config.limits, &block) {
            if let Some(path) = self.at.old(setting.controller) {
                apply(path, &setting)?;
            }
        }
        for setting in new.iter().filter(|new| self.at.old(new.controller).is_none()) {
            let missing = || {
                let name = setting.controller;
                StartError::Invalid(format!("this host has no cgroup controller `{name}`"))
            };
            apply(self.at.unified.as_deref().ok_or_else(missing)?, setting)?;
        }
        self.restrict(devices)
    }

    /// Sets the rules for devices.
    fn restrict(&self, devices: Option<&[DeviceRule]>) -> Result<(), StartError> {
        let Some(devices) = devices else { return Ok(()) };
        let mut rules = device::usual();
        rules.extend_from_slice(devices);
        if let Some(path) = self.at.old("devices") {
            let deny = path.join("devices.deny");
            let failed = |path: &Path| format!("write to `{}`", path.display());
            text::write(&deny, "a").map_err(kernel(|| failed(&deny)))?;
            let allow = path.join("devices.allow");
            let file = File::options().write(true).open(&allow);
            let mut file = file.map_err(kernel(|| failed(&allow)))?;
            for rule in &rules {
                let line = device::line(rule);
                let failed = || format!("allow the devices `{line}`");
                file.write_all(line.as_bytes()).map_err(kernel(failed))?;
            }
        } else if let Some(path) = &self.at.unified {
            let failed = kernel(|| "restrict devices by a program of BPF".to_owned());
            let restricted = File::open(path).and_then(|dir| device::restrict(dir, &rules));
            restricted.map_err(failed)?;
        }
        Ok(())
    }

    /// Opens the ways in.
    pub(in crate::runtime::native::container) fn entrances(&self) -> Result<Entrances, StartError> {
        let open = |path: &PathBuf, write: bool| {
            let failed = kernel(|| format!("open `{}`", path.display()));
            File::options().read(!write).write(write).open(path).map(OwnedFd::from).map_err(failed)
        };
        let unified = self.at.unified.as_ref().map(|path| open(path, false)).transpose()?;
        let procs = self.at.old.iter().map(|old| old.path.join("cgroup.procs"));
        let old = procs.map(|path| open(&path, true)).collect::<Result<_, _>>()?;
        Ok(Entrances { unified, old })
    }

    /// What a container sees of its cgroup.
    pub(in crate::runtime::native::container) fn views(&self, namespace: &Namespace) -> Views {
        if self.at.old.is_empty() {
            let Some(own) = &self.at.unified else { return Views::None };
            let roots = || Hierarchies::find().ok().and_then(|hosts| hosts.unified);
            let host = if *namespace == Namespace::Own { None } else { roots() };
            return Views::New(host.unwrap_or_else(|| own.clone()));
        }
        let view = |old: &Hierarchy| {
            let names = old.controllers.iter();
            let names: Vec<_> =
                names.map(|name| name.strip_prefix("name=").unwrap_or(name).to_owned()).collect();
            let links = if names.len() > 1 { names.clone() } else { Vec::new() };
            View { name: names.join(","), links, path: old.path.clone() }
        };
        Views::Old(self.at.old.iter().map(view).collect())
    }
}

/// What a container sees of its cgroup.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::runtime::native::container) enum Views {
    /// Nothing: the host has none.
    None,
    /// A directory of version 2.
    New(PathBuf),
    /// A directory for each hierarchy of version 1.
    Old(Vec<View>),
}

/// A hierarchy of version 1 as a container sees it.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::runtime::native::container) struct View {
    /// Its name.
    pub(in crate::runtime::native::container) name: String,
    /// The names of its controllers if there are several.
    pub(in crate::runtime::native::container) links: Vec<String>,
    /// Where it is on the host.
    pub(in crate::runtime::native::container) path: PathBuf,
}

/// Makes a directory of version 2 with its parents, and lets children use controllers.
fn make_unified(root: &Path, path: &Path, wanted: &[&str]) -> Result<(), StartError> {
    let has = text::read(&root.join("cgroup.controllers")).unwrap_or_default();
    let usable = ["cpu", "cpuset", "io", "memory", "pids"].into_iter();
    let usable: Vec<_> = usable.filter(|name| has.split_whitespace().any(|c| c == *name)).collect();
    let enable: Vec<_> = usable.iter().map(|name| format!("+{name}")).collect();
    for parent in parents(root, path) {
        make(&parent)?;
        let file = parent.join("cgroup.subtree_control");
        let on = text::read(&file).unwrap_or_default();
        let is_on = |name: &&str| on.split_whitespace().any(|word| word == *name);
        if enable.is_empty() || usable.iter().all(is_on) {
            continue;
        }
        let enabled = text::write(&file, &enable.join(" "));
        // Without a limit that needs one, a container does well without controllers.
        if wanted.iter().any(|name| usable.contains(name)) {
            enabled.map_err(kernel(|| format!("turn on controllers in `{}`", file.display())))?;
        }
    }
    make(path)
}

/// Makes a directory of version 1 with its parents. In those of `cpuset` nobody may be before they
/// have processors and memory.
fn make_old(host: &Hierarchy, path: &Path) -> Result<(), StartError> {
    let mut all = parents(&host.path, path);
    all.push(path.to_owned());
    for pair in all.windows(2) {
        let [parent, child] = pair else { continue };
        make(child)?;
        if !host.controllers.iter().any(|name| name == "cpuset") {
            continue;
        }
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let (from, to) = (parent.join(file), child.join(file));
            if text::read(&to).is_ok_and(|text| text.trim().is_empty()) {
                let given = text::read(&from).and_then(|text| text::write(&to, text.trim()));
                given.map_err(kernel(|| format!("write to `{}`", to.display())))?;
            }
        }
    }
    Ok(())
}

/// The directories from the root to the parent of a path.
fn parents(root: &Path, path: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> =
        path.ancestors().skip(1).take_while(|at| *at != root).map(Path::to_owned).collect();
    all.push(root.to_owned());
    all.reverse();
    all
}

fn make(path: &Path) -> Result<(), StartError> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(kernel(|| format!("make the cgroup `{}`", path.display()))(error))
        }
        _ => Ok(()),
    }
}

fn apply(path: &Path, setting: &Setting) -> Result<(), StartError> {
    let found = setting.file.iter().map(|name| path.join(name)).find(|path| path.exists());
    match (found, setting.need) {
        (Some(file), _) => {
            let failed = || format!("write `{}` to `{}`", setting.value, file.display());
            text::write(&file, &setting.value).map_err(kernel(failed))
        }
        (None, Need::May) => Ok(()),
        (None, Need::Must) => Err(StartError::Invalid(format!(
            "this kernel has no `{}`: it cannot limit a container so",
            setting.file[0]
        ))),
    }
}

/// The numbers of the block devices that limits name.
fn block(config: &Config) -> Result<Block, StartError> {
    let limits = &config.limits;
    let numbered = |path: &Path, value: u64| {
        let found = fs::metadata(path);
        let found = found.map_err(kernel(|| format!("find the device `{}`", path.display())))?;
        if !found.file_type().is_block_device() {
            let text = format!("`{}` is no block device", path.display());
            return Err(StartError::Invalid(text));
        }
        let (major, minor) = (libc::major(found.rdev()), libc::minor(found.rdev()));
        Ok(Numbered { device: format!("{major}:{minor}"), value })
    };
    let rates = |rates: &[BlockRate]| -> Result<Vec<_>, StartError> {
        rates.iter().map(|rate| numbered(&rate.device, rate.rate)).collect()
    };
    let weights = limits.io_weight_device.iter();
    Ok(Block {
        weight: weights
            .map(|weight| numbered(&weight.device, u64::from(weight.weight)))
            .collect::<Result<_, _>>()?,
        read_bps: rates(&limits.read_bps)?,
        write_bps: rates(&limits.write_bps)?,
        read_iops: rates(&limits.read_iops)?,
        write_iops: rates(&limits.write_iops)?,
    })
}
