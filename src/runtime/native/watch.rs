//! Waiting for files to change.
//!
//! In: directories. Out: that something in one of them has changed since it was looked at last.
//! One inotify queue serves all who wait in this process: users have few of them.
//!
//! # Invariants
//!
//! - Watch first, then look, then wait: nothing is missed.
//! - To close an inotify queue costs the kernel 10 to 15 ms: who need not wait makes none.
//! - Nobody is needed to drive it: whoever waits reads for all.

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use super::channel::register;
use super::state::failed;
use crate::runtime::{Result, RuntimeError};

/// The inotify queue of this process.
#[derive(Debug)]
pub(super) struct Hub {
    queue: AsyncFd<OwnedFd>,
    watches: Mutex<HashMap<i32, Entry>>,
}

/// Those who watch one directory.
#[derive(Debug)]
struct Entry {
    changes: watch::Sender<u64>,
    watchers: usize,
}

/// Tells of changes in one directory.
#[derive(Debug)]
pub(super) struct Watch {
    hub: Arc<Hub>,
    number: i32,
    changes: watch::Receiver<u64>,
}

/// Makes the queue when it is first needed, and again when nobody has it any more.
#[derive(Debug, Default)]
pub(super) struct Hubs(Mutex<Weak<Hub>>);

impl Hubs {
    /// The queue. Must be called inside the async runtime.
    pub(super) fn get(&self) -> Result<Arc<Hub>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hub) = kept.upgrade() {
            return Ok(hub);
        }
        let hub = Arc::new(Hub::new()?);
        *kept = Arc::downgrade(&hub);
        Ok(hub)
    }
}

impl Hub {
    fn new() -> Result<Self> {
        let failed = |source| RuntimeError::Io { action: "watch files".to_owned(), source };
        let queue = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)
            .map_err(|error| failed(error.into()))?;
        let queue = register(queue, Interest::READABLE).map_err(failed)?;
        Ok(Self { queue, watches: Mutex::default() })
    }

    /// Watches a directory: files in it that are written, made, renamed or removed.
    pub(super) fn watch(self: &Arc<Self>, directory: &Path) -> Result<Watch> {
        let flags = WatchFlags::MODIFY
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE
            | WatchFlags::DELETE_SELF
            | WatchFlags::ONLYDIR;
        let mut watches = self.watches();
        let number = inotify::add_watch(self.queue.get_ref(), directory, flags)
            .map_err(|error| failed("watch", directory, error.into()))?;
        let entry = watches
            .entry(number)
            .or_insert_with(|| Entry { changes: watch::channel(0).0, watchers: 0 });
        entry.watchers += 1;
        let changes = entry.changes.subscribe();
        Ok(Watch { hub: Arc::clone(self), number, changes })
    }

    fn watches(&self) -> MutexGuard<'_, HashMap<i32, Entry>> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for news of the kernel and hands them out.
    async fn read(&self) -> Result<()> {
        let failed = |source| RuntimeError::Io { action: "watch files".to_owned(), source };
        let mut guard = self.queue.readable().await.map_err(failed)?;
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(self.queue.get_ref(), &mut buffer);
        loop {
            match reader.next() {
                Ok(event) => self.tell(event.wd()),
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => break,
                Err(error) => return Err(failed(error.into())),
            }
        }
        guard.clear_ready();
        Ok(())
    }

    /// Tells those who watch a directory; a queue that ran over (-1) tells everybody.
    fn tell(&self, number: i32) {
        for (own, entry) in self.watches().iter() {
            if *own == number || number == -1 {
                entry.changes.send_modify(|count| *count = count.wrapping_add(1));
            }
        }
    }
}

impl Watch {
    /// Waits until something has changed since the last call.
    pub(super) async fn changed(&mut self) -> Result<()> {
        loop {
            tokio::select! {
                biased;
                // The sender lives as long as this watch.
                _ = self.changes.changed() => return Ok(()),
                read = self.hub.read() => read?,
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watches = self.hub.watches();
        let Some(entry) = watches.get_mut(&self.number) else { return };
        entry.watchers -= 1;
        if entry.watchers == 0 {
            watches.remove(&self.number);
            // The directory may be gone, and the watch with it.
            let _ = inotify::remove_watch(self.hub.queue.get_ref(), self.number);
        }
    }
}

/// Watches a directory from the moment on that somebody has to wait for it.
#[derive(Debug)]
pub(super) struct Lazy {
    hubs: Arc<Hubs>,
    directory: PathBuf,
    watch: Option<Watch>,
}

impl Lazy {
    /// Is about a directory, which need not exist yet.
    pub(super) fn new(hubs: Arc<Hubs>, directory: PathBuf) -> Self {
        Self { hubs, directory, watch: None }
    }

    /// Waits until something has changed since the last call. The first call only begins to watch:
    /// whoever waits has to look again after it.
    pub(super) async fn changed(&mut self) -> Result<()> {
        if let Some(watch) = &mut self.watch {
            return watch.changed().await;
        }
        match self.hubs.get()?.watch(&self.directory) {
            // That is a change, too.
            Err(RuntimeError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            watch => self.watch = Some(watch?),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use std::sync::Arc;

    use super::{Hubs, Lazy};

    #[tokio::test]
    async fn the_first_wait_only_begins_to_watch() {
        let folder = tempfile::tempdir().unwrap();
        let hubs = Arc::new(Hubs::default());
        let mut lazy = Lazy::new(hubs.clone(), folder.path().to_owned());
        assert!(hubs.0.lock().unwrap().upgrade().is_none());
        lazy.changed().await.unwrap();
        std::fs::write(folder.path().join("a"), "x").unwrap();
        tokio::time::timeout(Duration::from_secs(10), lazy.changed()).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn everybody_who_watches_is_told_of_what_concerns_them() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let hub = Hubs::default().get().unwrap();
        let mut first = hub.watch(one.path()).unwrap();
        let mut second = hub.watch(one.path()).unwrap();
        let mut other = hub.watch(two.path()).unwrap();
        std::fs::write(one.path().join("a"), "x").unwrap();
        let limit = Duration::from_secs(10);
        tokio::time::timeout(limit, first.changed()).await.unwrap().unwrap();
        tokio::time::timeout(limit, second.changed()).await.unwrap().unwrap();
        drop(second);
        std::fs::write(two.path().join("a"), "x").unwrap();
        tokio::time::timeout(limit, other.changed()).await.unwrap().unwrap();
        assert!(!first.changes.has_changed().unwrap());
    }
}
