//! Standard input, kept in a file without a name until it is needed.
//!
//! In: standard input. Out: the same bytes, as often as they are asked for.
//!
//! An engine locks a container while it unpacks an archive there, and while it packs one. In
//! `ketch cp web:/a - | ketch cp - web:/b` each side could so wait for the other for ever: one for
//! the lock, one for somebody to read what it has packed. So all input is read before the engine
//! is asked for anything that needs the lock.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tokio::sync::oneshot;

use crate::runtime::Bytes;

/// How much is read at once.
const ROOM: usize = 64 * 1024;

/// Input that is being read.
pub(super) struct Spooling(oneshot::Receiver<io::Result<File>>);

impl Spooling {
    /// Begins to read standard input, in a thread of its own: a read cannot be called off, and the
    /// end of the process must not wait for it.
    pub(super) fn begin() -> io::Result<Self> {
        let (sender, receiver) = oneshot::channel();
        let keep = move || {
            let kept = tempfile::tempfile().and_then(|mut file| {
                io::copy(&mut io::stdin().lock(), &mut file)?;
                Ok(file)
            });
            // Nobody waits only when the command has ended.
            let _ = sender.send(kept);
        };
        std::thread::Builder::new().name("stdin".to_owned()).spawn(keep)?;
        Ok(Self(receiver))
    }

    /// All of it.
    pub(super) async fn end(self) -> io::Result<Spool> {
        let file = self.0.await.map_err(io::Error::other)??;
        Ok(Spool(Arc::new(file)))
    }
}

/// Input that has been read.
pub(super) struct Spool(Arc<File>);

impl Spool {
    /// All bytes, from the beginning. A file that cannot be read ends the archive too early, which
    /// the one who unpacks it tells.
    pub(super) fn pieces(&self) -> BoxStream<'static, Bytes> {
        let next = |(file, at): (Arc<File>, u64)| async move {
            let reading = tokio::task::spawn_blocking(move || {
                let mut buffer = vec![0; ROOM];
                let count = file.read_at(&mut buffer, at).unwrap_or(0);
                buffer.truncate(count);
                (buffer, file)
            });
            let (buffer, file) = reading.await.ok().filter(|(buffer, _)| !buffer.is_empty())?;
            let end = at + buffer.len() as u64;
            Some((Bytes::from(buffer), (file, end)))
        };
        stream::unfold((self.0.clone(), 0), next).boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::Arc;

    use futures_util::StreamExt as _;

    use super::{ROOM, Spool};

    #[tokio::test]
    async fn everybody_gets_everything() {
        let bytes: Vec<u8> = (0..ROOM * 2 + 7).map(|at| at.to_le_bytes()[0]).collect();
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&bytes).expect("room");
        let spool = Spool(Arc::new(file));
        for pieces in [spool.pieces(), spool.pieces()] {
            let found: Vec<_> = pieces.collect().await;
            assert_eq!(found.concat(), bytes);
        }
    }
}
