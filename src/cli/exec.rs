//! `ketch exec`: runs a command in a container that runs.
//!
//! In: a service and a command. Out: what the command writes, and its exit code.

use super::args::ExecArgs;
use super::engine::{Engine, Sight};
use super::exit::{Failure, code};
use super::session::Session;
use super::terminal::{DetachKeys, Ended, Link, OnSignal, Stdin, TtyFlag, TtyFlags};
use super::usage::{UsageError, refuse_flag, switched};
use crate::orchestrator::exec_code;
use crate::runtime::{ExecSpec, Terminal};

/// Runs a command.
pub(super) async fn run(args: &ExecArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    let Some((service, command)) = args.words.split_first().filter(|(_, rest)| !rest.is_empty())
    else {
        return Err(UsageError::Other("`exec` needs a service and a command".to_owned()).into());
    };
    refuse_flag("exec", service)?;
    let tty = TtyFlag::new(TtyFlags { tty: args.tty, no_tty: args.no_tty })?;
    let stdin = switched("--interactive", &args.interactive)?;
    let sight = Sight::find(session)?;
    sight.named(std::slice::from_ref(service))?;
    let spec = ExecSpec {
        command: command.to_vec(),
        environment: args.env.iter().map(|word| variable(word, session)).collect(),
        user: args.user.clone().unwrap_or_default(),
        working_dir: args.workdir.clone().unwrap_or_default(),
        privileged: args.privileged,
        tty: tty.settle(session.screen),
        stdin: stdin && !args.detach,
        detach: args.detach,
    };
    let mut engine = Engine::connect(session).await?;
    let container = engine.running(&sight.name, service, args.index).await?;
    if engine.session.global.dry_run {
        engine.progress.aside(&format!("would run {command:?} in {}\n", container.name));
        return Ok(0);
    }
    attend(&mut engine, &container.id, &spec).await
}

/// Runs a command and stays with it to its end.
async fn attend(
    engine: &mut Engine<'_, '_>,
    container: &str,
    spec: &ExecSpec,
) -> Result<u8, Failure> {
    let (exec, streams) = engine.runtime.exec(container, spec).await?;
    let Some(streams) = streams else { return Ok(0) };
    engine.progress.finish();
    let link = Link {
        runtime: &*engine.runtime,
        session: streams,
        terminal: Terminal::Exec(exec.clone()),
        stdin: if spec.stdin { Stdin::Open } else { Stdin::Closed },
        keys: DetachKeys::default(),
        on_signal: OnSignal::Leave,
    };
    match link.run(engine.session.screen).await? {
        Ended::Output => Ok(code(exec_code(&*engine.runtime, &exec).await?)),
        Ended::Detached => {
            engine.session.screen.tell("\n");
            Ok(0)
        }
        Ended::Interrupted => Err(Failure::Interrupted),
    }
}

/// `NAME=VALUE`; a name alone takes its value from Ketch's own environment.
fn variable(word: &str, session: &Session<'_>) -> String {
    match session.environment().get(word) {
        Some(value) if !word.contains('=') => format!("{word}={value}"),
        _ => word.to_owned(),
    }
}
