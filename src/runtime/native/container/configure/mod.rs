//! The attributes of a service and the settings of its image to a config.
//!
//! In: a spec, an image, and [`Surroundings`] for volumes and files. Out: a [`Config`] that says
//! the same as Docker does for these attributes.

use std::path::PathBuf;

use super::config::{Config, Overlay};
use crate::model::Mount;
use crate::model::spec::ContainerSpec;
use crate::runtime::Result;

/// What an image says about its containers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageSettings {
    /// The program.
    pub entrypoint: Vec<String>,
    /// Its arguments, or the program if there is no entrypoint.
    pub command: Vec<String>,
    /// Variables as `NAME=VALUE`.
    pub environment: Vec<String>,
    /// The user.
    pub user: String,
    /// The working directory.
    pub working_dir: String,
    /// Paths that volumes are mounted at.
    pub volumes: Vec<String>,
    /// The signal that stops it.
    pub stop_signal: String,
}

/// What a config needs to know of the rest of the world.
pub trait Surroundings {
    /// The directory of a volume's data; the volume is made if it is missing. `name` empty: a new
    /// anonymous one. Gives its name too.
    fn volume(&mut self, name: &str, mount: &Mount) -> Result<(String, PathBuf)>;

    /// The unpacked layers of an image that is mounted, the lowest first.
    fn image(&mut self, reference: &str) -> Result<Vec<PathBuf>>;

    /// What another container has mounted.
    fn mounts_of(&mut self, container: &str) -> Result<Vec<super::Mount>>;

    /// The directory of the files `hosts`, `resolv.conf` and `hostname` of a container: its own,
    /// or (`network_mode: container:…`) that of another.
    fn network_files(&mut self, of: Option<&str>) -> Result<PathBuf>;
}

/// What a config is made from besides the spec.
#[derive(Clone, Debug, Default)]
pub struct Configured {
    /// The id of the container.
    pub id: String,
    /// What its image says.
    pub image: ImageSettings,
    /// Its root: layers and where changes go.
    pub root: Overlay,
    /// A directory for what single mounts need.
    pub directory: PathBuf,
}

/// Makes the config of a container.
///
/// # Errors
///
/// If an attribute makes no sense, or asks for what this runtime or this host cannot do.
pub fn configure(
    spec: &ContainerSpec,
    given: Configured,
    surroundings: &mut dyn Surroundings,
) -> Result<Config> {
    use super::config::*;
    let service = &spec.service;
    let mut args = service.entrypoint.clone().unwrap_or_else(|| given.image.entrypoint.clone());
    let usual = if service.entrypoint.is_some() { Vec::new() } else { given.image.command.clone() };
    args.extend(service.command.clone().unwrap_or(usual));
    let mut environment = given.image.environment.clone();
    environment.push("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
    environment.extend(service.environment.iter().filter_map(|(k, v)| Some(format!("{k}={}", v.as_ref()?))));
    let mut mounts = Vec::new();
    for mount in &spec.mounts {
        let source = match mount.kind.as_str() {
            "volume" => {
                let (name, path) = surroundings.volume(&mount.source, mount)?;
                Source::Volume { name, path, subpath: String::new(), copy_up: true }
            }
            "bind" => Source::Bind { path: mount.source.clone().into(), create: true, recursive: true },
            _ => Source::Tmpfs { options: vec![], flags: vec![] },
        };
        mounts.push(Mount { source, target: mount.target.clone(), access: Access::Write, propagation: Propagation::default() });
    }
    let files = surroundings.network_files(None)?;
    for (name, target) in [("hosts", "/etc/hosts"), ("resolv.conf", "/etc/resolv.conf"), ("hostname", "/etc/hostname")] {
        mounts.push(Mount { source: Source::Bind { path: files.join(name), create: false, recursive: false }, target: target.to_owned(), access: Access::Write, propagation: Propagation::default() });
    }
    Ok(Config {
        hostname: given.id[..12].to_owned(),
        id: given.id,
        root: given.root,
        process: Process { args, environment, working_dir: "/".to_owned(), terminal: service.tty, user: service.user.clone(), capabilities: CapabilitySet(0xa804_25fb), ..Process::default() },
        mounts,
        stop_signal: if service.stop_signal.is_empty() { "SIGTERM".to_owned() } else { service.stop_signal.clone() },
        shm_size: 64 << 20,
        cgroup_parent: "ketch".to_owned(),
        ..Config::default()
    })
}
