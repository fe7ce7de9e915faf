//! The directory of the store: where things lie, who may change them, and how they get there.
//!
//! In: paths and bytes. Out: locks, and entries of `staging` that become what they are named for
//! by one rename.
//!
//! # Invariants
//!
//! - Entries of `staging` are made, and looked through for remains, only under the lock of the
//!   store; whoever makes one holds its own lock until it is renamed or removed.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, Mode, OFlags, openat};
use rustix::io::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::spec::MAX_DOCUMENT;
use crate::runtime::native::lock::{self, Lock};
use crate::runtime::{Result, RuntimeError};

/// Layers hold programs with set-user-id bits: nobody else may reach them.
const PRIVATE: u32 = 0o700;

/// Says which file it was.
pub(super) fn failed(verb: &str, path: &Path) -> impl FnOnce(io::Error) -> RuntimeError + use<> {
    let action = format!("{verb} `{}`", path.display());
    move |source| RuntimeError::Io { action, source }
}

/// The directory of a store.
#[derive(Clone, Debug)]
pub(super) struct Place {
    root: PathBuf,
}

/// A directory in `staging`, which goes when it is dropped unless it was renamed.
#[derive(Debug)]
pub(super) struct Staging {
    path: PathBuf,
    _lock: Lock,
}

impl Staging {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Moves the whole directory to its place; one that is there already will do.
    pub(super) fn publish(self, target: &Path) -> Result<()> {
        match fs::rename(&self.path, target) {
            Err(_) if target.is_dir() => Ok(()),
            done => done.map_err(failed("make", target)),
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What remains is removed by the next command.
        let _ = fs::remove_dir_all(&self.path);
    }
}

impl Place {
    /// Makes what is missing.
    pub(super) fn open(root: &Path) -> Result<Self> {
        let place = Self { root: root.to_owned() };
        for part in ["images", "layers", "covers", "holds", "partial", "staging", "steps"] {
            let path = root.join(part);
            let made = fs::DirBuilder::new().recursive(true).mode(PRIVATE).create(&path);
            made.map_err(failed("make", &path))?;
        }
        Ok(place)
    }

    pub(super) fn path(&self, part: &str) -> PathBuf {
        self.root.join(part)
    }

    /// The directory of a layer.
    pub(super) fn layer(&self, name: &str) -> PathBuf {
        self.root.join("layers").join(name)
    }

    /// The directory of an image.
    pub(super) fn image(&self, hex: &str) -> PathBuf {
        self.root.join("images").join(hex)
    }

    /// Where the containers of an image are listed.
    pub(super) fn holds(&self, hex: &str) -> PathBuf {
        self.root.join("holds").join(hex)
    }

    /// Waits until nobody else changes the store. It is never held for long.
    pub(super) fn lock(&self) -> Result<Lock> {
        let path = self.root.join("lock");
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
        let file = openat(CWD, &path, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|error| failed("open", &path)(error.into()))?;
        lock::on(file, FlockOperation::LockExclusive)
            .map_err(|error| failed("lock", &path)(error.into()))
    }

    /// Lets nobody remove layers without an image as long as it is kept: one is being made.
    pub(super) fn busy(&self) -> Result<Lock> {
        let (file, path) = self.busy_file()?;
        lock::on(file, FlockOperation::LockShared)
            .map_err(|error| failed("lock", &path)(error.into()))
    }

    /// Sees that nobody makes an image; `None` if somebody does.
    pub(super) fn alone(&self) -> Result<Option<Lock>> {
        let (file, path) = self.busy_file()?;
        match lock::on(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(lock) => Ok(Some(lock)),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(failed("lock", &path)(error.into())),
        }
    }

    fn busy_file(&self) -> Result<(OwnedFd, PathBuf)> {
        let path = self.root.join("busy");
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
        let file = openat(CWD, &path, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|error| failed("open", &path)(error.into()))?;
        Ok((file, path))
    }

    /// A new directory in `staging`.
    pub(super) fn stage(&self) -> Result<Staging> {
        let lock = self.lock()?;
        self.stage_under(&lock)
    }

    /// The same where the lock is held already.
    pub(super) fn stage_under(&self, _: &Lock) -> Result<Staging> {
        let parent = self.root.join("staging");
        let made = tempfile::Builder::new().prefix("").rand_bytes(12).tempdir_in(&parent);
        let path = made.map_err(failed("make a directory in", &parent))?.keep();
        let lock = lock_directory(&path).map_err(failed("lock", &path))?;
        let lock = lock.ok_or_else(|| {
            RuntimeError::Conflict(format!("somebody else uses `{}`", path.display()))
        })?;
        Ok(Staging { path, _lock: lock })
    }

    /// Takes what a process that was killed left in `staging`; it goes when it is dropped.
    pub(super) fn remains(&self, _: &Lock) -> Result<Vec<Staging>> {
        let parent = self.root.join("staging");
        let mut found = Vec::new();
        for entry in fs::read_dir(&parent).map_err(failed("read", &parent))? {
            let path = entry.map_err(failed("read", &parent))?.path();
            if !path.is_dir() {
                // A document that was never renamed: they are written under the lock.
                fs::remove_file(&path).map_err(failed("remove", &path))?;
            } else if let Ok(Some(lock)) = lock_directory(&path) {
                found.push(Staging { path, _lock: lock });
            }
        }
        Ok(found)
    }

    /// Takes something away so that it can be removed without the lock: it goes when dropped.
    pub(super) fn take(&self, path: &Path, lock: &Lock) -> Result<Option<Staging>> {
        let staging = self.stage_under(lock)?;
        match fs::rename(path, staging.path.join("taken")) {
            Ok(()) => Ok(Some(staging)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("remove", path)(error)),
        }
    }

    /// Replaces a document; whoever reads sees the old or the new one.
    pub(super) fn write(&self, path: &Path, value: &impl Serialize, _: &Lock) -> Result<()> {
        let staging = self.root.join("staging");
        let write = || {
            let mut file = tempfile::NamedTempFile::new_in(&staging)?;
            file.write_all(&serde_json::to_vec(value)?)?;
            file.as_file().sync_all()?;
            file.persist(path)?;
            File::open(path.parent().unwrap_or(path))?.sync_all()
        };
        write().map_err(failed("write", path))
    }
}

/// Locks a directory unless somebody else does.
fn lock_directory(path: &Path) -> io::Result<Option<Lock>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = openat(CWD, path, flags, Mode::empty())?;
    match lock::on(directory, FlockOperation::NonBlockingLockExclusive) {
        Ok(lock) => Ok(Some(lock)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Reads a whole small file; `None` if it is not there.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("open", path)(error)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes).map_err(failed("read", path))?;
    if bytes.len() as u64 > MAX_DOCUMENT {
        let said = format!("`{}` is larger than {MAX_DOCUMENT} bytes", path.display());
        return Err(RuntimeError::Refused(said));
    }
    Ok(Some(bytes))
}

/// Reads a document; `None` if it is not there.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let Some(bytes) = read(path)? else { return Ok(None) };
    let parsed = serde_json::from_slice(&bytes).map_err(io::Error::from);
    parsed.map(Some).map_err(failed("understand", path))
}

#[cfg(test)]
mod tests {
    use super::Place;

    fn entries(place: &Place) -> usize {
        std::fs::read_dir(place.path("staging")).unwrap().count()
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_lives_stays() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::open(directory.path()).unwrap();
        let alive = place.stage().unwrap();
        std::fs::create_dir(place.path("staging").join("dead")).unwrap();
        std::fs::write(place.path("staging").join("file"), "").unwrap();
        let lock = place.lock().unwrap();
        let remains = place.remains(&lock).unwrap();
        assert_eq!(remains.len(), 1);
        drop(remains);
        assert!(alive.path().is_dir());
        assert_eq!(entries(&place), 1);
        drop(alive);
        assert_eq!(entries(&place), 0);
    }

    #[test]
    fn what_was_made_twice_is_kept_once() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::open(directory.path()).unwrap();
        for word in ["one", "two"] {
            let staging = place.stage().unwrap();
            std::fs::write(staging.path().join("word"), word).unwrap();
            staging.publish(&place.layer("x")).unwrap();
        }
        assert_eq!(super::read(&place.layer("x").join("word")).unwrap().unwrap(), b"one");
        assert_eq!(entries(&place), 0);
    }
}
