//! `ketch wait`: waits until containers have ended.
//!
//! In: services. Out: a line for each container that ends, and the exit code of the last one.

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use super::args::{DownArgs, WaitArgs};
use super::engine::{Engine, Sight, interruptible};
use super::exit::{Failure, code};
use super::session::Session;
use crate::model::observed::ObservedContainer;

/// Waits for the containers of services, those of `run` too.
pub(super) async fn run(args: &WaitArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    let sight = Sight::find(session)?;
    let services = sight.named(&args.services)?;
    let mut engine = Engine::connect(session).await?;
    let mut containers = engine.containers(Some(&sight.name)).await?;
    containers.retain(|it| it.is_up() && services.contains(it.service()));
    if containers.is_empty() {
        return Err(Failure::Other(format!("no containers for project {:?}", sight.name)));
    }
    let last = wait_for(&mut engine, &sight.name, &containers).await?;
    drop(engine);
    if args.down_project {
        let down = DownArgs { remove_orphans: true, ..DownArgs::default() };
        super::down::down(&down, session).await?;
    }
    Ok(code(last))
}

/// Waits for all of these; gives the exit code of the one that ends last.
async fn wait_for(
    engine: &mut Engine<'_, '_>,
    project: &str,
    containers: &[ObservedContainer],
) -> Result<i64, Failure> {
    let mut endings: FuturesUnordered<_> = containers
        .iter()
        .map(|container| {
            let ending = engine.watch_end(project, &container.id);
            async move { (&container.id, ending.code().await) }
        })
        .collect();
    let mut last = 0;
    loop {
        let shutdown = engine.interrupts.shutdown();
        let next = interruptible(shutdown, async { Ok(endings.next().await) }).await?;
        let Some((id, ended)) = next else { return Ok(last) };
        last = ended?;
        let line = format!("container {id:?} exited with status code {last}\n");
        engine.session.screen.data(&line)?;
    }
}
