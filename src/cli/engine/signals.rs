//! Ctrl-C and `SIGTERM`: the first ends gracefully, the second at once.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::cli::exit::Failure;
use crate::scheduler::{Shutdown, Stage, Trigger};

/// Listens to signals while it lives.
pub(in crate::cli) struct Interrupts {
    /// What the next signal triggers.
    trigger: watch::Sender<Arc<Trigger>>,
    task: JoinHandle<()>,
}

impl Interrupts {
    /// Begins to listen.
    pub(in crate::cli) fn listen() -> Result<Self, Failure> {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::Signals)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(Failure::Signals)?;
        let (trigger, current) = watch::channel(Arc::new(Trigger::default()));
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                current.borrow().escalate();
            }
        });
        Ok(Self { trigger, task })
    }

    /// Something that listens to the next signals.
    pub(in crate::cli) fn shutdown(&self) -> Shutdown {
        self.trigger.borrow().listen()
    }

    /// Whether the user wants the command to end.
    pub(in crate::cli) fn happened(&self) -> bool {
        self.shutdown().stage() > Stage::Running
    }

    /// Starts to count anew: for what is done because of a signal.
    pub(in crate::cli) fn renew(&self) {
        self.trigger.send_replace(Arc::new(Trigger::default()));
    }
}

/// Does something that only looks, and that Ctrl-C may end anywhere.
pub(in crate::cli) async fn interruptible<T>(
    shutdown: Shutdown,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        done = work => done,
        () = shutdown.reaches(Stage::Graceful) => Err(Failure::Interrupted),
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        self.task.abort();
    }
}
