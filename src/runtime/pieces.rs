//! Archives on their way between a thread, which makes or takes apart, and a task, which sends or
//! receives.
//!
//! In: what is written, or pieces that arrive. Out: pieces, or something to read. Neither side runs
//! ahead of the other by more than the channel between them holds.

use std::io::{self, Read, Write};

use tokio::sync::mpsc::{Receiver, Sender};

use super::Bytes;

/// How large a piece is.
const PIECE: usize = 64 * 1024;

/// Writes to a task; what is left when it is done wants a `flush`.
#[derive(Debug)]
pub(crate) struct Outgoing<T> {
    sender: Sender<T>,
    wrap: fn(Bytes) -> T,
    piece: Vec<u8>,
}

impl<T> Outgoing<T> {
    /// `wrap` makes of a piece what the channel takes.
    pub(crate) fn new(sender: Sender<T>, wrap: fn(Bytes) -> T) -> Self {
        Self { sender, wrap, piece: Vec::with_capacity(PIECE) }
    }
}

impl<T> Write for Outgoing<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = (PIECE - self.piece.len()).min(bytes.len());
        self.piece.extend_from_slice(&bytes[..room]);
        if self.piece.len() == PIECE {
            self.flush()?;
        }
        Ok(room)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        let sent = self.sender.blocking_send((self.wrap)(piece.into()));
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// Reads what a task receives.
#[derive(Debug)]
pub(crate) struct Incoming {
    receiver: Receiver<Bytes>,
    piece: Bytes,
}

impl Incoming {
    /// Reads to the end of the channel.
    pub(crate) fn new(receiver: Receiver<Bytes>) -> Self {
        Self { receiver, piece: Bytes::new() }
    }
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let length = self.piece.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.piece.split_to(length));
        Ok(length)
    }
}

/// A file that must be as long as it was when its header was written.
#[derive(Debug)]
pub(crate) struct Exactly<R> {
    file: R,
    left: u64,
}

impl<R> Exactly<R> {
    /// So many bytes of a file.
    pub(crate) fn new(file: R, size: u64) -> Self {
        Self { file, left: size }
    }
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read(&mut buffer[..wanted])?;
        if read == 0 && wanted > 0 {
            return Err(io::Error::other("it became shorter while it was read"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use tokio::sync::mpsc::channel;

    use super::{Exactly, Incoming, Outgoing, PIECE};

    #[test]
    fn what_is_written_on_one_side_is_read_on_the_other() {
        let sent: Vec<u8> = (0..=250).cycle().take(2 * PIECE + 7).collect();
        let (sender, receiver) = channel(4);
        let mut outgoing = Outgoing::new(sender, |piece| piece);
        outgoing.write_all(&sent).unwrap();
        outgoing.flush().unwrap();
        drop(outgoing);
        let mut read = Vec::new();
        Incoming::new(receiver).read_to_end(&mut read).unwrap();
        assert!(read == sent);
    }

    #[test]
    fn nobody_listens_any_more() {
        let (sender, _) = channel(1);
        let mut outgoing = Outgoing::new(sender, |piece| piece);
        outgoing.write_all(b"x").unwrap();
        assert_eq!(outgoing.flush().unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_file_that_shrinks_is_an_error_and_one_that_grows_is_cut() {
        let mut text = String::new();
        Exactly::new(&b"longer"[..], 4).read_to_string(&mut text).unwrap();
        assert_eq!(text, "long");
        assert!(Exactly::new(&b"short"[..], 6).read_to_string(&mut text).is_err());
    }
}
