//! A Docker-compatible engine through its API.
//!
//! In: specs and names. Out: requests, by way of bollard. [`Docker::connect`] finds the engine as
//! the `docker` program does. One file for each part of the API.

mod attach;
mod body;
mod build;
mod connect;
mod container;
mod credentials;
mod events;
mod exec;
mod failure;
mod files;
mod frames;
mod image;
mod lifecycle;
mod logs;
mod network;
mod observe;
mod stats;
#[cfg(test)]
mod trial;
mod volume;
mod wait;
mod wire;

use std::path::PathBuf;

use async_trait::async_trait;
use bollard::{ClientVersion, Docker as Client};
use futures_util::stream::BoxStream;
use tokio::sync::Semaphore;

use super::{
    AttachOptions, Bytes, Chunk, Commit, ExecSpec, Feature, LogOptions, OnProgress, PathInfo,
    ProcessTable, Repeat, Result, Runtime, RuntimeEvent, RuntimeVersion, Sample, Session, Size,
    Stream, Terminal, Volumes, provider,
};
use crate::model::observed::{
    Milestone, Observed, ObservedContainer, ObservedImage, ObservedNetwork, ObservedVolume, State,
};
use crate::model::spec::{
    BuildSpec, ContainerSpec, Handed, InjectedFile, NetworkSpec, ProviderCall, PullSpec, VolumeSpec,
};
use crate::model::transfer::{Difference, Transfer, Transferred, Trust};
use crate::model::{Hook, ServiceNetwork};

pub use connect::{Address, Settings, TlsSettings};

/// A connection to an engine.
#[derive(Debug)]
pub struct Docker {
    /// For requests that are answered at once.
    client: Client,
    /// For requests that take as long as they take.
    patient: Client,
    /// For answers that go on as long as what they watch.
    streaming: Client,
    /// For requests whose answers bollard would interpret.
    transport: connect::Transport,
    settings: Settings,
    address: Address,
    /// The version of the API that is spoken.
    api: ClientVersion,
    /// What containers are told about proxies.
    proxies: connect::Proxies,
    /// Taken by requests that make or start containers.
    slots: Semaphore,
    /// What happens to containers.
    hub: wait::Hub,
}

#[async_trait]
impl Runtime for Docker {
    fn lacks(&self, feature: Feature) -> Option<String> {
        self.feature_missing(feature)
    }

    fn published_on(&self) -> Option<String> {
        self.address.other_machine()
    }

    async fn version(&self) -> Result<RuntimeVersion> {
        self.engine_version().await
    }

    async fn observe(&self, project: Option<&str>) -> Result<Observed> {
        self.list_project(project).await
    }

    async fn containers(&self, project: Option<&str>) -> Result<Vec<ObservedContainer>> {
        self.containers_of(project).await
    }

    async fn inspect(&self, container: &str) -> Result<serde_json::Value> {
        self.all_about(container).await
    }

    async fn state(&self, container: &str) -> Result<Option<State>> {
        self.state_of(container).await
    }

    async fn find_network(&self, name: &str) -> Result<Option<ObservedNetwork>> {
        self.network_named(name).await
    }

    async fn find_volume(&self, name: &str) -> Result<Option<ObservedVolume>> {
        self.volume_named(name).await
    }

    async fn find_image(&self, reference: &str) -> Result<Option<ObservedImage>> {
        self.image_named(reference).await
    }

    async fn create_network(&self, network: &NetworkSpec) -> Result<()> {
        self.make_network(network).await
    }

    async fn remove_network(&self, network: &str) -> Result<()> {
        self.delete_network(network).await
    }

    async fn connect(
        &self,
        network: &str,
        container: &str,
        options: &ServiceNetwork,
    ) -> Result<()> {
        self.join_network(network, container, options).await
    }

    async fn disconnect(&self, network: &str, container: &str) -> Result<()> {
        self.leave_network(network, container).await
    }

    async fn create_volume(&self, volume: &VolumeSpec) -> Result<()> {
        self.make_volume(volume).await
    }

    async fn remove_volume(&self, volume: &str) -> Result<()> {
        self.delete_volume(volume).await
    }

    async fn create_container(&self, container: &ContainerSpec) -> Result<Vec<String>> {
        self.make_container(container).await
    }

    async fn start_container(&self, container: &str, files: &[InjectedFile]) -> Result<()> {
        self.start(container, files).await
    }

    async fn stop_container(&self, container: &str, seconds: Option<i32>) -> Result<()> {
        self.stop(container, seconds).await
    }

    async fn restart_container(&self, container: &str, seconds: Option<i32>) -> Result<()> {
        self.restart(container, seconds).await
    }

    async fn kill_container(&self, container: &str, signal: &str) -> Result<()> {
        self.signal(container, signal).await
    }

    async fn pause_container(&self, container: &str) -> Result<()> {
        self.pause(container).await
    }

    async fn unpause_container(&self, container: &str) -> Result<()> {
        self.unpause(container).await
    }

    async fn remove_container(&self, container: &str, volumes: Volumes) -> Result<()> {
        self.delete_container(container, volumes).await
    }

    async fn rename_container(&self, container: &str, name: &str) -> Result<()> {
        self.rename(container, name).await
    }

    async fn wait(&self, container: &str, milestone: Milestone) -> Result<()> {
        self.wait_for(container, milestone).await
    }

    async fn wait_ended(&self, container: &str) -> Result<i64> {
        self.wait_for_end(container).await
    }

    async fn run_hook(&self, container: &str, hook: &Hook) -> Result<(i64, String)> {
        self.hook(container, hook).await
    }

    fn logs(&self, container: &str, options: &LogOptions) -> Stream<'static, Chunk> {
        self.read_logs(container, options)
    }

    async fn attach(&self, container: &str, options: &AttachOptions) -> Result<Session> {
        self.attach_streams(container, options).await
    }

    async fn exec(&self, container: &str, command: &ExecSpec) -> Result<(String, Option<Session>)> {
        self.start_exec(container, command).await
    }

    async fn exec_exit_code(&self, exec: &str) -> Result<Option<i64>> {
        self.exec_code(exec).await
    }

    async fn resize(&self, terminal: &Terminal, size: Size) -> Result<()> {
        self.resize_terminal(terminal, size).await
    }

    fn events(&self, project: &str, options: &LogOptions) -> Stream<'static, RuntimeEvent> {
        self.read_events(project, options)
    }

    async fn top(&self, container: &str) -> Result<ProcessTable> {
        self.processes(container).await
    }

    fn stats(&self, container: &str, repeat: Repeat) -> Stream<'static, Sample> {
        self.samples(container, repeat)
    }

    async fn stat_path(&self, container: &str, path: &str) -> Result<Option<PathInfo>> {
        self.path_info(container, path).await
    }

    fn copy_out(&self, container: &str, path: &str) -> Stream<'static, Bytes> {
        self.download(container, path)
    }

    async fn copy_in(
        &self,
        container: &str,
        directory: &str,
        tar: BoxStream<'static, Bytes>,
    ) -> Result<()> {
        self.upload(container, directory, tar).await
    }

    async fn mirror(&self, container: &str, transfers: Vec<Transfer>) -> Result<Transferred> {
        self.mirror_files(container, transfers).await
    }

    async fn differences(
        &self,
        container: &str,
        transfers: Vec<Transfer>,
        trust: Trust,
    ) -> Result<Vec<(Transfer, Difference)>> {
        self.compare_files(container, transfers, trust).await
    }

    fn export(&self, container: &str) -> Stream<'static, Bytes> {
        self.whole_file_system(container)
    }

    async fn commit(&self, container: &str, commit: &Commit) -> Result<String> {
        self.commit_image(container, commit).await
    }

    async fn pull(&self, image: &PullSpec, progress: OnProgress<'_>) -> Result<()> {
        self.pull_image(image, progress).await
    }

    async fn push(&self, image: &str, progress: OnProgress<'_>) -> Result<()> {
        self.push_image(image, progress).await
    }

    async fn build(&self, build: &BuildSpec, progress: OnProgress<'_>) -> Result<()> {
        self.build_image(build, progress).await
    }

    fn plugin(&self, name: &str) -> Option<PathBuf> {
        self.plugin_named(name)
    }

    async fn run_provider(&self, call: &ProviderCall, progress: OnProgress<'_>) -> Result<Handed> {
        provider::run(call, &self.engine_variables(), progress).await
    }

    async fn ask_provider(&self, call: &ProviderCall) -> Result<String> {
        provider::ask(call, &self.engine_variables()).await
    }

    async fn image_digest(&self, reference: &str) -> Result<String> {
        self.digest_of(reference).await
    }

    async fn project_images(&self, project: &str) -> Result<Vec<String>> {
        self.images_of(project).await
    }

    async fn registry_credentials(&self) -> Result<String> {
        Ok(self.credentials().await?.config_of_all().await)
    }

    async fn remove_image(&self, reference: &str) -> Result<()> {
        self.delete_image(reference).await
    }
}
