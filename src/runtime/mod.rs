//! The only way to containers.
//!
//! [`Runtime`] speaks of containers, networks, volumes and images, never of plans. In: specs and
//! names. Out: what was found, and streams of bytes. Every method may be called again after a
//! crash: removing what is gone and stopping what has stopped succeed.
//!
//! # Not here
//!
//! What to do (`plan`), in which order (`scheduler`), and saying that it was done (`ui`).

mod credentials;
pub mod docker;
mod error;
pub mod fake;
mod judge;
mod mirror;
pub mod native;
pub(crate) mod pieces;
mod provider;
mod session;
mod signal;
mod snapshot;

use std::path::PathBuf;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

pub use crate::model::Output;
pub use crate::model::observed::Sample;
use crate::model::observed::{
    ChangedInput, Milestone, Observed, ObservedContainer, ObservedImage, ObservedNetwork,
    ObservedVolume, State,
};
use crate::model::spec::{
    BuildSpec, ContainerSpec, Handed, InjectedFile, NetworkSpec, ProviderCall, PullSpec, VolumeSpec,
};
use crate::model::transfer::{Difference, Transfer, Transferred, Trust};
use crate::model::{Feature, Hook, ServiceNetwork};

pub use crate::model::snapshot::Snapshot;
pub use credentials::Credentials;
pub use error::RuntimeError;
pub use session::{
    AttachOptions, Bytes, Chunk, ExecSpec, LogOptions, PathInfo, ProcessTable, Progress,
    RuntimeEvent, RuntimeVersion, Session, Size, Terminal,
};
pub use snapshot::{Cancel, Existing, Moment, Restored, Save, Saved, Snapshots, Work};

/// What every method returns.
pub type Result<T> = std::result::Result<T, RuntimeError>;

/// Something that arrives bit by bit.
pub type Stream<'a, T> = BoxStream<'a, Result<T>>;

/// Takes progress while an image is pulled, pushed or built.
pub type OnProgress<'a> = &'a (dyn Fn(Progress) + Send + Sync);

/// What a container runtime must be able to do.
///
/// Containers, networks and volumes are named by name or id.
#[async_trait]
pub trait Runtime: Send + Sync {
    /// Why a feature is not there; `None` if it is.
    fn lacks(&self, feature: Feature) -> Option<String>;

    /// The machine at whose addresses ports are published; `None`: this one.
    fn published_on(&self) -> Option<String> {
        None
    }

    /// The snapshots that this runtime can make; `None` if it lacks [`Feature::Snapshots`].
    fn snapshots(&self) -> Option<&dyn Snapshots> {
        None
    }

    /// What this runtime is.
    async fn version(&self) -> Result<RuntimeVersion>;

    /// Everything that carries this project's label, or any project's if none is given. Images
    /// are not asked for.
    async fn observe(&self, project: Option<&str>) -> Result<Observed>;

    /// The containers alone of what [`Runtime::observe`] finds.
    async fn containers(&self, project: Option<&str>) -> Result<Vec<ObservedContainer>> {
        Ok(self.observe(project).await?.containers)
    }

    /// All that this runtime knows of a container, in its own form.
    async fn inspect(&self, container: &str) -> Result<serde_json::Value> {
        Err(RuntimeError::Unsupported(format!("nothing more is known of container {container}")))
    }

    /// What one container does at this moment; `None` if it is gone. Unlike what
    /// [`Runtime::observe`] says, this is never behind an event that was told.
    async fn state(&self, container: &str) -> Result<Option<State>>;

    /// The network of this very name, whoever made it.
    async fn find_network(&self, name: &str) -> Result<Option<ObservedNetwork>>;

    /// The volume of this name, whoever made it.
    async fn find_volume(&self, name: &str) -> Result<Option<ObservedVolume>>;

    /// The image that a reference names here, if it is there.
    async fn find_image(&self, reference: &str) -> Result<Option<ObservedImage>>;

    /// Creates a network. One of that name that exists already will do.
    async fn create_network(&self, network: &NetworkSpec) -> Result<()>;

    /// Removes a network.
    async fn remove_network(&self, network: &str) -> Result<()>;

    /// Attaches a container to a network. One that is attached already stays so.
    async fn connect(&self, network: &str, container: &str, options: &ServiceNetwork)
    -> Result<()>;

    /// Detaches a container from a network, whether it is attached or not.
    async fn disconnect(&self, network: &str, container: &str) -> Result<()>;

    /// Creates a volume. One of that name that exists already will do.
    async fn create_volume(&self, volume: &VolumeSpec) -> Result<()>;

    /// Removes a volume and all its data.
    async fn remove_volume(&self, volume: &str) -> Result<()>;

    /// Creates a container and returns what the runtime has to remark.
    async fn create_container(&self, container: &ContainerSpec) -> Result<Vec<String>>;

    /// Puts files into a container and starts it. One that runs already stays so.
    async fn start_container(&self, container: &str, files: &[InjectedFile]) -> Result<()>;

    /// Asks a container to stop and kills it when the time is up: `seconds`, else its own.
    async fn stop_container(&self, container: &str, seconds: Option<i32>) -> Result<()>;

    /// Stops a container and starts it again.
    async fn restart_container(&self, container: &str, seconds: Option<i32>) -> Result<()>;

    /// Sends a signal to a container; one that does not run, or is gone, needs none.
    async fn kill_container(&self, container: &str, signal: &str) -> Result<()>;

    /// Freezes a container.
    async fn pause_container(&self, container: &str) -> Result<()>;

    /// Lets a frozen container go on.
    async fn unpause_container(&self, container: &str) -> Result<()>;

    /// Removes a container, even one that runs; with `volumes` its anonymous volumes too.
    async fn remove_container(&self, container: &str, volumes: Volumes) -> Result<()>;

    /// Gives a container another name.
    async fn rename_container(&self, container: &str, name: &str) -> Result<()>;

    /// Waits until a container reaches a milestone, or no longer can.
    async fn wait(&self, container: &str, milestone: Milestone) -> Result<()>;

    /// Waits until a container does not run, and returns its exit code.
    async fn wait_ended(&self, container: &str) -> Result<i64>;

    /// Runs a hook in a container to its end; gives its output and exit code.
    async fn run_hook(&self, container: &str, hook: &Hook) -> Result<(i64, String)>;

    /// What a container has written, and with `follow` what it goes on to write.
    fn logs(&self, container: &str, options: &LogOptions) -> Stream<'static, Chunk>;

    /// Attaches to a container's standard streams; what is written from now on will not be lost.
    async fn attach(&self, container: &str, options: &AttachOptions) -> Result<Session>;

    /// Runs a command in a container; without `detach` with its streams attached.
    async fn exec(&self, container: &str, command: &ExecSpec) -> Result<(String, Option<Session>)>;

    /// Exit code of a command that [`Runtime::exec`] ran; `None` while it runs.
    async fn exec_exit_code(&self, exec: &str) -> Result<Option<i64>>;

    /// Tells a terminal its size.
    async fn resize(&self, terminal: &Terminal, size: Size) -> Result<()>;

    /// What happens to the containers of a project, from `since` (seconds since 1970, or now).
    fn events(&self, project: &str, options: &LogOptions) -> Stream<'static, RuntimeEvent>;

    /// The processes of a container.
    async fn top(&self, container: &str) -> Result<ProcessTable>;

    /// What a container uses; once, or again and again.
    fn stats(&self, container: &str, repeat: Repeat) -> Stream<'static, Sample>;

    /// What lies at a path in a container.
    async fn stat_path(&self, container: &str, path: &str) -> Result<Option<PathInfo>>;

    /// A path of a container as a tar archive.
    fn copy_out(&self, container: &str, path: &str) -> Stream<'static, Bytes>;

    /// Unpacks a tar archive below a directory of a container. `archive`: keep owners.
    async fn copy_in(
        &self,
        container: &str,
        directory: &str,
        tar: BoxStream<'static, Bytes>,
    ) -> Result<()>;

    /// Makes files of a container like those of the host, each in one step where that can be had.
    async fn mirror(&self, container: &str, transfers: Vec<Transfer>) -> Result<Transferred> {
        mirror::archive::apply(self, container, &transfers).await
    }

    /// What [`Runtime::mirror`] would have to do, and why.
    async fn differences(
        &self,
        container: &str,
        transfers: Vec<Transfer>,
        trust: Trust,
    ) -> Result<Vec<(Transfer, Difference)>> {
        mirror::archive::compare(self, container, &transfers, trust).await
    }

    /// The whole file system of a container as a tar archive.
    fn export(&self, container: &str) -> Stream<'static, Bytes>;

    /// Makes an image of a container; returns its id.
    async fn commit(&self, container: &str, commit: &Commit) -> Result<String>;

    /// Pulls an image.
    async fn pull(&self, image: &PullSpec, progress: OnProgress<'_>) -> Result<()>;

    /// Pushes an image.
    async fn push(&self, image: &str, progress: OnProgress<'_>) -> Result<()>;

    /// Builds an image.
    async fn build(&self, build: &BuildSpec, progress: OnProgress<'_>) -> Result<()>;

    /// What the image of a build was made of and is not the same any more, the first of it that
    /// is found; `None`: all is the same, or nobody can tell.
    async fn changed_input(&self, _build: &BuildSpec) -> Result<Option<ChangedInput>> {
        Ok(None)
    }

    /// A program that extends this runtime, by name, such as `docker-model`; `None`: there is none.
    fn plugin(&self, name: &str) -> Option<PathBuf>;

    /// Lets an external program work; gives the variables that it has for others.
    async fn run_provider(&self, call: &ProviderCall, progress: OnProgress<'_>) -> Result<Handed>;

    /// Asks an external program something; gives what it prints.
    async fn ask_provider(&self, call: &ProviderCall) -> Result<String>;

    /// The references of the images that carry this project's label.
    async fn project_images(&self, project: &str) -> Result<Vec<String>>;

    /// The credentials for registries that are known here, as a `config.json`: for containers
    /// that get the socket of the engine.
    async fn registry_credentials(&self) -> Result<String>;

    /// The digest that a reference has in its registry at this moment.
    async fn image_digest(&self, reference: &str) -> Result<String>;

    /// Removes a name of an image, and the image with its last one.
    async fn remove_image(&self, reference: &str) -> Result<()>;
}

/// What becomes of a container's anonymous volumes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Volumes {
    /// They stay.
    #[default]
    Keep,
    /// They are removed with it.
    Remove,
}

/// How often something is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Once.
    Once,
    /// Until nobody listens.
    Forever,
}

/// How to make an image of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// `REPOSITORY[:TAG]`; empty: the image gets no name.
    pub reference: String,
    /// Who made it.
    pub author: String,
    /// What it is.
    pub message: String,
    /// Dockerfile instructions to apply.
    pub changes: Vec<String>,
    /// Whether the container is frozen meanwhile.
    pub pause: bool,
}
