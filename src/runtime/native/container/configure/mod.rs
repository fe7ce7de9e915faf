//! The attributes of a service and the settings of its image to a config.
//!
//! In: a spec, an image, and [`Surroundings`] for volumes and files. Out: a [`Config`] that says
//! the same as Docker does for these attributes.
//!
//! # Invariants
//!
//! - Every attribute of a service that is about the container itself is in the config, or an
//!   error, or in [`lacks`], which commands ask before anything runs.
//!
//! # Not here
//!
//! Networks, ports, logs, health checks and restarts (`net`, `shim`).

mod limits;
mod mounts;
mod process;
mod security;
mod sharing;
mod support;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use super::config::{Config, Overlay};
use crate::model::Mount;
use crate::model::spec::ContainerSpec;
use crate::runtime::{Result, RuntimeError};

pub use support::lacks;

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
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    fn volume(&mut self, name: &str, mount: &Mount) -> Result<(String, PathBuf)>;

    /// The unpacked layers of an image that is mounted, the lowest first.
    ///
    /// # Errors
    ///
    /// If there is no such image.
    fn image(&mut self, reference: &str) -> Result<Vec<PathBuf>>;

    /// What another container has mounted.
    ///
    /// # Errors
    ///
    /// If there is no such container.
    fn mounts_of(&mut self, container: &str) -> Result<Vec<super::Mount>>;

    /// The directory of the files `hosts`, `resolv.conf` and `hostname` of a container: its own,
    /// or (`network_mode: container:…`) that of another.
    ///
    /// # Errors
    ///
    /// If there is no such container.
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
    let service = &spec.service;
    let Configured { id, image, root, directory } = given;
    let namespaces = sharing::namespaces(service)?;
    let (hostname, domainname) = sharing::names(service, &id, &namespaces)?;
    let stop_signal = first(&service.stop_signal, &image.stop_signal, "SIGTERM");
    crate::runtime::native::signal::parse(&stop_signal)?;
    let named = process::Named { hostname: &hostname, image: &image };
    let mut wanted = mounts::Wanted { spec, directory: &directory, surroundings };
    Ok(Config {
        process: process::process(service, &named)?,
        mounts: wanted.mounts(&image.volumes, &namespaces)?,
        limits: limits::limits(service)?,
        devices: limits::devices(service)?,
        sysctls: sharing::sysctls(service, &namespaces)?,
        security: security::security(spec)?,
        read_only: service.read_only,
        cgroup_parent: service.cgroup_parent.clone(),
        shm_size: shm_size(service.shm_size.0)?,
        init: service.init == Some(true),
        stop_signal,
        id,
        root,
        hostname,
        domainname,
        namespaces,
    })
}

/// `/dev/shm` of a container that asks for no size.
const USUAL_SHM: u64 = 64 << 20;

fn shm_size(size: i64) -> Result<u64> {
    match u64::try_from(size) {
        Ok(0) => Ok(USUAL_SHM),
        Ok(size) => Ok(size),
        Err(_) => Err(refused("`shm_size` can not be less than 0")),
    }
}

/// The first that is not empty.
fn first(one: &str, other: &str, usual: &str) -> String {
    [one, other].into_iter().find(|text| !text.is_empty()).unwrap_or(usual).to_owned()
}

/// What makes no sense, or cannot be had here.
fn refused(text: impl Into<String>) -> RuntimeError {
    RuntimeError::Unsupported(text.into())
}
