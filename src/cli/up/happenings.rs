//! What happens to the containers of a project while they are looked at.
//!
//! In: the events of a runtime. Out: those that matter, in order, none lost. Engines remember only
//! the last few hundred events of all containers together, so the stream is read from the moment it
//! is asked for, whether or not anybody is ready to hear of it.

use futures_util::StreamExt as _;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::cli::exit::Failure;
use crate::runtime::{Result, RuntimeEvent, Stream};

/// Events that have happened and were not taken yet.
pub(in crate::cli) struct Happenings(UnboundedReceiver<Result<RuntimeEvent>>);

impl Happenings {
    /// Begins to read.
    pub(in crate::cli) fn listen(mut events: Stream<'static, RuntimeEvent>) -> Self {
        let (sender, receiver) = unbounded_channel();
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                if event.as_ref().is_ok_and(|event| !matters(event)) {
                    continue;
                }
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        Self(receiver)
    }

    /// The next one. Fails when the runtime has nothing more to tell: it went away.
    pub(in crate::cli) async fn next(&mut self) -> std::result::Result<RuntimeEvent, Failure> {
        match self.0.recv().await {
            Some(event) => Ok(event?),
            None => Err(Failure::Other("the engine no longer tells what happens".to_owned())),
        }
    }
}

/// Health checks and `exec` make most events, and change nothing.
fn matters(event: &RuntimeEvent) -> bool {
    matches!(event.action.as_str(), "start" | "die")
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt as _, stream};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::Happenings;
    use crate::runtime::RuntimeEvent;

    fn event(action: &str) -> RuntimeEvent {
        RuntimeEvent { action: action.to_owned(), ..RuntimeEvent::default() }
    }

    #[tokio::test]
    async fn events_are_read_before_anybody_asks_for_them() {
        let read = Arc::new(AtomicUsize::new(0));
        let counter = read.clone();
        let events = ["start", "exec_create: true", "die"].map(|action| Ok(event(action)));
        let events =
            stream::iter(events).inspect(move |_| _ = counter.fetch_add(1, Ordering::SeqCst));
        let mut happenings = Happenings::listen(events.boxed());
        tokio::task::yield_now().await;
        assert_eq!(read.load(Ordering::SeqCst), 3);
        assert_eq!(happenings.next().await.expect("an event").action, "start");
        assert_eq!(happenings.next().await.expect("an event").action, "die");
        assert!(happenings.next().await.is_err(), "a stream that ended is told");
    }
}
