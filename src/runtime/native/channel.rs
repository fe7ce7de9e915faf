//! Files that are read and written without waiting: pipes and terminals.
//!
//! In: an open file. Out: bytes, when there are some; room, when there is some.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncWrite, Interest};

/// Begins to be told when a file can be read or written. Must be called inside the async runtime.
pub(super) fn register(file: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` owns an open descriptor for as long as it lives, and gives the same
    // number each time it is asked.
    let registered = unsafe { AsyncFd::register_with_interest(file, interest) };
    registered.map_err(io::Error::from)
}

/// A pipe or terminal.
#[derive(Debug)]
pub(super) struct Channel(AsyncFd<OwnedFd>);

impl Channel {
    /// Must be called inside the async runtime.
    pub(super) fn new(file: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&file, true)?;
        Ok(Self(register(file, Interest::READABLE | Interest::WRITABLE)?))
    }

    /// Reads what is there; 0 at the end, which for a terminal is that nobody has it open.
    pub(super) async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut guard = self.0.readable().await?;
            match self.read_now(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => guard.clear_ready(),
                read => return read,
            }
        }
    }

    /// Reads what is there, without waiting.
    pub(super) fn read_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match rustix::io::read(self.0.get_ref(), &mut *buffer) {
                Err(Errno::INTR) => {}
                Err(Errno::IO) => return Ok(0),
                read => return Ok(read?),
            }
        }
    }

    /// Waits until there is something to read.
    pub(super) async fn readable(
        &self,
    ) -> io::Result<tokio::io::unix::AsyncFdReadyGuard<'_, OwnedFd>> {
        self.0.readable().await
    }

    /// Writes all of it.
    pub(super) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let mut guard = self.0.writable().await?;
            match rustix::io::write(self.0.get_ref(), bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => guard.clear_ready(),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_ref().as_fd()
    }
}

/// The channel that a process reads from. Shutting it down closes it, unless somebody else has it.
#[derive(Debug)]
pub(super) struct Input(pub(super) Option<std::sync::Arc<Channel>>);

impl AsyncWrite for Input {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Some(channel) = &self.0 else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        loop {
            let mut guard = ready!(channel.0.poll_write_ready(context))?;
            match rustix::io::write(channel.0.get_ref(), bytes) {
                Err(Errno::AGAIN) => guard.clear_ready(),
                Err(Errno::INTR) => {}
                written => return Poll::Ready(Ok(written?)),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0 = None;
        Poll::Ready(Ok(()))
    }
}
