//! Writes down what is known when `up --wait` has failed.
//!
//! In: flags, the environment, and what the engine has recorded. Out: a folder, a summary on the
//! terminal, and notes for the machine that runs the job.

use std::path::PathBuf;

use crate::bundle::{self, Story, annotate};
use crate::cli::args::UpArgs;
use crate::cli::engine::Engine;
use crate::cli::exit::Failure;
use crate::orchestrator::Target;
use crate::ui::diagnostics::Message;

/// The folder where machines run jobs, in the current one.
const USUAL: &str = "ketch-failure";
/// The variable that stands for the flag.
const VARIABLE: &str = "KETCH_BUNDLE";

/// Where to write to; `None`: nothing is written.
pub(super) fn directory(args: &UpArgs, engine: &Engine<'_, '_>) -> Option<PathBuf> {
    if !args.wait || engine.session.global.dry_run {
        return None;
    }
    let variable = || engine.session.environment().get(VARIABLE).cloned();
    let usual = || annotate::is_ci(engine.session.environment()).then(|| USUAL.to_owned());
    args.bundle
        .clone()
        .or_else(variable)
        .or_else(usual)
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
}

/// Writes what is known, and tells the first thing that went wrong. What cannot be written is only
/// a warning: the failure itself matters more.
pub(super) async fn write(
    engine: &mut Engine<'_, '_>,
    target: &Target,
    (directory, failure): (Option<PathBuf>, &Failure),
) {
    let (Some(directory), Some(recorder)) = (directory, engine.recorder.take()) else { return };
    if matches!(failure, Failure::Interrupted) {
        return;
    }
    engine.progress.finish();
    let environment = engine.session.environment().clone();
    let story = Story::of(target, words(failure), &environment);
    let runtime = engine.runtime.clone();
    let written = bundle::write(&directory, &story, (&recorder, &*runtime)).await;
    let reported = written.and_then(|summary| {
        annotate::gitlab(&environment, (&directory, &summary))?;
        Ok(summary)
    });
    match reported {
        Ok(summary) => {
            let note = annotate::github(&environment, &summary).unwrap_or_default();
            engine.session.screen.tell(&(summary.text() + &note));
        }
        Err(error) => {
            let text = format!("no bundle was written: {error}");
            engine.session.screen.message(Message::warning(&text));
        }
    }
}

/// A failure in words; of several steps the first.
fn words(failure: &Failure) -> String {
    match failure {
        Failure::Steps(failures) => failures.first().map_or_else(
            || failure.to_string(),
            |first| format!("cannot {}: {}", first.what, first.cause.replace('\n', "; ")),
        ),
        other => other.to_string(),
    }
}
