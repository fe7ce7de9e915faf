//! `ketch down`, `stop`, `restart`, `kill`, `pause`, `unpause`, `rm`: takes containers down.
//!
//! In: flags, and a project from files or labels. Out: a plan that is run.

use std::collections::BTreeSet;

use super::args::{DownArgs, KillArgs, RestartArgs, RmArgs, ServicesArgs, StopArgs};
use super::engine::{Engine, REMOVE_ORPHANS};
use super::exit::Failure;
use super::prompt::ask;
use super::session::Session;
use super::usage::UsageError;
use crate::model::observed::Observed;
use crate::model::spec::ProviderAction;
use crate::orchestrator::{Target, observe};
use crate::plan::name::Names;
use crate::plan::providers::ProviderCalls;
use crate::plan::{
    Action, Dependents, Desired, Down, Op, Origin, Orphans, Plan, Removal, Treatment, reconcile,
};

/// What is taken down, and what goes with it.
pub(super) struct Wanted<'w> {
    /// The services that are named; none: all.
    pub(super) services: &'w [String],
    pub(super) orphans: Orphans,
    pub(super) volumes: bool,
    pub(super) seconds: Option<i32>,
    /// References of the images that go.
    pub(super) images: Vec<String>,
}

/// Leaves nothing of the project.
pub(super) async fn down(args: &DownArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    let remove = args.remove_orphans || session.is_on(REMOVE_ORPHANS);
    let mut engine = Engine::connect(session).await?;
    let mut target = Target::find(&mut engine).await?;
    let _lock = engine.lock(&target.project).await?;
    let all_found = engine.find_providers(&mut target, ProviderAction::Down).await;
    let wanted = Wanted {
        services: &args.services,
        orphans: if remove { Orphans::Remove } else { Orphans::Ignore },
        volumes: args.volumes,
        seconds: args.timeout,
        images: images(&engine, &target, args.rmi.as_deref()).await?,
    };
    let plan = plan(&engine, &mut target, wanted).await?;
    if plan.is_empty() {
        let text = format!("No resource found to remove for project {:?}.", target.project.name);
        engine.progress.aside(&format!("{text}\n"));
    }
    engine.orchestrator().run(&plan).await?;
    if args.volumes && args.services.is_empty() {
        engine.orchestrator().forget_snapshots(&target.project.name).await?;
    }
    engine.orchestrator().settle_lease(&target.project.name).await?;
    // What nobody could take down was told above.
    if all_found { Ok(0) } else { Err(Failure::Project) }
}

/// The plan that takes the project down.
pub(super) async fn plan(
    engine: &Engine<'_, '_>,
    target: &mut Target,
    wanted: Wanted<'_>,
) -> Result<Plan, Failure> {
    let services = match target.origin() {
        Origin::Files if !wanted.services.is_empty() => target.named(wanted.services)?,
        _ => wanted.services.iter().cloned().collect(),
    };
    let observed = engine.asking(observe(&*engine.runtime, &target.project, &[])).await?;
    let desired = Down {
        project: &target.project,
        services,
        volumes: wanted.volumes,
        orphans: wanted.orphans,
        seconds: wanted.seconds,
        images: wanted.images,
        origin: target.origin(),
        calls: target.calls(ProviderAction::Down),
    };
    Ok(reconcile(&Desired::Down(desired), &observed))
}

/// The images that `--rmi` removes.
async fn images(
    engine: &Engine<'_, '_>,
    target: &Target,
    which: Option<&str>,
) -> Result<Vec<String>, Failure> {
    let all = match which {
        None | Some("") => return Ok(Vec::new()),
        Some("local") => false,
        Some("all") => true,
        Some(word) => {
            return Err(UsageError::Other(format!("invalid value for --rmi: {word:?}")).into());
        }
    };
    let project = &target.project;
    let names = Names { project: &project.name, separator: target.separator };
    let mut images: BTreeSet<String> =
        engine.runtime.project_images(&project.name).await?.into_iter().collect();
    for (name, service) in &project.services {
        if all || (service.image.is_empty() && target.origin() == Origin::Files) {
            let image = names.image(name, service);
            if engine.runtime.find_image(&image).await?.is_some() {
                images.insert(image);
            }
        }
    }
    Ok(images.into_iter().collect())
}

/// Stops containers.
pub(super) async fn stop(args: &StopArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    let mut engine = Engine::connect(session).await?;
    let mut target = Target::find(&mut engine).await?;
    let services = target.named(&args.services)?;
    let _lock = engine.lock(&target.project).await?;
    let all_found = stop_services(&mut engine, &mut target, services, args.timeout).await?;
    if all_found { Ok(0) } else { Err(Failure::Project) }
}

/// Stops containers and what external programs run; returns whether all those were found.
async fn stop_services(
    engine: &mut Engine<'_, '_>,
    target: &mut Target,
    services: BTreeSet<String>,
    seconds: Option<i32>,
) -> Result<bool, Failure> {
    let all_found = engine.find_providers(target, ProviderAction::Stop).await;
    let observed = engine.asking(engine.runtime.observe(Some(&target.project.name))).await?;
    let calls = target.calls(ProviderAction::Stop);
    let action = Action::Stop { seconds };
    let treatment = Treatment { project: &target.project, services, action, calls };
    engine.orchestrator().run(&reconcile(&Desired::Treat(treatment), &observed)).await?;
    Ok(all_found)
}

/// Restarts containers.
pub(super) async fn restart(args: &RestartArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    let dependents = if args.no_deps { Dependents::Ignore } else { Dependents::Follow };
    let action = Action::Restart { seconds: args.stop.timeout, dependents };
    treat(session, &args.stop.services, action).await
}

/// Freezes containers.
pub(super) async fn pause(args: &ServicesArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    treat(session, &args.services, Action::Pause).await
}

/// Lets frozen containers go on.
pub(super) async fn unpause(args: &ServicesArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    treat(session, &args.services, Action::Unpause).await
}

/// Sends a signal to containers.
pub(super) async fn kill(args: &KillArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    let orphans = args.remove_orphans || session.is_on(REMOVE_ORPHANS);
    let mut engine = Engine::connect(session).await?;
    let mut target = Target::find(&mut engine).await?;
    let mut services = target.named(&args.services)?;
    let _lock = engine.lock(&target.project).await?;
    let observed = engine.asking(engine.runtime.observe(Some(&target.project.name))).await?;
    if orphans && args.services.is_empty() {
        services.extend(observed.containers.iter().map(|it| it.service().to_owned()));
    }
    let action = Action::Kill { signal: args.signal.clone() };
    let calls = ProviderCalls::new();
    let treatment = Treatment { project: &target.project, services, action, calls };
    let desired = Desired::Treat(treatment);
    let plan = reconcile(&desired, &observed);
    if plan.is_empty() {
        engine.progress.aside("No container to kill\n");
    }
    engine.orchestrator().run(&plan).await?;
    Ok(0)
}

async fn treat(
    session: &mut Session<'_>,
    services: &[String],
    action: Action,
) -> Result<u8, Failure> {
    let mut engine = Engine::connect(session).await?;
    let mut target = Target::find(&mut engine).await?;
    let services = target.named(services)?;
    let _lock = engine.lock(&target.project).await?;
    let observed = engine.asking(engine.runtime.observe(Some(&target.project.name))).await?;
    let calls = ProviderCalls::new();
    let treatment = Treatment { project: &target.project, services, action, calls };
    let desired = Desired::Treat(treatment);
    engine.orchestrator().run(&reconcile(&desired, &observed)).await?;
    Ok(0)
}

/// Removes containers that do not run.
pub(super) async fn rm(args: &RmArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    let mut engine = Engine::connect(session).await?;
    let mut target = Target::find(&mut engine).await?;
    let services = target.named(&args.services)?;
    let _lock = engine.lock(&target.project).await?;
    if args.stop {
        stop_services(&mut engine, &mut target, services.clone(), None).await?;
    }
    let observed = engine.asking(engine.runtime.observe(Some(&target.project.name))).await?;
    remove(args, &mut engine, services, &observed).await
}

async fn remove(
    args: &RmArgs,
    engine: &mut Engine<'_, '_>,
    services: BTreeSet<String>,
    observed: &Observed,
) -> Result<u8, Failure> {
    let removal = Removal { services, volumes: args.volumes };
    let plan = reconcile(&Desired::Removed(removal), observed);
    if plan.is_empty() {
        engine.progress.aside("No stopped containers\n");
        return Ok(0);
    }
    let names: Vec<&str> = plan
        .steps
        .iter()
        .filter(|step| matches!(step.op, Op::RemoveContainer { .. }))
        .map(|step| step.op.subject().name())
        .collect();
    let question = format!("Going to remove {}", names.join(", "));
    if args.force || engine.session.global.dry_run || ask(engine.session.screen, &question)? {
        engine.orchestrator().run(&plan).await?;
    }
    Ok(0)
}
