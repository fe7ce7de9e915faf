//! `ketch system`: what the native runtime keeps on disk, and making room.
//!
//! In: flags. Out: what `docker system` prints. No engine is asked.

use clap::{Args, Subcommand};

use super::engine::native;
use super::exit::Failure;
use super::prompt;
use super::session::Session;
use crate::runtime::native::{Also, Pruned, Share};
use crate::ui::size::decimal;
use crate::ui::table::table;

/// The commands of `system`.
#[derive(Debug, Args)]
pub(super) struct SystemArgs {
    #[command(subcommand)]
    command: SystemCommand,
}

#[derive(Debug, Subcommand)]
enum SystemCommand {
    /// Show what takes how much room
    Df,
    /// Remove what nobody needs
    Prune(PruneArgs),
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
        SystemCommand::Df => show(session),
        SystemCommand::Prune(args) => prune(args, session).await,
    }
}

fn show(session: &mut Session<'_>) -> Result<u8, Failure> {
    let found = native(session)?.disk_use()?;
    let row = |kind: &str, share: Share| {
        [
            kind.to_owned(),
            share.total.to_string(),
            share.active.to_string(),
            decimal(share.size, 4),
            decimal(share.reclaimable, 4),
        ]
    };
    let rows = [
        row("Images", found.images),
        row("Containers", found.containers),
        row("Local Volumes", found.volumes),
    ];
    let text = table(["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"], &rows);
    session.screen.data(&text)?;
    Ok(0)
}

async fn prune(args: &PruneArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    let question = "Remove all containers that do not run, networks that none of the others joins, \
                    and images that nobody needs?";
    if !args.force && !prompt::ask(session.screen, question)? {
        return Err(Failure::Declined);
    }
    let also = Also { images: args.all, volumes: args.volumes };
    let Pruned { containers, networks, volumes, images, bytes } =
        native(session)?.prune(also).await?;
    let mut text = String::new();
    for (kind, names) in [("containers", containers), ("networks", networks), ("volumes", volumes)]
    {
        if !names.is_empty() {
            text.push_str(&format_names(kind, &names));
        }
    }
    let rest = format!("Removed images and layers: {images}\nTotal reclaimed space: ");
    session.screen.data(&format!("{text}{rest}{}\n", decimal(bytes, 4)))?;
    Ok(0)
}

fn format_names(kind: &str, names: &[String]) -> String {
    format!("Removed {kind}:\n{}\n\n", names.join("\n"))
}
