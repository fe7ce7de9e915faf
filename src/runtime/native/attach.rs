//! Attaching to the standard streams of containers, before they start or while they run.
//!
//! In: a container. Out: a [`Session`] over a connection with its shim. Who attaches before the
//! start listens at a socket of his own, which the shim connects to before the container writes
//! its first word.

use std::future::Future as _;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::{FutureExt as _, StreamExt as _, stream};
use tokio::io::AsyncWrite;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};

use super::control::{self, Input, Request, SOCKET};
use super::lifecycle::make_directory;
use super::names::{self, Named};
use super::record::Record;
use super::recover::look;
use super::root::Place;
use super::state::failed;
use super::watch::Lazy;
use super::{Native, create};
use crate::runtime::{AttachOptions, Chunk, Result, RuntimeError, Session, Stream};

impl Native {
    pub(super) async fn attach_streams(
        &self,
        container: &str,
        options: &AttachOptions,
    ) -> Result<Session> {
        let named = names::the(&self.root, container)?;
        let place = self.root.container(&named.id);
        let record = Record::read(&place)?.ok_or_else(|| names::missing(container))?;
        let tty = record.config.process.terminal;
        let input = if options.stdin { Input::Open } else { Input::None };
        let seen = self.seen(&named).await?.ok_or_else(|| names::missing(container))?;
        if seen.is_held && seen.status.phase.is_up() {
            let stream = connect(&place, input).await?;
            let (reader, writer) = stream.into_split();
            return Ok(Session {
                output: frames(reader),
                input: half(Box::pin(writer), input),
                tty,
            });
        }
        let waiting = Waiting::new(self, &named, input)?;
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let output = stream::once(async move {
            let Ok(Some(stream)) = waiting.connected().await else {
                return stream::empty().boxed();
            };
            let (reader, writer) = stream.into_split();
            // Who has no input may have dropped its end.
            let _ = sender.send(writer);
            frames(reader)
        });
        let writer = Later { receiver: Some(receiver), writer: None };
        let output = output.flatten().boxed();
        Ok(Session { output, input: half(Box::pin(writer), input), tty })
    }
}

/// The writing half, if input goes in. It stays open until the session ends.
fn half(writer: Pin<Box<dyn AsyncWrite + Send>>, input: Input) -> Pin<Box<dyn AsyncWrite + Send>> {
    match input {
        Input::Open => writer,
        Input::None => Box::pin(Quiet(writer)),
    }
}

async fn connect(place: &Place, input: Input) -> Result<UnixStream> {
    let reached = async {
        let mut stream = control::connect(&place.volatile, SOCKET).await?;
        control::send(&mut stream, &Request::Attach { input }).await?;
        Ok(stream)
    };
    reached.await.map_err(|error| failed("reach", &place.volatile, error))
}

/// What arrives in frames.
fn frames(reader: OwnedReadHalf) -> Stream<'static, Chunk> {
    stream::try_unfold(reader, |mut reader| async move {
        let next = control::next_frame(&mut reader).await;
        let next = next.map_err(|source| RuntimeError::Io {
            action: "read what the container writes".to_owned(),
            source,
        })?;
        Ok(next.map(|chunk| (chunk, reader)))
    })
    .boxed()
}

/// Waits at a socket for the start of a container.
struct Waiting {
    root: super::root::Root,
    named: Named,
    place: Place,
    input: Input,
    listener: UnixListener,
    path: PathBuf,
    watch: Lazy,
}

impl Waiting {
    fn new(native: &Native, named: &Named, input: Input) -> Result<Self> {
        let place = native.root.container(&named.id);
        let directory = place.waiting();
        make_directory(&directory)?;
        let watch = native.watch(&place);
        let name = format!("{}{}", input.mark(), &create::random_id()?[..16]);
        let listener = control::listen(&directory, &name);
        let listener = listener.map_err(|error| failed("listen in", &directory, error))?;
        let path = directory.join(name);
        let (root, named) = (native.root.clone(), named.clone());
        Ok(Self { root, named, place, input, listener, path, watch })
    }

    /// The connection, when the container starts; `None` if it never will.
    async fn connected(mut self) -> Result<Option<UnixStream>> {
        let failed = |error| failed("listen at", &self.path, error);
        loop {
            tokio::select! {
                biased;
                accepted = self.listener.accept() => {
                    return accepted.map(|(stream, _)| Some(stream)).map_err(failed);
                }
                changed = self.watch.changed() => changed?,
            }
            let Some(seen) = look(&self.root, &self.named)? else { return Ok(None) };
            if seen.status.phase.has_processes() && seen.is_held {
                // Else somebody has started it before anybody listened here.
                return match self.listener.accept().now_or_never() {
                    Some(accepted) => accepted.map(|(stream, _)| Some(stream)).map_err(failed),
                    None => connect(&self.place, self.input).await.map(Some),
                };
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // The shim may have removed it.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Input that goes nowhere; keeps the connection open.
struct Quiet(#[expect(dead_code, reason = "it is held open")] Pin<Box<dyn AsyncWrite + Send>>);

impl AsyncWrite for Quiet {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The writing half of a connection that is still to come.
struct Later {
    receiver: Option<tokio::sync::oneshot::Receiver<OwnedWriteHalf>>,
    writer: Option<OwnedWriteHalf>,
}

impl Later {
    fn writer(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Pin<&mut OwnedWriteHalf>>> {
        if let Some(receiver) = &mut self.receiver {
            let received = ready!(Pin::new(receiver).poll(context));
            self.receiver = None;
            self.writer = received.ok();
        }
        let writer = self.writer.as_mut().map(Pin::new);
        Poll::Ready(writer.ok_or_else(|| io::ErrorKind::BrokenPipe.into()))
    }
}

impl AsyncWrite for Later {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.writer(context))?.poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.writer(context))?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.writer(context))?.poll_shutdown(context)
    }
}
