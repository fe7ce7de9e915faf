//! What is written down when a project does not come up: all that somebody needs who was not there.
//!
//! In: a [`Recorder`] that has heard the events, and a [`Story`]. Out: a folder of text files, and
//! a [`Summary`] that names the first thing that went wrong.
//!
//! | file | what is in it |
//! |---|---|
//! | `summary.txt` | at most ten lines |
//! | `logs.txt` | what all containers wrote, in the order of time |
//! | `steps.jsonl` | what Ketch did, with the time since the start in milliseconds |
//! | `containers.jsonl` | what happened to containers |
//! | `probes.txt` | what health checks said |
//! | `project.yaml` | the project as it was understood |
//! | `plan.txt` | what was to be done, and why |
//! | `inspect/NAME.json` | all that the runtime knows of a container |
//! | `timings.txt` | where the time went |
//! | `bundle.json` | when, of what, and what was cut off |
//!
//! # Invariants
//!
//! - Values of `environment`, of build arguments and of configs and secrets are not written; values
//!   that are known to be secret are taken out of everything else too (see `mask`).
//! - Every file is bounded; what is cut off is said in it and in `bundle.json`.
//! - A folder that somebody else has filled is never emptied.
//!
//! # Not here
//!
//! When it is written, and what is shown (`cli`, `testing`).

pub mod annotate;
mod collect;
mod folder;
mod mask;
mod recorder;
mod summary;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use crate::model::Project;
use crate::model::render::project_yaml;
use crate::orchestrator::Target;
use crate::runtime::Runtime;
use folder::Folder;
use mask::Mask;
pub use recorder::Recorder;
pub use summary::Summary;

/// What failed, and what is known besides.
#[derive(Clone, Debug, Default)]
pub struct Story<'a> {
    /// The project.
    pub project: Project,
    /// How the command failed, in words.
    pub failure: String,
    /// Where each service stands in the files.
    pub places: BTreeMap<String, Place>,
    /// Looks a variable up: secrets may come from there.
    pub environment: Option<&'a indexmap::IndexMap<String, String>>,
}

/// A place in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Its path, as the user would write it.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
}

impl<'a> Story<'a> {
    /// The story of a project that did not come up.
    pub fn of(
        target: &Target,
        failure: String,
        environment: &'a indexmap::IndexMap<String, String>,
    ) -> Self {
        let place = |service: &String| {
            let (file, line) = target.place(service)?;
            Some((service.clone(), Place { file, line }))
        };
        Story {
            project: target.project.clone(),
            failure,
            places: target.project.services.keys().filter_map(place).collect(),
            environment: Some(environment),
        }
    }
}

/// Why nothing could be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// Something else is there.
    #[error("`{}` has other files in it: name an empty folder", .0.display())]
    Occupied(PathBuf),
    /// A file or folder cannot be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// How long a runtime may take for everything that is asked of it for one file.
const PATIENCE: Duration = Duration::from_secs(20);

/// Writes all that is known to a folder; what was there from an earlier failure goes.
///
/// # Errors
///
/// The folder cannot be written, or holds something else.
pub async fn write(
    directory: &Path,
    story: &Story<'_>,
    (recorder, runtime): (&Recorder, &dyn Runtime),
) -> Result<Summary, BundleError> {
    let mask = Mask::of(&story.project, story.environment);
    let folder = Folder::new(directory, &mask)?;
    let containers = collect::containers(runtime, &story.project.name).await;
    let logs = collect::logs(runtime, &containers).await;
    let inspected = collect::inspect(runtime, &containers).await;
    let summary = Summary::of(story, recorder, (&logs, directory)).masked(&mask);
    let since = recorder.began_at();
    let happened = collect::happenings(runtime, (&story.project.name, &since)).await;
    let project = mask::project(&story.project);
    let files = [
        ("summary.txt", summary.text()),
        ("logs.txt", collect::merged(&logs)),
        ("steps.jsonl", recorder.steps()),
        ("containers.jsonl", happened),
        ("probes.txt", collect::probes(&inspected)),
        ("project.yaml", project_yaml(&project)),
        ("plan.txt", recorder.plans()),
        ("timings.txt", recorder.timings()),
    ];
    for (name, text) in files {
        folder.write(name, &text)?;
    }
    for (name, value) in &inspected {
        let text = serde_json::to_string_pretty(value).unwrap_or_default();
        folder.write(&format!("inspect/{name}.json"), &text)?;
    }
    folder.finish(&json!({
        "ketch": env!("CARGO_PKG_VERSION"),
        "project": story.project.name,
        "began": since,
        "failure": mask.text(&story.failure),
    }))?;
    Ok(summary)
}
