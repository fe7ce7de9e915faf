//! A connection whose answers may be neither endless nor endlessly slow.
//!
//! In: a stream and [`Bounds`]. Out: the same stream, which fails once more has been read, or longer,
//! than an answer may take since something was last written: a request.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// What an answer may take. `None`: whatever it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bounds {
    /// So many bytes.
    pub(super) bytes: Option<u64>,
    /// So much time.
    pub(super) time: Option<Duration>,
}

/// A stream with bounds.
pub(super) struct Bounded<S> {
    stream: S,
    bounds: Bounds,
    read: u64,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> Bounded<S> {
    pub(super) fn new(stream: S, bounds: Bounds) -> Self {
        let deadline = bounds.time.map(|time| Box::pin(sleep(time)));
        Self { stream, bounds, read: 0, deadline }
    }

    /// A request begins, or goes on.
    fn renew(&mut self) {
        self.read = 0;
        if let (Some(deadline), Some(time)) = (&mut self.deadline, self.bounds.time) {
            deadline.as_mut().reset(Instant::now() + time);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(deadline) = &mut this.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        this.read += (buffer.filled().len() - before) as u64;
        if this.bounds.bytes.is_some_and(|most| this.read > most) {
            return Poll::Ready(Err(io::ErrorKind::FileTooLarge.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.renew();
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::{Bounded, Bounds};

    #[tokio::test(start_paused = true)]
    async fn answers_end_in_time_or_fail() {
        let (ours, mut theirs) = duplex(64);
        let time = Some(Duration::from_mins(1));
        let mut bounded = Bounded::new(ours, Bounds { bytes: Some(10), time });
        let mut buffer = [0; 8];
        for _ in 0..3 {
            theirs.write_all(b"12345678").await.expect("room");
            bounded.read_exact(&mut buffer).await.expect("within bounds");
            bounded.write_all(b"?").await.expect("room");
        }
        theirs.write_all(b"1234567812345678").await.expect("room");
        bounded.read_exact(&mut buffer).await.expect("within bounds");
        let error = bounded.read_exact(&mut buffer).await.expect_err("too much");
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
        bounded.write_all(b"?").await.expect("room");
        let error = bounded.read_exact(&mut buffer).await.expect_err("too late");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }
}
