//! Long work beside the async runtime.
//!
//! In: closures that block. Out: futures. The threads are not those of the runtime: it would wait
//! for them at its end, and a command that is interrupted should not.

use tokio::sync::oneshot;

use crate::runtime::{Result, RuntimeError};

/// Does work in a thread of its own.
pub(super) async fn in_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let (sender, receiver) = oneshot::channel();
    let spawned = std::thread::Builder::new().name("work".to_owned()).spawn(move || {
        // Nobody may wait for it any more.
        let _ = sender.send(work());
    });
    spawned.map_err(|source| RuntimeError::Io { action: "start a thread".to_owned(), source })?;
    let ended = || RuntimeError::Refused("a thread ended without a word; see above".to_owned());
    receiver.await.unwrap_or_else(|_| Err(ended()))
}
