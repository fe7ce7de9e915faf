//! One writer per project.
//!
//! The lock is an advisory lock of the kernel on a file that says who holds it. The kernel releases
//! it when the holder ends in any way. Readers never take it.
//!
//! # Invariants
//!
//! - Only who holds the lock of the file that has the name removes that file; so it goes with the
//!   command, and only a command that was killed leaves one, for the next to take.
//! - A lock holds only if its file still has the name: whoever waited for one that was removed
//!   takes the lock of its successor.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::OrchestrationError;
use super::host_ports::HostPorts;
use crate::runtime::native::lock::has_name;
use crate::runtime::native::root::RUN_DIR;

/// Most that is read of what a holder wrote about itself.
const LONGEST: u64 = 200;

/// The right to change a project, held while it lives.
#[derive(Debug)]
pub struct Lock {
    held: Option<(PathBuf, File)>,
    /// Ports that were chosen for what is done under it.
    ports: Option<HostPorts>,
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some((path, file)) = &self.held
            && has_name(file, path).unwrap_or(false)
        {
            // One that stays does no harm.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Lock {
    /// Stands for the lock where nothing is changed.
    pub fn unneeded() -> Self {
        Self { held: None, ports: None }
    }

    /// Keeps ports as long as this lock.
    pub(super) fn keep(&mut self, ports: HostPorts) {
        self.ports = Some(ports);
    }

    /// Takes the lock of a project for a command; while somebody else holds it, tells `waiting`
    /// who, once, and waits.
    ///
    /// # Errors
    ///
    /// Its file cannot be made.
    pub async fn take(
        environment: &IndexMap<String, String>,
        (project, command): (&str, &str),
        waiting: impl FnOnce(&str),
    ) -> Result<Self, OrchestrationError> {
        let name = format!("{project}.lock");
        let failed = |source| OrchestrationError::Lock { project: project.to_owned(), source };
        let path = directory(environment).map_err(failed)?.join(name);
        let mut waiting = Some(waiting);
        let mut file = open(&path).map_err(failed)?;
        loop {
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    if let Some(waiting) = waiting.take() {
                        waiting(&holder(&mut file));
                    }
                    wait(file.try_clone().map_err(failed)?).await.map_err(failed)?;
                }
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
            if has_name(&file, &path).map_err(failed)? {
                break;
            }
            file = open(&path).map_err(failed)?;
        }
        // Who holds it is only for people: the lock holds without. The arguments of the command are
        // not told: they may be secret.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "`ketch {command}` (process {})", std::process::id()));
        Ok(Self { held: Some((path, file)), ports: None })
    }
}

/// Waits for the lock in a thread of its own, which the end of the process does not wait for.
pub(super) async fn wait(file: File) -> io::Result<()> {
    let (tell, told) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("lock".to_owned()).spawn(move || tell.send(file.lock()))?;
    told.await.map_err(io::Error::other)?
}

/// The directory that the environment names, or the user's own for what ends with the session; else
/// one that only this user can write to.
fn directory(environment: &IndexMap<String, String>) -> io::Result<PathBuf> {
    let user = std::fs::metadata("/proc/self")?.uid();
    let given = |name: &str| environment.get(name).filter(|path| !path.is_empty()).map(Path::new);
    let path = match (given(RUN_DIR), given("XDG_RUNTIME_DIR")) {
        (Some(path), _) => path.to_owned(),
        (None, Some(path)) => path.join("ketch"),
        (None, None) if user == 0 => PathBuf::from("/run/ketch"),
        (None, None) => std::env::temp_dir().join(format!("ketch-{user}")),
    };
    DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
    // Whoever else owns it could put a link in the place of the lock.
    let found = std::fs::symlink_metadata(&path)?;
    if found.is_dir() && found.uid() == user {
        Ok(path)
    } else {
        Err(io::Error::other(format!("`{}` is not a directory of yours", path.display())))
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let _ = file.take(LONGEST).read_to_string(&mut text);
    if text.is_empty() { "another command".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use indexmap::IndexMap;

    use super::Lock;

    fn environment(directory: &tempfile::TempDir) -> IndexMap<String, String> {
        let path = directory.path().to_string_lossy().into_owned();
        [("KETCH_RUN_DIR".to_owned(), path)].into_iter().collect()
    }

    #[tokio::test]
    async fn the_second_waits_for_the_first_and_is_told_who_it_is() {
        let directory = tempfile::tempdir().expect("a folder");
        let environment = environment(&directory);
        let first =
            Lock::take(&environment, ("shop", "up"), |_| panic!("it is free")).await.expect("free");
        let mut told = String::new();
        let second = Lock::take(&environment, ("shop", "down"), |holder| told = holder.to_owned());
        let release = async {
            tokio::task::yield_now().await;
            drop(first);
        };
        let (second, ()) = tokio::join!(second, release);
        let second = second.expect("it is free in the end");
        assert_eq!(told, format!("`ketch up` (process {})", std::process::id()));
        let left = || std::fs::read_dir(directory.path()).expect("it is there").count();
        assert_eq!(left(), 1, "the file of the second");
        drop(second);
        assert_eq!(left(), 0);
    }

    /// Who waits for a file that is removed must not hold its lock beside that of the next one.
    #[test]
    fn one_holds_it_at_a_time_though_its_file_comes_and_goes() {
        let directory = tempfile::tempdir().expect("a folder");
        let environment = environment(&directory);
        let holders = AtomicU32::new(0);
        let take_and_give_back = async || {
            for _ in 0..50 {
                let lock = Lock::take(&environment, ("shop", "up"), |_| {}).await;
                assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0, "nobody else holds it");
                std::thread::yield_now();
                holders.fetch_sub(1, Ordering::SeqCst);
                drop(lock.expect("it is free in the end"));
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let runtime = tokio::runtime::Builder::new_current_thread().build();
                    runtime.expect("a runtime").block_on(take_and_give_back());
                });
            }
        });
        assert_eq!(std::fs::read_dir(directory.path()).expect("it is there").count(), 0);
    }
}
