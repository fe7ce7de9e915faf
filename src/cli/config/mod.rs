//! `ketch config`: the project as it is understood, or lists of its parts.
//!
//! In: flags and a project. Out: YAML, JSON or lines.
//!
//! # Invariants
//!
//! - The first list asked for wins, in Docker Compose's order; the other flags for output do
//!   nothing then.
//! - What is rendered can be loaded again: every `$` is doubled, unless nothing was interpolated.
//! - Lists are sorted; Docker Compose prints many of them in an order that changes by chance.

mod list;
mod output;

use std::path::Path;

use super::args::ConfigArgs;
use super::exit::Failure;
use super::session::Session;
use super::usage::UsageError;
use crate::model::render;
use crate::project::{Phases, Request};
use crate::ui::diagnostics::Message;

/// Runs `config`.
pub(super) fn run(args: &ConfigArgs, session: &mut Session<'_>) -> Result<(), Failure> {
    let request = Request { phases: phases(args, session), ..session.request()? };
    if let Some(list) = list::List::of(args) {
        return list::run(&list, args, request, session);
    }
    let format = Format::of(args)?;
    refuse_digests(args)?;
    let content = if args.no_interpolate {
        uninterpolated(args, format, &request, session)?
    } else {
        interpolated(args, format, request, session)?
    };
    if args.quiet {
        return Ok(());
    }
    match args.output.as_deref().filter(|path| !path.is_empty()) {
        Some(path) => {
            let cwd = session.request()?.cwd;
            output::write(&cwd.join(Path::new(path)), &content)
        }
        None => Ok(session.screen.data(&content)?),
    }
}

/// How the project is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Yaml,
    Json,
}

impl Format {
    fn of(args: &ConfigArgs) -> Result<Self, UsageError> {
        match args.format.as_deref() {
            None | Some("" | "yaml") => Ok(Self::Yaml),
            Some("json") => Ok(Self::Json),
            Some(word) => {
                Err(UsageError::Format { format: word.to_owned(), possible: &["yaml", "json"] })
            }
        }
    }
}

fn phases(args: &ConfigArgs, session: &Session<'_>) -> Phases {
    Phases {
        interpolate: !args.no_interpolate,
        // The variable COMPOSE_COMPATIBILITY does not do this, only the flag.
        normalize: !args.no_normalize && !session.global.compatibility,
        resolve_paths: !args.no_path_resolution,
        check_consistency: !args.no_consistency,
        resolve_environment: !args.no_env_resolution,
    }
}

/// Refuses what needs a registry.
fn refuse_digests(args: &ConfigArgs) -> Result<(), UsageError> {
    let flags = [
        (args.lock_image_digests, "--lock-image-digests"),
        (args.resolve_image_digests, "--resolve-image-digests"),
    ];
    match flags.into_iter().find(|(given, _)| *given) {
        Some((_, flag)) => Err(UsageError::NeedsRegistry { flag }),
        None => Ok(()),
    }
}

/// The typed model.
fn interpolated(
    args: &ConfigArgs,
    format: Format,
    mut request: Request,
    session: &mut Session<'_>,
) -> Result<String, Failure> {
    request.services.clone_from(&args.services_named);
    let (loaded, _) = session.load(&request)?;
    let content = match format {
        // Only JSON cannot say everything: nothing is missed where YAML is not written.
        Format::Yaml if args.quiet => String::new(),
        Format::Yaml => render::project_yaml(&loaded.project),
        Format::Json => render::project_json(&loaded.project)?,
    };
    // The process ends now; giving back memory piece by piece would only take time.
    std::mem::forget(loaded);
    Ok(content.replace('$', "$$"))
}

/// The merged tree as it is written.
fn uninterpolated(
    args: &ConfigArgs,
    format: Format,
    request: &Request,
    session: &mut Session<'_>,
) -> Result<String, Failure> {
    if !args.services_named.is_empty() {
        let text = "with `--no-interpolate` all services are shown; the names given are ignored";
        session.screen.message(Message::warning(text));
    }
    let (loaded, _) = session.load(request)?;
    let tree = loaded.values();
    Ok(match format {
        Format::Yaml if args.quiet => String::new(),
        Format::Yaml => render::value_yaml(&tree),
        Format::Json => render::value_json(&tree)?,
    })
}
