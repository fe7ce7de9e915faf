//! The output of a container as the engine packs it: raw from a terminal, else in frames that say
//! which stream they belong to.
//!
//! In: bytes as they arrive, and whether there is a terminal, which is known and never guessed.
//! Out: [`Chunk`]s.
//!
//! # Invariants
//!
//! - A part of a frame is passed on as soon as it is there: memory does not grow with frames.

use std::io;

use bytes::Buf as _;
use futures_util::stream::{self, BoxStream, StreamExt as _};

use crate::runtime::{Bytes, Chunk, Output, Result, RuntimeError, Stream};

/// How output is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// A terminal: everything is output.
    Raw,
    /// Frames of 8 bytes of header (stream, three zeros, length) and as many bytes of output.
    Frames,
}

impl Packing {
    /// How the output of a process with or without a terminal is packed.
    pub(super) fn with_tty(tty: bool) -> Self {
        if tty { Self::Raw } else { Self::Frames }
    }
}

const HEADER: usize = 8;

/// Where a frame belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Output(Output),
    /// The engine itself reports an error.
    Failure,
}

/// What is known between two reads.
struct Unpacker {
    source: BoxStream<'static, io::Result<Bytes>>,
    /// Read and not passed on.
    pending: Bytes,
    /// The header of the next frame as far as it is there.
    header: Vec<u8>,
    /// The frame that is being read, and how many bytes are to come.
    frame: Option<(Kind, usize)>,
    /// What the engine says about an error.
    failure: Vec<u8>,
}

/// Unpacks output.
pub(super) fn unpack(
    source: BoxStream<'static, io::Result<Bytes>>,
    packing: Packing,
) -> Stream<'static, Chunk> {
    if packing == Packing::Raw {
        let chunk = |bytes: io::Result<Bytes>| match bytes {
            Ok(bytes) => Ok(Chunk { output: Output::Stdout, bytes }),
            Err(source) => Err(unreadable(source)),
        };
        return source.map(chunk).boxed();
    }
    let start = Unpacker {
        source,
        pending: Bytes::new(),
        header: Vec::with_capacity(HEADER),
        frame: None,
        failure: Vec::new(),
    };
    stream::try_unfold(start, |mut unpacker| async move {
        Ok(unpacker.next().await?.map(|chunk| (chunk, unpacker)))
    })
    .boxed()
}

impl Unpacker {
    async fn next(&mut self) -> Result<Option<Chunk>> {
        loop {
            if let Some(chunk) = self.take()? {
                return Ok(Some(chunk));
            }
            match self.source.next().await {
                Some(Ok(bytes)) => self.pending = bytes,
                Some(Err(source)) => return Err(unreadable(source)),
                // A container that is removed cuts its streams anywhere: that is their end.
                None => return Ok(None),
            }
        }
    }

    /// The next piece of output in what was read.
    fn take(&mut self) -> Result<Option<Chunk>> {
        while !self.pending.is_empty() {
            let Some((kind, left)) = self.frame else {
                self.read_header()?;
                continue;
            };
            let bytes = self.pending.split_to(left.min(self.pending.len()));
            let left = left - bytes.len();
            self.frame = (left > 0).then_some((kind, left));
            match kind {
                Kind::Output(output) => return Ok(Some(Chunk { output, bytes })),
                Kind::Failure => {
                    self.failure.extend_from_slice(&bytes);
                    if left == 0 {
                        let said = String::from_utf8_lossy(&self.failure).trim().to_owned();
                        return Err(RuntimeError::Refused(said));
                    }
                }
            }
        }
        Ok(None)
    }

    fn read_header(&mut self) -> Result<()> {
        let wanted = (HEADER - self.header.len()).min(self.pending.len());
        self.header.extend_from_slice(&self.pending[..wanted]);
        self.pending.advance(wanted);
        let [stream, _, _, _, length @ ..] = &self.header[..] else { return Ok(()) };
        let Ok(length) = <[u8; 4]>::try_from(length).map(u32::from_be_bytes) else { return Ok(()) };
        let kind = match *stream {
            0 | 1 => Kind::Output(Output::Stdout),
            2 => Kind::Output(Output::Stderr),
            3 => Kind::Failure,
            other => {
                let said = format!("the engine sent output of the unknown stream {other}");
                return Err(RuntimeError::Refused(said));
            }
        };
        self.header.clear();
        self.frame = (length > 0).then_some((kind, length as usize));
        Ok(())
    }
}

fn unreadable(source: io::Error) -> RuntimeError {
    RuntimeError::Io { action: "read output".to_owned(), source }
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt as _;

    use super::*;

    fn frame(stream: u8, text: &[u8]) -> Vec<u8> {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        [&[stream, 0, 0, 0], &length[..], text].concat()
    }

    async fn unpacked(bytes: &[u8], cut: usize, packing: Packing) -> Result<Vec<(Output, String)>> {
        let pieces: Vec<_> = bytes.chunks(cut).map(Bytes::copy_from_slice).map(Ok).collect();
        let chunks: Vec<Chunk> =
            unpack(stream::iter(pieces).boxed(), packing).try_collect().await?;
        let mut joined: Vec<(Output, String)> = Vec::new();
        for chunk in chunks {
            let text = String::from_utf8(chunk.bytes.to_vec()).unwrap();
            match joined.last_mut() {
                Some((output, before)) if *output == chunk.output => before.push_str(&text),
                _ => joined.push((chunk.output, text)),
            }
        }
        Ok(joined)
    }

    #[tokio::test]
    async fn frames_may_be_cut_anywhere() {
        let bytes =
            [frame(1, b"one"), frame(2, b"two"), frame(1, b""), frame(1, b"three")].concat();
        for cut in 1..=bytes.len() {
            let found = unpacked(&bytes, cut, Packing::Frames).await.unwrap();
            let expected = [
                (Output::Stdout, "one".to_owned()),
                (Output::Stderr, "two".to_owned()),
                (Output::Stdout, "three".to_owned()),
            ];
            assert_eq!(found, expected, "cut at {cut}");
        }
    }

    #[tokio::test]
    async fn what_a_terminal_prints_is_never_taken_for_a_header() {
        let bytes = [1, 0, 0, 0, 0, 0, 255, 255, b'x'];
        let found = unpacked(b"\x02\x00\x01\x00abc", 4, Packing::Raw).await.unwrap();
        assert_eq!(found, [(Output::Stdout, "\u{2}\0\u{1}\0abc".to_owned())]);
        let chunks: Vec<Chunk> =
            unpack(stream::iter([Ok(Bytes::copy_from_slice(&bytes))]).boxed(), Packing::Raw)
                .try_collect()
                .await
                .unwrap();
        assert_eq!(chunks[0].bytes, bytes[..]);
    }

    #[tokio::test]
    async fn the_engines_own_error_is_an_error() {
        let bytes = [frame(1, b"one"), frame(3, b"disk on fire\n")].concat();
        for cut in [1, 5, 100] {
            let error = unpacked(&bytes, cut, Packing::Frames).await.unwrap_err();
            assert_eq!(error.to_string(), "disk on fire");
        }
        let error = unpacked(b"hello world", 3, Packing::Frames).await.unwrap_err();
        assert_eq!(error.to_string(), "the engine sent output of the unknown stream 104");
    }

    #[tokio::test]
    async fn a_frame_is_passed_on_before_it_is_complete() {
        let start = Bytes::from_static(&[1, 0, 0, 0, 0xff, 0, 0, 0, b'a']);
        let source = stream::iter([Ok(start)]).chain(stream::pending());
        let mut chunks = unpack(source.boxed(), Packing::Frames);
        let chunk = chunks.next().await.unwrap().unwrap();
        assert_eq!(chunk.bytes, b"a"[..]);
    }
}
