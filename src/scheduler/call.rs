//! From an [`Op`] to the one call that it stands for. The only match over `Op` that acts.

use crate::model::Hook;
use crate::model::spec::Handed;
use crate::plan::{HookStage, Op};
use crate::runtime::{OnProgress, Runtime, RuntimeError, Volumes};

/// Why an operation failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The runtime could not do it.
    Runtime(RuntimeError),
    /// A hook ran and ended with this code, having written this.
    Hook(i64, String),
}

impl From<RuntimeError> for Failure {
    fn from(error: RuntimeError) -> Self {
        Self::Runtime(error)
    }
}

/// What came of a call besides what it was made for.
#[derive(Debug, Default)]
pub(super) struct Yield {
    /// What the runtime has to remark.
    pub(super) remarks: Vec<String>,
    /// Variables for services that depend on this one.
    pub(super) handed: Option<Handed>,
}

/// Makes the call.
pub(super) async fn call(
    op: &Op,
    runtime: &dyn Runtime,
    progress: OnProgress<'_>,
) -> Result<Yield, Failure> {
    match op {
        Op::PullImage(pull) => runtime.pull(pull, progress).await,
        Op::BuildImage(build) => runtime.build(build, progress).await,
        Op::PushImage(image) => runtime.push(image, progress).await,
        Op::RemoveImage(image) => runtime.remove_image(image).await,
        Op::CreateNetwork(network) => runtime.create_network(network).await,
        Op::RemoveNetwork(network) => runtime.remove_network(network).await,
        Op::Connect { network, container, options } => {
            runtime.connect(network, container, options).await
        }
        Op::Disconnect { network, container } => runtime.disconnect(network, container).await,
        Op::CreateVolume(volume) => runtime.create_volume(volume).await,
        Op::RemoveVolume(volume) => runtime.remove_volume(volume).await,
        Op::CreateContainer(spec) => {
            let remarks = runtime.create_container(spec).await?;
            return Ok(Yield { remarks, handed: None });
        }
        Op::StartContainer { container, files } => runtime.start_container(container, files).await,
        Op::RunHook { container, hook, stage } => {
            return run_hook(runtime, container, hook, *stage).await;
        }
        Op::Wait { container, milestone } => runtime.wait(container, *milestone).await,
        Op::StopContainer { container, seconds } => {
            runtime.stop_container(container, *seconds).await
        }
        Op::RestartContainer { container, seconds } => {
            runtime.restart_container(container, *seconds).await
        }
        Op::KillContainer { container, signal } => runtime.kill_container(container, signal).await,
        Op::PauseContainer(container) => runtime.pause_container(container).await,
        Op::UnpauseContainer(container) => runtime.unpause_container(container).await,
        Op::RemoveContainer { container, volumes } => {
            let volumes = if *volumes { Volumes::Remove } else { Volumes::Keep };
            runtime.remove_container(container, volumes).await
        }
        Op::RenameContainer { from, to } => runtime.rename_container(from, to).await,
        Op::CallProvider(call) => {
            let handed = runtime.run_provider(call, progress).await?;
            return Ok(Yield { handed: Some(handed), remarks: Vec::new() });
        }
    }?;
    Ok(Yield::default())
}

async fn run_hook(
    runtime: &dyn Runtime,
    container: &str,
    hook: &Hook,
    stage: HookStage,
) -> Result<Yield, Failure> {
    match runtime.run_hook(container, hook).await {
        Ok((0, _)) => Ok(Yield::default()),
        Ok((code, output)) => Err(Failure::Hook(code, output)),
        // There is nothing left to prepare for its end.
        Err(RuntimeError::NotFound(_) | RuntimeError::Conflict(_))
            if stage == HookStage::PreStop =>
        {
            Ok(Yield::default())
        }
        Err(error) => Err(Failure::Runtime(error)),
    }
}
