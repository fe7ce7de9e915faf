//! `ketch cp`: copies files into containers or out of one.
//!
//! In: two sides, one of them in a service. Out: files, or a tar archive on a standard stream.
//!
//! # Invariants
//!
//! - Archives are streamed, and nothing is held in memory; one from standard input is kept in a
//!   file first (`spool`).
//! - What comes out of a container is written beneath the target and nowhere else (`unpack`).

mod pack;
mod place;
mod spool;
mod unpack;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use futures_util::future::{join_all, try_join, try_join_all};
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::sync::mpsc::{Receiver, channel};

use super::args::CpArgs;
use super::engine::{Engine, Sight, interruptible, one_container};
use super::exit::Failure;
use super::session::Session;
use super::usage::UsageError;
use crate::model::observed::ObservedContainer;
use crate::runtime::{Bytes, Runtime, RuntimeError};
use crate::ui::diagnostics::Message;
use pack::Links;
use place::{Kind, Origin, Place, Side, follow, part, place, split};
use spool::Spooling;
use unpack::Owners;

/// Pieces of an archive that may wait.
const PIECES: usize = 16;

/// Copies.
pub(super) async fn run(args: &CpArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    let wrong = |text: &str| Failure::from(UsageError::Other(text.to_owned()));
    let (service, way) = match (Side::parse(&args.source), Side::parse(&args.target)) {
        (Side::Service(..), Side::Service(..)) => {
            return Err(wrong("copying between services is not supported"));
        }
        (Side::Service(service, path), to) => (service, Way::Out { path, to }),
        (from, Side::Service(service, path)) => (service, Way::In { from, path }),
        _ => return Err(wrong("unknown copy direction")),
    };
    // Before the engine is asked for anything: it may wait for whoever writes our input.
    let is_archive = matches!(way, Way::In { from: Side::Stream, .. });
    let spooling = if is_archive { Some(spooled(Spooling::begin())?) } else { None };
    let cwd = session.request()?.cwd;
    let sight = Sight::find(session)?;
    sight.named(&[service.to_owned()])?;
    let mut engine = Engine::connect(session).await?;
    let containers = containers(&engine, &sight.name, service, args).await?;
    if engine.session.global.dry_run {
        for container in &containers {
            let text =
                format!(" {} would copy {} to {}\n", container.name, args.source, args.target);
            engine.progress.aside(&text);
        }
        return Ok(0);
    }
    let job = Job { args, cwd: &cwd };
    let shutdown = engine.interrupts.shutdown();
    let work = async {
        match way {
            Way::In { from, path } => {
                job.copy_in(&engine, &containers, (&from, path, spooling)).await
            }
            Way::Out { path, to } => job.copy_out(&mut engine, &containers, (path, &to)).await,
        }
    };
    interruptible(shutdown, work).await?;
    Ok(0)
}

/// Into containers, or out of one.
enum Way<'a> {
    In { from: Side<'a>, path: &'a str },
    Out { path: &'a str, to: Side<'a> },
}

/// The containers that are meant, those that do not run too; the lowest number first.
async fn containers(
    engine: &Engine<'_, '_>,
    project: &str,
    service: &str,
    args: &CpArgs,
) -> Result<Vec<ObservedContainer>, Failure> {
    let mut found = engine.containers(Some(project)).await?;
    if args.index > 0 {
        return Ok(vec![one_container(&found, service, Some(args.index))?.clone()]);
    }
    found.retain(|it| it.service() == service && (args.all || !it.is_one_off()));
    found.sort_by_key(|container| (container.is_one_off(), container.number()));
    if found.is_empty() {
        return Err(Failure::Other(format!("no container found for service {service:?}")));
    }
    Ok(found)
}

/// What both ways have in common.
struct Job<'a> {
    args: &'a CpArgs,
    cwd: &'a Path,
}

impl Job<'_> {
    fn links(&self) -> Links {
        if self.args.follow_link { Links::Follow } else { Links::Keep }
    }

    /// Copies into all containers at once.
    async fn copy_in(
        &self,
        engine: &Engine<'_, '_>,
        containers: &[ObservedContainer],
        (from, path, spooling): (&Side<'_>, &str, Option<Spooling>),
    ) -> Result<(), Failure> {
        let runtime = &*engine.runtime;
        let targets = containers.iter().map(|container| Target { runtime, container, path });
        if let Some(spooling) = spooling {
            let looks =
                targets.clone().map(async |it| Ok::<_, Failure>((it.directory().await?, it)));
            let directories = try_join_all(looks).await?;
            let spool = spooled(spooling.end().await)?;
            let copies = directories.iter().map(async |(directory, target)| {
                let id = &target.container.id;
                runtime.copy_in(id, directory, spool.pieces()).await?;
                self.tell(engine, &target.container.name);
                Ok(())
            });
            return join_all(copies).await.into_iter().collect();
        }
        let Side::Path(local) = from else { return Ok(()) };
        let (local, origin) = pack::look(self.cwd, local, self.links())?;
        let copies = targets.map(async |target| {
            target.take_files(&local, &origin).await?;
            self.tell(engine, &target.container.name);
            Ok(())
        });
        join_all(copies).await.into_iter().collect()
    }

    fn tell(&self, engine: &Engine<'_, '_>, name: &str) {
        let CpArgs { source, target, .. } = self.args;
        engine.progress.aside(&format!(" {name} copy {source} to {target} Copied\n"));
    }

    /// Copies out of the first container.
    async fn copy_out(
        &self,
        engine: &mut Engine<'_, '_>,
        containers: &[ObservedContainer],
        (path, to): (&str, &Side<'_>),
    ) -> Result<(), Failure> {
        let Some(container) = containers.first() else { return Ok(()) };
        let runtime = engine.runtime.clone();
        let mut real = path.to_owned();
        let mut found = runtime.stat_path(&container.id, path).await?;
        if let (true, Some(info)) = (self.args.follow_link, &found)
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
        let mut archive = runtime.copy_out(&container.id, &real);
        let Side::Path(local) = to else {
            let mut out = engine.session.screen.out_writer();
            while let Some(bytes) = archive.try_next().await? {
                out.write_all(&bytes)?;
            }
            return Ok(out.flush()?);
        };
        let place = self.local_place(local, &origin)?;
        let owners = if self.args.archive { Owners::Keep } else { Owners::Mine };
        let left_out = receive(archive, (place, owners)).await?;
        for path in left_out {
            let text = format!("`{}` is no file, directory or link: left out", path.display());
            engine.session.screen.message(Message::warning(&text));
        }
        self.tell(engine, &container.name);
        Ok(())
    }

    /// Where a copy goes on the host.
    fn local_place(&self, local: &str, origin: &Origin) -> Result<Place, Failure> {
        let full = self.cwd.join(local);
        let (parent, _) = split(&full.to_string_lossy());
        if !Path::new(&parent).is_dir() {
            return Err(Failure::NoDirectory(parent.into()));
        }
        let metadata = std::fs::metadata(&full).ok();
        if metadata.as_ref().is_some_and(|it| !it.is_dir() && !it.is_file()) {
            let text = format!("destination {local:?} must be a directory or a regular file");
            return Err(Failure::Other(text));
        }
        let found = metadata.map(|it| if it.is_dir() { Kind::Directory } else { Kind::Other });
        // The user's own link leads where he wants the copy.
        let real = if found.is_some() { full.canonicalize().ok() } else { None };
        let path = real.unwrap_or(full).to_string_lossy().into_owned();
        place(origin, &path, found).map_err(|error| Failure::Other(error.to_string()))
    }
}

/// Where a copy goes in a container.
struct Target<'a> {
    runtime: &'a dyn Runtime,
    container: &'a ObservedContainer,
    path: &'a str,
}

impl Target<'_> {
    /// The path behind a link, and what lies there.
    async fn look(&self) -> Result<(String, Option<Kind>), Failure> {
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
    async fn take_files(&self, local: &Path, origin: &Origin) -> Result<(), Failure> {
        let (path, found) = self.look().await?;
        let place =
            place(origin, &path, found).map_err(|error| Failure::Other(error.to_string()))?;
        let (sender, receiver) = channel(PIECES);
        let (source, name) = (local.to_owned(), place.name);
        let packing = tokio::task::spawn_blocking(move || pack::pack(&source, &name, sender));
        let sent =
            self.runtime.copy_in(&self.container.id, &place.directory, pieces(receiver)).await;
        match packing.await {
            // A runtime that refuses does not read on.
            Ok(Err(error)) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Failure::Read { path: local.to_owned(), source: error })
            }
            _ => Ok(sent?),
        }
    }

    /// The directory that an archive goes to.
    async fn directory(&self) -> Result<String, Failure> {
        let (path, found) = self.look().await?;
        if found == Some(Kind::Directory) {
            return Ok(path);
        }
        let Self { container, path, .. } = self;
        let text = format!("destination \"{}:{path}\" must be a directory", container.id);
        Err(Failure::Other(text))
    }
}

fn pieces(receiver: Receiver<Bytes>) -> BoxStream<'static, Bytes> {
    let next = |mut receiver: Receiver<Bytes>| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    };
    stream::unfold(receiver, next).boxed()
}

/// What was kept of standard input, or why it could not be.
fn spooled<T>(kept: std::io::Result<T>) -> Result<T, Failure> {
    let action = "keep standard input in a temporary file".to_owned();
    kept.map_err(|source| RuntimeError::Io { action, source }.into())
}

/// Unpacks an archive on the host; gives what was left out.
async fn receive(
    mut archive: crate::runtime::Stream<'static, Bytes>,
    (place, owners): (Place, Owners),
) -> Result<Vec<PathBuf>, Failure> {
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
        Ok::<_, Failure>(())
    };
    let unpacked = async {
        let done = unpacking.await.map_err(|error| Failure::Other(error.to_string()))?;
        done.map_err(|source| Failure::Write { path: target, source })
    };
    let ((), left_out) = try_join(sending, unpacked).await?;
    Ok(left_out)
}
