//! The fake as a [`Runtime`]: each method is one call to its world.

use std::path::PathBuf;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use super::Fake;
use crate::model::observed::{
    Milestone, Observed, ObservedImage, ObservedNetwork, ObservedVolume, State,
};
use crate::model::spec::{
    BuildSpec, ContainerSpec, Handed, InjectedFile, NetworkSpec, ProviderCall, PullSpec, VolumeSpec,
};
use crate::model::{Hook, ServiceNetwork};
use crate::runtime::{
    AttachOptions, Bytes, Chunk, Commit, ExecSpec, Feature, LogOptions, OnProgress, PathInfo,
    ProcessTable, Progress, Repeat, Result, Runtime, RuntimeError, RuntimeEvent, RuntimeVersion,
    Sample, Session, Size, Stream, Terminal, Volumes,
};

#[async_trait]
impl Runtime for Fake {
    fn lacks(&self, feature: Feature) -> Option<String> {
        let lacks = self.state().lacking.contains(&feature);
        lacks.then(|| "this fake was told to lack it".to_owned())
    }

    async fn version(&self) -> Result<RuntimeVersion> {
        let file = self.0.file.as_ref().map(|path| path.display().to_string());
        Ok(RuntimeVersion {
            name: "fake".to_owned(),
            version: "1".to_owned(),
            api: String::new(),
            address: file.unwrap_or_else(|| "memory".to_owned()),
        })
    }

    async fn observe(&self, project: Option<&str>) -> Result<Observed> {
        Ok(self.look(|world| world.observe(project)))
    }

    async fn state(&self, container: &str) -> Result<Option<State>> {
        Ok(self.world().container(container).ok().map(super::world::Container::state))
    }

    async fn find_network(&self, name: &str) -> Result<Option<ObservedNetwork>> {
        Ok(self.look(|world| world.observed_network(name)))
    }

    async fn find_volume(&self, name: &str) -> Result<Option<ObservedVolume>> {
        Ok(self.look(|world| world.observed_volume(name)))
    }

    async fn find_image(&self, reference: &str) -> Result<Option<ObservedImage>> {
        Ok(self.look(|world| world.observed_image(reference)))
    }

    async fn create_network(&self, network: &NetworkSpec) -> Result<()> {
        let call = format!("create_network {}", network.network.name);
        self.act(call, |world| {
            world.create_network(network);
            Ok(())
        })
        .await
    }

    async fn remove_network(&self, network: &str) -> Result<()> {
        let call = format!("remove_network {network}");
        self.act(call, |world| world.remove_network(network)).await
    }

    async fn connect(&self, network: &str, container: &str, _: &ServiceNetwork) -> Result<()> {
        let call = format!("connect {network} {container}");
        self.act(call, |world| world.connect(network, container)).await
    }

    async fn disconnect(&self, network: &str, container: &str) -> Result<()> {
        let call = format!("disconnect {network} {container}");
        self.act(call, |world| world.disconnect(network, container)).await
    }

    async fn create_volume(&self, volume: &VolumeSpec) -> Result<()> {
        let call = format!("create_volume {}", volume.volume.name);
        self.act(call, |world| {
            world.create_volume(volume);
            Ok(())
        })
        .await
    }

    async fn remove_volume(&self, volume: &str) -> Result<()> {
        let call = format!("remove_volume {volume}");
        self.act(call, |world| world.remove_volume(volume)).await
    }

    async fn create_container(&self, container: &ContainerSpec) -> Result<Vec<String>> {
        let call = format!("create_container {}", container.name);
        self.act(call, |world| world.create_container(container)).await
    }

    async fn start_container(&self, container: &str, files: &[InjectedFile]) -> Result<()> {
        let call = format!("start_container {container}");
        self.act(call, |world| world.start_container(container, files)).await
    }

    async fn stop_container(&self, container: &str, seconds: Option<i32>) -> Result<()> {
        let call = format!("stop_container {container}");
        match self.act(call, |world| world.begin_stop(container, seconds)).await? {
            Some(stopping) => self.stopped(&stopping).await,
            None => Ok(()),
        }
    }

    async fn restart_container(&self, container: &str, seconds: Option<i32>) -> Result<()> {
        let call = format!("restart_container {container}");
        if let Some(stopping) = self.act(call, |world| world.begin_stop(container, seconds)).await?
        {
            self.stopped(&stopping).await?;
        }
        self.change(|world| world.start_container(container, &[]))
    }

    async fn kill_container(&self, container: &str, signal: &str) -> Result<()> {
        let call = format!("kill_container {container} {signal}");
        self.act(call, |world| world.kill_container(container, signal)).await
    }

    async fn pause_container(&self, container: &str) -> Result<()> {
        let call = format!("pause_container {container}");
        self.act(call, |world| world.pause_container(container)).await
    }

    async fn unpause_container(&self, container: &str) -> Result<()> {
        let call = format!("unpause_container {container}");
        self.act(call, |world| world.unpause_container(container)).await
    }

    async fn remove_container(&self, container: &str, volumes: Volumes) -> Result<()> {
        let call = format!("remove_container {container}");
        self.act(call, |world| {
            world.remove_container(container, volumes);
            Ok(())
        })
        .await
    }

    async fn rename_container(&self, container: &str, name: &str) -> Result<()> {
        let call = format!("rename_container {container} {name}");
        self.act(call, |world| world.rename_container(container, name)).await
    }

    async fn wait(&self, container: &str, milestone: Milestone) -> Result<()> {
        // The one that is named now, whatever it is called later.
        let call = format!("wait {container} {milestone}");
        let id = self.act(call, |world| Ok(world.container(container)?.id.clone())).await?;
        self.until(|world| world.wait(&id, milestone)).await
    }

    async fn wait_ended(&self, container: &str) -> Result<i64> {
        let call = format!("wait_ended {container}");
        let id = self.act(call, |world| Ok(world.container(container)?.id.clone())).await?;
        self.until(|world| world.wait_ended(&id)).await
    }

    async fn run_hook(&self, container: &str, hook: &Hook) -> Result<(i64, String)> {
        let command = hook.command.as_ref().map(|words| words.join(" ")).unwrap_or_default();
        let call = format!("run_hook {container} {command}");
        self.act(call, |world| {
            let behaviour = &world.container(&world.running(container)?)?.behaviour;
            Ok((behaviour.exec_code, behaviour.hook_output.clone()))
        })
        .await
    }

    fn logs(&self, container: &str, options: &LogOptions) -> Stream<'static, Chunk> {
        self.read_logs(container, options)
    }

    async fn attach(&self, container: &str, _: &AttachOptions) -> Result<Session> {
        self.attach_streams(container)
    }

    async fn exec(&self, container: &str, command: &ExecSpec) -> Result<(String, Option<Session>)> {
        self.run_command(container, command).await
    }

    async fn exec_exit_code(&self, exec: &str) -> Result<Option<i64>> {
        Ok(self.look(|world| world.execs.get(exec).copied()))
    }

    async fn resize(&self, terminal: &Terminal, _: Size) -> Result<()> {
        match terminal {
            Terminal::Container(name) => self.look(|world| world.container(name).map(|_| ())),
            Terminal::Exec(_) => Ok(()),
        }
    }

    fn events(&self, project: &str, options: &LogOptions) -> Stream<'static, RuntimeEvent> {
        self.read_events(project, options)
    }

    async fn top(&self, container: &str) -> Result<ProcessTable> {
        self.look(|world| {
            let container = world.container(&world.running(container)?)?;
            let row = ["root", "1", "0", &container.command].map(str::to_owned).to_vec();
            let titles = ["UID", "PID", "PPID", "CMD"].map(str::to_owned).to_vec();
            Ok(ProcessTable { titles, rows: vec![row] })
        })
    }

    fn stats(&self, container: &str, repeat: Repeat) -> Stream<'static, Sample> {
        self.samples(container, repeat)
    }

    async fn stat_path(&self, container: &str, path: &str) -> Result<Option<PathInfo>> {
        self.look(|world| Ok(world.container(container)?.path(path)))
    }

    fn copy_out(&self, container: &str, path: &str) -> Stream<'static, Bytes> {
        self.archive(container, path)
    }

    async fn copy_in(
        &self,
        container: &str,
        directory: &str,
        tar: BoxStream<'static, Bytes>,
    ) -> Result<()> {
        self.unpack(container, directory, tar).await
    }

    fn export(&self, container: &str) -> Stream<'static, Bytes> {
        self.archive(container, "/")
    }

    async fn commit(&self, container: &str, commit: &Commit) -> Result<String> {
        let call = format!("commit {container}");
        self.act(call, |world| world.commit(container, commit)).await
    }

    async fn pull(&self, image: &PullSpec, progress: OnProgress<'_>) -> Result<()> {
        progress(Progress { status: "Pulling".to_owned(), ..Progress::default() });
        self.act(format!("pull {}", image.image), |world| world.pull(image)).await
    }

    async fn push(&self, image: &str, progress: OnProgress<'_>) -> Result<()> {
        progress(Progress { status: "Pushing".to_owned(), ..Progress::default() });
        self.act(format!("push {image}"), |world| world.push(image)).await
    }

    async fn build(&self, build: &BuildSpec, progress: OnProgress<'_>) -> Result<()> {
        progress(Progress { status: "Building".to_owned(), ..Progress::default() });
        self.act(format!("build {}", build.service_name), |world| world.build(build)).await
    }

    fn plugin(&self, _: &str) -> Option<PathBuf> {
        None
    }

    async fn run_provider(&self, call: &ProviderCall, progress: OnProgress<'_>) -> Result<Handed> {
        let program = call.program.display().to_string();
        progress(Progress { status: "working".to_owned(), ..Progress::default() });
        let said = format!("call_provider {program} {}", call.arguments.join(" "));
        self.act(said, |_| Ok(())).await?;
        Ok(Handed { prefixed: [("BY".to_owned(), program)].into(), ..Handed::default() })
    }

    async fn ask_provider(&self, _: &ProviderCall) -> Result<String> {
        Ok(String::new())
    }

    async fn image_digest(&self, reference: &str) -> Result<String> {
        let image = self.look(|world| world.observed_image(reference));
        image.map(|image| image.id).ok_or_else(|| RuntimeError::NotFound(reference.to_owned()))
    }

    async fn project_images(&self, project: &str) -> Result<Vec<String>> {
        Ok(self.look(|world| world.project_images(project)))
    }

    async fn registry_credentials(&self) -> Result<String> {
        Ok("{}".to_owned())
    }

    async fn remove_image(&self, reference: &str) -> Result<()> {
        let call = format!("remove_image {reference}");
        self.act(call, |world| world.remove_image(reference)).await
    }
}
