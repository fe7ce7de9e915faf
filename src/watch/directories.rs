//! The directories that the kernel watches for us.
//!
//! In: directories to watch, each by itself. Out: paths that may have changed, collected until
//! somebody takes them.
//!
//! # Invariants
//!
//! - A path is watched as the directory that it is now: whatever may have been moved or replaced is
//!   given up before anything is watched anew, because the kernel watches directories, not names,
//!   and a new directory may look like the one that is gone.
//! - A directory is known by one path: the kernel would give up both.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

use super::entry::Identity;
use super::source::WatchError;

/// What the kernel has told and nobody has taken.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Paths that may have changed.
    pub(super) paths: BTreeSet<PathBuf>,
    /// Whether events were lost: anything may have changed.
    pub(super) lost: bool,
}

/// Shared with the thread that listens to the kernel.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    told: Mutex<Told>,
    bell: Notify,
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, Told> {
        // A set of paths is never half changed.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something was told since the last call.
    pub(super) async fn rings(&self) {
        self.bell.notified().await;
    }

    /// Whether nothing was told that nobody has taken.
    pub(super) fn is_empty(&self) -> bool {
        let told = self.lock();
        told.paths.is_empty() && !told.lost
    }

    /// Takes what was told.
    pub(super) fn take(&self) -> Told {
        std::mem::take(&mut *self.lock())
    }

    /// Loses everything, as the kernel does when nobody listens for long.
    #[cfg(test)]
    pub(super) fn lose(&self) {
        self.put(Ok(Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan)), &[]);
    }

    /// Puts an event in, if it is about one of these paths, or about one above or below.
    fn put(&self, event: notify::Result<Event>, roots: &[PathBuf]) {
        let mut told = self.lock();
        match event {
            Ok(event) if event.need_rescan() => told.lost = true,
            Ok(event) if !changes(event.kind) => return,
            Ok(event) => {
                let concerns = |path: &PathBuf| {
                    roots.iter().any(|root| path.starts_with(root) || root.starts_with(path))
                };
                let paths: Vec<PathBuf> = event.paths.into_iter().filter(concerns).collect();
                if paths.is_empty() {
                    return;
                }
                told.paths.extend(paths);
            }
            Err(error) => {
                tracing::debug!("file events: {error}");
                told.lost = true;
            }
        }
        drop(told);
        self.bell.notify_one();
    }
}

/// Whether something is another one afterwards: looking at files makes events too.
fn changes(kind: EventKind) -> bool {
    !matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

/// The directories that are watched.
pub(super) struct Directories {
    kernel: RecommendedWatcher,
    known: BTreeMap<PathBuf, Identity>,
    paths: HashMap<Identity, PathBuf>,
}

impl std::fmt::Debug for Directories {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Directories").field("known", &self.known.len()).finish_non_exhaustive()
    }
}

impl Directories {
    /// Begins to listen; only paths near these matter.
    pub(super) fn listen(roots: Vec<PathBuf>) -> Result<(Self, Arc<Mailbox>), WatchError> {
        let mailbox = Arc::new(Mailbox::default());
        let into = mailbox.clone();
        let kernel = notify::recommended_watcher(move |event| into.put(event, &roots));
        let kernel = kernel.map_err(|error| WatchError::of(error, Path::new("")))?;
        Ok((Self { kernel, known: BTreeMap::new(), paths: HashMap::new() }, mailbox))
    }

    /// Watches a directory; says whether it was there. One that is watched already stays so.
    pub(super) fn enter(&mut self, path: &Path) -> Result<bool, WatchError> {
        while let Some(identity) = identity(path) {
            if self.known.get(path) == Some(&identity) {
                return Ok(true);
            }
            self.leave(path);
            if let Some(other) = self.paths.get(&identity).cloned() {
                self.leave(&other);
            }
            match self.kernel.watch(path, RecursiveMode::NonRecursive) {
                Ok(()) => {}
                Err(error) if is_gone(&error) => return Ok(false),
                Err(error) => return Err(WatchError::of(error, path)),
            }
            self.known.insert(path.to_owned(), identity);
            self.paths.insert(identity, path.to_owned());
            // Another one may have come to be there in between.
        }
        self.leave(path);
        Ok(false)
    }

    /// Gives up a path and all below it: they may be other directories now.
    pub(super) fn leave_all(&mut self, path: &Path) {
        let below = self.known.range(path.to_owned()..).take_while(|(it, _)| it.starts_with(path));
        let below: Vec<PathBuf> = below.map(|(path, _)| path.clone()).collect();
        for path in below {
            self.leave(&path);
        }
    }

    fn leave(&mut self, path: &Path) {
        if let Some(identity) = self.known.remove(path) {
            self.paths.remove(&identity);
            // The kernel gives up what was removed by itself.
            let _ = self.kernel.unwatch(path);
        }
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.known.len()
    }
}

fn identity(path: &Path) -> Option<Identity> {
    let found = std::fs::symlink_metadata(path).ok()?;
    found.is_dir().then(|| Identity::of(&found))
}

fn is_gone(error: &notify::Error) -> bool {
    match &error.kind {
        notify::ErrorKind::PathNotFound => true,
        notify::ErrorKind::Io(error) => matches!(
            error.kind(),
            std::io::ErrorKind::NotFound
                | std::io::ErrorKind::NotADirectory
                | std::io::ErrorKind::PermissionDenied
        ),
        _ => false,
    }
}
