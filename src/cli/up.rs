//! `ketch up`, `create`, `start`, `scale`: brings containers up.
//!
//! In: flags and a project. Out: images, then containers, and with `up` their output.

mod attached;
mod bundle;
pub(super) mod flags;
mod happenings;
mod lease;
mod menu;
mod watched;
mod watching;

pub(super) use happenings::Happenings;

use std::collections::BTreeMap;
use std::time::Duration;

use super::args::{CreateArgs, ScaleArgs, StartArgs, UpArgs};
use super::engine::{Consent, Engine, Probes};
use super::exit::Failure;
use super::session::Session;
use crate::bundle::Recorder;
use crate::orchestrator::{Converged, Dependencies, Lock, Supplied, Target};
use crate::plan::images::{BuildMode, ImageFlags};
use crate::plan::{AnonymousVolumes, Create, Orphans, Recreate, Until, Up};

/// Brings the project up.
pub(super) async fn up(args: &UpArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    flags::check_up(args)?;
    let lease = lease::Wanted::from(args)?;
    let scale = flags::scale(&args.create.scale)?;
    let mut target = Target::load(session, &args.services)?;
    let dependencies = if args.no_deps { Dependencies::LeaveOut } else { Dependencies::Include };
    target.restrict(&args.services, dependencies)?;
    target.check_scale(&scale)?;
    if args.watch {
        // Before anything runs: it may be that there is nothing to watch.
        super::watch::rules(&target, &args.services)?;
    }
    let orphans = target.orphans(session, flags::orphans(&args.create))?;
    let images = flags::images(&args.create)?;
    let probes = if args.no_eager_probes { Probes::Engine } else { Probes::Eager };
    let mut engine = Engine::connect_with(session, probes).await?;
    engine.quiet = flags::quiet(&args.create);
    let bundle = bundle::directory(args, &engine);
    engine.recorder = bundle.as_ref().map(|_| Recorder::default());
    let mut lock = engine.lock(&target.project).await?;
    engine.settle(&mut target, &scale, &mut lock).await?;
    engine.orchestrator().admit(&mut target).await?;
    engine.orchestrator().admit_providers(&mut target).await?;
    let up = wanted(args, &target, (scale, orphans));
    if !(args.detach || args.wait || args.no_start || engine.session.global.dry_run) {
        let how = (&images, flags::consent(&args.create), lease);
        return attached_up(args, &mut engine, (&target, lock), (up, how)).await;
    }
    let limit = args.wait_timeout.filter(|_| args.wait);
    let how = (&images, flags::consent(&args.create), lease);
    let done = match within(limit, bring_up_leased(&mut engine, &target, up, how)).await {
        Err(failure) => {
            bundle::write(&mut engine, &target, (bundle, &failure)).await;
            return Err(failure);
        }
        Ok(done) => done,
    };
    engine.progress.finish();
    if engine.session.global.dry_run && !(args.detach || args.wait || args.no_start) {
        let text = "end of 'compose up' output, interactive run is not supported in dry-run mode\n";
        engine.session.screen.tell(text);
    }
    if args.timings {
        engine.session.screen.tell(&done.timings.to_string());
    }
    Ok(0)
}

/// What the flags ask for.
fn wanted<'t>(
    args: &UpArgs,
    target: &'t Target,
    (scale, orphans): (BTreeMap<String, u64>, Orphans),
) -> Up<'t> {
    Up {
        until: until(args),
        scale,
        recreate_dependencies: if args.always_recreate_deps {
            Recreate::Force
        } else {
            flags::recreate_dependencies(&args.create)
        },
        anonymous_volumes: if args.renew_anon_volumes {
            AnonymousVolumes::Renew
        } else {
            AnonymousVolumes::Inherit
        },
        recreate: if args.renew_anon_volumes {
            Recreate::Force
        } else {
            flags::recreate(&args.create)
        },
        seconds: args.timeout,
        orphans,
        ..target.up(&args.services)
    }
}

/// How far containers are brought.
fn until(args: &UpArgs) -> Until {
    match (args.no_start, args.wait) {
        (true, _) => Until::Created,
        (false, true) => Until::Ready,
        (false, false) => Until::Started,
    }
}

/// How a project is brought up: its images, whether the user is asked, and whom it belongs to.
type How<'a> = (&'a ImageFlags, Consent, lease::Wanted);

/// Brings the project up and shows what it writes; if it belongs to this command, it goes with it.
async fn attached_up(
    args: &UpArgs,
    engine: &mut Engine<'_, '_>,
    (target, lock): (&Target, Lock),
    (up, (images, consent, lease)): (Up<'_>, How<'_>),
) -> Result<u8, Failure> {
    let is_own = matches!(lease, lease::Wanted::Own(_));
    lease.take(engine, &target.project.name).await?;
    let done = show(args, engine, target, (up, images, consent, lock)).await;
    if is_own {
        lease::remove(engine, &target.project.name).await?;
    }
    done
}

async fn show(
    args: &UpArgs,
    engine: &mut Engine<'_, '_>,
    target: &Target,
    (up, images, consent, lock): (Up<'_>, &ImageFlags, Consent, Lock),
) -> Result<u8, Failure> {
    engine.orchestrator().prepare_images(&up, images).await?;
    let Supplied { project, unknown } = engine.orchestrator().supply(target, up.project).await?;
    let up = Up { project: &project, unknown, ..up };
    let plan = engine.agreed_plan(target, up, consent).await?;
    let attached = attached::Attached::new(engine, target, args)?;
    attached.run(&plan, lock).await
}

/// Creates the containers of the project.
pub(super) async fn create(args: &CreateArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    flags::check_create(&args.create)?;
    let scale = flags::scale(&args.create.scale)?;
    let mut target = Target::load(session, &args.services)?;
    target.restrict(&args.services, Dependencies::Include)?;
    target.check_scale(&scale)?;
    let orphans = target.orphans(session, flags::orphans(&args.create))?;
    let images = flags::images(&args.create)?;
    let mut engine = Engine::connect(session).await?;
    engine.quiet = flags::quiet(&args.create);
    let mut lock = engine.lock(&target.project).await?;
    engine.settle(&mut target, &scale, &mut lock).await?;
    engine.orchestrator().admit(&mut target).await?;
    engine.orchestrator().admit_providers(&mut target).await?;
    let up = Up {
        until: Until::Created,
        scale,
        recreate: flags::recreate(&args.create),
        recreate_dependencies: flags::recreate_dependencies(&args.create),
        orphans,
        ..target.up(&args.services)
    };
    bring_up(&mut engine, &target, up, (&images, flags::consent(&args.create))).await?;
    Ok(0)
}

/// Starts containers that exist.
pub(super) async fn start(args: &StartArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    let mut engine = Engine::connect(session).await?;
    let mut target = Target::find(&mut engine).await?;
    let services = target.named(&args.services)?;
    engine.orchestrator().admit(&mut target).await?;
    target.keep_with_dependencies(&services);
    let up = Up {
        until: if args.wait { Until::Ready } else { Until::Started },
        create: Create::Nothing,
        orphans: Orphans::Ignore,
        targets: services.clone(),
        ..target.up(&[])
    };
    let _lock = engine.lock(&target.project).await?;
    let observed = engine.runtime.observe(Some(&target.project.name)).await?;
    for service in &services {
        let has_provider =
            target.project.services.get(service).is_some_and(|it| it.provider.is_some());
        let is_wanted = up.replicas(service) > 0 && !has_provider;
        if is_wanted && observed.replicas(service).next().is_none() {
            let text = format!("service {service:?} has no container to start");
            return Err(Failure::Other(text));
        }
    }
    let work = engine.bring_up(&target, up, Consent::Ask);
    within(args.wait_timeout.filter(|_| args.wait), work).await?;
    Ok(0)
}

/// Changes how many containers services have.
pub(super) async fn scale(args: &ScaleArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    let scale: BTreeMap<String, u64> = flags::scale_words(&args.scale)?;
    let services: Vec<String> = scale.keys().cloned().collect();
    let mut target = Target::load(session, &services)?;
    let dependencies = if args.no_deps { Dependencies::LeaveOut } else { Dependencies::Include };
    target.restrict(&services, dependencies)?;
    target.check_scale(&scale)?;
    let orphans = target.orphans(session, Orphans::Tell)?;
    let mut engine = Engine::connect(session).await?;
    let mut lock = engine.lock(&target.project).await?;
    engine.settle(&mut target, &scale, &mut lock).await?;
    engine.orchestrator().admit(&mut target).await?;
    engine.orchestrator().admit_providers(&mut target).await?;
    let up =
        Up { scale, anonymous_volumes: AnonymousVolumes::Renew, orphans, ..target.up(&services) };
    let images = ImageFlags { build: BuildMode::Never, ..ImageFlags::default() };
    bring_up(&mut engine, &target, up, (&images, Consent::Ask)).await?;
    Ok(0)
}

/// The same for a project that may belong to a process.
async fn bring_up_leased(
    engine: &mut Engine<'_, '_>,
    target: &Target,
    up: Up<'_>,
    (images, consent, lease): How<'_>,
) -> Result<Converged, Failure> {
    lease.take(engine, &target.project.name).await?;
    bring_up(engine, target, up, (images, consent)).await
}

/// Images, then containers. Whoever calls it holds the lock of the project.
pub(super) async fn bring_up(
    engine: &mut Engine<'_, '_>,
    target: &Target,
    up: Up<'_>,
    (images, consent): (&ImageFlags, Consent),
) -> Result<Converged, Failure> {
    engine.orchestrator().prepare_images(&up, images).await?;
    engine.bring_up(target, up, consent).await
}

/// Ends with a failure after so many seconds.
async fn within<T>(
    seconds: Option<i64>,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let Some(seconds) = seconds.and_then(|it| u64::try_from(it).ok()).filter(|it| *it > 0) else {
        return work.await;
    };
    let ended = tokio::time::timeout(Duration::from_secs(seconds), work).await;
    ended.unwrap_or_else(|_| {
        Err(Failure::Other(format!("application not healthy after {seconds}s")))
    })
}
