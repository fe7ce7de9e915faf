//! Finding the engine, as the `docker` program does.

use std::path::PathBuf;

use indexmap::IndexMap;

use super::Docker;
use crate::runtime::{Feature, Result, RuntimeVersion};

/// What the environment and the command line say about the engine.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The environment of the process.
    pub environment: IndexMap<String, String>,
    /// `--host`.
    pub host: Option<String>,
    /// `--context`.
    pub context: Option<String>,
    /// How many requests that make or start containers may run at once; 0: a good number.
    pub parallel: usize,
    /// Whether health checks are run by Ketch too until they first succeed.
    pub eager_probes: bool,
}

/// Where an engine answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A socket of this machine.
    Unix(PathBuf),
    /// Another machine, as it was written.
    Remote(String),
}

impl Docker {
    /// Finds the engine.
    pub async fn connect(_settings: Settings) -> Result<Self> {
        todo!()
    }

    pub(super) fn feature_missing(&self, _feature: Feature) -> Option<String> {
        todo!()
    }

    pub(super) async fn engine_version(&self) -> Result<RuntimeVersion> {
        todo!()
    }
}
