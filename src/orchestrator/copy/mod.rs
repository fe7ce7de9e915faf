//! Files into containers and out of them, by the rules of `docker cp`.
//!
//! # Invariants
//!
//! - Archives are streamed, and nothing is held in memory.
//! - What comes out of a container is written beneath the target and nowhere else (`unpack`).

mod pack;
mod place;
mod unpack;

use std::fmt;
use std::path::{Path, PathBuf};

use futures_util::future::try_join;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::sync::mpsc::{Receiver, channel};

use super::OrchestrationError;
use crate::model::observed::ObservedContainer;
use crate::runtime::{Bytes, Runtime, RuntimeError, Stream};
use place::{Place, follow, part, place, split};

pub use pack::{Links, look};
pub use place::{Kind, Origin, Part, Side};
pub use unpack::Owners;

/// Pieces of an archive that may wait.
const PIECES: usize = 16;

/// Where a copy goes in a container.
#[derive(Clone, Copy)]
pub struct Destination<'a> {
    /// The runtime.
    pub runtime: &'a dyn Runtime,
    /// The container.
    pub container: &'a ObservedContainer,
    /// A path in it.
    pub path: &'a str,
}

impl fmt::Debug for Destination<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destination").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Destination<'_> {
    /// The path behind a link, and what lies there.
    async fn look(&self) -> Result<(String, Option<Kind>), OrchestrationError> {
        let mut path = self.path.to_owned();
        let mut found = self.runtime.stat_path(&self.container.id, &path).await?;
        if let Some(info) = &found
            && !info.link.is_empty()
        {
            path = follow(&path, &info.link);
            found = self.runtime.stat_path(&self.container.id, &path).await?;
        }
        let kind = found.map(|it| if it.is_dir { Kind::Directory } else { Kind::Other });
        Ok((path, kind))
    }

    /// Copies files of the host.
    ///
    /// # Errors
    ///
    /// They cannot be read, or not written there.
    pub async fn take_files(
        &self,
        local: &Path,
        origin: &Origin,
    ) -> Result<(), OrchestrationError> {
        let (path, found) = self.look().await?;
        let place = place(origin, &path, found)
            .map_err(|error| OrchestrationError::Other(error.to_string()))?;
        let (sender, receiver) = channel(PIECES);
        let (source, name) = (local.to_owned(), place.name);
        let packing = tokio::task::spawn_blocking(move || pack::pack(&source, &name, sender));
        let sent =
            self.runtime.copy_in(&self.container.id, &place.directory, pieces(receiver)).await;
        match packing.await {
            // A runtime that refuses does not read on.
            Ok(Err(error)) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(OrchestrationError::Read { path: local.to_owned(), source: error })
            }
            _ => Ok(sent?),
        }
    }

    /// The directory that an archive goes to.
    ///
    /// # Errors
    ///
    /// There is none.
    pub async fn directory(&self) -> Result<String, OrchestrationError> {
        let (path, found) = self.look().await?;
        if found == Some(Kind::Directory) {
            return Ok(path);
        }
        let Self { container, path, .. } = self;
        let text = format!("destination \"{}:{path}\" must be a directory", container.id);
        Err(OrchestrationError::Other(text))
    }
}

fn pieces(receiver: Receiver<Bytes>) -> BoxStream<'static, Bytes> {
    let next = |mut receiver: Receiver<Bytes>| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    };
    stream::unfold(receiver, next).boxed()
}

/// Begins to read what lies at a path of a container.
///
/// # Errors
///
/// Nothing does.
pub async fn outgoing(
    (runtime, container): (&dyn Runtime, &ObservedContainer),
    path: &str,
    links: Links,
) -> Result<(Stream<'static, Bytes>, Origin), OrchestrationError> {
    let mut real = path.to_owned();
    let mut found = runtime.stat_path(&container.id, path).await?;
    if let (Links::Follow, Some(info)) = (links, &found)
        && !info.link.is_empty()
    {
        real = follow(path, &info.link);
        found = runtime.stat_path(&container.id, &real).await?;
    }
    let Some(info) = found else {
        let text = format!("Could not find the file {path} in container {}", container.id);
        return Err(RuntimeError::NotFound(text).into());
    };
    let kind = if info.is_dir { Kind::Directory } else { Kind::Other };
    let origin = Origin { name: split(path).1, kind, part: part(path) };
    Ok((runtime.copy_out(&container.id, &real), origin))
}

/// Unpacks an archive on the host; gives what was left out.
///
/// # Errors
///
/// It does not come, or cannot be written.
pub async fn receive(
    mut archive: Stream<'static, Bytes>,
    origin: &Origin,
    (local, owners): (&Path, Owners),
) -> Result<Vec<PathBuf>, OrchestrationError> {
    let place = local_place(local, origin)?;
    let (sender, receiver) = channel(PIECES);
    let directory = PathBuf::from(&place.directory);
    let name = place.name.clone();
    let target = Path::new(&place.directory).join(&place.name);
    let unpacking =
        tokio::task::spawn_blocking(move || unpack::unpack(receiver, (&directory, &name), owners));
    let sending = async move {
        while let Some(bytes) = archive.try_next().await? {
            if sender.send(bytes).await.is_err() {
                // What went wrong is told by the one who unpacks.
                break;
            }
        }
        Ok::<_, OrchestrationError>(())
    };
    let unpacked = async {
        let done = unpacking.await.map_err(|error| OrchestrationError::Other(error.to_string()))?;
        done.map_err(|source| OrchestrationError::Write { path: target, source })
    };
    let ((), left_out) = try_join(sending, unpacked).await?;
    Ok(left_out)
}

/// Where a copy goes on the host.
fn local_place(full: &Path, origin: &Origin) -> Result<Place, OrchestrationError> {
    let (parent, _) = split(&full.to_string_lossy());
    if !Path::new(&parent).is_dir() {
        return Err(OrchestrationError::NoDirectory(parent.into()));
    }
    let metadata = std::fs::metadata(full).ok();
    if metadata.as_ref().is_some_and(|it| !it.is_dir() && !it.is_file()) {
        let text =
            format!("destination \"{}\" must be a directory or a regular file", full.display());
        return Err(OrchestrationError::Other(text));
    }
    let found = metadata.map(|it| if it.is_dir() { Kind::Directory } else { Kind::Other });
    // The user's own link leads where he wants the copy.
    let real = if found.is_some() { full.canonicalize().ok() } else { None };
    let path = real.unwrap_or_else(|| full.to_owned()).to_string_lossy().into_owned();
    place(origin, &path, found).map_err(|error| OrchestrationError::Other(error.to_string()))
}
