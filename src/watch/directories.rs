//! The directories that the kernel watches for us.
//!
//! In: directories to watch, each by itself. Out: paths that may have changed, collected until
//! somebody takes them.
//!
//! # Invariants
//!
//! - The kernel watches directories, not names: a watch is known by the number that the kernel gives
//!   it, and by all paths under which its directory was found. To give one of them up takes nothing
//!   away from the others, and a path that is no longer its own costs one look in vain.
//! - Nobody else gives up a watch: what was entered is told of until it is left, or gone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::source::WatchError;

/// How many bytes of events are read at once.
const ROOM: usize = 16 * 1024;

/// What the kernel has told and nobody has taken.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Paths that may have changed.
    pub(super) paths: BTreeSet<PathBuf>,
    /// Whether events were lost: anything may have changed.
    pub(super) lost: bool,
}

impl Told {
    fn is_empty(&self) -> bool {
        self.paths.is_empty() && !self.lost
    }
}

/// The directories that are watched.
#[derive(Debug)]
pub(super) struct Directories {
    queue: AsyncFd<OwnedFd>,
    /// Only these paths matter, and what is above or below one.
    roots: Vec<PathBuf>,
    /// The watch that each path was entered with.
    known: BTreeMap<PathBuf, i32>,
    /// The paths of each watch: more than one where a directory was moved, or is mounted twice.
    paths: HashMap<i32, BTreeSet<PathBuf>>,
    told: Told,
}

impl Directories {
    /// Begins to listen; only paths near these matter. Must be called where tokio runs.
    pub(super) fn listen(roots: Vec<PathBuf>) -> Result<Self, WatchError> {
        let failed = |error: io::Error| WatchError::of(error, Path::new("inotify"));
        let queue = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC);
        let queue = queue.map_err(|errno| failed(errno.into()))?;
        #[expect(
            deprecated,
            reason = "sound for an `OwnedFd`, which stays open as long as it lives; the other way is unsafe"
        )]
        let queue = AsyncFd::with_interest(queue, Interest::READABLE).map_err(failed)?;
        let (known, paths, told) = (BTreeMap::new(), HashMap::new(), Told::default());
        Ok(Self { queue, roots, known, paths, told })
    }

    /// Whether nothing was told that nobody has taken.
    pub(super) fn is_quiet(&self) -> bool {
        self.told.is_empty()
    }

    /// Waits until the kernel tells something that matters. Dropping the future loses nothing.
    pub(super) async fn tells(&mut self) {
        loop {
            match self.queue.readable().await {
                Ok(mut guard) => guard.clear_ready(),
                // The program is ending: nothing more is told.
                Err(_) => std::future::pending().await,
            }
            if self.hear() > 0 {
                return;
            }
        }
    }

    /// Takes what was told.
    pub(super) fn take(&mut self) -> Told {
        self.hear();
        std::mem::take(&mut self.told)
    }

    /// Loses everything, as the kernel does when nobody listens for long.
    #[cfg(test)]
    pub(super) fn lose(&mut self) {
        self.take();
        self.told.lost = true;
    }

    /// Reads all that the kernel has to tell; how much of it matters.
    fn hear(&mut self) -> usize {
        let Self { queue, roots, known, paths, told } = self;
        let mut buffer = [MaybeUninit::uninit(); ROOM];
        let mut reader = inotify::Reader::new(queue.get_ref(), &mut buffer);
        let mut number = 0;
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::INTR) => continue,
                Err(Errno::WOULDBLOCK) => return number,
                Err(errno) => {
                    tracing::debug!("file events: {errno}");
                    told.lost = true;
                    return number + 1;
                }
            };
            if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                told.lost = true;
                number += 1;
                continue;
            }
            let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
            for directory in paths.get(&event.wd()).into_iter().flatten() {
                let path = name.map_or_else(|| directory.clone(), |name| directory.join(name));
                let is_near = |root: &PathBuf| path.starts_with(root) || root.starts_with(&path);
                if roots.iter().any(is_near) {
                    told.paths.insert(path);
                    number += 1;
                }
            }
            if event.events().contains(ReadFlags::IGNORED) {
                // The directory is gone, and its watch with it.
                for path in paths.remove(&event.wd()).unwrap_or_default() {
                    if known.get(&path) == Some(&event.wd()) {
                        known.remove(&path);
                    }
                }
            }
        }
    }

    /// Watches a directory; says whether it was there. One that is watched already stays so.
    pub(super) fn enter(&mut self, path: &Path) -> Result<bool, WatchError> {
        // Long looks must not let the queue run over.
        self.hear();
        let what = WatchFlags::ATTRIB
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MODIFY
            | WatchFlags::MOVE
            | WatchFlags::MOVE_SELF;
        let how = WatchFlags::ONLYDIR | WatchFlags::DONT_FOLLOW | WatchFlags::EXCL_UNLINK;
        let watch = match inotify::add_watch(self.queue.get_ref(), path, what | how) {
            Ok(watch) => watch,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS) => {
                self.leave(path);
                return Ok(false);
            }
            Err(errno) => return Err(WatchError::of(errno.into(), path)),
        };
        if self.known.get(path) != Some(&watch) {
            self.leave(path);
            self.known.insert(path.to_owned(), watch);
            self.paths.entry(watch).or_default().insert(path.to_owned());
        }
        Ok(true)
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
        let Some(watch) = self.known.remove(path) else { return };
        let Some(paths) = self.paths.get_mut(&watch) else { return };
        paths.remove(path);
        if paths.is_empty() {
            self.paths.remove(&watch);
            // The kernel gives up what was removed by itself.
            let _ = inotify::remove_watch(self.queue.get_ref(), watch);
        }
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.known.len()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::Directories;

    /// What another path has taken over stays watched there, whatever becomes of the first one.
    #[tokio::test]
    async fn a_directory_that_has_two_paths_is_told_of_until_both_are_left() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("a")).unwrap();
        let mut directories = Directories::listen(vec![at("")]).unwrap();
        assert!(directories.enter(&at("a")).unwrap());
        fs::rename(at("a"), at("b")).unwrap();
        assert!(directories.enter(&at("b")).unwrap());
        directories.leave_all(&at("a"));
        directories.take();
        fs::write(at("b/f"), "f").unwrap();
        directories.tells().await;
        assert!(directories.take().paths.contains(&at("b/f")));
        directories.leave_all(&at("b"));
        fs::write(at("b/g"), "g").unwrap();
        assert!(directories.take().paths.is_empty());
    }

    #[tokio::test]
    async fn what_is_gone_is_forgotten_and_what_is_no_directory_is_not_entered() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("a")).unwrap();
        fs::write(at("f"), "f").unwrap();
        std::os::unix::fs::symlink("a", at("l")).unwrap();
        let mut directories = Directories::listen(vec![at("")]).unwrap();
        assert!(directories.enter(&at("a")).unwrap());
        for name in ["f", "l", "none", "f/x"] {
            assert!(!directories.enter(&at(name)).unwrap(), "{name}");
        }
        fs::remove_dir(at("a")).unwrap();
        assert!(directories.take().paths.contains(&at("a")));
        assert_eq!(directories.count(), 0);
    }
}
