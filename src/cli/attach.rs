//! `ketch attach`: connects the user with the process of a container.
//!
//! In: a service. Out: what the process writes from now on, and its exit code.

use super::args::AttachArgs;
use super::engine::{Engine, Sight};
use super::exit::{Failure, code};
use super::session::Session;
use super::terminal::{DetachKeys, Ended, Link, OnSignal, Stdin};
use super::usage::switched;
use crate::runtime::{AttachOptions, Terminal};

/// Connects to a container.
pub(super) async fn run(args: &AttachArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    let passes = switched("--sig-proxy", &args.sig_proxy)?;
    let detach_keys = args.detach_keys.clone().unwrap_or_default();
    let keys = DetachKeys::parse(&detach_keys)?;
    let sight = Sight::find(session)?;
    sight.named(std::slice::from_ref(&args.service))?;
    let engine = Engine::connect(session).await?;
    let index = args.index.unwrap_or(0);
    let container = engine.running(&sight.name, &args.service, index).await?;
    if engine.session.global.dry_run {
        engine.progress.aside(&format!("would attach to {}\n", container.name));
        return Ok(0);
    }
    engine.progress.finish();
    // Asked before, so that an end right after attaching is not missed.
    let ended = engine.watch_end(&sight.name, &container.id);
    let options = AttachOptions { stdin: !args.no_stdin, detach_keys };
    let link = Link {
        runtime: &*engine.runtime,
        session: engine.runtime.attach(&container.id, &options).await?,
        terminal: Terminal::Container(container.id.clone()),
        stdin: match (args.no_stdin, container.is_one_off()) {
            (true, _) => Stdin::Closed,
            (false, true) => Stdin::Open,
            (false, false) => Stdin::Held,
        },
        keys,
        on_signal: if passes { OnSignal::Forward(container.id.clone()) } else { OnSignal::Leave },
    };
    match link.run(engine.session.screen).await? {
        Ended::Output => Ok(code(ended.code().await?)),
        Ended::Detached => {
            engine.session.screen.tell("\n");
            Ok(0)
        }
        Ended::Interrupted => Err(Failure::Interrupted),
    }
}
