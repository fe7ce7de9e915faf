//! The user's terminal and a process in a container: bytes, size and signals go between them.
//!
//! In: a [`Session`] of the runtime. Out: what the process writes, on the standard streams, and how
//! the session [`Ended`].
//!
//! # Invariants
//!
//! - The terminal is as it was when a command ends, however it ends: [`raw::RawMode`] sees to it.
//! - Standard input is read in a thread of its own, which the end of the process does not wait for.
//! - The keys that detach are found here, so that they work for whatever runtime.
//!
//! # Not here
//!
//! Which process it is, and its exit code (`run`, `exec`, `attach`).

pub(super) mod input;
mod keys;
mod raw;
mod signals;

use std::io::{IsTerminal as _, Write, stdin};
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::{Fuse, FutureExt as _};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use crate::cli::exit::Failure;
use crate::cli::usage::UsageError;
use crate::runtime::{Chunk, Output, Runtime, RuntimeError, Session, Terminal};
use crate::ui::Screen;

use input::InputEnd;

pub(in crate::cli) use input::read;
pub(in crate::cli) use keys::DetachKeys;
pub(in crate::cli) use raw::RawMode;

/// How long a process may take to end after the signal that should end it.
const GRACE: Duration = Duration::from_secs(10);

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Ended {
    /// The process writes no more.
    Output,
    /// The user detached; the process goes on.
    Detached,
    /// A signal ended it.
    Interrupted,
}

/// Whether the user's input goes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Stdin {
    /// It does, and so does its end.
    Open,
    /// It does, and its end is kept back: an engine that is told of it cuts the output of a
    /// container whose input stays open for others.
    Held,
    /// The process gets none.
    Closed,
}

/// What becomes of signals to Ketch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum OnSignal {
    /// `SIGINT` and `SIGTERM` end the session, not the process.
    Leave,
    /// The container gets them all.
    Forward(String),
    /// The container gets them all; one that does not end after `SIGINT` or `SIGTERM` is killed,
    /// at once when there is a second one.
    End(String),
}

/// Connects the user with a process.
pub(in crate::cli) struct Link<'r> {
    /// Where the process runs.
    pub(in crate::cli) runtime: &'r dyn Runtime,
    /// Its streams.
    pub(in crate::cli) session: Session,
    /// Its terminal, if it has one.
    pub(in crate::cli) terminal: Terminal,
    /// Whether input goes in.
    pub(in crate::cli) stdin: Stdin,
    /// Keys that detach.
    pub(in crate::cli) keys: DetachKeys,
    /// What becomes of signals.
    pub(in crate::cli) on_signal: OnSignal,
}

/// What the user says about a terminal: `-t`, `-T`, or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum TtyFlag {
    /// Where the user has one.
    Auto,
    /// The process gets one.
    Yes,
    /// It gets none.
    No,
}

/// The flags `-t` and `-T`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct TtyFlags {
    pub(in crate::cli) tty: bool,
    pub(in crate::cli) no_tty: bool,
}

impl TtyFlag {
    /// What the flags say; they exclude each other.
    pub(in crate::cli) fn new(flags: TtyFlags) -> Result<Self, UsageError> {
        match (flags.tty, flags.no_tty) {
            (true, true) => {
                Err(UsageError::Other("--tty and --no-TTY can't be used together".to_owned()))
            }
            (true, false) => Ok(Self::Yes),
            (false, true) => Ok(Self::No),
            (false, false) => Ok(Self::Auto),
        }
    }

    /// Whether the process gets a terminal. Input that is no terminal would only be echoed.
    pub(in crate::cli) fn settle(self, screen: &Screen) -> bool {
        match self {
            Self::Auto => screen.out_is_terminal() && stdin().is_terminal(),
            Self::Yes => true,
            Self::No => false,
        }
    }
}

impl Link<'_> {
    /// Passes everything on until the session ends.
    pub(in crate::cli) async fn run(self, screen: &Screen) -> Result<Ended, Failure> {
        let Self { runtime, session, terminal, stdin, keys, on_signal } = self;
        let Session { mut output, input: sink, tty } = session;
        let _raw = match (tty, stdin) {
            (true, Stdin::Open | Stdin::Held) => RawMode::enter().map_err(Failure::Terminal)?,
            _ => None,
        };
        let mut writer = Writer { out: screen.out_writer(), err: screen.err_writer() };
        let mut signals = signals::listen().map_err(Failure::Signals)?;
        let mut resized = signal(SignalKind::window_change()).map_err(Failure::Signals)?;
        let mut fitting = pin!(Fuse::terminated());
        if tty {
            fitting.set(fit(runtime, &terminal).fuse());
        }
        let mut passing = pin!(Fuse::terminated());
        if stdin != Stdin::Closed {
            let keys = if tty { keys } else { DetachKeys::none() };
            passing.set(input::pass(input::read(), sink, (keys, stdin)).fuse());
        }
        let mut asked = Asked { runtime, on_signal, since: None };
        loop {
            tokio::select! {
                biased;
                Some(name) = signals.next() => {
                    if asked.take(name).await? == Next::Leave {
                        return Ok(Ended::Interrupted);
                    }
                }
                () = asked.overdue() => asked.kill().await?,
                Some(()) = resized.recv(), if tty => fitting.set(fit(runtime, &terminal).fuse()),
                () = &mut fitting => {}
                end = &mut passing => {
                    if end == InputEnd::Detached {
                        return Ok(Ended::Detached);
                    }
                }
                chunk = output.next() => match chunk {
                    Some(chunk) => writer.write(&chunk?)?,
                    None => return Ok(asked.ended()),
                },
            }
        }
    }
}

/// Where the output of a process goes.
struct Writer {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
}

impl Writer {
    fn write(&mut self, chunk: &Chunk) -> Result<(), Failure> {
        let stream = match chunk.output {
            Output::Stdout => &mut self.out,
            Output::Stderr => &mut self.err,
        };
        stream.write_all(&chunk.bytes)?;
        Ok(stream.flush()?)
    }
}

/// What comes after a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    GoOn,
    Leave,
}

/// What was asked of the process by signals.
struct Asked<'r> {
    runtime: &'r dyn Runtime,
    on_signal: OnSignal,
    /// When it was asked to end.
    since: Option<Instant>,
}

impl Asked<'_> {
    /// Takes in a signal.
    async fn take(&mut self, name: &'static str) -> Result<Next, Failure> {
        match &self.on_signal {
            OnSignal::Leave if signals::ends(name) => return Ok(Next::Leave),
            OnSignal::Leave => {}
            OnSignal::End(_) if self.since.is_some() && signals::ends(name) => self.kill().await?,
            OnSignal::Forward(container) | OnSignal::End(container) => {
                if signals::ends(name) {
                    self.since = Some(Instant::now());
                }
                self.send(container, name).await?;
            }
        }
        Ok(Next::GoOn)
    }

    /// Sends a signal; one that has ended meanwhile needs none.
    async fn send(&self, container: &str, name: &str) -> Result<(), Failure> {
        match self.runtime.kill_container(container, name).await {
            Err(RuntimeError::Conflict(_) | RuntimeError::NotFound(_)) => Ok(()),
            sent => Ok(sent?),
        }
    }

    /// Waits until the process should have ended.
    async fn overdue(&self) {
        match (self.since, &self.on_signal) {
            (Some(since), OnSignal::End(_)) => tokio::time::sleep_until(since + GRACE).await,
            _ => std::future::pending().await,
        }
    }

    /// Ends the process for good.
    async fn kill(&mut self) -> Result<(), Failure> {
        self.since = Some(Instant::now());
        match &self.on_signal {
            OnSignal::End(container) => self.send(container, "SIGKILL").await,
            OnSignal::Leave | OnSignal::Forward(_) => Ok(()),
        }
    }

    /// How the session ended whose output has.
    fn ended(&self) -> Ended {
        match (&self.on_signal, self.since) {
            (OnSignal::End(_), Some(_)) => Ended::Interrupted,
            _ => Ended::Output,
        }
    }
}

/// Gives the process's terminal the size of the user's. A process that has only been asked for
/// has none yet.
async fn fit(runtime: &dyn Runtime, terminal: &Terminal) {
    for attempt in 1..=10 {
        let Some(size) = raw::size() else { return };
        if runtime.resize(terminal, size).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10) * attempt).await;
    }
}

#[cfg(test)]
mod tests;
