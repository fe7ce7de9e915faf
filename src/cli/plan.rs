//! `ketch plan`: tells what `up` or `down` would do, and why.
//!
//! In: flags, the project, what is observed. Out: the plan, for people or for programs.
//!
//! # Invariants
//!
//! - Nothing runs and no lock is taken.

use std::collections::BTreeMap;

use super::args::PlanArgs;
use super::down;
use super::engine::Engine;
use super::exit::Failure;
use super::session::Session;
use super::usage::UsageError;
use crate::model::spec::ProviderAction;
use crate::orchestrator::{Dependencies, Lock, Orchestrator, Target};
use crate::plan::images::ImageFlags;
use crate::plan::{Orphans, Plan, Recreate, Up};
use crate::project::path::span_at;
use crate::ui::plan::{human, json};
use crate::ui::text;

/// The exit code that says that there is something to do.
const PENDING: u8 = 2;

/// Tells what would be done.
pub(super) async fn run(args: &PlanArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    let for_programs = match args.format.as_deref().unwrap_or_default() {
        "" | "text" => false,
        "json" => true,
        other => {
            let format = other.to_owned();
            return Err(UsageError::Format { format, possible: &["text", "json"] }.into());
        }
    };
    let (target, plan) =
        if args.down { plan_down(args, session).await? } else { plan_up(args, session).await? };
    let place = |service: &str, attribute: &str| place(&target, service, attribute);
    if for_programs {
        session.screen.data(&json(&plan, &place))?;
    } else {
        session.screen.show(&human(&plan, &place))?;
    }
    Ok(if args.detailed_exitcode && plan.changes_something() { PENDING } else { 0 })
}

async fn plan_up(args: &PlanArgs, session: &mut Session<'_>) -> Result<(Target, Plan), Failure> {
    let mut target = Target::load(session, &args.services)?;
    target.restrict(&args.services, Dependencies::Include)?;
    let orphans = target
        .orphans(session, if args.remove_orphans { Orphans::Remove } else { Orphans::Tell })?;
    let recreate = if args.force_recreate { Recreate::Force } else { Recreate::Diverged };
    let engine = Engine::connect(session).await?;
    engine.settle(&mut target, &BTreeMap::new(), &mut Lock::unneeded()).await?;
    engine.orchestrator().admit(&mut target).await?;
    engine.orchestrator().admit_providers(&mut target).await?;
    let up = Up { recreate, orphans, ..target.up(&args.services) };
    let images = engine.orchestrator().forecast_images(&up, &ImageFlags::default()).await?;
    let (provided, supplied) = Orchestrator::forecast_supply(&target, up.project);
    let up = Up { project: &supplied.project, unknown: supplied.unknown, ..up };
    let containers = engine.orchestrator().plan_up(&target, &up).await?;
    let plan = images.then(provided).then(containers);
    Ok((target, plan))
}

async fn plan_down(args: &PlanArgs, session: &mut Session<'_>) -> Result<(Target, Plan), Failure> {
    let mut engine = Engine::connect(session).await?;
    let mut target = Target::find(&mut engine).await?;
    let wanted = down::Wanted {
        services: &args.services,
        orphans: if args.remove_orphans { Orphans::Remove } else { Orphans::Ignore },
        volumes: args.volumes,
        seconds: None,
        images: Vec::new(),
    };
    engine.find_providers(&mut target, ProviderAction::Down).await;
    let plan = down::plan(&engine, &mut target, wanted).await?;
    Ok((target, plan))
}

/// Where an attribute of a service stands.
fn place(target: &Target, service: &str, attribute: &str) -> Option<String> {
    let (sources, tree) = target.files.as_ref().filter(|_| !service.is_empty())?;
    let span = span_at(tree, &format!("services.\"{service}\".{attribute}"))?;
    Some(text::place(sources, span))
}
