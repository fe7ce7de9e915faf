//! Files in containers, in and out as tar archives.
//!
//! In: a container, a path, an archive. Out: archives as they are made; nothing is held in memory.
//! One file for each direction, and `root` for where a container's files are.
//!
//! # Invariants
//!
//! - The kernel resolves every path beneath the root of the container: no link leads out of it,
//!   whatever the container does meanwhile.

mod pack;
mod root;
mod unpack;

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use futures_util::stream;
use futures_util::stream::{BoxStream, StreamExt as _};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, openat2};
use tokio::sync::mpsc::{Receiver, channel};

use super::Native;
use super::control::whole;
use super::names;
use super::record::Record;
use crate::model::transfer::{Difference, Transfer, Transferred, Trust};
use crate::runtime::mirror;
use crate::runtime::pieces::{Incoming, Outgoing};
use crate::runtime::{Bytes, PathInfo, Result, RuntimeError, Stream};

/// How many pieces may wait for whoever is slower.
const PIECES: usize = 16;

impl Native {
    pub(super) async fn path_info(&self, container: &str, path: &str) -> Result<Option<PathInfo>> {
        let path = path.to_owned();
        self.visit(container, move |root| info(root, &path)).await
    }

    pub(super) fn download(&self, container: &str, path: &str) -> Stream<'static, Bytes> {
        self.packed(container, path, pack::Naming::LastName)
    }

    pub(super) fn whole_file_system(&self, container: &str) -> Stream<'static, Bytes> {
        self.packed(container, "/", pack::Naming::Root)
    }

    fn packed(&self, container: &str, path: &str, naming: pack::Naming) -> Stream<'static, Bytes> {
        let (sender, receiver) = channel(PIECES);
        let place = self.files_of(container);
        let path = path.to_owned();
        let told = sender.clone();
        std::thread::spawn(move || {
            let done = place.and_then(|place| {
                place.visit(|root| pack::pack(root, (&path, naming), Outgoing::new(sender, Ok)))
            });
            if let Err(error) = done {
                // Who does not listen any more does not want to know.
                let _ = told.blocking_send(Err(error));
            }
        });
        stream::unfold(receiver, |mut receiver: Receiver<Result<Bytes>>| async move {
            receiver.recv().await.map(|piece| (piece, receiver))
        })
        .boxed()
    }

    pub(super) async fn upload(
        &self,
        container: &str,
        directory: &str,
        mut tar: BoxStream<'static, Bytes>,
    ) -> Result<()> {
        let (sender, receiver) = channel(PIECES);
        let directory = directory.to_owned();
        let unpacked = self.visit(container, move |root| {
            unpack::unpack(root, &directory, Incoming::new(receiver))
        });
        let sent = async move {
            while let Some(piece) = tar.next().await {
                // It has failed, or has seen the end of the archive.
                if sender.send(piece).await.is_err() {
                    return;
                }
            }
        };
        tokio::join!(unpacked, sent).0
    }

    pub(super) async fn mirror_files(
        &self,
        container: &str,
        transfers: Vec<Transfer>,
    ) -> Result<Transferred> {
        self.visit(container, move |root| Ok(mirror::apply(root, &transfers))).await
    }

    pub(super) async fn compare_files(
        &self,
        container: &str,
        transfers: Vec<Transfer>,
        trust: Trust,
    ) -> Result<Vec<(Transfer, Difference)>> {
        self.visit(container, move |root| mirror::compare(root, &transfers, trust)).await
    }

    /// Does something in the root of a container, on a thread of its own.
    async fn visit<T: Send + 'static>(
        &self,
        container: &str,
        act: impl FnOnce(BorrowedFd<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let place = self.files_of(container)?;
        let (sender, receiver) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            // Who asked may have gone.
            let _ = sender.send(place.visit(act));
        });
        let ended = || RuntimeError::Refused("the thread for files has ended".to_owned());
        receiver.await.map_err(|_| ended())?
    }

    fn files_of(&self, container: &str) -> Result<root::Files> {
        let named = names::the(&self.root, container)?;
        let place = self.root.container(&named.id);
        let record = Record::read(&place)?.ok_or_else(|| names::missing(container))?;
        Ok(root::Files { config: record.config, root: self.root.clone(), named, place })
    }
}

/// Opens a path of a container; the last name may be a link only if `flags` let it.
fn open(root: BorrowedFd<'_>, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
    let path = Path::new(path.trim_start_matches('/'));
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    Ok(openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)?)
}

fn info(root: BorrowedFd<'_>, path: &str) -> Result<Option<PathInfo>> {
    let failed = |error: io::Error| failed("look at", path, error);
    // A slash at the end means what the link leads to.
    let flags = if path.ends_with('/') { OFlags::PATH } else { OFlags::PATH | OFlags::NOFOLLOW };
    let file = match open(root, path, flags) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let stat = rustix::fs::fstat(&file).map_err(|error| failed(error.into()))?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    let link = if kind == FileType::Symlink {
        let target = rustix::fs::readlinkat(&file, "", Vec::new());
        let target = target.map_err(|error| failed(error.into()))?;
        resolved(path, &target.to_string_lossy())
    } else {
        String::new()
    };
    let name = Path::new(path).file_name().map_or("/".into(), |name| name.to_string_lossy());
    Ok(Some(PathInfo { name: name.into_owned(), is_dir: kind == FileType::Directory, link }))
}

/// Where a link leads, from the root of the container.
fn resolved(path: &str, target: &str) -> String {
    let base = Path::new(path).parent().unwrap_or(Path::new("/"));
    let mut found = std::path::PathBuf::from("/");
    for part in base.join(target).components() {
        match part {
            std::path::Component::Normal(name) => found.push(name),
            std::path::Component::ParentDir => {
                found.pop();
            }
            _ => {}
        }
    }
    found.to_string_lossy().into_owned()
}

/// A path of a container with which something failed.
fn failed(action: &str, path: &str, source: io::Error) -> RuntimeError {
    if source.kind() == io::ErrorKind::NotFound {
        return RuntimeError::NotFound(format!("Could not find the file {path} in the container"));
    }
    RuntimeError::Io { action: format!("{action} `{path}` in the container"), source }
}

/// What is wrong with an archive, in words.
fn bad_archive(error: &io::Error) -> RuntimeError {
    RuntimeError::Refused(format!("the archive cannot be unpacked: {}", whole(error)))
}

#[cfg(test)]
mod tests {
    use super::resolved;

    #[test]
    fn links_are_resolved_within_the_root() {
        assert_eq!(resolved("/a/b", "c"), "/a/c");
        assert_eq!(resolved("/a/b", "../../../etc"), "/etc");
        assert_eq!(resolved("/a/b", "/x/./y"), "/x/y");
    }
}
