//! Ctrl-C and `SIGTERM`: the first ends gracefully, the second at once.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use crate::cli::exit::Failure;
use crate::scheduler::{Shutdown, Stage, Trigger};

/// Listens to signals while it lives.
pub(in crate::cli) struct Interrupts {
    trigger: Arc<Trigger>,
    task: JoinHandle<()>,
}

impl Interrupts {
    /// Begins to listen.
    pub(in crate::cli) fn listen() -> Result<Self, Failure> {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::Signals)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(Failure::Signals)?;
        let trigger = Arc::new(Trigger::default());
        let pulled = trigger.clone();
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                pulled.escalate();
            }
        });
        Ok(Self { trigger, task })
    }

    pub(super) fn trigger(&self) -> &Trigger {
        &self.trigger
    }

    /// Something that listens to them.
    pub(in crate::cli) fn shutdown(&self) -> Shutdown {
        self.trigger.listen()
    }

    /// Whether the user wants the command to end.
    pub(in crate::cli) fn happened(&self) -> bool {
        self.shutdown().stage() > Stage::Running
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
