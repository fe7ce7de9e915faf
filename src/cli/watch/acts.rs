//! What follows from changes: builds, restarts, commands.
//!
//! In: what is due for a service. Out: plans that are run, and lines that tell what came of it. A
//! build or a start that fails leaves the service as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::desk::Desk;
use super::words;

use crate::cli::exit::Failure;
use crate::event::Deed;
use crate::model::{Hook, Project};
use crate::orchestrator::observe;
use crate::plan::images::{self, build::Builds};
use crate::plan::{
    Action, Cause, Dependents, Desired, Orphans, Recreate, Treatment, Up, reconcile,
};
use crate::ui::failure;
use crate::ui::watch::Done;
use crate::watch::Work;

/// After how long a restart that failed is tried once more.
const AGAIN: Duration = Duration::from_millis(500);

/// Does what is due.
pub(super) async fn act(desk: &Desk, service: &str, work: &Work) {
    let mut is_renewed = false;
    if !work.rebuild.is_empty() {
        is_renewed = rebuild(desk, service, &work.rebuild).await;
    }
    if !work.restart.is_empty() && !is_renewed && !desk.is_over() {
        restart(desk, service, &work.restart).await;
    }
    for (hook, files) in &work.execs {
        if !desk.is_over() {
            exec(desk, service, (hook, files)).await;
        }
    }
}

/// Tells why something did not work; watching goes on.
fn tell(desk: &Desk, what: &str, failure: &Failure) {
    match failure {
        Failure::Interrupted => {}
        Failure::Steps(failures) => {
            desk.voice.report(&failure::report(failures));
            desk.voice.warn(what);
        }
        other => desk.voice.warn(&format!("{what}: {other}")),
    }
}

fn done(
    desk: &Desk,
    service: &str,
    (deed, files, text): (Deed, &BTreeSet<PathBuf>, String),
    begun: Instant,
) {
    let done = Done { deed, files, removed: &BTreeSet::new(), text };
    desk.voice.done(service, &done, begun.elapsed());
}

fn names(desk: &Desk, files: &BTreeSet<PathBuf>) -> String {
    desk.voice.files(files.iter().map(PathBuf::as_path))
}

async fn restart(desk: &Desk, service: &str, files: &BTreeSet<PathBuf>) {
    let begun = Instant::now();
    let mut ended = restarted(desk, service).await;
    if matches!(ended, Err(Failure::Steps(_))) && !desk.is_over() {
        // What the one before held, such as a port, may be free a moment later.
        tokio::time::sleep(AGAIN).await;
        ended = restarted(desk, service).await;
    }
    match ended {
        Ok(()) => {
            let text = format!("restarted because of {}", names(desk, files));
            done(desk, service, (Deed::Restarted, files, text), begun);
        }
        Err(failure) => tell(desk, &format!("service `{service}` was not restarted"), &failure),
    }
}

async fn restarted(desk: &Desk, service: &str) -> Result<(), Failure> {
    let _lock = desk.lock().await?;
    let observed = desk.runtime.observe(Some(&desk.project.name)).await?;
    let treatment = Treatment {
        project: &desk.project,
        services: [service.to_owned()].into(),
        action: Action::Restart { seconds: None, dependents: Dependents::Follow },
        calls: BTreeMap::default(),
    };
    desk.run(&reconcile(&Desired::Treat(treatment), &observed)).await.map(drop)
}

/// Runs a command in all containers that run.
async fn exec(desk: &Desk, service: &str, (hook, files): (&Hook, &BTreeSet<PathBuf>)) {
    let begun = Instant::now();
    let words_of_it = hook.command.as_deref().unwrap_or_default().join(" ");
    let mut containers = match desk.containers(service).await {
        Ok(containers) => containers,
        Err(error) => return desk.voice.warn(&words(&error)),
    };
    containers.retain(crate::model::observed::ObservedContainer::is_up);
    if containers.is_empty() {
        let text = format!("service `{service}`: `{words_of_it}` was not run: no container runs");
        return desk.voice.warn(&text);
    }
    let runs = containers.iter().map(|it| desk.runtime.run_hook(&it.id, hook));
    let mut failures = 0;
    for (container, ended) in containers.iter().zip(join_all(runs).await) {
        let text = match ended {
            Ok((0, _)) => continue,
            Ok((code, output)) => {
                format!("`{words_of_it}` exited with code {code}: {}", last_lines(&output))
            }
            Err(error) => format!("cannot run `{words_of_it}`: {}", words(&error)),
        };
        failures += 1;
        desk.voice.warn(&format!("{}: {text}", container.name));
    }
    if failures == 0 {
        let text = format!("ran `{words_of_it}` because of {}", names(desk, files));
        done(desk, service, (Deed::Executed, files, text), begun);
    }
}

/// The end of what a command wrote.
fn last_lines(output: &str) -> String {
    const LINES: usize = 10;
    let lines: Vec<&str> = output.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

/// Builds the image of a service and replaces its containers; says whether they are new.
async fn rebuild(desk: &Desk, service: &str, files: &BTreeSet<PathBuf>) -> bool {
    let begun = Instant::now();
    desk.voice.say(&format!("{service}: building because of {}", names(desk, files)));
    match rebuilt(desk, service).await {
        Ok(Outcome::Replaced) => {
            let text = "built, and its containers replaced".to_owned();
            done(desk, service, (Deed::Replaced, files, text), begun);
            true
        }
        Ok(Outcome::Same) => {
            let text = "built: the image is the same".to_owned();
            done(desk, service, (Deed::Built, files, text), begun);
            false
        }
        Err((what, failure)) => {
            tell(desk, &format!("service `{service}`: {what}"), &failure);
            false
        }
    }
}

/// What a build led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Replaced,
    Same,
}

async fn rebuilt(desk: &Desk, service: &str) -> Result<Outcome, (&'static str, Failure)> {
    const KEPT: &str = "the build failed, and its containers go on as they are";
    let kept = |failure| (KEPT, failure);
    let _lock = desk.lock().await.map_err(kept)?;
    let project = desk.restricted(service);
    let image = match project.services.get(service) {
        Some(settings) => desk.names().image(service, settings),
        None => return Ok(Outcome::Same),
    };
    let before = image_id(desk, &image).await.map_err(kept)?;
    let builds = Builds::to_run(&project, desk.names());
    let plan = builds.plan(|name, _| (name == service).then_some(Cause::Requested));
    desk.run(&plan).await.map_err(kept)?;
    if before.is_some() && before == image_id(desk, &image).await.map_err(kept)? {
        return Ok(Outcome::Same);
    }
    if let Err(failure) = replace(desk, (&project, service)).await {
        let Some(before) = before.filter(|_| !desk.is_cut()) else {
            return Err(("the new container does not start", failure));
        };
        let what = match go_back(desk, project, (service, &before)).await {
            Ok(()) => "the new container does not start; one of the image before runs again",
            Err(_) => "the new container does not start, nor does one of the image before",
        };
        return Err((what, failure));
    }
    if let (true, Some(before)) = (desk.settings.prune, before) {
        prune(desk, &before).await;
    }
    Ok(Outcome::Replaced)
}

/// Removes an image that a build has replaced, unless somebody has given it another name, or uses
/// it.
async fn prune(desk: &Desk, image: &str) {
    let removed = match desk.runtime.find_image(image).await {
        Ok(Some(found)) if found.names.is_empty() => desk.runtime.remove_image(image).await,
        found => found.map(drop),
    };
    if let Err(error) = removed {
        tracing::debug!(%error, "the image before stays");
    }
}

async fn image_id(desk: &Desk, image: &str) -> Result<Option<String>, Failure> {
    Ok(desk.runtime.find_image(image).await?.map(|image| image.id))
}

/// Replaces the containers of a service that are not what its image is now.
async fn replace(desk: &Desk, (project, service): (&Project, &str)) -> Result<(), Failure> {
    let up = Up {
        separator: desk.separator,
        targets: [service.to_owned()].into(),
        recreate_dependencies: Recreate::Never,
        orphans: Orphans::Ignore,
        unknown: desk.unknown.clone(),
        scale: scale(desk, service).await?,
        ..Up::all(project)
    };
    let references = images::references(&up);
    let observed = observe(&*desk.runtime, project, &references).await?;
    desk.run(&reconcile(&Desired::Up(up), &observed)).await.map(drop)
}

/// As many containers as there are: `--scale` may have made them.
async fn scale(desk: &Desk, service: &str) -> Result<BTreeMap<String, u64>, Failure> {
    let mut numbers: BTreeMap<String, u64> = BTreeMap::new();
    for container in desk.runtime.containers(Some(&desk.project.name)).await? {
        if !container.is_one_off() {
            *numbers.entry(container.service().to_owned()).or_default() += 1;
        }
    }
    numbers.entry(service.to_owned()).or_insert(1);
    Ok(numbers)
}

/// Lets the image before run again.
async fn go_back(
    desk: &Desk,
    mut project: Project,
    (service, image): (&str, &str),
) -> Result<(), Failure> {
    if let Some(settings) = project.services.get_mut(service) {
        image.clone_into(&mut settings.image);
        settings.build = None;
    }
    replace(desk, (&project, service)).await
}

#[cfg(test)]
mod tests {
    use super::last_lines;

    #[test]
    fn the_end_of_what_a_command_wrote_is_told() {
        let text = (1..=12).map(|line| line.to_string()).collect::<Vec<_>>().join("\n");
        assert_eq!(last_lines(&text).lines().next(), Some("3"));
        assert_eq!(last_lines(""), "");
    }
}
