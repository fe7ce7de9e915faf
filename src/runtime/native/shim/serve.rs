//! Does what clients ask for.
//!
//! In: connections to the control socket. Out: signals, a frozen container, attached streams; an
//! answer when it is done.

use std::rc::Rc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::net::{UnixListener, UnixStream};

use super::Shim;
use super::run::Run;
use crate::runtime::native::control::{self, Answer, Fault, Request, SOCKET, Then};
use crate::runtime::native::signal;
use crate::runtime::native::state::{Phase, failed};
use crate::runtime::{Result, RuntimeError};

/// How long a container may take to stop if nobody says.
const GRACE: Duration = Duration::from_secs(10);

/// Begins to listen.
pub(super) fn listen(shim: &Shim) -> Result<UnixListener> {
    let directory = &shim.place.volatile;
    control::listen(directory, SOCKET).map_err(|error| failed("listen in", directory, error))
}

/// Serves all who connect, for ever.
pub(super) async fn serve(shim: Rc<Shim>, listener: UnixListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::task::spawn_local(client(Rc::clone(&shim), stream));
            }
            // There are no descriptors left: it is tried again when some may have been closed.
            Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
}

async fn client(shim: Rc<Shim>, mut stream: UnixStream) {
    let Ok(request) = control::receive::<Request>(&mut stream).await else { return };
    if let Request::Attach { input } = request {
        if let Some(run) = current(&shim) {
            run.console.admit(stream, input).await;
        }
        return;
    }
    let answer: Answer = answer(&shim, request).await.map_err(Fault::from);
    // Who asked may have gone.
    let _ = control::send(&mut stream, &answer).await;
    shim.owed.set(shim.owed.get().saturating_sub(1));
}

async fn answer(shim: &Rc<Shim>, request: Request) -> Result<()> {
    shim.owed.set(shim.owed.get() + 1);
    match request {
        Request::Stop { signal, seconds, then } => stop(shim, signal, (seconds, then)).await,
        Request::Kill { signal } => kill(shim, &signal),
        Request::Pause => freeze(shim),
        Request::Unpause => thaw(shim),
        Request::Resize { columns, rows } => {
            let resized = current(shim).map_or(Ok(()), |run| run.console.resize(columns, rows));
            resized.map_err(|source| RuntimeError::Io {
                action: "tell the terminal its size".to_owned(),
                source,
            })
        }
        Request::Refresh => current(shim).map_or(Ok(()), |run| run.network.refresh()),
        // It has been dealt with: there is no answer.
        Request::Attach { .. } => Ok(()),
    }
}

fn current(shim: &Shim) -> Option<Rc<Run>> {
    shim.current.borrow().clone()
}

/// Ends the container for good; returns when nothing of it is left.
async fn stop(
    shim: &Rc<Shim>,
    asked: Option<String>,
    (seconds, then): (Option<i32>, Then),
) -> Result<()> {
    let mut over = std::pin::pin!(shim.over.notified());
    over.as_mut().enable();
    let own = &shim.record.config.stop_signal;
    let named = asked.as_deref().unwrap_or(if own.is_empty() { "SIGTERM" } else { own });
    let signal = signal::parse(named)?;
    if then == Then::Start {
        shim.is_kept.set(true);
    }
    let was_frozen = shim.status.borrow().phase == Phase::Paused;
    shim.accept(|status| {
        status.stop_wanted = true;
        // Who looks from now on does not take it for one that goes on.
        if matches!(status.phase, Phase::Running | Phase::Paused) {
            status.phase = Phase::Stopping;
        }
    });
    shim.stop.notify_one();
    if let Some(run) = current(shim) {
        let patience = patience(shim, &run, (signal, seconds));
        send(shim, &run, signal)?;
        // A frozen container would not see the signal.
        if was_frozen {
            unfreeze(&run)?;
        }
        if !is_over_within(&run, patience).await {
            send(shim, &run, Signal::KILL)?;
        }
    }
    over.await;
    Ok(())
}

/// How long to wait for the end after the signal; `None`: for ever.
fn patience(shim: &Shim, run: &Run, (signal, seconds): (Signal, Option<i32>)) -> Option<Duration> {
    if let Some(seconds) = seconds {
        return u64::try_from(seconds).ok().map(Duration::from_secs);
    }
    match shim.record.grace {
        Some(grace) => u64::try_from(grace).ok().map(Duration::from_nanos),
        // The kernel drops the signal: there is nothing to wait for.
        None if !run.takes(signal) => Some(Duration::ZERO),
        None => Some(GRACE),
    }
}

async fn is_over_within(run: &Run, patience: Option<Duration>) -> bool {
    if let Some(patience) = patience {
        return tokio::time::timeout(patience, run.wait()).await.is_ok();
    }
    run.wait().await;
    true
}

fn send(shim: &Shim, run: &Run, signal: Signal) -> Result<()> {
    run.signal(signal).map_err(|source| RuntimeError::Io {
        action: format!("send signal {} to the container", signal.as_raw()),
        source,
    })?;
    shim.tell("kill", &[("signal", signal.as_raw().to_string())]);
    Ok(())
}

/// Sends a signal. One that ends the container is as good as a stop.
fn kill(shim: &Rc<Shim>, name: &str) -> Result<()> {
    let signal = signal::parse(name)?;
    let own = signal::parse(&shim.record.config.stop_signal).unwrap_or(Signal::TERM);
    if signal == Signal::KILL || signal == own {
        shim.accept(|status| status.stop_wanted = true);
        shim.stop.notify_one();
    }
    let Some(run) = current(shim) else { return Ok(()) };
    send(shim, &run, signal)?;
    if signal == Signal::KILL {
        wake(shim, &run)?;
    }
    Ok(())
}

/// A frozen container would not see a signal.
fn wake(shim: &Shim, run: &Run) -> Result<()> {
    if shim.status.borrow().phase == Phase::Paused {
        unfreeze(run)?;
        shim.accept(|status| status.phase = Phase::Running);
    }
    Ok(())
}

fn unfreeze(run: &Run) -> Result<()> {
    run.cgroup.thaw().map_err(|source| not_frozen("thaw", source))
}

fn freeze(shim: &Rc<Shim>) -> Result<()> {
    let phase = shim.status.borrow().phase;
    match (phase, current(shim)) {
        (Phase::Paused, _) => Ok(()),
        (Phase::Running, Some(run)) => {
            run.cgroup.freeze().map_err(|source| not_frozen("freeze", source))?;
            shim.accept(|status| status.phase = Phase::Paused);
            shim.tell("pause", &[]);
            Ok(())
        }
        _ => Err(RuntimeError::Conflict(format!("container {} does not run", shim.name()))),
    }
}

fn thaw(shim: &Rc<Shim>) -> Result<()> {
    let phase = shim.status.borrow().phase;
    if let (Phase::Paused, Some(run)) = (phase, current(shim)) {
        unfreeze(&run)?;
        shim.accept(|status| status.phase = Phase::Running);
        shim.tell("unpause", &[]);
    }
    Ok(())
}

fn not_frozen(what: &str, source: std::io::Error) -> RuntimeError {
    RuntimeError::Io { action: format!("{what} the container"), source }
}
