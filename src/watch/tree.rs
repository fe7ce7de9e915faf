//! What one rule watches, as it was at the last look.
//!
//! In: paths that may have changed. Out: those that have, and how.
//!
//! # Invariants
//!
//! - Only what is known to be gone is gone: what nobody may look at is as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::directories::Directories;
use super::entry::{Entry, Kind, is_gone};
use super::rule::Rule;
use super::source::WatchError;

/// How a path changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It is there, or it is another one than it was.
    There(Kind),
    /// It was a directory and is something else now.
    Replaced,
    /// It is gone.
    Gone(Kind),
}

/// Paths that changed, each once.
pub(super) type Changes = BTreeMap<PathBuf, Change>;

/// All that a rule heeds, by path.
#[derive(Debug, Default)]
pub(super) struct Tree {
    entries: BTreeMap<PathBuf, Entry>,
    /// What cannot be looked at, and why: it, and what was known below it, is as it was.
    blind: BTreeMap<PathBuf, String>,
}

impl Tree {
    /// The paths that are there and can be looked at.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        let brought = self.entries.iter().filter(|(_, entry)| entry.kind != Kind::Other);
        let paths = brought.map(|(path, _)| path.as_path());
        paths.filter(|path| !is_blind(path, &self.blind))
    }

    /// What cannot be looked at, and why.
    pub(super) fn blind(&self) -> &BTreeMap<PathBuf, String> {
        &self.blind
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn has(&self, path: &Path) -> bool {
        self.entries.contains_key(path)
    }

    /// Forgets what the rule does not heed any more: nobody takes it away for that.
    pub(super) fn forget(&mut self, rule: &Rule) {
        self.entries.retain(|path, _| rule.heeds(path));
        self.blind.retain(|path, _| rule.heeds(path) || rule.enters(path));
    }

    /// Looks at everything anew.
    pub(super) fn look_again(
        &mut self,
        rule: &Rule,
        directories: &mut Directories,
    ) -> Result<Changes, WatchError> {
        let mut changes = Changes::new();
        let paths = BTreeSet::from([rule.path.clone()]);
        self.look_at(&paths, (rule, directories), &mut changes)?;
        Ok(changes)
    }

    /// Looks at paths about which something was told, each once: what lies below one of them is
    /// looked at with it, and the way to a directory once for all that lie in it.
    pub(super) fn look_at(
        &mut self,
        paths: &BTreeSet<PathBuf>,
        (rule, directories): (&Rule, &mut Directories),
        changes: &mut Changes,
    ) -> Result<(), WatchError> {
        let mut looked: Option<&Path> = None;
        let mut way: Option<(&Path, Way)> = None;
        for path in paths {
            if looked.is_some_and(|above| path.starts_with(above)) {
                continue;
            }
            let mut look = Look::new(rule, directories);
            let (path, way) = if rule.path.starts_with(path) {
                // Something above may have come, gone, or be another one.
                look.anchor()?;
                (rule.path.as_path(), Way::of(rule, &rule.path))
            } else if let Some(parent) = path.parent().filter(|it| it.starts_with(&rule.path)) {
                let known = way.filter(|(of, _)| *of == parent).map(|(_, way)| way);
                let found = known.unwrap_or_else(|| Way::of(rule, path));
                way = Some((parent, found));
                (path.as_path(), found)
            } else {
                continue;
            };
            match way {
                Way::Ignored => continue,
                Way::Blocked => {}
                Way::Open => look.walk(path)?,
            }
            looked = Some(path);
            let (found, blind) = (look.found, look.blind);
            self.replace(path, (found, &blind), changes);
            self.blind.retain(|it, _| !it.starts_with(path));
            self.blind.extend(blind);
        }
        Ok(())
    }

    /// Takes in what was found at a path and below it.
    fn replace(
        &mut self,
        path: &Path,
        (found, blind): (BTreeMap<PathBuf, Entry>, &BTreeMap<PathBuf, String>),
        changes: &mut Changes,
    ) {
        let below = self.entries.range(path.to_owned()..);
        let gone: Vec<PathBuf> = below
            .take_while(|(it, _)| it.starts_with(path))
            .filter(|(path, _)| !found.contains_key(*path) && !is_blind(path, blind))
            .map(|(path, _)| path.clone())
            .collect();
        for path in gone {
            if let Some(before) = self.entries.remove(&path) {
                changes.insert(path, Change::Gone(before.kind));
            }
        }
        for (path, entry) in found {
            let before = self.entries.insert(path.clone(), entry);
            if before.is_none_or(|before| entry.differs(&before)) {
                changes.insert(path, there(&entry, before.as_ref()));
            }
        }
    }
}

fn there(entry: &Entry, before: Option<&Entry>) -> Change {
    match before {
        Some(before) if before.kind == Kind::Directory && entry.kind != Kind::Directory => {
            Change::Replaced
        }
        _ => Change::There(entry.kind),
    }
}

/// Whether a path is, or is below, one that cannot be looked at.
fn is_blind(path: &Path, blind: &BTreeMap<PathBuf, String>) -> bool {
    !blind.is_empty() && path.ancestors().any(|above| blind.contains_key(above))
}

/// What leads from a rule's path to a path below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Directories that the rule enters; so it is too where that cannot be seen.
    Open,
    /// Something that is no directory: what lies behind a link that took the place of one is not
    /// below the rule's path.
    Blocked,
    /// A directory that the rule does not enter.
    Ignored,
}

impl Way {
    fn of(rule: &Rule, path: &Path) -> Self {
        let above = || path.ancestors().skip(1).take_while(|it| it.starts_with(&rule.path));
        let is_directory = |it: &Path| {
            Entry::look(it).map_or(true, |found| found.is_some_and(|it| it.kind == Kind::Directory))
        };
        if !above().all(|directory| rule.enters(directory)) {
            Self::Ignored
        } else if above().all(is_directory) {
            Self::Open
        } else {
            Self::Blocked
        }
    }
}

/// One look at files.
struct Look<'l> {
    rule: &'l Rule,
    directories: &'l mut Directories,
    found: BTreeMap<PathBuf, Entry>,
    blind: BTreeMap<PathBuf, String>,
}

impl<'l> Look<'l> {
    fn new(rule: &'l Rule, directories: &'l mut Directories) -> Self {
        Self { rule, directories, found: BTreeMap::new(), blind: BTreeMap::new() }
    }

    /// Watches what is around the rule's path: so it is told when that comes or goes.
    fn anchor(&mut self) -> Result<(), WatchError> {
        loop {
            let mut above = self.rule.path.ancestors().skip(1);
            let Some(nearest) = above.find(|it| it.is_dir()) else { return Ok(()) };
            let is_there = self.directories.enter(nearest)?;
            let deeper = self.rule.path.ancestors().skip(1).find(|it| it.is_dir());
            if is_there && deeper == Some(nearest) {
                return Ok(());
            }
            if !is_there && deeper == Some(nearest) {
                // Nobody may look into it.
                return Ok(());
            }
        }
    }

    /// Looks at a path and all below it that matters; each directory is watched before it is read.
    fn walk(&mut self, path: &Path) -> Result<(), WatchError> {
        let mut waiting = vec![path.to_owned()];
        while let Some(path) = waiting.pop() {
            let entry = match Entry::look(&path) {
                Ok(Some(entry)) => entry,
                Ok(None) => continue,
                Err(error) => {
                    if self.rule.heeds(&path) || self.rule.enters(&path) {
                        self.blind.insert(path, error.to_string());
                    }
                    continue;
                }
            };
            let is_directory = entry.kind == Kind::Directory;
            if self.rule.heeds(&path) {
                self.found.insert(path.clone(), entry);
            }
            if !is_directory || !self.rule.enters(&path) {
                continue;
            }
            self.directories.enter(&path)?;
            match children(&path) {
                Ok(all) => waiting.extend(all),
                Err(error) if is_gone(&error) => {}
                Err(error) => {
                    self.blind.insert(path, error.to_string());
                }
            }
        }
        Ok(())
    }
}

fn children(path: &Path) -> io::Result<Vec<PathBuf>> {
    std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect()
}
