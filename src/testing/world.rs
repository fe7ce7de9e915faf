//! What lives in the thread of a stack: a connection, a project, and what is done to it.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use indexmap::IndexMap;

use super::blueprint::unique;
use super::service::log_of;
use super::{Blueprint, RuntimeChoice, StackError};
use crate::bundle::{self, Recorder, Story};
use crate::event::Event;
use crate::model::ShellCommand;
use crate::model::observed::ObservedContainer;
use crate::model::reach::{Variables, variables};
use crate::model::spec::{InjectedFile, ProviderAction};
use crate::orchestrator::{
    Audience, Depth, OrchestrationError, Orchestrator, Owner, Route, Supplied, Target, connect,
    observe,
};
use crate::plan::images;
use crate::plan::one_off::{self, Run};
use crate::plan::{Action, Desired, Down, Orphans, Plan, Treatment, Until, Up, reconcile, spec};
use crate::runtime::{AttachOptions, Chunk, Runtime, Volumes};
use crate::scheduler::{Stage, Trigger};

/// The variable that names the folder for what is known about a failure.
const BUNDLE: &str = "KETCH_BUNDLE";

/// How long the services of a stack may take to end before they are killed: nobody needs them.
const GRACE: i32 = 0;

/// A stack, in its thread.
pub(super) struct World {
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) project: String,
    kind: RuntimeChoice,
    route: Route,
    environment: IndexMap<String, String>,
    target: RefCell<Target>,
    blueprint: Blueprint,
    recorder: Recorder,
    /// Ends what is being done.
    trigger: RefCell<Trigger>,
    is_down: Cell<bool>,
}

impl World {
    /// Reads the project and connects; nothing is made yet.
    pub(super) async fn open(blueprint: Blueprint) -> Result<Self, StackError> {
        let target = blueprint.load()?;
        let environment = blueprint.request.environment.clone();
        let connection = connect(blueprint.choice()?, blueprint.settings(), |_| {}).await?;
        Ok(Self {
            runtime: connection.runtime,
            kind: connection.kind,
            route: connection.route,
            project: target.project.name.clone(),
            environment,
            target: RefCell::new(target),
            blueprint,
            recorder: Recorder::default(),
            trigger: RefCell::default(),
            is_down: Cell::new(false),
        })
    }

    /// Where the containers run.
    pub(super) fn kind(&self) -> RuntimeChoice {
        self.kind
    }

    fn orchestrator(&self) -> Orchestrator<'_> {
        Orchestrator {
            runtime: &*self.runtime,
            environment: &self.environment,
            parallel: None,
            shutdown: self.trigger.borrow().listen(),
            depth: Depth::Really,
            audience: self,
        }
    }

    /// Brings all up and waits until it is ready.
    pub(super) async fn up(&self) -> Result<(), StackError> {
        let limit = self.blueprint.patience;
        let done = tokio::time::timeout(limit, self.bring_up()).await;
        let done = done.unwrap_or_else(|_| Err(late(limit).into()));
        if let Err(error) = &done {
            self.write_bundle(error).await;
        }
        done
    }

    async fn bring_up(&self) -> Result<(), StackError> {
        let orchestrator = self.orchestrator();
        let mut lock = orchestrator.lock(&self.project, "test").await?;
        let mut target = self.target.borrow().clone();
        let scale = &self.blueprint.scale;
        target.check_scale(scale)?;
        orchestrator.settle(&self.blueprint.overlay, &mut target, (scale, &mut lock)).await?;
        orchestrator.admit(&mut target).await?;
        orchestrator.admit_providers(&mut target).await?;
        let up = Up {
            until: Until::Ready,
            scale: self.blueprint.scale.clone(),
            orphans: Orphans::Ignore,
            ..target.up(&[])
        };
        // From here on the guard removes what this process cannot any more.
        orchestrator.lease(&self.project, &self.route, owner()?).await?;
        orchestrator.prepare_images(&up, &self.blueprint.images).await?;
        let Supplied { project, unknown } = orchestrator.supply(&target, up.project).await?;
        let up = Up { project: &project, unknown, ..up };
        let plan = orchestrator.plan_up(&target, &up).await?;
        orchestrator.carry_out(&up, &plan).await?;
        self.target.replace(target);
        Ok(())
    }

    /// Leaves nothing; ends what is being done.
    pub(super) async fn down(&self) -> Result<(), StackError> {
        if self.is_down.replace(true) {
            return Ok(());
        }
        self.trigger.borrow().raise(Stage::Now);
        self.trigger.replace(Trigger::default());
        let orchestrator = self.orchestrator();
        let _lock = orchestrator.lock(&self.project, "test").await?;
        let mut target = self.target.borrow().clone();
        let found = orchestrator.find_providers(&mut target, ProviderAction::Down).await;
        let observed = observe(&*self.runtime, &target.project, &[]).await?;
        let down = Down {
            project: &target.project,
            services: [].into(),
            volumes: true,
            orphans: Orphans::Remove,
            seconds: Some(GRACE),
            images: Vec::new(),
            origin: target.origin(),
            calls: target.calls(ProviderAction::Down),
        };
        orchestrator.run(&reconcile(&Desired::Down(down), &observed)).await?;
        orchestrator.forget_snapshots(&self.project).await?;
        orchestrator.settle_lease(&self.project).await?;
        Ok(found?)
    }

    /// Does something to the containers of a service, as the command of that name does.
    pub(super) async fn treat(&self, service: &str, action: Action) -> Result<(), StackError> {
        let orchestrator = self.orchestrator();
        let _lock = orchestrator.lock(&self.project, "test").await?;
        let mut target = self.target.borrow().clone();
        let services = target.named(&[service.to_owned()])?;
        let observed = self.runtime.observe(Some(&self.project)).await?;
        let calls = crate::plan::providers::ProviderCalls::new();
        let treatment = Treatment { project: &target.project, services, action, calls };
        orchestrator.run(&reconcile(&Desired::Treat(treatment), &observed)).await?;
        Ok(())
    }

    /// Starts what does not run of some services, and waits until it is ready.
    pub(super) async fn start(&self, services: &[String]) -> Result<(), StackError> {
        let orchestrator = self.orchestrator();
        let _lock = orchestrator.lock(&self.project, "test").await?;
        let mut target = self.target.borrow().clone();
        orchestrator.start(&mut target, services).await?;
        Ok(())
    }

    /// Takes a container out of a network of the project.
    pub(super) async fn disconnect(
        &self,
        network: &str,
        container: &ObservedContainer,
    ) -> Result<(), StackError> {
        let name = self.network(network)?;
        Ok(self.runtime.disconnect(&name, &container.id).await?)
    }

    /// Puts a container into a network of the project, as its service has it.
    pub(super) async fn connect(
        &self,
        network: &str,
        service: &str,
        container: &ObservedContainer,
    ) -> Result<(), StackError> {
        let name = self.network(network)?;
        let target = self.target.borrow().clone();
        let settings = target.project.services.get(service);
        let mut options =
            settings.and_then(|it| it.networks.get(network).cloned().flatten()).unwrap_or_default();
        options.aliases.push(service.to_owned());
        Ok(self.runtime.connect(&name, &container.id, &options).await?)
    }

    /// The name that a network of the project has in the runtime.
    fn network(&self, key: &str) -> Result<String, StackError> {
        let target = self.target.borrow();
        let found = target.project.networks.get(key).map(|it| it.name.clone());
        let known = || target.project.networks.keys().cloned().collect::<Vec<_>>().join(", ");
        let missing = || format!("the project has no network `{key}`; it has {}", known());
        found.ok_or_else(|| OrchestrationError::Other(missing()).into())
    }

    /// A path of the host, from the directory in which the stack was described.
    pub(super) fn absolute(&self, path: &Path) -> PathBuf {
        self.blueprint.request.cwd.join(path)
    }

    /// Runs a container of its own for a service to its end; gives its exit code.
    pub(super) async fn run(
        &self,
        service: &str,
        command: ShellCommand,
        tell: &(dyn Fn(Chunk) + Send),
    ) -> Result<i64, StackError> {
        let (name, files) = self.prepare_run(service, command).await?;
        let mut output = self.runtime.attach(&name, &AttachOptions::default()).await?.output;
        self.runtime.start_container(&name, &files).await?;
        while let Some(chunk) = output.try_next().await? {
            tell(chunk);
        }
        let code = self.runtime.wait_ended(&name).await?;
        self.runtime.remove_container(&name, Volumes::Remove).await?;
        Ok(code)
    }

    /// Makes that container; gives its name, and the files that it starts with.
    async fn prepare_run(
        &self,
        service: &str,
        command: ShellCommand,
    ) -> Result<(String, Vec<InjectedFile>), StackError> {
        let orchestrator = self.orchestrator();
        let _lock = orchestrator.lock(&self.project, "test").await?;
        let mut target = self.target.borrow().clone();
        let named = [service.to_owned()];
        target.named(&named)?;
        orchestrator.admit(&mut target).await?;
        let (service, slug) = (service.to_owned(), unique());
        let run = Run { service, slug, command, ..Run::default() };
        let up = Up { until: Until::Created, ..target.up(&named) };
        orchestrator.prepare_images(&up, &self.blueprint.images).await?;
        let references = images::references(&up);
        let observed = observe(&*self.runtime, &target.project, &references).await?;
        orchestrator.run(&one_off::plan(&up, &observed, &run)).await?;
        let settings = target.project.services.get(&run.service);
        let settings = settings.map(|it| run.settings(it)).unwrap_or_default();
        Ok((run.container_name(&up), spec::injected(&target.project, &settings)))
    }

    /// Lets all be when the stack is dropped, and when this process ends.
    pub(super) async fn keep(&self) -> Result<(), StackError> {
        self.is_down.set(true);
        Ok(self.orchestrator().release(&self.project).await?)
    }

    /// Where the services are reached from this machine, as `ketch env` tells it.
    pub(super) async fn variables(&self) -> Result<Variables, StackError> {
        let mut found = self.runtime.containers(Some(&self.project)).await?;
        found.retain(ObservedContainer::is_up);
        let target = self.target.borrow();
        let instance = target.project.instance.as_ref();
        let machine = self.runtime.published_on();
        Ok(variables(&found, (&self.project, instance), machine.as_deref()))
    }

    /// What every service has written, with the name of its container.
    pub(super) async fn logs(&self) -> Result<Vec<(String, String)>, StackError> {
        let mut found = self.runtime.containers(Some(&self.project)).await?;
        found.sort_by(|one, other| one.name.cmp(&other.name));
        let mut logs = Vec::new();
        for container in found {
            logs.push((container.name.clone(), log_of(&*self.runtime, &container.id).await?));
        }
        Ok(logs)
    }

    /// The containers of a service, in order.
    pub(super) async fn containers(
        &self,
        service: &str,
    ) -> Result<Vec<ObservedContainer>, StackError> {
        let all = self.runtime.containers(Some(&self.project)).await?;
        let mut known: Vec<String> = all.iter().map(|it| it.service().to_owned()).collect();
        let mut found: Vec<_> =
            all.into_iter().filter(|it| it.service() == service && !it.is_one_off()).collect();
        found.sort_by_key(ObservedContainer::number);
        if found.is_empty() {
            known.sort();
            known.dedup();
            return Err(StackError::NoContainer { service: service.to_owned(), known });
        }
        Ok(found)
    }

    /// Writes all that is known about a failure, where a folder is named. What cannot be written is
    /// nobody's concern: the failure itself matters more.
    pub(super) async fn write_bundle(&self, error: &StackError) {
        let variable = || self.blueprint.variable(BUNDLE).map(PathBuf::from);
        let Some(directory) = self.blueprint.bundle.clone().or_else(variable) else { return };
        // Several stacks of one run fail: each has a folder of its own.
        let directory = directory.join(&self.project);
        let story = Story::of(&self.target.borrow(), error.to_string(), &self.environment);
        let written = bundle::write(&directory, &story, (&self.recorder, &*self.runtime)).await;
        if let Err(error) = written {
            tracing::warn!("no bundle was written: {error}");
        }
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("project", &self.project).finish_non_exhaustive()
    }
}

impl Audience for World {
    fn plan(&self, plan: &Plan) {
        self.recorder.plan(plan);
    }

    fn event(&self, _plan: &Plan, event: Event) {
        self.recorder.event(&event);
    }

    fn aside(&self, text: &str) {
        tracing::info!("{}", text.trim_end());
    }
}

/// The process that a stack belongs to.
fn owner() -> Result<Owner, StackError> {
    let failed = |source| StackError::File { action: "look at this process".to_owned(), source };
    Owner::this_process().map_err(failed)
}

fn late(limit: Duration) -> OrchestrationError {
    OrchestrationError::Other(format!("the stack was not ready within {limit:?}"))
}
