//! Plain data that every module may use: names, the project, and how it is written out.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// A loaded project.
#[derive(Clone, Debug, Default)]
pub struct Project {
    /// Project name.
    pub name: String,
    /// Project directory.
    pub working_dir: PathBuf,
    /// The project's files, absolute.
    pub compose_files: Vec<PathBuf>,
    /// Active profiles.
    pub profiles: Vec<String>,
    /// Enabled services.
    pub services: BTreeMap<String, Service>,
    /// Services that no active profile enables, or that are not selected.
    pub disabled_services: BTreeMap<String, Service>,
    /// Networks.
    pub networks: BTreeMap<String, ()>,
    /// Volumes.
    pub volumes: BTreeMap<String, ()>,
    /// Configs.
    pub configs: BTreeMap<String, ()>,
    /// Secrets.
    pub secrets: BTreeMap<String, ()>,
    /// Models.
    pub models: BTreeMap<String, ()>,
}

/// A service.
#[derive(Clone, Debug, Default)]
pub struct Service {
    /// Image.
    pub image: Option<String>,
    /// Profiles.
    pub profiles: Vec<String>,
}

/// Numbers as Go prints them.
pub mod number {
    /// As `%v` prints it.
    pub fn general(value: f64) -> String {
        value.to_string()
    }
}

/// Project to text.
pub mod render {
    use super::{Project, Service};
    /// `config --format yaml`.
    pub fn project_yaml(_project: &Project) -> String {
        String::new()
    }
    /// `config --format json`.
    pub fn project_json(_project: &Project) -> String {
        String::new()
    }
    /// Config hash of a service.
    pub fn service_hash(_service: &Service) -> String {
        String::new()
    }
    /// A raw value as YAML (`config --no-interpolate`).
    pub fn value_yaml(_value: &serde_yaml::Value) -> String {
        String::new()
    }
    /// A raw value as indented JSON.
    pub fn value_json(_value: &serde_yaml::Value) -> String {
        String::new()
    }
    /// JSON schema of the Compose file.
    pub fn schema() -> serde_json::Value {
        serde_json::Value::Null
    }
}
