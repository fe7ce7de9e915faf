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

mod digests;
mod list;
mod output;

use std::path::Path;

use serde_yaml::Value;

use super::args::ConfigArgs;
use super::exit::Failure;
use super::session::Session;
use super::usage::UsageError;
use crate::model::render;
use crate::orchestrator::suppose_ports;
use crate::project::{Phases, Request};
use crate::ui::diagnostics::Message;

/// Runs `config`.
pub(super) async fn run(args: &ConfigArgs, session: &mut Session<'_>) -> Result<(), Failure> {
    let request = Request { phases: phases(args, session), ..session.request()? };
    if let Some(list) = list::List::of(args) {
        return list::run(&list, args, request, session);
    }
    let format = Format::of(args)?;
    let content = if args.no_interpolate {
        uninterpolated(args, format, &request, session).await?
    } else {
        interpolated(args, format, request, session).await?
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

/// Whether images are named by digest.
fn pins_images(args: &ConfigArgs) -> bool {
    args.resolve_image_digests || args.lock_image_digests
}

/// The typed model.
async fn interpolated(
    args: &ConfigArgs,
    format: Format,
    mut request: Request,
    session: &mut Session<'_>,
) -> Result<String, Failure> {
    request.services.clone_from(&args.services_named);
    let (mut loaded, _) = session.load(&request)?;
    suppose_ports(&mut loaded.project);
    if pins_images(args) {
        let services = loaded.project.services.values_mut();
        digests::resolve(session, services.map(|service| &mut service.image)).await?;
    }
    if args.lock_image_digests {
        loaded.project = digests::lock(&loaded.project);
    }
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
async fn uninterpolated(
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
    let mut tree = loaded.values();
    if pins_images(args) {
        pin(&mut tree, session).await?;
    }
    if args.lock_image_digests {
        keep_images(&mut tree);
    }
    Ok(match format {
        Format::Yaml if args.quiet => String::new(),
        Format::Yaml => render::value_yaml(&tree),
        Format::Json => render::value_json(&tree)?,
    })
}

/// Gives the images of services as they are written their digests.
async fn pin(tree: &mut Value, session: &mut Session<'_>) -> Result<(), Failure> {
    let services = tree.get_mut("services").and_then(Value::as_mapping_mut);
    let images = services.into_iter().flat_map(|services| services.values_mut());
    let images = images.filter_map(|service| match service.get_mut("image") {
        Some(Value::String(image)) => Some(image),
        _ => None,
    });
    digests::resolve(session, images).await
}

/// Leaves nothing but the images of services.
fn keep_images(tree: &mut Value) {
    if let Some(tree) = tree.as_mapping_mut() {
        tree.retain(|key, _| key.as_str() == Some("services"));
    }
    let services = tree.get_mut("services").and_then(Value::as_mapping_mut);
    for service in services.into_iter().flat_map(|services| services.values_mut()) {
        if let Some(service) = service.as_mapping_mut() {
            service.retain(|key, _| key.as_str() == Some("image"));
        }
    }
}
