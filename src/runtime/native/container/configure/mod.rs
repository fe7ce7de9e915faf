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
    let _ = (spec, given, surroundings);
    todo!()
}
