//! What is mounted: the volumes of a service, of its image, and of other containers, memory, and
//! the files of its network.

use std::path::Path;

use super::process::directory;
use super::{Surroundings, refused};
use crate::model::spec::ContainerSpec;
use crate::model::{self, BindOptions};
use crate::runtime::native::container::config::{
    Access, Changes, Mount, Namespace, Namespaces, Overlay, Propagation, Source,
};
use crate::runtime::native::container::tree;
use crate::runtime::{Result, RuntimeError};

/// What file systems in memory forbid unless asked for.
const TMPFS_FLAGS: &[&str] = &["noexec", "nosuid", "nodev"];
/// Files that say who else is in the network.
const NETWORK_FILES: &[(&str, &str)] =
    &[("resolv.conf", "/etc/resolv.conf"), ("hostname", "/etc/hostname"), ("hosts", "/etc/hosts")];

/// What mounts are made from.
pub(super) struct Wanted<'a> {
    /// The spec.
    pub(super) spec: &'a ContainerSpec,
    /// Where changes to mounted images go.
    pub(super) directory: &'a Path,
    /// Volumes and images.
    pub(super) surroundings: &'a mut dyn Surroundings,
}

impl Wanted<'_> {
    /// All that is mounted. What is named first at a place wins.
    pub(super) fn mounts(
        &mut self,
        of_image: &[String],
        namespaces: &Namespaces,
    ) -> Result<Vec<Mount>> {
        let mut all = Vec::new();
        for mount in &self.spec.mounts {
            add(&mut all, self.mount(mount)?);
        }
        for entry in &self.spec.service.tmpfs {
            add(&mut all, tmpfs(entry));
        }
        for entry in &self.spec.service.volumes_from {
            self.take_over(entry, &mut all)?;
        }
        for target in of_image {
            let target = directory(target);
            if !all.iter().any(|mount| mount.target == target) {
                let mount =
                    model::Mount { target, kind: "volume".to_owned(), ..Default::default() };
                let mount = self.mount(&mount)?;
                add(&mut all, mount);
            }
        }
        self.network_files(namespaces, &mut all)?;
        Ok(all)
    }

    fn network_files(&mut self, namespaces: &Namespaces, all: &mut Vec<Mount>) -> Result<()> {
        let of = match &namespaces.network {
            Namespace::Of(other) => Some(other.as_str()),
            Namespace::Own | Namespace::Host => None,
        };
        let files = self.surroundings.network_files(of)?;
        for (name, target) in NETWORK_FILES {
            let path = files.join(name);
            let source = Source::Bind { path, create: false, recursive: false };
            add(all, plain(source, (*target).to_owned()));
        }
        Ok(())
    }

    /// What another container has mounted: `[container:]NAME[:ro]`.
    fn take_over(&mut self, entry: &str, all: &mut Vec<Mount>) -> Result<()> {
        let name = entry.strip_prefix("container:").unwrap_or(entry);
        let (name, mode) = name.split_once(':').unwrap_or((name, ""));
        if !["", "ro", "rw", "z", "Z"].contains(&mode) {
            return Err(refused(format!("invalid mode for `volumes_from`: `{mode}`")));
        }
        for mut mount in self.surroundings.mounts_of(name)? {
            let is_network = NETWORK_FILES.iter().any(|(_, target)| *target == mount.target);
            if is_network || !matches!(mount.source, Source::Bind { .. } | Source::Volume { .. }) {
                continue;
            }
            if mode == "ro" {
                mount.access = Access::Read;
            }
            add(all, mount);
        }
        Ok(())
    }

    fn mount(&mut self, mount: &model::Mount) -> Result<Mount> {
        let target = directory(&mount.target);
        if !mount.target.starts_with('/') || target == "/" {
            let text =
                format!("invalid mount path: `{}` must be absolute and not `/`", mount.target);
            return Err(refused(text));
        }
        match mount.kind.as_str() {
            "bind" => bind(mount, target),
            "volume" => self.volume(mount, target),
            "tmpfs" => memory(mount, target),
            "image" => self.image(mount, target),
            other => Err(refused(format!("the native runtime has no mounts of type `{other}`"))),
        }
    }

    fn volume(&mut self, mount: &model::Mount, target: String) -> Result<Mount> {
        let (name, path) = self.surroundings.volume(&mount.source, mount)?;
        let options = mount.volume.clone().unwrap_or_default();
        let copy_up = !options.nocopy;
        let source = Source::Volume { name, path, subpath: options.subpath, copy_up };
        Ok(Mount { access: access(mount), ..plain(source, target) })
    }

    fn image(&mut self, mount: &model::Mount, target: String) -> Result<Mount> {
        let lower = self.surroundings.image(&mount.source)?;
        let changes = if mount.read_only { None } else { Some(self.changes(&target)?) };
        let subpath = mount.image.as_ref().map(|image| image.subpath.clone()).unwrap_or_default();
        let files = Overlay { lower, changes };
        let source = Source::Image { name: mount.source.clone(), files, subpath };
        Ok(Mount { access: access(mount), ..plain(source, target) })
    }

    /// Where the changes to a mounted image go: they belong to the container.
    fn changes(&self, target: &str) -> Result<Changes> {
        let base = self.directory.join(target.replace('/', "@"));
        let changes = Changes { upper: base.join("upper"), work: base.join("work") };
        for path in [&changes.upper, &changes.work] {
            std::fs::create_dir_all(path).map_err(|source| RuntimeError::Io {
                action: format!("make `{}`", path.display()),
                source,
            })?;
        }
        Ok(changes)
    }
}

fn plain(source: Source, target: String) -> Mount {
    Mount { source, target, access: Access::Write, propagation: Propagation::Rprivate }
}

/// Adds a mount unless something is mounted there already.
fn add(all: &mut Vec<Mount>, mount: Mount) {
    if !all.iter().any(|other| other.target == mount.target) {
        all.push(mount);
    }
}

fn access(mount: &model::Mount) -> Access {
    if mount.read_only { Access::Read } else { Access::Write }
}

fn bind(mount: &model::Mount, target: String) -> Result<Mount> {
    if mount.source.is_empty() {
        let text = "invalid mount config for type \"bind\": field Source must not be empty";
        return Err(refused(text));
    }
    let usual = BindOptions { create_host_path: true, ..BindOptions::default() };
    let options = mount.bind.as_ref().unwrap_or(&usual);
    if !options.selinux.is_empty() && super::support::has_selinux() {
        let text = format!("`{}`: files are not labelled for SELinux yet", options.selinux);
        return Err(refused(text));
    }
    let propagation = propagation(&options.propagation)?;
    let access = match (options.recursive.as_str(), mount.read_only) {
        (_, false) => Access::Write,
        ("writable", true) => Access::ReadTop,
        ("readonly", true) => Access::ReadAll,
        (_, true) => Access::Read,
    };
    if options.recursive == "readonly" && !mount.read_only {
        return Err(refused("`recursive: readonly` needs `read_only: true`"));
    }
    if options.recursive == "readonly" && propagation != Propagation::Rprivate {
        return Err(refused("`recursive: readonly` needs `propagation: rprivate`"));
    }
    let path = Path::new(&mount.source).to_owned();
    if !path.is_absolute() {
        let text = format!("bind source path `{}` must be absolute", path.display());
        return Err(refused(text));
    }
    let recursive = options.recursive != "disabled";
    let source = Source::Bind { path, create: options.create_host_path, recursive };
    Ok(Mount { source, target, access, propagation })
}

fn propagation(word: &str) -> Result<Propagation> {
    Ok(match word {
        "" | "rprivate" => Propagation::Rprivate,
        "private" => Propagation::Private,
        "rshared" => Propagation::Rshared,
        "shared" => Propagation::Shared,
        "rslave" => Propagation::Rslave,
        "slave" => Propagation::Slave,
        other => return Err(refused(format!("invalid propagation mode: `{other}`"))),
    })
}

/// A mount of type `tmpfs`.
fn memory(mount: &model::Mount, target: String) -> Result<Mount> {
    let given = mount.tmpfs.clone().unwrap_or_default();
    let mut options = Vec::new();
    if given.size.0 < 0 {
        return Err(refused("the size of a tmpfs can not be less than 0"));
    }
    if given.size.0 > 0 {
        options.push(format!("size={}", given.size.0));
    }
    if given.mode != 0 {
        options.push(format!("mode={:o}", given.mode));
    }
    let mut flags: Vec<String> = TMPFS_FLAGS.iter().map(ToString::to_string).collect();
    flags.extend(mount.read_only.then(|| "ro".to_owned()));
    Ok(plain(Source::Tmpfs { options, flags }, target))
}

/// `PATH[:OPTIONS]`.
fn tmpfs(entry: &str) -> Mount {
    let (path, words) = entry.split_once(':').unwrap_or((entry, ""));
    let words = words.split(',').filter(|word| !word.is_empty()).map(str::to_owned);
    let (named, options): (Vec<_>, Vec<_>) = words.partition(|word| tree::is_flag(word));
    let flags = TMPFS_FLAGS.iter().map(ToString::to_string).chain(named).collect();
    plain(Source::Tmpfs { options, flags }, directory(path))
}
