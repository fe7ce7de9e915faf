//! The watched files of a project, from the kernel's events to batches.
//!
//! In: [`Rules`](super::Rules). Out: what is there now, and then one batch after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use thiserror::Error;
use tokio::time::{Instant, timeout_at};

use super::directories::{Directories, Told};
use super::rule::Rule;
use super::tree::{Changes, Tree};
use super::window::Window;
use super::work::{Batch, Work};
use crate::model::transfer::Transfer;

/// After how long what could not be looked at is looked at again.
const LATER: Duration = Duration::from_secs(2);

/// How long events pile up while a batch is being collected.
const PACE: Duration = Duration::from_millis(1);

/// Why files cannot be watched.
#[derive(Debug, Error)]
pub enum WatchError {
    /// The kernel watches no more directories for this user.
    #[error("cannot watch `{}`: the limit of watched directories is reached", path.display())]
    Limit {
        /// The directory.
        path: PathBuf,
    },
    /// The kernel refused.
    #[error("cannot watch `{}`", path.display())]
    Refused {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl WatchError {
    pub(super) fn of(error: io::Error, path: &Path) -> Self {
        // The number of watches, of instances, and of open files.
        let is_limit = matches!(
            error.raw_os_error().map(Errno::from_raw_os_error),
            Some(Errno::NOSPC | Errno::MFILE | Errno::NFILE)
        );
        let path = path.to_owned();
        if is_limit { Self::Limit { path } } else { Self::Refused { path, source: error } }
    }

    /// What to do about it.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Limit { .. } => Some(
                "raise it with `sysctl fs.inotify.max_user_watches=524288` (and \
                 `fs.inotify.max_user_instances=1024`), or leave folders out with `ignore`",
            ),
            Self::Refused { .. } => None,
        }
    }
}

/// Watches the files of rules.
#[derive(Debug)]
pub struct Watcher {
    rules: Vec<Rule>,
    trees: Vec<Tree>,
    directories: Directories,
    /// How long is waited for more.
    window: Window,
    /// When the batch that is being collected began.
    begun: Option<Instant>,
    /// When what could not be looked at is looked at again.
    again: Option<Instant>,
    /// Files of patterns that could not be read, and why: the patterns before hold.
    unread: BTreeMap<PathBuf, String>,
}

impl Watcher {
    /// Begins to watch, and looks at what is there.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn start(rules: Vec<Rule>) -> Result<Self, WatchError> {
        let paths = |rule: &Rule| [std::slice::from_ref(&rule.path), rule.ignore_files()].concat();
        let roots: BTreeSet<PathBuf> = rules.iter().flat_map(paths).collect();
        let directories = Directories::listen(roots.into_iter().collect())?;
        let trees = rules.iter().map(|_| Tree::default()).collect();
        let (window, begun, again) = (Window::default(), None, None);
        let unread = BTreeMap::new();
        let mut watcher = Self { rules, trees, directories, window, begun, again, unread };
        watcher.watch_patterns()?;
        // They may have changed since they were read.
        watcher.read_patterns(|_| true);
        for (rule, tree) in watcher.rules.iter().zip(&mut watcher.trees) {
            tree.look_again(rule, &mut watcher.directories)?;
        }
        watcher.look_later();
        Ok(watcher)
    }

    /// The rules.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The services that have rules.
    pub fn services(&self) -> BTreeSet<String> {
        self.rules.iter().map(|rule| rule.service.clone()).collect()
    }

    /// Paths that are not there yet.
    pub fn missing(&self) -> Vec<&Path> {
        let all = self.rules.iter().zip(&self.trees);
        let is_known =
            |(rule, tree): &(&Rule, &Tree)| tree.has(&rule.path) || !tree.blind().is_empty();
        all.filter(|it| !is_known(it)).map(|(rule, _)| &*rule.path).collect()
    }

    /// What cannot be looked at, and why: nothing that is known of it has changed for now.
    pub fn blind(&self) -> BTreeMap<PathBuf, String> {
        self.trees.iter().flat_map(|tree| tree.blind().clone()).collect()
    }

    /// Files of patterns that cannot be read, and why: the patterns before hold.
    pub fn unread(&self) -> &BTreeMap<PathBuf, String> {
        &self.unread
    }

    /// Whether the last batch went out although more was coming.
    pub fn is_bursting(&self) -> bool {
        self.window.is_full()
    }

    /// All that the containers of a service shall have, each with the number of its rule.
    pub fn expected(&self, service: &str) -> Vec<(usize, Transfer)> {
        let mut expected: BTreeMap<PathBuf, (usize, Transfer)> = BTreeMap::new();
        let rules = self.rules.iter().enumerate().zip(&self.trees);
        for ((number, rule), tree) in rules.filter(|((_, rule), _)| rule.service == service) {
            let Some(base) = rule.target() else { continue };
            for path in tree.paths() {
                let Some(place) = rule.place_of(path) else { continue };
                let source = Some(path.to_owned());
                let (path, base) = (place.clone(), base.clone());
                let transfer = Transfer { path, base, source, only: None };
                expected.insert(place, (number, transfer));
            }
        }
        expected.into_values().collect()
    }

    /// Waits for the next batch; one with nothing in it says that what can be looked at is not what
    /// it was. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// If the kernel refuses to watch something new.
    pub async fn batch(&mut self) -> Result<Batch, WatchError> {
        loop {
            let is_told = self.has_mail().await;
            let mut told = if is_told { self.collected().await } else { Told::default() };
            let (blind, unread) = (self.blind(), self.unread.clone());
            if self.again.is_some_and(|again| again <= Instant::now()) {
                told.paths.extend(blind.keys().chain(unread.keys()).cloned());
            }
            let batch = self.changed(told)?;
            self.look_later();
            if !batch.is_empty() || self.blind() != blind || self.unread != unread {
                return Ok(batch);
            }
        }
    }

    /// Waits until something was told; `false`: until it is time to look again.
    async fn has_mail(&mut self) -> bool {
        if !self.directories.is_quiet() {
            return true;
        }
        match self.again {
            None => self.directories.tells().await,
            Some(again) => return timeout_at(again, self.directories.tells()).await.is_ok(),
        }
        true
    }

    /// What was told, once no more is coming or the first of it has waited long enough.
    async fn collected(&mut self) -> Told {
        let begun = *self.begun.get_or_insert_with(|| {
            self.window = self.window.following();
            Instant::now()
        });
        while timeout_at(begun + self.window.due(), self.directories.tells()).await.is_ok() {
            self.window.extend(begun.elapsed());
            // Who is told of every single one does nothing else.
            tokio::time::sleep(PACE).await;
        }
        self.begun = None;
        self.directories.take()
    }

    /// Looks later at what cannot be looked at now.
    fn look_later(&mut self) {
        let mut trees = self.trees.iter();
        let is_blind = !self.unread.is_empty() || trees.any(|tree| !tree.blind().is_empty());
        let now = Instant::now();
        let due = self.again.filter(|again| *again > now);
        self.again = is_blind.then(|| due.unwrap_or(now + LATER));
    }

    /// Watches the directories of files that hold patterns.
    fn watch_patterns(&mut self) -> Result<(), WatchError> {
        let files = self.rules.iter().flat_map(Rule::ignore_files);
        let parents: BTreeSet<&Path> = files.filter_map(|file| file.parent()).collect();
        for parent in parents {
            self.directories.enter(parent)?;
        }
        Ok(())
    }

    /// Reads patterns again that are in such files; whether something else is left out now. What is
    /// left out from now on stays in containers as it is.
    fn read_patterns(&mut self, has_changed: impl Fn(&PathBuf) -> bool) -> bool {
        let mut is_other = false;
        for (rule, tree) in self.rules.iter_mut().zip(&mut self.trees) {
            let Some(file) = rule.ignore_files().iter().find(|it| has_changed(it)).cloned() else {
                continue;
            };
            self.unread.retain(|it, _| !rule.ignore_files().contains(it));
            match rule.read_again() {
                Ok(false) => {}
                Ok(true) => {
                    tree.forget(rule);
                    is_other = true;
                }
                Err(error) => {
                    self.unread.insert(file, words(&error));
                }
            }
        }
        is_other
    }

    /// What has changed among what was told.
    fn changed(&mut self, mut told: Told) -> Result<Batch, WatchError> {
        if self.read_patterns(|file| told.lost || told.paths.contains(file)) {
            told.lost = true;
        }
        if told.lost {
            tracing::debug!("everything is looked at");
            self.directories.leave_all(Path::new("/"));
        }
        for path in &told.paths {
            self.directories.leave_all(path);
        }
        let mut batch = Batch::new();
        for (rule, tree) in self.rules.iter().zip(&mut self.trees) {
            let mut changes = Changes::new();
            if told.lost {
                changes = tree.look_again(rule, &mut self.directories)?;
            } else {
                tree.look_at(&told.paths, (rule, &mut self.directories), &mut changes)?;
            }
            if changes.is_empty() {
                continue;
            }
            let work = batch.entry(rule.service.clone()).or_default();
            for (path, change) in changes {
                work.take(rule, &path, change);
            }
        }
        self.watch_patterns()?;
        for (service, work) in &mut batch {
            self.supply(service, work);
        }
        batch.retain(|_, work| !work.is_empty());
        Ok(batch)
    }

    /// What one rule takes away another may still bring, there or below.
    fn supply(&self, service: &str, work: &mut Work) {
        let all = || self.rules.iter().zip(&self.trees);
        let own = || all().filter(|(rule, _)| rule.service == service);
        work.supply(|place| {
            own().find_map(|(rule, tree)| rule.source_of(place).filter(|source| tree.has(source)))
        });
        work.spare(|place| {
            let is_below = |rule: &Rule| rule.target().is_some_and(|it| it.starts_with(place));
            own().any(|(rule, tree)| !tree.is_empty() && is_below(rule))
        });
    }
}

/// An error and what caused it.
fn words(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

#[cfg(test)]
mod tests;
