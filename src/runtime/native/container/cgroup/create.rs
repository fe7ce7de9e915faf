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
        self.limit(&setting::old(&config.limits, &block), &new)?;
        self.restrict(devices)
    }

    /// Sets the limits: those of version 1 where the controller is there, else those of version 2.
    fn limit(&self, old: &[Setting], new: &[Setting]) -> Result<(), StartError> {
        for setting in old {
            if let Some(path) = self.at.old(setting.controller) {
                apply(path, setting)?;
            }
        }
        for setting in new.iter().filter(|new| self.at.old(new.old_controller()).is_none()) {
            let missing = || {
                let name = setting.controller;
                StartError::Invalid(format!("this host has no cgroup controller `{name}`"))
            };
            apply(self.at.unified.as_deref().ok_or_else(missing)?, setting)?;
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::super::limits::Limits;
    use super::{Block, Cgroup, Hierarchies, Hierarchy, Numbered, make_unified, setting};

    /// Directories with files as the kernel has them.
    fn tree(root: &Path, files: &[&str]) {
        for file in files {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
    }

    fn read(path: impl AsRef<Path>) -> String {
        std::io::read_to_string(fs::File::open(path).unwrap()).unwrap()
    }

    /// A limit for each controller.
    fn limits() -> (Limits, Block) {
        let limits = Limits {
            memory: Some(1 << 20),
            pids: Some(7),
            cpu_quota: Some(500),
            cpu_period: Some(1000),
            ..Limits::default()
        };
        let rate = Numbered { device: "8:0".to_owned(), value: 3 };
        (limits, Block { read_bps: vec![rate], ..Block::default() })
    }

    #[test]
    fn machines_with_version_2_alone_get_all_limits_there() {
        let folder = tempfile::tempdir().unwrap();
        let files = ["memory.max", "pids.max", "cpu.max", "io.max"];
        tree(folder.path(), &files);
        let at = Hierarchies { unified: Some(folder.path().into()), old: Vec::new() };
        let (limits, block) = limits();
        let (old, new) = (setting::old(&limits, &block), setting::new(&limits, &block));
        Cgroup { at }.limit(&old, &new).unwrap();
        let set = files.map(|file| read(folder.path().join(file)));
        assert_eq!(set, ["1048576", "7", "500 1000", "8:0 rbps=3"]);
    }

    #[test]
    fn where_both_versions_are_a_limit_is_set_in_the_one_that_has_its_controller() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        tree(
            folder.path(),
            &["blkio/blkio.throttle.read_bps_device", "v2/memory.max", "v2/pids.max", "v2/cpu.max"],
        );
        let blkio = Hierarchy { controllers: vec!["blkio".to_owned()], path: path("blkio") };
        let at = Hierarchies { unified: Some(path("v2")), old: vec![blkio] };
        let (limits, block) = limits();
        let (old, new) = (setting::old(&limits, &block), setting::new(&limits, &block));
        Cgroup { at }.limit(&old, &new).unwrap();
        assert_eq!(read(path("blkio/blkio.throttle.read_bps_device")), "8:0 3");
        assert_eq!(read(path("v2/memory.max")), "1048576");
    }

    #[test]
    fn controllers_are_turned_on_from_the_root_down() {
        let folder = tempfile::tempdir().unwrap();
        tree(folder.path(), &["cgroup.subtree_control", "ketch/cgroup.subtree_control"]);
        fs::write(folder.path().join("cgroup.controllers"), "cpuset cpu memory pids rdma").unwrap();
        let own = folder.path().join("ketch/id");
        make_unified(folder.path(), &own, &["memory"]).unwrap();
        for parent in ["", "ketch"] {
            let on = read(folder.path().join(parent).join("cgroup.subtree_control"));
            assert_eq!(on, "+cpu +cpuset +memory +pids", "{parent}");
        }
        assert!(own.is_dir());
    }
}
