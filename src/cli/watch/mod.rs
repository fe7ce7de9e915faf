//! `ketch watch`: brings changes of files into containers while somebody develops.
//!
//! In: a project with `develop.watch`. Out: containers that are in step with the files, until the
//! user has enough. What a batch leads to is a transfer of files, or a plan as any other command
//! makes it: a restart, or a build and a reconciliation with that service marked.
//!
//! One file for each part: `desk` is what all parts need, `session` the loop, `seat` what is due
//! for one service, `bring` brings files and writes them down in a `ledger`, `acts` restarts, builds and runs commands, `check`
//! compares and tells.
//!
//! # Invariants
//!
//! - One thing at a time is done for a service; what happens meanwhile is merged into the next.
//! - Files come first, then what follows from them.
//! - A failure is told and ends nothing but itself.

mod acts;
mod bring;
mod check;
mod desk;
mod ledger;
mod seat;
mod session;

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::args::WatchArgs;
use super::engine::{Consent, Engine, interruptible};
use super::exit::Failure;
use super::session::Session;
use super::up::bring_up;
use super::usage::switched;
use crate::orchestrator::{Lock, Orchestrator, Supplied, Target};
use crate::plan::Orphans;
use crate::plan::images::ImageFlags;
use crate::runtime::RuntimeError;
use crate::scheduler::Shutdown;
use crate::ui::diagnostics::Message;
use crate::watch::{RuleError, Rules, WatchError, Watcher};

pub(super) use desk::{Desk, Settings};
pub(super) use session::watch;

/// Watches.
pub(super) async fn run(args: &WatchArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    let settings = Settings { quiet: args.quiet, prune: switched("--prune", &args.prune)? };
    let mut target = Target::load(session, &args.services)?;
    let rules = rules(&target, &args.services)?;
    for warning in &rules.warnings {
        session.screen.message(Message::warning(warning));
    }
    let mut engine = Engine::connect(session).await?;
    engine.quiet.build = args.quiet;
    let _only = if args.check { Lock::unneeded() } else { alone(&engine, &target).await? };
    let changes_nothing = args.check || args.no_up;
    let mut lock =
        if changes_nothing { Lock::unneeded() } else { engine.lock(&target.project).await? };
    engine.settle(&mut target, &BTreeMap::new(), &mut lock).await?;
    engine.orchestrator().admit(&mut target).await?;
    engine.orchestrator().admit_providers(&mut target).await?;
    if args.check {
        return check::check(&engine, &target, rules).await;
    }
    if !args.no_up {
        bring_all_up(&mut engine, &mut target, args).await?;
    }
    drop(lock);
    engine.progress.finish();
    let mut watcher = start(rules)?;
    let name = watcher.services().into_iter().collect::<Vec<_>>().join(", ");
    if engine.session.only_tells(|| format!("watch the files of {name}")) {
        return Ok(0);
    }
    let (_, Supplied { project, unknown }) =
        Orchestrator::forecast_supply(&target, &target.project);
    let desk = Desk::new(&engine, &target, (project.into_owned(), unknown), settings);
    watch(&desk, &mut watcher).await?;
    desk.voice.say("Watch disabled");
    Err(Failure::Interrupted)
}

/// Waits until nobody else watches the project.
async fn alone(engine: &Engine<'_, '_>, target: &Target) -> Result<Lock, Failure> {
    if engine.session.global.dry_run {
        return Ok(Lock::unneeded());
    }
    let waiting = |holder: &str| engine.progress.aside(&format!("{}\n", waits(holder)));
    let environment = engine.session.environment();
    only_one(environment, &target.project.name, (engine.interrupts.shutdown(), waiting)).await
}

/// Brings the project up, with fresh images of the services that are developed.
async fn bring_all_up(
    engine: &mut Engine<'_, '_>,
    target: &mut Target,
    args: &WatchArgs,
) -> Result<(), Failure> {
    for service in target.project.services.values_mut() {
        if service.build.is_some() && service.develop.is_some() {
            "build".clone_into(&mut service.pull_policy);
        }
    }
    let orphans = target.orphans(engine.session, Orphans::Tell)?;
    let up = crate::plan::Up { orphans, ..target.up(&args.services) };
    bring_up(engine, target, up, (&ImageFlags::default(), Consent::Ask)).await?;
    Ok(())
}

/// The rules of the services that are named, of all if none is; fails if there is none.
pub(super) fn rules(target: &Target, services: &[String]) -> Result<Rules, Failure> {
    let failed = |error: RuleError| Failure::Watch(Box::new(error));
    let mut rules = Rules::of(&target.project).map_err(failed)?;
    rules.all.retain(|rule| services.is_empty() || services.contains(&rule.service));
    if rules.all.is_empty() {
        let text = "none of the selected services is configured for watch, consider setting a \
                    'develop' section";
        return Err(Failure::Other(text.to_owned()));
    }
    Ok(rules)
}

/// Begins to watch.
pub(super) fn start(rules: Rules) -> Result<Watcher, Failure> {
    Watcher::start(rules.all).map_err(Failure::from)
}

/// One watch at a time works on a project: two would do everything twice.
async fn only_one(
    environment: &IndexMap<String, String>,
    project: &str,
    (enough, waiting): (Shutdown, impl FnOnce(&str)),
) -> Result<Lock, Failure> {
    let name = format!("{project}.watch");
    let taken = async { Ok(Lock::take(environment, (&name, "watch"), waiting).await?) };
    interruptible(enough, taken).await
}

/// What is told while another watch is waited for.
fn waits(holder: &str) -> String {
    format!("waiting for {holder}, which watches this project")
}

impl From<WatchError> for Failure {
    fn from(error: WatchError) -> Self {
        Self::Watch(Box::new(error))
    }
}

/// An error of a runtime and what caused it, on one line.
fn words(error: &RuntimeError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
