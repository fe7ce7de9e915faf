//! `ketch run`: runs a command in a container of its own.
//!
//! In: a service, a command, flags. Out: what the service depends on is up, the command has run,
//! and its exit code.
//!
//! # Invariants
//!
//! - The lock of the project is held until the container is there, and not while it runs.
//! - The streams are attached before the container starts: nothing that it writes is lost.

mod flags;

use std::collections::BTreeMap;

use super::args::RunArgs;
use super::engine::{Consent, Engine, Quiet};
use super::exit::{Failure, code};
use super::session::Session;
use super::terminal::{DetachKeys, Ended, Link, OnSignal, Stdin};
use super::usage::{UsageError, refuse_flag};
use crate::model::{Hook, Project};
use crate::orchestrator::{Dependencies, Supplied, Target, observe};
use crate::plan::images::{self, ImageFlags};
use crate::plan::one_off::{self, Run};
use crate::plan::{Orphans, Until, Up, spec};
use crate::runtime::{AttachOptions, RuntimeError, Terminal, Volumes};
use crate::ui::diagnostics::Message;

/// Runs a command.
pub(super) async fn run(args: &RunArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    let Some((service, _)) = args.words.split_first() else {
        return Err(UsageError::Other("`run` needs a service".to_owned()).into());
    };
    refuse_flag("run", service)?;
    flags::check(args)?;
    let images = flags::images(args)?;
    let named = std::slice::from_ref(service);
    let mut target = Target::load(session, named)?;
    let dependencies = if args.no_deps { Dependencies::LeaveOut } else { Dependencies::Include };
    target.restrict(named, dependencies)?;
    check_container(&target.project, service)?;
    let run = flags::run(args, &target, session)?;
    let orphans = target
        .orphans(session, if args.remove_orphans { Orphans::Remove } else { Orphans::Tell })?;
    let mut engine = Engine::connect(session).await?;
    if args.quiet {
        engine.silence();
    }
    engine.quiet = Quiet { pull: args.quiet_pull, build: args.quiet_build };
    let mut lock = engine.lock(&target.project).await?;
    engine.settle(&mut target, &BTreeMap::new(), &mut lock).await?;
    engine.orchestrator().admit(&mut target).await?;
    engine.orchestrator().admit_providers(&mut target).await?;
    let until = if args.detach { Until::Started } else { Until::Created };
    let up = Up { until, ..target.up(named) };
    prepare(&mut engine, &target, &up, (&run, &images, orphans)).await?;
    drop(lock);
    let name = run.container_name(&up);
    if engine.session.global.dry_run {
        return Ok(0);
    }
    if args.detach {
        let observed = engine.runtime.observe(Some(&target.project.name)).await?;
        let made = observed.containers.iter().find(|container| container.name == name);
        let id = made.map_or(&name, |container| &container.id);
        engine.session.screen.data(&format!("{id}\n"))?;
        return Ok(0);
    }
    attend(&mut engine, &target.project, &run, &name).await
}

/// Refuses a service that has no containers.
fn check_container(project: &Project, service: &str) -> Result<(), Failure> {
    let settings = project.services.get(service);
    match settings.and_then(|settings| settings.provider.as_ref()) {
        None => Ok(()),
        Some(provider) => Err(Failure::Other(format!(
            "service `{service}` has no containers: the external program `{}` runs it",
            provider.kind
        ))),
    }
}

/// Brings up what the service depends on, and makes the container.
async fn prepare(
    engine: &mut Engine<'_, '_>,
    target: &Target,
    up: &Up<'_>,
    (run, images, orphans): (&Run, &ImageFlags, Orphans),
) -> Result<(), Failure> {
    let others = without(&target.project, |name| name == run.service);
    let alone = without(&target.project, |name| name != run.service);
    let dependencies = Up { separator: target.separator, orphans, ..Up::all(&others) };
    engine.orchestrator().prepare_images(&dependencies, &ImageFlags::default()).await?;
    let own = Up { separator: target.separator, ..Up::all(&alone) };
    engine.orchestrator().prepare_images(&own, images).await?;
    let Supplied { project, unknown } =
        engine.orchestrator().supply(target, &target.project).await?;
    let others = without(&project, |name| name == run.service);
    let dependencies = Up { project: &others, unknown, ..dependencies };
    let plan = engine.agreed_plan(target, dependencies, Consent::Ask).await?;
    engine.orchestrator().run(&plan).await?;
    let references = images::references(up);
    let observed = observe(&*engine.runtime, &project, &references).await?;
    let plan = one_off::plan(&Up { project: &project, ..up.clone() }, &observed, run);
    // Nothing to wait for: what the command writes comes at once, with nothing of ours before it.
    if plan.steps.len() == 1 && !engine.session.global.dry_run {
        engine.silence();
    }
    engine.orchestrator().run(&plan).await?;
    Ok(())
}

/// The project with some services turned off.
fn without(project: &Project, off: impl Fn(&str) -> bool) -> Project {
    let mut project = project.clone();
    let services = std::mem::take(&mut project.services);
    for (name, service) in services {
        let list = if off(&name) { &mut project.disabled_services } else { &mut project.services };
        list.insert(name, service);
    }
    for service in project.services.values_mut() {
        service.depends_on.retain(|name, _| !project.disabled_services.contains_key(name));
    }
    project
}

/// Attaches to the container, starts it, and stays with it to its end.
async fn attend(
    engine: &mut Engine<'_, '_>,
    project: &Project,
    run: &Run,
    name: &str,
) -> Result<u8, Failure> {
    engine.progress.finish();
    let settings = project.services.get(&run.service).map(|service| run.settings(service));
    let settings = settings.unwrap_or_default();
    let stdin = run.one_off.interactive;
    let options = AttachOptions { stdin, detach_keys: String::new() };
    let streams = engine.runtime.attach(name, &options).await?;
    let files = spec::injected(project, &settings);
    let expecting = engine.expect_end(&project.name, name);
    let started = engine.runtime.start_container(name, &files).await;
    started.map_err(|error| not_started(name, error))?;
    let ending = expecting.watch();
    let hooks = run_hooks(engine, name, settings.post_start.clone());
    let link = Link {
        runtime: &*engine.runtime,
        session: streams,
        terminal: Terminal::Container(name.to_owned()),
        stdin: if stdin { Stdin::Open } else { Stdin::Closed },
        keys: DetachKeys::default(),
        on_signal: OnSignal::End(name.to_owned()),
    };
    let ended = link.run(engine.session.screen).await;
    if ended.is_err() {
        // Nobody reads what it writes any more.
        let _ = engine.runtime.kill_container(name, "SIGKILL").await;
    }
    let ended = ended?;
    if ended == Ended::Detached {
        engine.session.screen.tell("\n");
        return Ok(0);
    }
    let done = ending.code().await?;
    if run.one_off.auto_remove {
        // The runtime is about to: whoever comes next finds it gone.
        engine.runtime.remove_container(name, Volumes::Remove).await?;
    }
    tell_hook(engine, hooks).await;
    if ended == Ended::Interrupted { Err(Failure::Interrupted) } else { Ok(code(done)) }
}

/// What the hooks had to say, if one failed.
type Hooks = tokio::task::JoinHandle<Option<String>>;

/// Runs `post_start` hooks beside the command.
fn run_hooks(engine: &Engine<'_, '_>, name: &str, hooks: Vec<Hook>) -> Hooks {
    let (runtime, name) = (engine.runtime.clone(), name.to_owned());
    tokio::spawn(async move {
        for hook in hooks {
            match runtime.run_hook(&name, &hook).await {
                Ok((0, _)) => {}
                Ok((code, output)) => {
                    let output = output.trim_end();
                    return Some(format!("post_start hook exited with status {code}: {output}"));
                }
                // The command may well be over before its hooks.
                Err(RuntimeError::NotFound(_) | RuntimeError::Conflict(_)) => return None,
                Err(error) => return Some(format!("post_start hook failed: {error}")),
            }
        }
        None
    })
}

/// Warns of a hook that has failed by now.
async fn tell_hook(engine: &mut Engine<'_, '_>, hooks: Hooks) {
    if !hooks.is_finished() {
        hooks.abort();
    }
    if let Ok(Some(text)) = hooks.await {
        engine.session.screen.message(Message::warning(&text));
    }
}

/// Why a container did not start, with the exit code that a shell would give.
fn not_started(container: &str, source: RuntimeError) -> Failure {
    let text = source.to_string().to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let code = if has(&["executable file not found", "no such file or directory"]) {
        127
    } else if has(&["permission denied", "is a directory"]) {
        126
    } else {
        1
    };
    Failure::Start { container: container.to_owned(), code, source }
}

#[cfg(test)]
mod tests;
