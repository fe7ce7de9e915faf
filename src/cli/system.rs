//! `ketch system`: what the native runtime keeps on disk, and making room.
//!
//! In: flags. Out: what `docker system` prints. No engine is asked.

use clap::{Args, Subcommand};

use super::engine::native;
use super::exit::Failure;
use super::prompt;
use super::session::Session;
use crate::runtime::native::{Also, Pruned, Share};
use crate::ui::listing::{Columns, Listing, Row};
use crate::ui::size::decimal;

/// The columns of `df`.
const COLUMNS: Columns = &[
    ("Type", "TYPE"),
    ("TotalCount", "TOTAL"),
    ("Active", "ACTIVE"),
    ("Size", "SIZE"),
    ("Reclaimable", "RECLAIMABLE"),
];

/// The commands of `system`.
#[derive(Debug, Args)]
pub(super) struct SystemArgs {
    #[command(subcommand)]
    command: SystemCommand,
}

#[derive(Debug, Subcommand)]
enum SystemCommand {
    /// Show what takes how much room
    Df(DfArgs),
    /// Remove what nobody needs
    Prune(PruneArgs),
}

#[derive(Debug, Args)]
struct DfArgs {
    /// Format: table, json, or a template
    #[arg(long)]
    format: Option<String>,
}

#[derive(Debug, Args)]
struct PruneArgs {
    /// Remove all images that no container uses, not only those without a name
    #[arg(short, long)]
    all: bool,
    /// Remove volumes without a name that no container uses
    #[arg(long)]
    volumes: bool,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
}

/// Runs a command of `system`.
pub(super) async fn run(args: &SystemArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    match &args.command {
        SystemCommand::Df(args) => show(args, session),
        SystemCommand::Prune(args) => prune(args, session).await,
    }
}

fn show(args: &DfArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    let found = native(session)?.disk_use()?;
    let rows = vec![
        row("Images", found.images),
        row("Containers", found.containers),
        row("Local Volumes", found.volumes),
        row("Snapshots", found.snapshots),
    ];
    let listing = Listing { rows, columns: COLUMNS, more: &[], raw: "" };
    session.screen.data(&listing.format(args.format.as_deref().unwrap_or_default())?)?;
    Ok(0)
}

fn row(kind: &str, share: Share) -> Row {
    let part = match share.reclaimable.saturating_mul(100).checked_div(share.size) {
        Some(percent) => format!(" ({percent}%)"),
        None => String::new(),
    };
    let fields = [
        ("Type", kind.to_owned()),
        ("TotalCount", share.total.to_string()),
        ("Active", share.active.to_string()),
        ("Size", decimal(share.size, 4)),
        ("Reclaimable", decimal(share.reclaimable, 4) + &part),
    ];
    let fields = fields.map(|(name, text)| (name, text.into()));
    Row { fields: fields.into_iter().collect(), ..Row::default() }
}

async fn prune(args: &PruneArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    let what = what(args);
    let question = format!("Remove {what}?");
    let native = native(session)?;
    if session.only_tells(|| format!("remove {what}")) {
        return Ok(0);
    }
    if !args.force && !prompt::ask(session.screen, &question)? {
        return Err(Failure::Declined);
    }
    let also = Also { images: args.all, volumes: args.volumes };
    let Pruned { containers, networks, volumes, snapshots, images, bytes } =
        native.prune(also).await?;
    let mut text = String::new();
    let kinds = [
        ("containers", containers),
        ("networks", networks),
        ("volumes", volumes),
        ("snapshots", snapshots),
    ];
    for (kind, names) in kinds {
        if !names.is_empty() {
            text.push_str(&format_names(kind, &names));
        }
    }
    let rest = format!("Removed images and layers: {images}\nTotal reclaimed space: ");
    session.screen.data(&format!("{text}{rest}{}\n", decimal(bytes, 4)))?;
    Ok(0)
}

/// What is removed.
fn what(args: &PruneArgs) -> String {
    let images = if args.all { "images that none of them uses" } else { "images without a name" };
    let volumes = if args.volumes { ", volumes without a name that nobody uses" } else { "" };
    format!(
        "all containers that do not run, networks that none of the others joins{volumes}, \
         snapshots of projects of which nothing else is left, and {images}"
    )
}

fn format_names(kind: &str, names: &[String]) -> String {
    format!("Removed {kind}:\n{}\n\n", names.join("\n"))
}
