//! The project: everything that the files of a folder describe together.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Extensions, FileObject, Instance, Model, Network, Service, Volume};

/// A loaded project.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(test, derive(serde::Deserialize), serde(default))]
pub struct Project {
    /// Project name; that of an instance ends with the instance.
    pub name: String,
    /// Which copy this is, if it is one.
    pub instance: Option<Instance>,
    /// Project directory.
    pub working_dir: PathBuf,
    /// The project's files, absolute.
    pub compose_files: Vec<PathBuf>,
    /// The `--env-file`s, absolute; empty if the default `.env` was taken.
    pub env_files: Vec<PathBuf>,
    /// Active profiles.
    pub profiles: Vec<String>,
    /// Enabled services. They are large: the mapping moves pointers.
    pub services: BTreeMap<String, Box<Service>>,
    /// Services that no active profile enables, or that are not selected.
    pub disabled_services: BTreeMap<String, Box<Service>>,
    /// Networks.
    pub networks: BTreeMap<String, Network>,
    /// Volumes.
    pub volumes: BTreeMap<String, Volume>,
    /// Configs.
    pub configs: BTreeMap<String, FileObject>,
    /// Secrets.
    pub secrets: BTreeMap<String, FileObject>,
    /// AI models.
    pub models: BTreeMap<String, Model>,
    /// Top-level attributes that start with `x-`.
    pub extensions: Extensions,
}
