//! Signals to Ketch that a process in a container may be meant by.

use std::io;

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tokio::signal::unix::{SignalKind, signal};

/// The signals that are passed on, as runtimes name them.
const PASSED: [(SignalKind, &str); 6] = [
    (SignalKind::hangup(), "SIGHUP"),
    (SignalKind::interrupt(), "SIGINT"),
    (SignalKind::quit(), "SIGQUIT"),
    (SignalKind::terminate(), "SIGTERM"),
    (SignalKind::user_defined1(), "SIGUSR1"),
    (SignalKind::user_defined2(), "SIGUSR2"),
];

/// The names of signals as they arrive.
pub(super) type Signals = BoxStream<'static, &'static str>;

/// Begins to listen.
pub(super) fn listen() -> io::Result<Signals> {
    let mut all = stream::SelectAll::new();
    for (kind, name) in PASSED {
        let listener = signal(kind)?;
        let names = stream::unfold(listener, move |mut listener| async move {
            listener.recv().await?;
            Some((name, listener))
        });
        all.push(names.boxed());
    }
    Ok(all.boxed())
}

/// Whether a signal asks a process to end.
pub(super) fn ends(name: &str) -> bool {
    matches!(name, "SIGINT" | "SIGTERM")
}
