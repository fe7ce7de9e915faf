//! Plain data that every module may use: the project as Compose means it, how it is written out,
//! the schema of what users write, what runtimes are asked to make ([`spec`]) and what they found
//! ([`observed`]).
//!
//! In: canonical values, through `Deserialize` (durations are nanoseconds, sizes are bytes, short
//! forms are long forms). Out: [`Project`] for everyone, text through [`render`], hashes through
//! [`hash`], the JSON schema through [`schema`].
//!
//! # Invariants
//!
//! - No IO, and no knowledge of files, engines or the command line.
//! - Fields stand in the order of Compose's own types, and a missing attribute is the default of
//!   its type: output and hashes depend on both.
//! - Attributes that start with `x-` arrive in one mapping under the key `#extensions`.
//!
//! Reading and checking files is not here: see [`crate::project`].

mod ai;
mod blkio;
mod build;
mod credential;
mod dependency;
mod deploy;
mod develop;
mod device;
pub mod duration;
mod env_file;
mod extends;
mod feature;
mod file;
pub mod form;
pub mod hash;
mod healthcheck;
mod hook;
mod host;
pub mod ignore;
mod include;
mod instance;
pub mod label;
mod logging;
mod mark;
mod mount;
mod network;
pub mod number;
pub mod observed;
mod output;
pub mod port;
mod project;
mod provider;
pub mod reach;
pub mod relations;
pub mod render;
mod scalar;
pub mod schema;
mod service;
pub mod size;
pub mod snapshot;
pub mod spec;
pub mod transfer;
mod ulimit;
mod volume;

use std::collections::BTreeMap;

pub use ai::{Model, ServiceModel};
pub use blkio::{BlkioConfig, ThrottleDevice, WeightDevice};
pub use build::{Build, SshKey};
pub use credential::CredentialSpec;
pub use dependency::Dependency;
pub use deploy::{
    Deploy, DiscreteResource, GenericResource, Limits, Placement, PlacementPreference,
    Reservations, Resources, RestartPolicy, UpdateConfig,
};
pub use develop::{Develop, Trigger};
pub use device::{DeviceMapping, DeviceRequest};
pub use duration::Duration;
pub use env_file::EnvFile;
pub use extends::Extends;
pub use feature::Feature;
pub use file::{FileObject, FileReference};
pub use healthcheck::Healthcheck;
pub use hook::Hook;
pub use include::Include;
pub use instance::Instance;
pub use logging::Logging;
pub use mount::{BindOptions, ImageOptions, Mount, TmpfsOptions, VolumeOptions};
pub use network::{Ipam, IpamPool, Network, ServiceNetwork};
pub use output::Output;
pub use port::Port;
pub use project::Project;
pub use provider::{Provider, ProviderCommand, ProviderMetadata, ProviderParameter};
pub use scalar::FileMode;
pub use service::Service;
pub use size::Bytes;
pub use ulimit::Ulimit;
pub use volume::Volume;

/// Text by name: labels, options and the like.
pub type Dict = BTreeMap<String, String>;

/// Variables; one without a value is unset.
pub type Environment = BTreeMap<String, Option<String>>;

/// The `x-` attributes of an object, as they stand in the file.
pub type Extensions = BTreeMap<String, serde_yaml::Value>;

/// The words of a command. `None`: the image's own; empty: the image's own is cleared.
pub type ShellCommand = Option<Vec<String>>;
