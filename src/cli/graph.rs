//! `ketch graph`: shows what depends on what. Reads files only.

use super::args::GraphArgs;
use super::exit::Failure;
use super::session::Session;
use super::usage::UsageError;
use crate::model::relations::Relations;
use crate::plan::name::Names;
use crate::ui::graph::{dot, json, mermaid, tree};

/// Shows the graph of a project.
pub(super) fn run(args: &GraphArgs, session: &mut Session<'_>) -> Result<(), Failure> {
    let format = args.format.as_deref().unwrap_or_default();
    let draw = match format {
        "" | "text" => tree,
        "dot" => dot,
        "mermaid" => mermaid,
        "json" => json,
        other => {
            let possible = &["text", "dot", "mermaid", "json"];
            return Err(UsageError::Format { format: other.to_owned(), possible }.into());
        }
    };
    let mut request = session.request()?;
    request.services.clone_from(&args.services);
    let (loaded, _) = session.load(&request)?;
    let separator = if session.joins_with_underscore(&loaded.variables) { '_' } else { '-' };
    let names = Names { project: &loaded.project.name, separator };
    let text = draw(&Relations::of(&loaded.project, |name, it| names.image(name, it)));
    match format {
        "" | "text" => session.screen.show(&text)?,
        _ => session.screen.data(&text)?,
    }
    Ok(())
}
