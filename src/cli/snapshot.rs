//! `ketch snapshot`: keeps the data of a project, and brings it back.
//!
//! In: a project and the name of a snapshot. Out: volumes and container file systems as they were;
//! then the containers are started and waited for.

use std::pin::pin;

use clap::{Args, Subcommand};

use super::engine::{Engine, Sight};
use super::exit::Failure;
use super::session::Session;
use crate::model::Feature;
use crate::orchestrator::Target;
use crate::runtime::{
    Cancel, Existing, Moment, Result as Done, Runtime, RuntimeError, Save, Snapshots, Work,
};
use crate::scheduler::Stage;
use crate::ui::size::decimal;
use crate::ui::snapshots::listing;

/// The commands of `snapshot`.
#[derive(Debug, Args)]
pub(super) struct SnapshotArgs {
    #[command(subcommand)]
    command: SnapshotCommand,
}

#[derive(Debug, Subcommand)]
enum SnapshotCommand {
    /// Keep volumes and container file systems as they are now
    Save(SaveArgs),
    /// Bring them back, and start the containers that ran
    Restore(RestoreArgs),
    /// List snapshots
    Ls(LsArgs),
    /// Remove snapshots
    Rm(RmArgs),
}

#[derive(Debug, Args)]
struct SaveArgs {
    /// Name of the snapshot
    #[arg(value_name = "NAME")]
    name: String,
    /// Take the place of one that has this name
    #[arg(long)]
    replace: bool,
    /// Stop the containers meanwhile: what is restored then has nothing to recover
    #[arg(long)]
    stop: bool,
}

#[derive(Debug, Args)]
struct RestoreArgs {
    /// Name of the snapshot
    #[arg(value_name = "NAME")]
    name: String,
    /// Leave the containers stopped
    #[arg(long)]
    no_start: bool,
}

#[derive(Debug, Args)]
struct LsArgs {
    /// Those of all projects
    #[arg(short, long)]
    all: bool,
    /// Only names
    #[arg(short, long)]
    quiet: bool,
    /// Format: table, json, or a template
    #[arg(long)]
    format: Option<String>,
}

#[derive(Debug, Args)]
struct RmArgs {
    /// Names of snapshots
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
}

/// Runs a command of `snapshot`.
pub(super) async fn run(args: &SnapshotArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    match &args.command {
        SnapshotCommand::Save(args) => save(args, session).await,
        SnapshotCommand::Restore(args) => restore(args, session).await,
        SnapshotCommand::Ls(args) => list(args, session).await,
        SnapshotCommand::Rm(args) => remove(args, session).await,
    }
    .map(|()| 0)
}

/// The snapshots of a runtime, or why it has none.
fn snapshots(runtime: &dyn Runtime) -> Result<&dyn Snapshots, Failure> {
    runtime.snapshots().ok_or_else(|| {
        let reason = runtime.lacks(Feature::Snapshots);
        let reason = reason.unwrap_or_else(|| "this runtime has no snapshots".to_owned());
        RuntimeError::Unsupported(reason).into()
    })
}

async fn save(args: &SaveArgs, session: &mut Session<'_>) -> Result<(), Failure> {
    let mut engine = Engine::connect(session).await?;
    let runtime = engine.runtime.clone();
    let snapshots = snapshots(&*runtime)?;
    let mut target = Target::find(&mut engine).await?;
    let project = &target.project.name;
    if engine.session.only_tells(|| format!("save snapshot {} of {project}", args.name)) {
        return Ok(());
    }
    let _lock = engine.lock(&target.project).await?;
    let existing = if args.replace { Existing::Replace } else { Existing::Keep };
    let moment = if args.stop { Moment::Stopped } else { Moment::Frozen };
    let wanted = Save { name: args.name.clone(), existing, moment, cancel: Cancel::default() };
    let work = snapshots.save_snapshot(project, &wanted);
    let saved = to_its_end(&engine, &wanted.cancel, work).await?;
    let text = format!(
        "Snapshot {} of {project} saved: {}; containers stood still for {:.1?}\n",
        args.name,
        how(saved.work),
        saved.frozen
    );
    engine.progress.aside(&text);
    leave_alone(&engine, "kept", &saved.left_alone);
    engine.orchestrator().start(&mut target, &saved.services).await.map_err(Failure::from)
}

async fn restore(args: &RestoreArgs, session: &mut Session<'_>) -> Result<(), Failure> {
    let mut engine = Engine::connect(session).await?;
    let runtime = engine.runtime.clone();
    let snapshots = snapshots(&*runtime)?;
    let mut target = Target::find(&mut engine).await?;
    let project = target.project.name.clone();
    if engine.session.only_tells(|| format!("restore snapshot {} of {project}", args.name)) {
        return Ok(());
    }
    let _lock = engine.lock(&target.project).await?;
    // Half of it is of no use to anybody: a signal counts afterwards.
    let restored = snapshots.restore_snapshot(&project, &args.name).await?;
    let text = format!("Snapshot {} of {project} restored: {}\n", args.name, how(restored.work));
    engine.progress.aside(&text);
    leave_alone(&engine, "put back", &restored.left_alone);
    if args.no_start {
        return Ok(());
    }
    engine.orchestrator().start(&mut target, &restored.services).await.map_err(Failure::from)
}

/// Waits for work that must not be left half done: a signal only asks it to end.
async fn to_its_end<T>(
    engine: &Engine<'_, '_>,
    cancel: &Cancel,
    work: impl Future<Output = Done<T>>,
) -> Result<T, Failure> {
    let mut work = pin!(work);
    tokio::select! {
        done = &mut work => return Ok(done?),
        () = engine.interrupts.shutdown().reaches(Stage::Graceful) => cancel.cancel(),
    }
    match work.await {
        Ok(done) => Ok(done),
        Err(_) => Err(Failure::Interrupted),
    }
}

/// How much was done, in words.
fn how(work: Work) -> String {
    let part =
        |bytes: u64, words: &str| (bytes > 0).then(|| format!("{} {words}", decimal(bytes, 3)));
    let parts = [
        part(work.shared, "shared by reflink"),
        part(work.copied, "copied (this file system has no reflinks)"),
        part(work.kept, "had not changed"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "no data".to_owned() } else { parts.join(", ") }
}

fn leave_alone(engine: &Engine<'_, '_>, done: &str, left: &[String]) {
    for thing in left {
        engine.progress.aside(&format!("not {done}: {thing}\n"));
    }
}

async fn list(args: &LsArgs, session: &mut Session<'_>) -> Result<(), Failure> {
    let sight = if args.all { None } else { Some(Sight::find(session)?) };
    let engine = Engine::connect(session).await?;
    let project = sight.as_ref().map(|sight| sight.name.as_str());
    let found = engine.asking(snapshots(&*engine.runtime)?.list_snapshots(project)).await?;
    let text = if args.quiet {
        found.iter().flat_map(|snapshot| [&snapshot.name, "\n"]).collect()
    } else {
        listing(&found).format(args.format.as_deref().unwrap_or_default())?
    };
    Ok(engine.session.screen.data(&text)?)
}

async fn remove(args: &RmArgs, session: &mut Session<'_>) -> Result<(), Failure> {
    let sight = Sight::find(session)?;
    let engine = Engine::connect(session).await?;
    let runtime = engine.runtime.clone();
    let snapshots = snapshots(&*runtime)?;
    let there = engine.asking(snapshots.list_snapshots(Some(&sight.name))).await?;
    for name in &args.names {
        if there.iter().all(|snapshot| snapshot.name != *name) {
            let text = format!("there is no snapshot `{name}` of project `{}`", sight.name);
            return Err(RuntimeError::NotFound(text).into());
        }
    }
    for name in &args.names {
        if engine.session.only_tells(|| format!("remove snapshot {name} of {}", sight.name)) {
            continue;
        }
        engine.asking(snapshots.remove_snapshot(&sight.name, name)).await?;
        engine.session.screen.data(&format!("{name}\n"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::how;
    use crate::runtime::Work;

    #[test]
    fn what_was_done_is_said() {
        let work = Work { shared: 0, copied: 2_000_000, kept: 300_000_000 };
        let said = "2MB copied (this file system has no reflinks), 300MB had not changed";
        assert_eq!(how(work), said);
        assert_eq!(how(Work { shared: 5, ..Work::default() }), "5B shared by reflink");
        assert_eq!(how(Work::default()), "no data");
    }
}
