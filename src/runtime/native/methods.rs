//! The native runtime as a [`Runtime`]: each method is one call to the part that does it.

use std::path::PathBuf;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use super::log::reader;
use super::record::Record;
use super::recover::look;
use super::thread::in_thread;
use super::{Native, container, create, events, names, volume};
use crate::model::observed::{
    ChangedInput, Milestone, Observed, ObservedImage, ObservedNetwork, ObservedVolume, State,
};
use crate::model::spec::{
    BuildSpec, ContainerSpec, Handed, InjectedFile, NetworkSpec, ProviderCall, PullSpec, VolumeSpec,
};
use crate::model::transfer::{Difference, Transfer, Transferred, Trust};
use crate::model::{Dict, Feature, Hook, ServiceNetwork};
use crate::runtime::{
    AttachOptions, Bytes, Chunk, Commit, ExecSpec, LogOptions, OnProgress, PathInfo, ProcessTable,
    Repeat, Result, Runtime, RuntimeError, RuntimeEvent, RuntimeVersion, Sample, Session, Size,
    Snapshots, Stream, Terminal, Volumes, provider,
};

#[async_trait]
impl Runtime for Native {
    fn lacks(&self, feature: Feature) -> Option<String> {
        container::lacks(feature)
    }

    fn snapshots(&self) -> Option<&dyn Snapshots> {
        Some(self)
    }

    async fn version(&self) -> Result<RuntimeVersion> {
        Ok(self.own_version())
    }

    async fn observe(&self, project: Option<&str>) -> Result<Observed> {
        self.list_project(project).await
    }

    async fn inspect(&self, container: &str) -> Result<serde_json::Value> {
        self.all_about(container)
    }

    async fn state(&self, container: &str) -> Result<Option<State>> {
        self.state_of(container).await
    }

    async fn find_network(&self, name: &str) -> Result<Option<ObservedNetwork>> {
        self.networks.find(name)
    }

    async fn find_volume(&self, name: &str) -> Result<Option<ObservedVolume>> {
        volume::find(&self.root, name)
    }

    async fn find_image(&self, reference: &str) -> Result<Option<ObservedImage>> {
        self.image_named(reference)
    }

    async fn create_network(&self, network: &NetworkSpec) -> Result<()> {
        // Containers will start in it.
        self.warm.ask();
        self.networks.create(network)
    }

    async fn remove_network(&self, network: &str) -> Result<()> {
        self.delete_network(network)
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
        volume::create(&self.root, volume)
    }

    async fn remove_volume(&self, volume: &str) -> Result<()> {
        self.delete_volume(volume)
    }

    async fn create_container(&self, container: &ContainerSpec) -> Result<Vec<String>> {
        self.warm.ask();
        let (root, container) = (self.root.clone(), container.clone());
        // Disks are slow: others are made meanwhile.
        in_thread(move || create::create(&root, &container)).await
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
        self.delete(container, volumes).await
    }

    async fn rename_container(&self, container: &str, name: &str) -> Result<()> {
        self.rename(container, name)
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
        self.exec_code(exec)
    }

    async fn resize(&self, terminal: &Terminal, size: Size) -> Result<()> {
        self.resize_terminal(terminal, size).await
    }

    fn events(&self, project: &str, options: &LogOptions) -> Stream<'static, RuntimeEvent> {
        events::read(&self.root, &self.hubs, (project, options))
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

    async fn changed_input(&self, build: &BuildSpec) -> Result<Option<ChangedInput>> {
        self.input_changed_since(build).await
    }

    fn plugin(&self, _: &str) -> Option<PathBuf> {
        // Programs that extend the `docker` command need its engine.
        None
    }

    async fn run_provider(&self, call: &ProviderCall, progress: OnProgress<'_>) -> Result<Handed> {
        provider::run(call, &Dict::new(), progress).await
    }

    async fn ask_provider(&self, call: &ProviderCall) -> Result<String> {
        provider::ask(call, &Dict::new()).await
    }

    async fn image_digest(&self, reference: &str) -> Result<String> {
        self.remote_digest(reference).await
    }

    async fn project_images(&self, project: &str) -> Result<Vec<String>> {
        self.images_of(project)
    }

    async fn registry_credentials(&self) -> Result<String> {
        Ok(self.credentials().await?.config_of_all().await)
    }

    async fn remove_image(&self, reference: &str) -> Result<()> {
        self.delete_image(reference)
    }
}

impl Native {
    fn own_version(&self) -> RuntimeVersion {
        RuntimeVersion {
            name: "native".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            api: String::new(),
            address: self.root.durable().display().to_string(),
        }
    }

    fn read_logs(&self, container: &str, options: &LogOptions) -> Stream<'static, Chunk> {
        match self.log_of(container) {
            Ok(log) => reader::read(log, &self.hubs, options),
            Err(error) => Box::pin(futures_util::stream::iter([Err(error)])),
        }
    }

    fn log_of(&self, container: &str) -> Result<reader::Log> {
        let named = names::the(&self.root, container)?;
        let place = self.root.container(&named.id);
        let record = Record::read(&place)?.ok_or_else(|| names::missing(container))?;
        if record.log.driver == super::log::Driver::None {
            return Err(RuntimeError::Unsupported(format!(
                "container {container} has the logging driver `none`: nothing is kept"
            )));
        }
        let root = self.root.clone();
        let is_live = move || {
            let seen = look(&root, &named)?;
            Ok(seen.is_some_and(|seen| seen.is_held && seen.status.phase.has_processes()))
        };
        Ok(reader::Log {
            directory: place.log(),
            container: place.durable,
            is_live: Box::new(is_live),
        })
    }
}
