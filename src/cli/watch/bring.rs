//! Brings files into the containers of a service.
//!
//! In: transfers. Out: what was brought, told; and whether all containers are in step.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use futures_util::future::join_all;
use tokio::time::Instant;

use super::desk::Desk;
use super::seat::Outcome;
use super::words;
use crate::event::Deed;
use crate::model::observed::{ObservedContainer, State};
use crate::model::transfer::{Difference, Stamp, Transfer, Transferred, Trust};
use crate::runtime::{Result, RuntimeError};
use crate::ui::watch::Done;

/// What came of bringing files.
#[derive(Debug, Default)]
pub(super) struct Brought {
    /// Whether all containers are in step.
    pub(super) outcome: Outcome,
    /// The numbers of rules whose files were not in step in a container that is new to this watch,
    /// with those files.
    pub(super) stale: BTreeMap<usize, BTreeSet<PathBuf>>,
    /// The containers that there are, by id.
    pub(super) seen: BTreeSet<String>,
}

/// What a container is compared with.
#[derive(Debug)]
pub(super) struct Expected {
    /// What its rules say shall be there, with the number of the rule, in order of their places.
    pub(super) files: Vec<(usize, Transfer)>,
    /// Places where nothing shall be.
    pub(super) gone: Vec<Transfer>,
    /// Containers that were compared before, by id.
    pub(super) known: BTreeSet<String>,
}

impl Expected {
    /// What rules say shall be there, in order of their places.
    pub(super) fn of(files: Vec<(usize, Transfer)>) -> Self {
        Self { files, gone: Vec::new(), known: BTreeSet::new() }
    }

    /// Places where nothing shall be, but for those where something shall be by now, or below.
    fn still_gone(&self) -> impl Iterator<Item = &Transfer> {
        self.gone.iter().filter(|gone| !self.holds(&gone.path))
    }

    /// Whether something shall be at a place, or below.
    pub(super) fn holds(&self, place: &Path) -> bool {
        let first = self.files.partition_point(|(_, file)| *file.path < *place);
        self.files.get(first).is_some_and(|(_, file)| file.path.starts_with(place))
    }
}

/// Brings files into all containers of a service.
pub(super) async fn bring(desk: &Desk, service: &str, transfers: Vec<Transfer>) -> Brought {
    let begun = Instant::now();
    let Some(containers) = containers(desk, service).await else { return doubtful() };
    let brought = containers.iter().map(|it| desk.runtime.mirror(&it.id, transfers.clone()));
    let mut report = Report::new(service, &transfers);
    for (container, done) in containers.iter().zip(join_all(brought).await) {
        if let Ok(done) = &done {
            desk.ledgers.container(&container.id).note(&transfers, done);
        }
        report.take(container, done);
    }
    report.tell(desk, begun);
    report.brought
}

/// Compares all containers of a service and brings what differs.
pub(super) async fn compare(desk: &Desk, service: &str, expected: Expected) -> Brought {
    let begun = Instant::now();
    let Some(containers) = containers(desk, service).await else { return doubtful() };
    let files = expected.files.iter().map(|(_, transfer)| transfer);
    let all: Vec<Transfer> = files.chain(expected.still_gone()).cloned().collect();
    let mut report = Report::new(service, &[]);
    let compared = containers.iter().map(|it| put_in_step(desk, it, (&expected, &all)));
    for (container, compared) in containers.iter().zip(join_all(compared).await) {
        report.brought.seen.insert(container.id.clone());
        match compared {
            Ok((different, done)) => {
                if !expected.known.contains(&container.id) {
                    report.brought.note(&expected, &different);
                }
                report.name(&different);
                report.take(container, Ok(done));
            }
            Err(error) => report.take(container, Err(error)),
        }
    }
    report.tell(desk, begun);
    report.brought
}

/// Compares one container and brings what differs; one that is new to this watch may have what went
/// from the host while nobody watched.
async fn put_in_step(
    desk: &Desk,
    container: &ObservedContainer,
    (expected, all): (&Expected, &[Transfer]),
) -> Result<(Vec<Transfer>, Transferred)> {
    let ledger = desk.ledgers.container(&container.id);
    let mut all = all.to_vec();
    let mut left = Vec::new();
    if !expected.known.contains(&container.id) {
        left = ledger.left(|place| expected.holds(place));
        all.extend(left.iter().cloned());
    }
    let mut different = Vec::new();
    let mut done = Transferred::default();
    loop {
        let found = desk.runtime.differences(&container.id, all, Trust::Times).await?;
        let found = with_removals(found);
        if found.is_empty() {
            return Ok((different, done));
        }
        let brought = desk.runtime.mirror(&container.id, found.clone()).await?;
        ledger.note(&found, &brought);
        let is_over = !brought.failed.is_empty();
        done.take(brought);
        different.extend(found);
        // Directories that are empty now.
        let is_directory = |it: &Transfer| it.only == Some(Stamp::Directory);
        all = left.iter().filter(|it| is_directory(it)).cloned().collect();
        if all.is_empty() || is_over {
            return Ok((different, done));
        }
    }
}

/// What is of another kind in the container gives way first, but for a target itself: what else is
/// in that is not for us to remove.
fn with_removals(found: Vec<(Transfer, Difference)>) -> Vec<Transfer> {
    let mut all = Vec::with_capacity(found.len());
    for (transfer, difference) in found {
        if difference == Difference::Kind && transfer.path != *transfer.base {
            all.push(Transfer { source: None, ..transfer.clone() });
        }
        all.push(transfer);
    }
    all
}

/// The containers that files are brought to; `None` if they cannot be asked for.
async fn containers(desk: &Desk, service: &str) -> Option<Vec<ObservedContainer>> {
    match desk.containers(service).await {
        Ok(mut found) => {
            found.retain(|it| !matches!(it.state, State::Removing | State::Dead));
            Some(found)
        }
        Err(error) => {
            let text = format!("service `{service}`: cannot see its containers: {}", words(&error));
            desk.voice.warn(&text);
            None
        }
    }
}

fn doubtful() -> Brought {
    Brought { outcome: Outcome::Doubtful, ..Brought::default() }
}

impl Brought {
    /// Notes which rules the files that were not in step belong to.
    fn note(&mut self, expected: &Expected, different: &[Transfer]) {
        let places: BTreeSet<&Path> = different.iter().map(|it| it.path.as_path()).collect();
        for (rule, transfer) in &expected.files {
            let source = transfer.source.as_ref().filter(|source| !source.is_dir());
            if let (true, Some(source)) = (places.contains(transfer.path.as_path()), source) {
                self.stale.entry(*rule).or_default().insert(source.clone());
            }
        }
    }
}

/// What is told in the end, once for all containers.
struct Report<'s> {
    service: &'s str,
    files: BTreeSet<PathBuf>,
    removed: BTreeSet<PathBuf>,
    done: usize,
    failed: BTreeMap<(PathBuf, String), BTreeSet<String>>,
    /// What kept whole containers from being reached.
    broken: Vec<String>,
    brought: Brought,
}

impl<'s> Report<'s> {
    fn new(service: &'s str, transfers: &[Transfer]) -> Self {
        let mut report = Self {
            service,
            files: BTreeSet::new(),
            removed: BTreeSet::new(),
            done: 0,
            failed: BTreeMap::new(),
            broken: Vec::new(),
            brought: Brought::default(),
        };
        report.name(transfers);
        report
    }

    fn name(&mut self, transfers: &[Transfer]) {
        let sources = || transfers.iter().filter_map(|transfer| transfer.source.as_ref());
        let files: BTreeSet<PathBuf> = sources().filter(|it| !it.is_dir()).cloned().collect();
        // Directories are only worth a word where there is nothing in them.
        self.files.extend(if files.is_empty() { sources().cloned().collect() } else { files });
        let there = transfers.iter().filter(|transfer| transfer.source.is_some());
        let there: BTreeSet<&Path> = there.map(|transfer| transfer.path.as_path()).collect();
        let is_removed = |it: &&Transfer| it.source.is_none() && !there.contains(it.path.as_path());
        let removed = transfers.iter().filter(is_removed);
        self.removed.extend(removed.map(|transfer| transfer.path.clone()));
    }

    fn take(&mut self, container: &ObservedContainer, done: Result<Transferred>) {
        match done {
            Ok(done) => {
                self.done += done.done;
                if !done.failed.is_empty() {
                    self.brought.outcome = Outcome::Doubtful;
                }
                // A container that does not run is looked at again when it starts.
                let failed = done.failed.into_iter().filter(|_| container.is_up());
                for (transfer, why) in failed {
                    let containers = self.failed.entry((transfer.path, why)).or_default();
                    containers.insert(container.name.clone());
                }
            }
            // It went away meanwhile; the next one is compared when it starts.
            Err(RuntimeError::NotFound(_)) => self.brought.outcome = Outcome::Doubtful,
            Err(error) => {
                self.brought.outcome = Outcome::Doubtful;
                self.broken.push(format!("container {}: {}", container.name, words(&error)));
            }
        }
    }

    fn tell(&self, desk: &Desk, begun: Instant) {
        const NAMED: usize = 3;
        if self.done > 0 {
            let mut told = Vec::new();
            if !self.files.is_empty() {
                let files = self.files.iter().map(PathBuf::as_path);
                told.push(format!("synced {}", desk.voice.files(files)));
            }
            if !self.removed.is_empty() {
                let removed = self.removed.iter().map(PathBuf::as_path);
                told.push(format!("removed {}", desk.voice.files(removed)));
            }
            let (files, removed, text) = (&self.files, &self.removed, told.join(", "));
            let done = Done { deed: Deed::Synced, files, removed, text };
            desk.voice.done(self.service, &done, begun.elapsed());
        }
        let failed = self.failed.iter().map(|((path, why), containers)| {
            let containers = containers.iter().cloned().collect::<Vec<_>>().join(", ");
            format!("{containers}: cannot bring `{}`: {why}", path.display())
        });
        let mut lines: Vec<String> = failed.take(NAMED).chain(self.broken.clone()).collect();
        if self.failed.len() > NAMED {
            let more = self.failed.len() - NAMED;
            lines.push(format!("{}: {more} more could not be brought", self.service));
        }
        desk.tell_failures(self.service, lines);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::Expected;
    use crate::model::transfer::Transfer;

    #[test]
    fn a_place_that_holds_what_shall_be_there_is_not_taken_away() {
        let transfer = |path: &str| Transfer {
            path: path.into(),
            base: Path::new("/").into(),
            source: None,
            only: None,
        };
        let expected = Expected {
            files: vec![(0, transfer("/a/b")), (0, transfer("/c"))],
            gone: ["/a", "/a/b", "/a-b", "/b", "/c/d", "/d"].map(transfer).into(),
            known: BTreeSet::new(),
        };
        let gone: Vec<&Path> = expected.still_gone().map(|it| it.path.as_path()).collect();
        assert_eq!(gone, ["/a-b", "/b", "/c/d", "/d"].map(Path::new));
    }
}
