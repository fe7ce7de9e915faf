//! One subscription to the events of an engine for all who wait.
//!
//! In: events. Out: for each listener, that something happened to its container. What happened is
//! not told: whoever wants to know looks.
//!
//! # Invariants
//!
//! - The subscription begins a little before it is asked for, by the engine's own clock: what
//!   happens between asking and being subscribed is told too.
//! - When the subscription breaks, everybody looks again, and it is opened again.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bollard::Docker as Client;
use bollard::query_parameters::EventsOptions;
use futures_util::StreamExt as _;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{self, Receiver, Sender};
use tokio::task::JoinHandle;

/// Events about which nobody has heard yet; whoever is slower than that looks again.
const BACKLOG: usize = 256;

/// How far back a subscription reaches, in seconds: the engine's clock is known to the second.
const MARGIN: i64 = 2;

/// The pause before a broken subscription is opened again.
const PAUSE: Duration = Duration::from_millis(500);

/// What is heard about a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Something happened.
    Changed,
    /// Its health check has succeeded.
    Passed,
}

/// About which container; empty: about any.
type Message = (String, News);

/// Spreads events.
#[derive(Debug)]
pub(in crate::runtime::docker) struct Hub {
    client: Client,
    /// The engine's clock minus ours, in seconds.
    ahead: i64,
    open: Mutex<Option<Subscription>>,
    /// The containers that are probed.
    probed: Mutex<HashSet<String>>,
}

#[derive(Debug)]
struct Subscription {
    news: Sender<Message>,
    pump: JoinHandle<()>,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

/// Hears what happens.
#[derive(Debug)]
pub(super) struct Listener(Receiver<Message>);

/// The right to probe a container.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    hub: &'a Hub,
    container: String,
}

impl Hub {
    /// `time`: what the engine's clock says now, as an HTTP date.
    pub(in crate::runtime::docker) fn new(client: Client, time: Option<String>) -> Self {
        let theirs = time.and_then(|time| httpdate::parse_http_date(&time).ok());
        let ahead = theirs.map_or(0, |theirs| seconds(theirs) - seconds(SystemTime::now()));
        Self { client, ahead, open: Mutex::default(), probed: Mutex::default() }
    }

    /// Hears all that happens from now on.
    pub(super) fn listen(&self) -> Listener {
        let mut open = lock(&self.open);
        if let Some(subscription) = open.as_ref().filter(|open| !open.pump.is_finished()) {
            return Listener(subscription.news.subscribe());
        }
        let (news, receiver) = broadcast::channel(BACKLOG);
        let since = seconds(SystemTime::now()) + self.ahead - MARGIN;
        let pump = tokio::spawn(pump(self.client.clone(), news.clone(), since));
        *open = Some(Subscription { news, pump });
        Listener(receiver)
    }

    /// Tells all who listen.
    pub(super) fn tell(&self, container: &str, news: News) {
        if let Some(subscription) = lock(&self.open).as_ref() {
            // Nobody need listen.
            let _ = subscription.news.send((container.to_owned(), news));
        }
    }

    /// The right to probe a container; `None` while somebody else has it.
    pub(super) fn turn(&self, container: &str) -> Option<Turn<'_>> {
        let free = lock(&self.probed).insert(container.to_owned());
        free.then(|| Turn { hub: self, container: container.to_owned() })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        lock(&self.hub.probed).remove(&self.container);
        // Another one who waits may go on.
        self.hub.tell(&self.container, News::Changed);
    }
}

impl Listener {
    /// Waits until something happens to a container, or may have happened.
    pub(super) async fn about(&mut self, container: &str) -> News {
        loop {
            match self.0.recv().await {
                Ok((about, news)) if about.is_empty() || about == container => return news,
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => return News::Changed,
                // The hub holds the other end as long as anybody can wait.
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

/// Reads events and passes them on, for ever.
async fn pump(client: Client, news: Sender<Message>, mut since: i64) {
    loop {
        let filters = HashMap::from([
            ("type".to_owned(), vec!["container".to_owned()]),
            (
                "event".to_owned(),
                ["health_status", "start", "die", "destroy"].map(str::to_owned).to_vec(),
            ),
        ]);
        let since_text = Some(since.to_string());
        let options = EventsOptions { since: since_text, until: None, filters: Some(filters) };
        let mut events = std::pin::pin!(client.events(Some(options)));
        while let Some(Ok(event)) = events.next().await {
            since = event.time.unwrap_or(since);
            let container = event.actor.and_then(|actor| actor.id).unwrap_or_default();
            let _ = news.send((container, News::Changed));
        }
        tracing::debug!("the events of the engine broke off");
        let _ = news.send((String::new(), News::Changed));
        tokio::time::sleep(PAUSE).await;
    }
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// What a panic elsewhere leaves is still a set of names.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
