//! Standard input to the input of a process.

use std::io::{Read as _, stdin};
use std::pin::Pin;

use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc::{Receiver, channel};

use super::Stdin;
use super::keys::{DetachKeys, Typed};

/// How much is read at once.
const ROOM: usize = 32 * 1024;
/// Pieces that may wait for a process that reads slowly.
const PIECES: usize = 4;

/// Where input goes.
type Sink = Pin<Box<dyn AsyncWrite + Send>>;

/// How input ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InputEnd {
    /// There is no more, or nobody reads it.
    Closed,
    /// The keys that detach were typed.
    Detached,
}

/// Reads standard input in a thread of its own: a read cannot be called off, and the end of the
/// process must not wait for it.
pub(in crate::cli) fn read() -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel(PIECES);
    let reading = move || {
        let mut buffer = vec![0; ROOM];
        while let Ok(count @ 1..) = stdin().lock().read(&mut buffer) {
            if sender.blocking_send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
    };
    // Without a thread there is no input, as if its end had come.
    let _ = std::thread::Builder::new().name("stdin".to_owned()).spawn(reading);
    receiver
}

/// Passes input on to its end, then closes the input of the process unless it is held.
pub(super) async fn pass(
    mut pieces: Receiver<Vec<u8>>,
    mut sink: Sink,
    (mut keys, stdin): (DetachKeys, Stdin),
) -> InputEnd {
    while let Some(piece) = pieces.recv().await {
        let (bytes, end) = match keys.take(&piece) {
            Typed::Pass(bytes) => (bytes, None),
            Typed::Detach(bytes) => (bytes, Some(InputEnd::Detached)),
        };
        // A process that does not read any more may still write.
        let written = sink.write_all(&bytes).await.is_ok() && sink.flush().await.is_ok();
        match end {
            Some(end) => return end,
            None if !written => return InputEnd::Closed,
            None => {}
        }
    }
    let _ = sink.write_all(&keys.rest()).await;
    if stdin == Stdin::Open {
        let _ = sink.shutdown().await;
    }
    InputEnd::Closed
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::sync::mpsc::channel;

    use super::{DetachKeys, InputEnd, Stdin, pass};

    async fn passed(pieces: &[&[u8]]) -> (InputEnd, Vec<u8>) {
        let (sender, receiver) = channel(8);
        for piece in pieces {
            sender.send(piece.to_vec()).await.expect("room");
        }
        drop(sender);
        let (sink, mut process) = tokio::io::duplex(64);
        let end = pass(receiver, Box::pin(sink), (DetachKeys::default(), Stdin::Open)).await;
        let mut found = Vec::new();
        process.read_to_end(&mut found).await.expect("memory");
        (end, found)
    }

    #[tokio::test]
    async fn input_is_passed_to_its_end() {
        let (end, found) = passed(&[b"one\n", b"two\x10"]).await;
        assert_eq!((end, &found[..]), (InputEnd::Closed, &b"one\ntwo\x10"[..]));
    }

    #[tokio::test]
    async fn what_comes_after_the_keys_is_not_passed() {
        let (end, found) = passed(&[b"one\x10\x11two", b"three"]).await;
        assert_eq!((end, &found[..]), (InputEnd::Detached, &b"one"[..]));
    }

    #[tokio::test]
    async fn a_process_that_does_not_read_ends_the_input() {
        let (sender, receiver) = channel(1);
        let (sink, process) = tokio::io::duplex(1);
        drop(process);
        sender.send(b"x".to_vec()).await.expect("room");
        let end = pass(receiver, Box::pin(sink), (DetachKeys::default(), Stdin::Open)).await;
        assert_eq!(end, InputEnd::Closed);
    }
}
