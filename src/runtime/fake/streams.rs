//! What flows out of and into fake containers.

use std::time::Duration;

use futures_util::future::ready;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::io::{AsyncReadExt as _, DuplexStream};
use tokio::time::sleep;

use super::Fake;
use super::life::Look;
use super::world::{Container, EPOCH, Happening, World};
use crate::model::label;
use crate::runtime::{
    Bytes, Chunk, ExecSpec, LogOptions, Output, PathInfo, Repeat, Result, RuntimeError,
    RuntimeEvent, Sample, Session, Stream,
};

/// How much input is held until it is read.
const PIPE: usize = 64 * 1024;
/// The end of a tar archive, and all of an empty one.
const EMPTY_TAR: [u8; 1024] = [0; 1024];

impl Fake {
    pub(super) fn read_logs(&self, name: &str, options: &LogOptions) -> Stream<'static, Chunk> {
        let lines = self.look(|world| {
            let container = world.container(name)?;
            let lines = if container.starts > 0 { container.log(options) } else { Vec::new() };
            Ok((container.id.clone(), lines))
        });
        let (id, lines) = match lines {
            Ok(found) => found,
            Err(error) => return stream::once(ready(Err(error))).boxed(),
        };
        let past = stream::iter(lines.into_iter().map(Ok));
        if options.follow { past.chain(self.ending(id)).boxed() } else { past.boxed() }
    }

    /// Yields nothing, and ends with a container's process.
    fn ending(&self, id: String) -> Stream<'static, Chunk> {
        let fake = self.clone();
        stream::once(async move {
            // One that is removed has ended too.
            let _ = fake.until(|world| world.wait_ended(&id)).await;
        })
        .filter_map(|()| ready(None))
        .boxed()
    }

    /// What a container writes from its next start on, to the end of its process.
    pub(super) fn attach_streams(&self, name: &str) -> Result<Session> {
        let (id, awaited) = self.look(|world| {
            let container = world.container(name)?;
            Ok((container.id.clone(), container.starts + u64::from(!container.is_up())))
        })?;
        let has_begun = self.look(|world| world.container(&id).is_ok_and(Container::is_up));
        let (fake, started) = (self.clone(), id.clone());
        let lines = stream::once(async move {
            let look = |world: &World| {
                let container = world.container(&started)?;
                let log = || container.log(&LogOptions::default());
                Ok(if has_begun {
                    Look::Found(Vec::new())
                } else if container.starts >= awaited {
                    Look::Found(log())
                } else {
                    Look::Later(None)
                })
            };
            fake.until(look).await
        });
        let lines = lines.map_ok(|lines| stream::iter(lines.into_iter().map(Ok))).try_flatten();
        let output = lines.chain(self.ending(id)).boxed();
        Ok(Session { output, input: Box::pin(tokio::io::sink()), tty: false })
    }

    /// Runs a command that prints its words, and then what it reads.
    pub(super) async fn run_command(
        &self,
        name: &str,
        command: &ExecSpec,
    ) -> Result<(String, Option<Session>)> {
        let words = command.command.join(" ");
        let call = format!("exec {name} {words}");
        let id = self
            .act(call, |world| {
                let name = world.running(name)?;
                let id = world.new_id();
                world.execs.insert(id.clone(), world.container(&name)?.behaviour.exec_code);
                Ok(id)
            })
            .await?;
        if command.detach {
            return Ok((id, None));
        }
        let printed = stream::iter([Ok(chunk(format!("{words}\n")))]);
        let (input, echo) = tokio::io::duplex(PIPE);
        let output =
            if command.stdin { printed.chain(read_all(echo)).boxed() } else { printed.boxed() };
        Ok((id, Some(Session { output, input: Box::pin(input), tty: command.tty })))
    }

    pub(super) fn read_events(
        &self,
        project: &str,
        options: &LogOptions,
    ) -> Stream<'static, RuntimeEvent> {
        let known = self.look(|world| world.history.len());
        let since = world_time(&options.since);
        let start = if since.is_some() { 0 } else { known };
        let end = world_time(&options.until).unwrap_or(Duration::MAX);
        let follow = options.follow;
        let (fake, project) = (self.clone(), project.to_owned());
        stream::unfold(start, move |at| {
            let fake = fake.clone();
            async move {
                let look = |world: &World| {
                    Ok(match world.history.get(at) {
                        Some(happening) => Look::Found(Some(happening.clone())),
                        None if !follow || world.now >= end => Look::Found(None),
                        None => Look::Later(soonest(world.next_change(), end)),
                    })
                };
                let next = fake.until(look).await.transpose()?;
                Some((next, at + 1))
            }
        })
        .try_filter(move |happening| {
            let in_time = happening.time >= since.unwrap_or_default() && happening.time <= end;
            let of = happening.attributes.get(label::PROJECT);
            ready(in_time && of.is_some_and(|name| *name == project))
        })
        .map_ok(event)
        .boxed()
    }

    pub(super) fn samples(&self, name: &str, repeat: Repeat) -> Stream<'static, Sample> {
        let (fake, name) = (self.clone(), name.to_owned());
        let samples = stream::unfold(true, move |is_first| {
            let (fake, name) = (fake.clone(), name.clone());
            async move {
                if !is_first {
                    sleep(Duration::from_secs(1)).await;
                }
                let running = fake.look(|world| world.running(&name));
                let sample = Sample { memory: 1 << 20, processes: 1, ..Sample::default() };
                match running {
                    Err(_) if !is_first => None,
                    running => Some((running.map(|_| sample), false)),
                }
            }
        });
        match repeat {
            Repeat::Once => samples.take(1).boxed(),
            Repeat::Forever => samples.boxed(),
        }
    }

    /// What was unpacked at a path, as it came in.
    pub(super) fn archive(&self, name: &str, path: &str) -> Stream<'static, Bytes> {
        let found = self.look(|world| {
            let container = world.container(name)?;
            let missing = || RuntimeError::NotFound(format!("{name}: no such path: {path}"));
            container.path(path).ok_or_else(missing)?;
            let archive = container.archives.get(path);
            Ok(archive.map_or(Bytes::from_static(&EMPTY_TAR), |tar| Bytes::from(tar.clone())))
        });
        stream::once(ready(found)).boxed()
    }

    pub(super) async fn unpack(
        &self,
        name: &str,
        directory: &str,
        mut tar: BoxStream<'static, Bytes>,
    ) -> Result<()> {
        let mut archive = Vec::new();
        while let Some(bytes) = tar.next().await {
            archive.extend_from_slice(&bytes);
        }
        self.act(format!("copy_in {name} {directory}"), |world| {
            world.container_mut(name)?.archives.insert(directory.to_owned(), archive);
            Ok(())
        })
        .await
    }
}

impl Container {
    /// What it wrote at its last start.
    fn log(&self, options: &LogOptions) -> Vec<Chunk> {
        let time = Duration::from_secs(EPOCH) + self.started;
        let before = |time: &str| world_time(time).is_some_and(|limit| self.started < limit);
        let after = |time: &str| world_time(time).is_some_and(|limit| self.started > limit);
        if before(&options.since) || after(&options.until) {
            return Vec::new();
        }
        let lines = &self.behaviour.lines;
        let tail = options.tail.and_then(|tail| usize::try_from(tail).ok()).unwrap_or(usize::MAX);
        let line = |line: &String| {
            let stamp = format!("{}.{:09} ", time.as_secs(), time.subsec_nanos());
            chunk(format!("{}{line}\n", if options.timestamps { &stamp } else { "" }))
        };
        lines[lines.len().saturating_sub(tail)..].iter().map(line).collect()
    }

    /// What lies at a path.
    pub(super) fn path(&self, path: &str) -> Option<PathInfo> {
        let is_dir = path == "/" || self.archives.contains_key(path);
        let exists = is_dir || self.files.iter().any(|file| file == path);
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        exists.then(|| PathInfo { name, is_dir, link: String::new() })
    }
}

fn chunk(text: String) -> Chunk {
    Chunk { output: Output::Stdout, bytes: Bytes::from(text) }
}

/// All that is read, as standard output.
fn read_all(pipe: DuplexStream) -> Stream<'static, Chunk> {
    stream::unfold(pipe, |mut pipe| async {
        let mut bytes = Vec::with_capacity(PIPE);
        match pipe.read_buf(&mut bytes).await {
            Ok(0) => None,
            Ok(_) => {
                let bytes = Bytes::from(bytes);
                Some((Ok(Chunk { output: Output::Stdout, bytes }), pipe))
            }
            Err(source) => {
                let action = "read what was put in".to_owned();
                Some((Err(RuntimeError::Io { action, source }), pipe))
            }
        }
    })
    .boxed()
}

/// The world's time of a text in seconds since 1970; `None` if it is empty or something else.
fn world_time(text: &str) -> Option<Duration> {
    let seconds = text.parse::<f64>().ok()?;
    let since_epoch = Duration::try_from_secs_f64(seconds.max(0.0)).ok()?;
    Some(since_epoch.saturating_sub(Duration::from_secs(EPOCH)))
}

/// The earlier one of a time and an end; `None` if there is neither.
fn soonest(time: Option<Duration>, end: Duration) -> Option<Duration> {
    Some(time.unwrap_or(end).min(end)).filter(|time| *time < Duration::MAX)
}

fn event(happening: Happening) -> RuntimeEvent {
    let time = Duration::from_secs(EPOCH) + happening.time;
    RuntimeEvent {
        time: i64::try_from(time.as_nanos()).unwrap_or(i64::MAX),
        container: happening.container,
        action: happening.action,
        attributes: happening.attributes,
    }
}
