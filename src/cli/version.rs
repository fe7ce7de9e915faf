//! `ketch version`: never loads a project.

use super::args::VersionArgs;
use super::exit::Failure;
use crate::ui::Screen;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Prints the version.
pub(super) fn run(args: &VersionArgs, screen: &mut Screen) -> Result<(), Failure> {
    let text = match args.format.as_deref() {
        _ if args.short => format!("{VERSION}\n"),
        Some("json") => format!("{}\n", serde_json::json!({ "version": VERSION })),
        // Docker Compose takes any other word for `pretty`.
        _ => format!("Ketch version {VERSION}\n"),
    };
    Ok(screen.data(&text)?)
}
