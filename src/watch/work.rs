//! What has to be done for a service, and how one batch is merged into the next. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::entry::Kind;
use super::rule::{Action, Rule};
use super::tree::Change;
use crate::model::Hook;
use crate::model::transfer::Transfer;

/// What has changed, by service.
pub type Batch = BTreeMap<String, Work>;

/// What has to be done for a service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Work {
    /// What its containers shall have, by path in the container.
    wanted: BTreeMap<PathBuf, Goal>,
    /// Files because of which its image is built anew.
    pub rebuild: BTreeSet<PathBuf>,
    /// Files because of which its containers are restarted.
    pub restart: BTreeSet<PathBuf>,
    /// Commands to run, each once, with the files because of which.
    pub execs: Vec<(Hook, BTreeSet<PathBuf>)>,
}

/// What shall be at a place in a container, at or below a target.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Goal {
    base: Arc<Path>,
    wanted: Wanted,
}

/// What shall be at a place in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    Like(PathBuf),
    /// The same, after what was a directory has gone.
    LikeAfterRemoval(PathBuf),
    Nothing,
}

impl Work {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.wanted.is_empty() && !self.acts()
    }

    /// Whether there is more to do than to bring files.
    pub fn acts(&self) -> bool {
        !self.rebuild.is_empty() || !self.restart.is_empty() || !self.execs.is_empty()
    }

    /// Whether files are to be brought.
    pub fn syncs(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// The files that are to be brought.
    pub fn transfers(&self) -> Vec<Transfer> {
        let mut transfers = Vec::with_capacity(self.wanted.len());
        for (path, goal) in &self.wanted {
            let transfer = |source: Option<&PathBuf>| Transfer {
                path: path.clone(),
                base: goal.base.clone(),
                source: source.cloned(),
                only: None,
            };
            match &goal.wanted {
                Wanted::Nothing => transfers.push(transfer(None)),
                Wanted::Like(source) => transfers.push(transfer(Some(source))),
                Wanted::LikeAfterRemoval(source) => {
                    transfers.extend([transfer(None), transfer(Some(source))]);
                }
            }
        }
        transfers
    }

    /// Takes the files that are to be brought; what is left is what follows.
    pub fn take_transfers(&mut self) -> Vec<Transfer> {
        let transfers = self.transfers();
        self.wanted.clear();
        transfers
    }

    /// Takes out what is only to be taken away.
    #[must_use]
    pub fn take_removals(&mut self) -> Self {
        let wanted = std::mem::take(&mut self.wanted);
        let (gone, there) = wanted.into_iter().partition(|(_, it)| it.wanted == Wanted::Nothing);
        self.wanted = there;
        Self { wanted: gone, ..Self::default() }
    }

    /// Puts in what was held back, but for places that later work has brought something to.
    pub fn put_back(&mut self, held: Self) {
        for (path, goal) in held.wanted {
            self.wanted.entry(path).or_insert(goal);
        }
    }

    /// Leaves out places that other work has something for.
    pub fn leave_to(&mut self, other: &Self) {
        self.wanted.retain(|path, _| !other.wanted.contains_key(path));
    }

    /// Work that is only this transfer.
    #[cfg(test)]
    pub(crate) fn of(transfer: Transfer) -> Self {
        let wanted = transfer.source.map_or(Wanted::Nothing, Wanted::Like);
        let goal = Goal { base: transfer.base, wanted };
        Self { wanted: [(transfer.path, goal)].into(), ..Self::default() }
    }

    /// Merges what has to be done later.
    pub fn merge(&mut self, later: Self) {
        for (path, mut goal) in later.wanted {
            let before = self.wanted.get(&path).map(|before| &before.wanted);
            if let (Some(Wanted::Nothing | Wanted::LikeAfterRemoval(_)), Wanted::Like(source)) =
                (before, &goal.wanted)
            {
                goal.wanted = Wanted::LikeAfterRemoval(source.clone());
            }
            self.wanted.insert(path, goal);
        }
        self.rebuild.extend(later.rebuild);
        self.restart.extend(later.restart);
        for (hook, files) in later.execs {
            self.exec(&hook, files);
        }
    }

    fn exec(&mut self, hook: &Hook, files: impl IntoIterator<Item = PathBuf>) {
        match self.execs.iter_mut().find(|(known, _)| known == hook) {
            Some((_, known)) => known.extend(files),
            None => self.execs.push((hook.clone(), files.into_iter().collect())),
        }
    }

    /// Takes in a change that a rule heeds.
    pub(super) fn take(&mut self, rule: &Rule, path: &Path, change: Change) {
        if let (Some(place), Some(base)) = (rule.place_of(path), rule.target())
            && !matches!(change, Change::There(Kind::Other))
        {
            let source = || path.to_owned();
            // What lies beside the watched files in a container is not theirs to take away.
            let is_root_directory = path == rule.path && change == Change::Gone(Kind::Directory);
            let wanted = match change {
                Change::There(_) => Wanted::Like(source()),
                Change::Replaced => Wanted::LikeAfterRemoval(source()),
                Change::Gone(_) => Wanted::Nothing,
            };
            if !is_root_directory {
                self.wanted.insert(place, Goal { base, wanted });
            }
        }
        if matches!(change, Change::There(Kind::Directory) | Change::Gone(Kind::Directory)) {
            return;
        }
        self.follow(rule, [path.to_owned()]);
    }

    /// Adds what follows from changes of files.
    pub fn follow(&mut self, rule: &Rule, files: impl IntoIterator<Item = PathBuf>) {
        match rule.action {
            Action::Rebuild => self.rebuild.extend(files),
            Action::Restart | Action::SyncRestart => self.restart.extend(files),
            Action::SyncExec => self.exec(&rule.exec, files),
            Action::Sync => {}
        }
    }

    /// Puts in what another rule brings to places from which one takes something away.
    pub(super) fn supply(&mut self, source_of: impl Fn(&Path) -> Option<PathBuf>) {
        for (place, goal) in &mut self.wanted {
            if goal.wanted == Wanted::Nothing
                && let Some(source) = source_of(place)
            {
                goal.wanted = Wanted::Like(source);
            }
        }
    }

    /// Leaves places alone that hold what another rule brings.
    pub(super) fn spare(&mut self, holds: impl Fn(&Path) -> bool) {
        self.wanted.retain(|place, goal| goal.wanted != Wanted::Nothing || !holds(place));
    }
}

/// Finds actions that start themselves: each run changes files because of which it is run again.
#[derive(Clone, Debug, Default)]
pub struct Loops {
    /// How often in a row files changed while the action ran, and nothing else did.
    rounds: u32,
    /// Files that are known to change with it.
    known: BTreeSet<PathBuf>,
}

/// After how many rounds an action counts as one that starts itself.
const ROUNDS: u32 = 3;

impl Loops {
    /// Takes in which files changed while an action ran; gives those to name, once there is a loop.
    pub fn ran(&mut self, changed: &BTreeSet<PathBuf>) -> Option<Vec<PathBuf>> {
        if changed.is_empty() {
            *self = Self::default();
            return None;
        }
        self.rounds += 1;
        self.known.extend(changed.iter().cloned());
        (self.rounds == ROUNDS).then(|| self.known.iter().cloned().collect())
    }

    /// Whether the action starts itself.
    pub fn is_one(&self) -> bool {
        self.rounds >= ROUNDS
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::{Goal, Loops, Wanted, Work};

    fn work(path: &str, wanted: Wanted) -> Work {
        let goal = Goal { base: Path::new("/").into(), wanted };
        Work { wanted: [(path.into(), goal)].into(), ..Work::default() }
    }

    fn like(path: &str) -> Wanted {
        Wanted::Like(path.into())
    }

    #[test]
    fn the_later_batch_decides_and_nothing_is_lost() {
        let mut first = work("/t", Wanted::Nothing);
        first.restart.insert("/a".into());
        first.merge(work("/t", like("/s")));
        let after = Wanted::LikeAfterRemoval("/s".into());
        assert_eq!(
            first.wanted[&PathBuf::from("/t")].wanted,
            after,
            "a directory may have been there"
        );
        assert_eq!(first.transfers().len(), 2);
        first.merge(work("/t", Wanted::Nothing));
        assert_eq!(first.take_transfers().len(), 1);
        assert!(!first.syncs() && first.acts(), "the restart is still due");
    }

    #[test]
    fn what_starts_itself_is_found_until_something_else_changes() {
        let files = |names: &[&str]| names.iter().map(PathBuf::from).collect::<BTreeSet<_>>();
        let mut loops = Loops::default();
        assert_eq!(loops.ran(&files(&["/a"])), None);
        assert_eq!(loops.ran(&files(&[])), None, "it was by chance");
        assert_eq!(loops.ran(&files(&["/a"])), None);
        assert_eq!(loops.ran(&files(&["/b"])), None);
        assert!(!loops.is_one());
        assert_eq!(loops.ran(&files(&["/a"])).unwrap().len(), 2);
        assert!(loops.is_one());
        assert_eq!(loops.ran(&files(&["/a"])), None, "told once");
        assert_eq!(loops.ran(&files(&[])), None);
        assert!(!loops.is_one());
    }
}
