//! `ketch commit`: makes an image of a container.
//!
//! In: a service and the name of an image. Out: that image.

use super::args::CommitArgs;
use super::engine::{Engine, Sight, interruptible};
use super::exit::Failure;
use super::session::Session;
use super::usage::switched;
use crate::runtime::Commit;

/// Makes an image.
pub(super) async fn run(args: &CommitArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    let commit = Commit {
        reference: args.reference.clone().unwrap_or_default(),
        author: args.author.clone().unwrap_or_default(),
        message: args.message.clone().unwrap_or_default(),
        changes: args.change.clone(),
        pause: switched("--pause", &args.pause)?,
    };
    let sight = Sight::find(session)?;
    sight.named(std::slice::from_ref(&args.service))?;
    let engine = Engine::connect(session).await?;
    let container = engine.running(&sight.name, &args.service, args.index.unwrap_or(0)).await?;
    let name = &container.name;
    if engine.session.global.dry_run {
        engine.progress.aside(&format!(" {name} Commit {name} would be made\n"));
        return Ok(0);
    }
    let work = async { Ok(engine.runtime.commit(&container.id, &commit).await?) };
    let id = interruptible(engine.interrupts.shutdown(), work).await?;
    engine.progress.aside(&format!(" {name} Commit {name} Committed as {id}\n"));
    Ok(0)
}
