//! The loop of a watch: batches and news of containers to jobs.
//!
//! In: a [`Watcher`] and the events of the runtime. Out: jobs that are done, one at a time for each
//! service, until the user has enough.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use futures_util::StreamExt as _;
use futures_util::future::{FutureExt as _, LocalBoxFuture};
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::acts::act;
use super::bring::{Brought, Expected, bring, compare};
use super::desk::Desk;
use super::seat::{Job, Seat};
use crate::cli::engine::this_moment;
use crate::cli::exit::Failure;
use crate::cli::up::Happenings;
use crate::model::label;
use crate::runtime::{LogOptions, RuntimeEvent};
use crate::scheduler::Stage;
use crate::watch::{Watcher, Work};

/// A job that runs, and for whom.
type Running<'d> = FuturesUnordered<LocalBoxFuture<'d, (String, Brought)>>;

/// Watches until the user has enough.
pub(in crate::cli) async fn watch(desk: &Desk, watcher: &mut Watcher) -> Result<(), Failure> {
    let follow = LogOptions { follow: true, since: this_moment(), ..LogOptions::default() };
    let mut events = Happenings::listen(desk.runtime.events(&desk.project.name, &follow));
    let mut table = Table::new(desk, watcher);
    if let Ok(there) = desk.runtime.containers(Some(&desk.project.name)).await {
        desk.ledgers.sweep(&there.into_iter().map(|it| it.id).collect());
    }
    let mut running: Running<'_> = FuturesUnordered::new();
    desk.voice.say("Watch enabled");
    for path in watcher.missing() {
        let path = desk.voice.files([path]);
        desk.voice.say(&format!("`{path}` is not there yet: it is watched as soon as it is"));
    }
    let mut enough = std::pin::pin!(desk.enough.clone().reaches(Stage::Graceful));
    let ended = loop {
        table.tell_blind(watcher);
        table.start(watcher, &running);
        let wakes = table.wakes();
        tokio::select! {
            biased;
            () = &mut enough => break Ok(()),
            Some((service, brought)) = running.next() => table.finished(&service, brought, watcher),
            event = events.next() => match event {
                Ok(event) => table.heard(&event),
                Err(failure) => break Err(failure),
            },
            batch = watcher.batch() => match batch {
                Ok(batch) => table.changed(batch, watcher),
                Err(error) => break Err(error.into()),
            },
            () = until(wakes) => {}
        }
    };
    ends(running, desk).await;
    ended
}

/// Lets what has begun end, unless the user wants the end now.
async fn ends(mut running: Running<'_>, desk: &Desk) {
    let now = desk.shutdown.clone().reaches(Stage::Now);
    tokio::select! {
        () = async { while running.next().await.is_some() {} } => {}
        () = now => {}
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// What is due, by service.
struct Table<'d> {
    desk: &'d Desk,
    seats: BTreeMap<String, Seat>,
    /// Containers that were compared, by id.
    known: BTreeSet<String>,
    /// What cannot be looked at, as it was told.
    blind: BTreeMap<PathBuf, String>,
    /// Files of patterns that cannot be read, as it was told.
    unread: BTreeMap<PathBuf, String>,
}

impl<'d> Table<'d> {
    fn new(desk: &'d Desk, watcher: &Watcher) -> Self {
        let mut seats: BTreeMap<String, Seat> = BTreeMap::new();
        for service in watcher.services() {
            // Containers may be older than the files.
            seats.entry(service).or_default().doubt();
        }
        Self {
            desk,
            seats,
            known: BTreeSet::new(),
            blind: BTreeMap::new(),
            unread: BTreeMap::new(),
        }
    }

    /// Tells what cannot be looked at, each once.
    fn tell_blind(&mut self, watcher: &Watcher) {
        let blind = watcher.blind();
        for (path, why) in blind.iter().filter(|(path, _)| !self.blind.contains_key(*path)) {
            let path = self.desk.voice.files([path.as_path()]);
            self.desk.voice.warn(&format!(
                "cannot look at `{path}`: {why}: it stays in the containers as it is until that \
                 can be done again"
            ));
        }
        for (path, why) in watcher.unread().iter().filter(|it| self.unread.get(it.0) != Some(it.1))
        {
            let path = self.desk.voice.files([path.as_path()]);
            self.desk.voice.warn(&format!("`{path}` counts as it was before: {why}"));
        }
        self.unread.clone_from(watcher.unread());
        if blind.keys().ne(self.blind.keys()) {
            // Containers were not compared with it.
            self.seats.values_mut().for_each(Seat::doubt);
        }
        self.blind = blind;
    }

    /// Starts what can be done now.
    fn start(&mut self, watcher: &Watcher, running: &Running<'d>) {
        let now = Instant::now();
        let desk = self.desk;
        for (service, seat) in &mut self.seats {
            let Some((job, named)) = seat.next(now) else { continue };
            if let Some(files) = named {
                let files = desk.voice.files(files.iter().map(AsRef::<Path>::as_ref));
                desk.voice.warn(&format!(
                    "service `{service}`: what is done because of {files} changes that itself, so \
                     that it is done again and again: leave it out with `ignore`"
                ));
            }
            let name = service.clone();
            let known = self.known.clone();
            let files = match &job {
                Job::Compare(_) => watcher.expected(service),
                Job::Bring(_) | Job::Act(_) => Vec::new(),
            };
            let job = async move {
                let brought = match job {
                    Job::Bring(transfers) => bring(desk, &name, transfers).await,
                    Job::Compare(gone) => {
                        compare(desk, &name, Expected { files, gone, known }).await
                    }
                    Job::Act(work) => {
                        act(desk, &name, &work).await;
                        Brought::default()
                    }
                };
                (name, brought)
            };
            running.push(job.boxed_local());
        }
    }

    /// When there may be something to do though nothing happens.
    fn wakes(&self) -> Option<Instant> {
        self.seats.values().filter_map(Seat::wakes).min()
    }

    fn changed(&mut self, batch: crate::watch::Batch, watcher: &Watcher) {
        let now = Instant::now();
        for (service, work) in batch {
            let seat = self.seats.entry(service).or_default();
            if watcher.is_bursting() {
                seat.hold(now);
            }
            seat.take(work, now);
        }
    }

    fn finished(&mut self, service: &str, brought: Brought, watcher: &Watcher) {
        let Some(seat) = self.seats.get_mut(service) else { return };
        seat.finished(Instant::now(), brought.outcome);
        self.known.extend(brought.seen);
        let mut work = Work::default();
        for (rule, files) in brought.stale {
            if let Some(rule) = watcher.rules().get(rule) {
                work.follow(rule, files);
            }
        }
        seat.follow(work);
    }

    /// A container that starts may have other files than it should.
    fn heard(&mut self, event: &RuntimeEvent) {
        let attribute = |name: &str| event.attributes.get(name).map_or("", String::as_str);
        let is_one_off = attribute(label::ONE_OFF) == "True";
        if event.action == "start"
            && !is_one_off
            && let Some(seat) = self.seats.get_mut(attribute(label::SERVICE))
        {
            seat.doubt();
        }
    }
}
