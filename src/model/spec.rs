//! What a runtime is asked to make.
//!
//! In: the project, with names, numbers and references settled by `plan`. Out: read by runtimes.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Dict, Mount, Network, Service, ServiceNetwork, Volume};

/// A container to make.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContainerSpec {
    /// Its name, which may be a temporary one.
    pub name: String,
    /// Name of its service.
    pub service_name: String,
    /// Its service: every attribute that no other field here settles. Other services are named
    /// as containers: `network_mode: container:shop-db-1`.
    pub service: Arc<Service>,
    /// The reference of its image.
    pub image: String,
    /// All labels but the config hash, which covers ids that only the runtime knows.
    pub labels: Dict,
    /// What is mounted: volumes by their names in the runtime, secrets and configs that are
    /// files, and volumes taken over from the container that this one replaces.
    pub mounts: Vec<Mount>,
    /// Networks to join, the primary one first.
    pub endpoints: Vec<Endpoint>,
    /// Containers of the project whose namespaces or volumes it shares: the config hash has their
    /// ids in place of their names.
    pub shares_with: Vec<String>,
    /// Links: `CONTAINER:ALIAS`.
    pub links: Vec<String>,
    /// What only the containers of `run` have.
    pub one_off: Option<OneOff>,
}

/// What is special about a container of `run`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OneOff {
    /// Whether the runtime removes it when it ends: `--rm`.
    pub auto_remove: bool,
    /// Whether standard input is attached, and closed for good by its first user.
    pub interactive: bool,
}

/// A container's place in a network.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Endpoint {
    /// Name of the network in the runtime.
    pub network: String,
    /// How the service joins it; the aliases are complete.
    pub options: ServiceNetwork,
}

/// A network to make.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetworkSpec {
    /// Its settings; the name is the one in the runtime.
    pub network: Network,
    /// All its labels.
    pub labels: Dict,
}

/// A volume to make.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VolumeSpec {
    /// Its settings; the name is the one in the runtime.
    pub volume: Volume,
    /// All its labels.
    pub labels: Dict,
}

/// A file to put into a container before it starts: a secret or config that is not a file of the
/// host.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct InjectedFile {
    /// Absolute path in the container.
    pub path: String,
    /// What stands in it. May be secret: never shown.
    pub content: String,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Permission bits.
    pub mode: u32,
}

impl fmt::Debug for InjectedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InjectedFile")
            .field("path", &self.path)
            .field("bytes", &self.content.len())
            .finish_non_exhaustive()
    }
}

/// An image to pull.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PullSpec {
    /// Its reference as it stands in the file.
    pub image: String,
    /// `OS/ARCH[/VARIANT]`; empty: the runtime's own.
    pub platform: String,
}

/// An image to build.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BuildSpec {
    /// Name of the service that it is for; the first one if it is for several.
    pub service_name: String,
    /// How to build it.
    pub build: super::Build,
    /// All names that the image gets, its own first.
    pub tags: Vec<String>,
    /// Labels of the image besides those of `build.labels`.
    pub labels: Dict,
    /// Platform to build for; empty: the runtime's own.
    pub platform: String,
    /// Values of the build's secrets, by id: a file of the host or the content itself.
    pub secrets: Vec<BuildSecret>,
    /// The images behind `additional_contexts: NAME: service:OTHER`, by that service.
    pub bases: Dict,
    /// Flags of `build` that are no attributes.
    pub options: BuildOptions,
    /// The directory of the project, where paths begin that are no attributes of their own.
    pub directory: PathBuf,
}

/// A secret that build steps may read.
#[derive(Clone, PartialEq, Eq)]
pub struct BuildSecret {
    /// Name under which the Dockerfile asks for it.
    pub id: String,
    /// Path of the file with the secret; empty if `content` has it.
    pub file: String,
    /// The secret itself. Never shown.
    pub content: String,
}

impl fmt::Debug for BuildSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BuildSecret").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Flags of `build`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "one independent switch for each flag")]
pub struct BuildOptions {
    /// `--no-cache`.
    pub no_cache: bool,
    /// `--pull`: look for newer base images.
    pub pull: bool,
    /// `--push`: push the result.
    pub push: bool,
    /// `--memory` in bytes; 0: no limit.
    pub memory: i64,
    /// `--builder`.
    pub builder: Option<String>,
    /// `--provenance`.
    pub provenance: Option<String>,
    /// `--sbom`.
    pub sbom: Option<String>,
    /// `--check`: only look for mistakes.
    pub check: bool,
    /// The arguments that `--build-arg` gives: their values are not those of the file.
    pub given: Vec<String>,
}

/// A call of an external program: of the one that runs a service, or of the one that runs AI
/// models.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProviderCall {
    /// What it is about.
    pub subject: Provided,
    /// What shall become of it.
    pub action: ProviderAction,
    /// Path of the program.
    pub program: PathBuf,
    /// The words after its name.
    pub arguments: Vec<String>,
    /// Its environment: the variables that the files of the project see. Never shown.
    pub environment: Dict,
    /// The service as JSON, for a program that asks for it. Never shown.
    pub service: String,
}

impl fmt::Debug for ProviderCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderCall")
            .field("subject", &self.subject)
            .field("action", &self.action)
            .field("program", &self.program)
            .finish_non_exhaustive()
    }
}

/// What an external program runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provided {
    /// A service.
    Service(String),
    /// An AI model.
    Model(String),
}

impl Default for Provided {
    fn default() -> Self {
        Self::Service(String::new())
    }
}

/// What shall become of what an external program runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProviderAction {
    /// It shall be there.
    #[default]
    Up,
    /// It shall be gone.
    Down,
    /// It shall rest.
    Stop,
    /// A model shall be fetched.
    Pull,
    /// A model shall get its settings.
    Configure,
}

/// Variables that a provider has for the services that depend on its own. May be secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Handed {
    /// Those that get the name of the service in front.
    pub prefixed: Dict,
    /// Those whose names stay as they are.
    pub plain: Dict,
}

impl fmt::Debug for Handed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.prefixed.keys().chain(self.plain.keys()).collect();
        f.debug_tuple("Handed").field(&names).finish()
    }
}
