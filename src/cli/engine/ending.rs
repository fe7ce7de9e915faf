//! How a container ends, even one that the runtime removes right then.
//!
//! Whoever asks for a container that is gone learns nothing, and engines remember only the last few
//! hundred events of all containers together. So the events are read from the moment on at which
//! somebody expects an end, and the last one that matters is kept.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::watch::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

use super::{Engine, this_moment};
use crate::cli::exit::Failure;
use crate::runtime::{LogOptions, Runtime, RuntimeError, RuntimeEvent, Stream};

/// How long to wait for an event that should have happened already.
const PATIENCE: Duration = Duration::from_secs(5);

/// The end of a container that has not been started yet.
pub(in crate::cli) struct Expecting {
    runtime: Arc<dyn Runtime>,
    /// Its name or id.
    container: String,
    /// The exit code in the last event of an end.
    told: Receiver<Option<i64>>,
    listening: JoinHandle<()>,
}

/// Waits for the end of a container while something else goes on.
pub(in crate::cli) struct Ending {
    told: Receiver<Option<i64>>,
    listening: JoinHandle<()>,
    waiting: JoinHandle<crate::runtime::Result<i64>>,
}

impl Engine<'_, '_> {
    /// Begins to listen for the end of a container that is about to be started.
    pub(in crate::cli) fn expect_end(&self, project: &str, container: &str) -> Expecting {
        let options = LogOptions { since: this_moment(), follow: true, ..LogOptions::default() };
        let events = self.runtime.events(project, &options);
        Expecting::listen(self.runtime.clone(), events, container)
    }

    /// Begins to wait for the end of a container that has been started.
    pub(in crate::cli) fn watch_end(&self, project: &str, container: &str) -> Ending {
        self.expect_end(project, container).watch()
    }
}

impl Expecting {
    fn listen(
        runtime: Arc<dyn Runtime>,
        events: Stream<'static, RuntimeEvent>,
        container: &str,
    ) -> Self {
        let (sender, told) = channel(None);
        let listening = tokio::spawn(keep_codes(events, container.to_owned(), sender));
        Self { runtime, container: container.to_owned(), told, listening }
    }

    /// Begins to wait: the container has been started.
    pub(in crate::cli) fn watch(self) -> Ending {
        let Self { runtime, container, told, listening } = self;
        let waiting = tokio::spawn(async move { runtime.wait_ended(&container).await });
        Ending { told, listening, waiting }
    }
}

/// Keeps the exit code of each end of a container.
async fn keep_codes(
    mut events: Stream<'static, RuntimeEvent>,
    container: String,
    codes: Sender<Option<i64>>,
) {
    while let Some(Ok(event)) = events.next().await {
        let name = event.attributes.get("name");
        let is_it = event.container == container || name == Some(&container);
        if is_it && event.action == "die" {
            let code = event.attributes.get("exitCode").and_then(|code| code.parse().ok());
            codes.send_replace(code);
        }
    }
}

impl Ending {
    /// The exit code. A container that was gone before it could be asked for has left an event.
    pub(in crate::cli) async fn code(mut self) -> Result<i64, Failure> {
        match (&mut self.waiting).await {
            Ok(Err(RuntimeError::NotFound(text))) => {
                let told = self.told.wait_for(Option::is_some);
                match tokio::time::timeout(PATIENCE, told).await {
                    Ok(Ok(code)) => Ok(code.unwrap_or_default()),
                    _ => Err(RuntimeError::NotFound(text).into()),
                }
            }
            Ok(waited) => Ok(waited?),
            Err(error) => Err(Failure::Other(format!("waiting was cut short: {error}"))),
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.waiting.abort();
        self.listening.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::{StreamExt as _, stream};

    use super::Expecting;
    use crate::runtime::RuntimeEvent;
    use crate::runtime::fake::Fake;

    fn event(action: &str, name: &str, code: &str) -> RuntimeEvent {
        let attributes = [("name", name), ("exitCode", code)];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned()));
        RuntimeEvent {
            action: action.to_owned(),
            attributes: attributes.into(),
            ..RuntimeEvent::default()
        }
    }

    #[tokio::test]
    async fn a_container_that_is_gone_has_left_its_code() {
        // What came before anybody asked is not asked for again: engines forget it.
        let events = [event("die", "other", "9"), event("die", "job", "3")].map(Ok);
        let events = stream::iter(events).chain(stream::pending());
        let runtime = Arc::new(Fake::new());
        let ending = Expecting::listen(runtime.clone(), events.boxed(), "job").watch();
        assert_eq!(ending.code().await.expect("its event"), 3);
        let nothing = stream::empty().boxed();
        let ending = Expecting::listen(runtime, nothing, "job").watch();
        assert!(ending.code().await.is_err(), "it was never there");
    }
}
