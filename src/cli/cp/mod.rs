//! `ketch cp`: copies files into containers or out of one.
//!
//! In: two sides, one of them in a service. Out: files, or a tar archive on a standard stream.
//!
//! # Invariants
//!
//! - Archives are streamed, and nothing is held in memory; one from standard input is kept in a
//!   file first (`spool`).
//!
//! # Not here
//!
//! The rules of `docker cp`, packing and unpacking (`orchestrator::copy`).

mod spool;

use std::io::Write as _;
use std::path::Path;

use futures_util::TryStreamExt as _;
use futures_util::future::{join_all, try_join_all};

use super::args::CpArgs;
use super::engine::{Engine, Sight, interruptible, one_container};
use super::exit::Failure;
use super::session::Session;
use super::usage::UsageError;
use crate::model::observed::ObservedContainer;
use crate::orchestrator::copy::{Destination, Links, Owners, Side, look, outgoing, receive};
use crate::runtime::RuntimeError;
use crate::ui::diagnostics::Message;
use spool::Spooling;

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
        let targets = containers.iter().map(|container| Destination { runtime, container, path });
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
        let (local, origin) = look(&self.cwd.join(local), self.links())?;
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
        let links = self.links();
        let (mut archive, origin) = outgoing((&*runtime, container), path, links).await?;
        let Side::Path(local) = to else {
            let mut out = engine.session.screen.out_writer();
            while let Some(bytes) = archive.try_next().await? {
                out.write_all(&bytes)?;
            }
            return Ok(out.flush()?);
        };
        let owners = if self.args.archive { Owners::Keep } else { Owners::Mine };
        let left_out = receive(archive, &origin, (&self.cwd.join(local), owners)).await?;
        for path in left_out {
            let text = format!("`{}` is no file, directory or link: left out", path.display());
            engine.session.screen.message(Message::warning(&text));
        }
        self.tell(engine, &container.name);
        Ok(())
    }
}

/// What was kept of standard input, or why it could not be.
fn spooled<T>(kept: std::io::Result<T>) -> Result<T, Failure> {
    let action = "keep standard input in a temporary file".to_owned();
    kept.map_err(|source| RuntimeError::Io { action, source }.into())
}
