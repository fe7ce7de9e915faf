//! One writer per project.
//!
//! The lock is an advisory lock of the kernel on a file that says who holds it. The kernel releases
//! it when the holder ends in any way. Readers never take it.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use crate::cli::exit::Failure;

/// Most that is read of what a holder wrote about itself.
const LONGEST: u64 = 200;

/// The right to change a project, held while it lives.
#[derive(Debug)]
pub(in crate::cli) struct Lock {
    _file: Option<File>,
}

impl Lock {
    /// Stands for the lock where nothing is changed.
    pub(in crate::cli) fn unneeded() -> Self {
        Self { _file: None }
    }

    /// Takes the lock of a project for a command; while somebody else holds it, tells `waiting` who, once, and waits.
    pub(in crate::cli) async fn take(
        environment: &IndexMap<String, String>,
        (project, command): (&str, &str),
        waiting: impl FnOnce(&str),
    ) -> Result<Self, Failure> {
        let name = format!("{project}.lock");
        let failed = |source| Failure::Lock { project: project.to_owned(), source };
        let path = directory(environment).map_err(failed)?.join(name);
        let mut file = open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                waiting(&holder(&mut file));
                wait(file.try_clone().map_err(failed)?).await.map_err(failed)?;
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // Who holds it is only for people: the lock holds without. The arguments of the command are
        // not told: they may be secret.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "`ketch {command}` (process {})", std::process::id()));
        Ok(Self { _file: Some(file) })
    }
}

/// Waits for the lock in a thread of its own, which the end of the process does not wait for.
async fn wait(file: File) -> io::Result<()> {
    let (tell, told) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("lock".to_owned()).spawn(move || tell.send(file.lock()))?;
    told.await.map_err(io::Error::other)?
}

/// The user's own directory for what ends with the session; else one that only this user can
/// write to.
fn directory(environment: &IndexMap<String, String>) -> io::Result<PathBuf> {
    let user = std::fs::metadata("/proc/self")?.uid();
    let path = match environment.get("XDG_RUNTIME_DIR").filter(|path| !path.is_empty()) {
        Some(path) => Path::new(path).join("ketch"),
        None if user == 0 => PathBuf::from("/run/ketch"),
        None => std::env::temp_dir().join(format!("ketch-{user}")),
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
    use super::Lock;

    #[tokio::test]
    async fn the_second_waits_for_the_first_and_is_told_who_it_is() {
        let directory = tempfile::tempdir().expect("a folder");
        let path = directory.path().to_string_lossy().into_owned();
        let environment = [("XDG_RUNTIME_DIR".to_owned(), path)].into_iter().collect();
        let first =
            Lock::take(&environment, ("shop", "up"), |_| panic!("it is free")).await.expect("free");
        let mut told = String::new();
        let second = Lock::take(&environment, ("shop", "down"), |holder| told = holder.to_owned());
        let release = async {
            tokio::task::yield_now().await;
            drop(first);
        };
        let (second, ()) = tokio::join!(second, release);
        second.expect("it is free in the end");
        assert_eq!(told, format!("`ketch up` (process {})", std::process::id()));
    }
}
