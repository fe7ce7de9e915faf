//! Connections that are carried over by this process.
//!
//! In: connections to a listener. Out: connections to the container. The bytes stay in the kernel:
//! they go through a pipe from one socket to the other.
//!
//! # Invariants
//!
//! - A connection that is idle has no pipe.
//! - Each direction ends by itself; an error ends both.

use std::cell::RefCell;
use std::io;
use std::net::TcpListener as Listener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use rustix::pipe::{PipeFlags, SpliceFlags};
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::dial::Dialer;
use super::reserve::Reserved;

/// Bytes that a pipe holds.
const CAPACITY: usize = 256 << 10;
/// Pipes that are kept for the next bytes.
const SPARE: usize = 8;
/// How long to wait when there are no descriptors left.
const PAUSE: Duration = Duration::from_millis(100);

/// Both ends of a pipe, which is empty.
type Pipe = (OwnedFd, OwnedFd);
type Pipes = RefCell<Vec<Pipe>>;

/// Carries connections over, for ever.
pub(super) async fn serve(reserved: &Reserved, dialer: &Dialer) -> io::Result<()> {
    let listener = TcpListener::from_std(Listener::from(reserved.socket.try_clone()?))?;
    let pipes: Rc<Pipes> = Rc::default();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    // Dialing goes on here, one after the other: it is a local matter.
                    if let Ok(server) = dialer.stream(reserved.target).await {
                        let pipes = Rc::clone(&pipes);
                        connections.spawn_local(async move { carry(&client, &server, &pipes).await });
                    }
                }
                Err(error) if is_the_clients(&error) => {}
                Err(_) => tokio::time::sleep(PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Whether accepting failed for one client only.
fn is_the_clients(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

async fn carry(client: &TcpStream, server: &TcpStream, pipes: &Pipes) -> io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    futures_util::try_join!(pump(client, server, pipes), pump(server, client, pipes))?;
    Ok(())
}

/// Moves bytes until one side ends.
async fn pump(from: &TcpStream, to: &TcpStream, pipes: &Pipes) -> io::Result<()> {
    loop {
        from.readable().await?;
        let pipe = take(pipes)?;
        let filled = from.try_io(Interest::READABLE, || splice(from.as_fd(), pipe.1.as_fd()));
        match filled {
            Ok(0) => {
                keep(pipes, pipe);
                return Ok(rustix::net::shutdown(to, rustix::net::Shutdown::Write)?);
            }
            Ok(filled) => {
                drain(&pipe.0, to, filled).await?;
                keep(pipes, pipe);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => keep(pipes, pipe),
            Err(error) => return Err(error),
        }
    }
}

async fn drain(pipe: &OwnedFd, to: &TcpStream, filled: usize) -> io::Result<()> {
    let mut left = filled;
    while left > 0 {
        to.writable().await?;
        match to.try_io(Interest::WRITABLE, || splice(pipe.as_fd(), to.as_fd())) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(moved) => left = left.saturating_sub(moved),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn splice(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<usize> {
    let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
    Ok(rustix::pipe::splice(from, None, to, None, CAPACITY, flags)?)
}

fn take(pipes: &Pipes) -> io::Result<Pipe> {
    if let Some(pipe) = pipes.borrow_mut().pop() {
        return Ok(pipe);
    }
    let pipe = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    // A smaller one does as well.
    let _ = rustix::pipe::fcntl_setpipe_size(&pipe.1, CAPACITY);
    Ok(pipe)
}

fn keep(pipes: &Pipes, pipe: Pipe) {
    let mut pipes = pipes.borrow_mut();
    if pipes.len() < SPARE {
        pipes.push(pipe);
    }
}
