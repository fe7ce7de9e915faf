//! How a container ends, even one that the runtime removes right then.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::task::JoinHandle;

use super::{Engine, now};
use crate::cli::exit::Failure;
use crate::runtime::{LogOptions, Runtime, RuntimeError};

/// How far back the end of a container is looked for, in seconds: farther than clocks differ.
const PAST: i64 = 24 * 60 * 60;
/// How long to wait for an event that should have happened already.
const PATIENCE: Duration = Duration::from_secs(5);

/// Waits for the end of a container while something else goes on.
pub(in crate::cli) struct Ending {
    runtime: Arc<dyn Runtime>,
    project: String,
    /// Its name or id.
    container: String,
    waiting: JoinHandle<crate::runtime::Result<i64>>,
}

impl Engine<'_, '_> {
    /// Begins to wait for the end of a container that has been started.
    pub(in crate::cli) fn watch_end(&self, project: &str, container: &str) -> Ending {
        Ending::watch(self.runtime.clone(), project, container)
    }
}

impl Ending {
    fn watch(runtime: Arc<dyn Runtime>, project: &str, container: &str) -> Self {
        let (asked, name) = (runtime.clone(), container.to_owned());
        let waiting = tokio::spawn(async move { asked.wait_ended(&name).await });
        Self { runtime, project: project.to_owned(), container: container.to_owned(), waiting }
    }

    /// The exit code. A container that was gone before it could be asked for has left an event.
    pub(in crate::cli) async fn code(mut self) -> Result<i64, Failure> {
        match (&mut self.waiting).await {
            Ok(Err(RuntimeError::NotFound(text))) => {
                let told = tokio::time::timeout(PATIENCE, self.told()).await;
                match told.ok().flatten() {
                    Some(code) => Ok(code),
                    None => Err(RuntimeError::NotFound(text).into()),
                }
            }
            Ok(waited) => Ok(waited?),
            Err(error) => Err(Failure::Other(format!("waiting was cut short: {error}"))),
        }
    }

    /// The exit code in the event of its end.
    async fn told(&self) -> Option<i64> {
        let since = now().saturating_sub(PAST).to_string();
        let options = LogOptions { since, follow: true, ..LogOptions::default() };
        let mut events = self.runtime.events(&self.project, &options);
        while let Some(Ok(event)) = events.next().await {
            let name = event.attributes.get("name");
            let is_it = event.container == self.container || name == Some(&self.container);
            if is_it && event.action == "die" {
                return event.attributes.get("exitCode")?.parse().ok();
            }
        }
        None
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.waiting.abort();
    }
}
