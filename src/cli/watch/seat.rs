//! What is due for one service. Pure.
//!
//! In: batches, and what happened to containers. Out: the next job, one at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::transfer::Transfer;
use crate::watch::{Loops, Work};

/// How long a burst holds back what follows from it: one restart is enough for it.
const CALM: Duration = Duration::from_millis(100);

/// So many files at once are a burst: more may be coming.
const MANY: usize = 4;

/// How long bursts hold back what follows at most.
const LONGEST: Duration = Duration::from_secs(2);

/// After how long something that was not brought is tried again, by how often that was.
const AGAIN: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
];

/// So soon after an action, changes of files are its own doing.
const ECHO: Duration = Duration::from_millis(200);

/// How long an action that starts itself is held back.
const SLOWER: Duration = Duration::from_secs(2);

/// What is due for one service.
#[derive(Debug, Default)]
pub(super) struct Seat {
    due: Work,
    /// Containers are compared with the files first.
    compare: Compare,
    /// Something was not brought: the next batch is a reason to compare, and so is this moment.
    retry: Option<Instant>,
    /// How often in a row something was not brought.
    failures: u32,
    /// Something is being done.
    busy: Option<Busy>,
    /// What follows from files waits until then.
    held: Option<Instant>,
    /// Since when a burst goes on.
    bursting: Option<Instant>,
    /// What a burst takes away waits for its end: a tool that replaces files may have removed one
    /// and not written it yet.
    going: Work,
    /// Places of containers that files were taken away from.
    removed: BTreeMap<PathBuf, Transfer>,
    /// Files that changed while an action ran, or right after.
    echoes: BTreeSet<PathBuf>,
    acted: Option<Instant>,
    loops: Loops,
}

/// Which containers are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Compare {
    #[default]
    Nothing,
    All,
}

/// Whether containers have what was brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Outcome {
    /// They do.
    #[default]
    InStep,
    /// Not all, or not all of it.
    Doubtful,
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Busy {
    Bringing,
    Acting,
}

/// What to do next for a service.
#[derive(Debug, PartialEq)]
pub(super) enum Job {
    /// Bring these files.
    Bring(Vec<Transfer>),
    /// Bring what differs; nothing shall be at the places that are named.
    Compare(Vec<Transfer>),
    /// Do what follows.
    Act(Work),
}

impl Seat {
    /// Something has changed.
    pub(super) fn take(&mut self, mut work: Work, now: Instant) {
        self.calm_down(now);
        let is_echo = self.busy == Some(Busy::Acting)
            || self.acted.is_some_and(|acted| now.duration_since(acted) < ECHO);
        if is_echo {
            self.echoes.extend(files(&work));
        }
        if self.bursting.is_some() || files(&work).len() >= MANY {
            self.hold(now);
        }
        for transfer in work.transfers() {
            match transfer.source {
                Some(_) => self.removed.remove(&transfer.path),
                None => self.removed.insert(transfer.path.clone(), transfer),
            };
        }
        if self.failures > 0 {
            self.doubt();
        }
        self.going.leave_to(&work);
        if self.is_held(now) {
            self.going.put_back(work.take_removals());
        }
        self.due.merge(work);
    }

    fn is_held(&self, now: Instant) -> bool {
        self.held.is_some_and(|held| held > now)
    }

    /// Ends a burst from which nothing follows.
    fn calm_down(&mut self, now: Instant) {
        if !self.is_held(now) && !self.due.acts() {
            (self.held, self.bursting) = (None, None);
        }
    }

    /// More is coming: what follows waits.
    pub(super) fn hold(&mut self, now: Instant) {
        let begun = *self.bursting.get_or_insert(now);
        self.held = Some((now + CALM).min(begun + LONGEST).max(now));
    }

    /// Its containers may not be in step.
    pub(super) fn doubt(&mut self) {
        self.compare = Compare::All;
    }

    /// Adds what follows from files that were not in step.
    pub(super) fn follow(&mut self, work: Work) {
        self.due.merge(work);
    }

    /// When there may be something to do though nothing happens.
    pub(super) fn wakes(&self) -> Option<Instant> {
        let held = self.held.filter(|_| self.due.acts() || self.going.syncs());
        self.retry.or(held).filter(|_| self.busy.is_none())
    }

    /// The next thing to do; gives the files to name if it is what an action does to itself.
    pub(super) fn next(&mut self, now: Instant) -> Option<(Job, Option<Vec<PathBuf>>)> {
        if self.busy.is_some() {
            return None;
        }
        if !self.is_held(now) {
            let going = std::mem::take(&mut self.going);
            self.due.put_back(going);
        }
        self.calm_down(now);
        if self.compare != Compare::Nothing || self.retry.is_some_and(|retry| retry <= now) {
            self.compare = Compare::Nothing;
            self.retry = None;
            self.busy = Some(Busy::Bringing);
            // What is due is in what is compared.
            self.due.take_transfers();
            let gone = self.removed.values().cloned().collect();
            return Some((Job::Compare(gone), None));
        }
        if self.due.syncs() {
            self.busy = Some(Busy::Bringing);
            return Some((Job::Bring(self.due.take_transfers()), None));
        }
        // What follows from files waits for all of them: nothing would follow from the last ones.
        let waits = self.retry.is_some() || self.is_held(now);
        if waits || !self.due.acts() {
            return None;
        }
        (self.held, self.bursting) = (None, None);
        let work = std::mem::take(&mut self.due);
        let changed = files(&work);
        let own = if changed.is_subset(&self.echoes) { changed } else { BTreeSet::new() };
        self.echoes.clear();
        let named = self.loops.ran(&own);
        self.busy = Some(Busy::Acting);
        Some((Job::Act(work), named))
    }

    /// What was being done is over, as far as it could be done.
    pub(super) fn finished(&mut self, now: Instant, outcome: Outcome) {
        if self.busy == Some(Busy::Bringing) {
            self.failures = if outcome == Outcome::Doubtful { self.failures + 1 } else { 0 };
            let again = AGAIN.get(usize::try_from(self.failures).unwrap_or(0).wrapping_sub(1));
            self.retry = again.map(|pause| now + *pause);
        }
        if self.busy.take() == Some(Busy::Acting) {
            self.acted = Some(now);
            if self.loops.is_one() {
                self.held = Some(now + SLOWER);
            }
        }
    }
}

/// The files because of which something follows.
fn files(work: &Work) -> BTreeSet<PathBuf> {
    let execs = work.execs.iter().flat_map(|(_, files)| files);
    work.rebuild.iter().chain(&work.restart).chain(execs).cloned().collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{CALM, Job, Outcome, Seat};
    use crate::model::transfer::Transfer;
    use crate::watch::Work;

    fn restart(file: &str) -> Work {
        let mut work = Work::default();
        work.restart.insert(file.into());
        work
    }

    fn transfer(place: &str, source: Option<&str>) -> Transfer {
        let base = std::path::Path::new("/").into();
        Transfer { path: place.into(), base, source: source.map(PathBuf::from), only: None }
    }

    fn bring(place: &str) -> Work {
        Work::of(transfer(place, Some("/s")))
    }

    #[test]
    fn files_come_first_and_one_thing_at_a_time_is_done() {
        let (mut seat, now) = (Seat::default(), Instant::now());
        seat.take(bring("/t"), now);
        seat.take(restart("/a"), now);
        assert!(matches!(seat.next(now), Some((Job::Bring(files), None)) if files.len() == 1));
        seat.take(restart("/b"), now);
        assert_eq!(seat.next(now), None, "it is busy");
        seat.finished(now, Outcome::InStep);
        let Some((Job::Act(work), None)) = seat.next(now) else { panic!("the restart") };
        assert_eq!(work.restart.len(), 2, "one restart for both");
        seat.finished(now, Outcome::InStep);
        assert_eq!(seat.next(now), None);
    }

    #[test]
    fn a_burst_holds_back_what_follows_but_not_the_files() {
        let (mut seat, now) = (Seat::default(), Instant::now());
        seat.take(bring("/t"), now);
        seat.take(restart("/a"), now);
        seat.hold(now);
        assert!(matches!(seat.next(now), Some((Job::Bring(_), None))));
        seat.finished(now, Outcome::InStep);
        assert_eq!(seat.next(now), None);
        let later = seat.wakes().unwrap();
        assert_eq!(later, now + CALM);
        assert!(matches!(seat.next(later), Some((Job::Act(_), None))));
    }

    #[test]
    fn what_a_burst_takes_away_waits_for_its_end_and_may_come_again() {
        let (mut seat, now) = (Seat::default(), Instant::now());
        seat.hold(now);
        let mut work = bring("/a");
        work.merge(Work::of(transfer("/b", None)));
        work.merge(Work::of(transfer("/c", None)));
        seat.take(work, now);
        assert!(matches!(seat.next(now), Some((Job::Bring(files), None)) if files.len() == 1));
        seat.finished(now, Outcome::InStep);
        assert_eq!(seat.next(now), None);
        // One is written anew.
        seat.hold(now);
        seat.take(bring("/b"), now);
        let brought = Job::Bring(vec![transfer("/b", Some("/s"))]);
        assert_eq!(seat.next(now), Some((brought, None)), "and takes its own place in one step");
        seat.finished(now, Outcome::InStep);
        let later = seat.wakes().unwrap();
        let gone = Job::Bring(vec![transfer("/c", None)]);
        assert_eq!(seat.next(later), Some((gone, None)));
        seat.finished(later, Outcome::InStep);
        assert_eq!(seat.wakes(), None);
        seat.take(Work::of(transfer("/a", None)), later);
        assert!(matches!(seat.next(later), Some((Job::Bring(_), None))), "the burst is over");
    }

    #[test]
    fn what_was_not_brought_is_tried_again_and_in_the_end_left_to_the_next_change() {
        let (mut seat, mut now) = (Seat::default(), Instant::now());
        seat.take(bring("/t"), now);
        let mut tries = 0;
        while seat.next(now).is_some() {
            tries += 1;
            seat.finished(now, Outcome::Doubtful);
            now = seat.wakes().unwrap_or(now);
        }
        assert_eq!(tries, 5);
        seat.take(restart("/a"), now);
        assert!(matches!(seat.next(now), Some((Job::Compare(_), None))));
    }

    #[test]
    fn nothing_follows_while_a_file_is_still_on_its_way() {
        let (mut seat, now) = (Seat::default(), Instant::now());
        let mut work = bring("/t");
        work.merge(restart("/a"));
        seat.take(work, now);
        assert!(matches!(seat.next(now), Some((Job::Bring(_), None))));
        seat.finished(now, Outcome::Doubtful);
        assert_eq!(seat.next(now), None, "it would start with the old file");
        let later = seat.wakes().unwrap();
        assert!(matches!(seat.next(later), Some((Job::Compare(_), None))));
        seat.finished(later, Outcome::InStep);
        assert!(matches!(seat.next(later), Some((Job::Act(_), None))));
    }

    #[test]
    fn a_burst_that_never_ends_holds_nothing_back_for_ever() {
        let (mut seat, begun) = (Seat::default(), Instant::now());
        let mut now = begun;
        for file in ["/a", "/b", "/c", "/d"] {
            let mut work = restart(file);
            work.merge(restart("/e"));
            work.merge(restart("/f"));
            work.merge(restart("/g"));
            seat.take(work, now);
        }
        while seat.next(now).is_none() {
            now += Duration::from_millis(50);
            seat.take(restart("/a"), now);
        }
        let waited = now.duration_since(begun);
        assert!(waited > CALM && waited < Duration::from_secs(3), "{waited:?}");
    }

    #[test]
    fn what_was_removed_is_removed_again_from_containers_that_are_new() {
        let (mut seat, now) = (Seat::default(), Instant::now());
        seat.take(Work::of(transfer("/t", None)), now);
        seat.doubt();
        let Some((Job::Compare(gone), None)) = seat.next(now) else { panic!("a comparison") };
        assert_eq!(gone, [transfer("/t", None)]);
        seat.finished(now, Outcome::InStep);
        assert_eq!(seat.next(now), None, "the comparison has covered it");
        seat.take(bring("/t"), now);
        seat.doubt();
        assert_eq!(seat.next(now), Some((Job::Compare(Vec::new()), None)));
    }

    #[test]
    fn an_action_that_starts_itself_is_named_and_slowed_down() {
        let (mut seat, now) = (Seat::default(), Instant::now());
        seat.take(restart("/a"), now);
        let mut named = None;
        for _ in 0..4 {
            let at = seat.wakes().unwrap_or(now);
            let (job, files) = seat.next(at).unwrap();
            assert!(matches!(job, Job::Act(_)));
            named = named.or(files);
            seat.take(restart("/a"), at);
            seat.finished(at, Outcome::InStep);
        }
        assert_eq!(named, Some(vec![PathBuf::from("/a")]));
        assert_eq!(seat.next(now), None, "not again at once");
        assert!(seat.wakes().is_some());
        // Whatever else changes is heeded as ever.
        let later = now + Duration::from_mins(1);
        seat.take(restart("/b"), later);
        assert!(matches!(seat.next(later), Some((Job::Act(_), None))));
    }
}
