//! Layers on their way: written to the disk as they come, and read from there at the same time.
//!
//! In: a descriptor. Out: a file that grows, and readers of it that wait for more.
//!
//! # Invariants
//!
//! - One process at a time writes a download; others wait for its lock. What was cut, by the
//!   network or because the process was killed, goes on where it ended.
//! - No more is written than the descriptor promises.
//! - A reader ends: with the file, or with an error when nobody downloads any more.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::header::{ACCEPT_ENCODING, CONTENT_RANGE, RANGE};
use hyper::{Method, Response, StatusCode};

use super::super::digest::Digest;
use super::super::install::Source;
use super::super::place::{Place, failed};
use super::super::spec::Descriptor;
use super::Repository;
use super::http::{Ask, PATIENCE, Problem};
use crate::runtime::native::lock::{self, Lock};
use crate::runtime::{Progress, Result, RuntimeError};

/// How often a download may be cut without a single byte in between.
const ATTEMPTS: u32 = 5;
/// Before going on after the first cut; each time twice as long.
const PAUSE: Duration = Duration::from_millis(200);
/// After how many bytes progress is told.
const STEP: u64 = 512 << 10;

/// A layer on its way.
#[derive(Debug)]
pub(in super::super) struct Download {
    digest: Digest,
    size: u64,
    path: PathBuf,
    shared: Arc<Shared>,
    /// Whether some of it was here before.
    pub(in super::super) is_resumed: bool,
    /// Whether what is on the disk is of no use any more.
    done: AtomicBool,
}

/// What readers and the one who downloads share.
#[derive(Debug)]
struct Shared {
    file: File,
    state: Mutex<State>,
    more: Condvar,
    _lock: Lock,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes that can be read.
    available: u64,
    /// Whether more will come.
    ended: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.more.notify_all();
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        self.end();
        if self.done.load(Ordering::Relaxed) {
            // Under its lock, so that whoever waits for it sees that it is gone.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Download {
    /// Takes the download of a layer over, or begins it. Waits for whoever is at it.
    pub(in super::super) fn open(place: &Place, descriptor: &Descriptor) -> Result<Self> {
        let path = place.path("partial").join(descriptor.digest.hex());
        let lock = lock::wait(&path)?;
        let file = lock.as_fd().try_clone_to_owned().map_err(failed("open", &path))?;
        let file = File::from(file);
        let mut here = file.metadata().map_err(failed("read", &path))?.len();
        if here > descriptor.size {
            file.set_len(0).map_err(failed("empty", &path))?;
            here = 0;
        }
        let state = Mutex::new(State { available: here, ended: here == descriptor.size });
        Ok(Self {
            digest: descriptor.digest.clone(),
            size: descriptor.size,
            path,
            shared: Arc::new(Shared { file, state, more: Condvar::new(), _lock: lock }),
            is_resumed: here > 0,
            done: AtomicBool::new(false),
        })
    }

    /// The file goes: the layer is in the store, or what is there is wrong.
    pub(in super::super) fn discard(&self) {
        self.done.store(true, Ordering::Relaxed);
    }

    /// Nothing more comes: readers need not wait.
    pub(in super::super) fn end(&self) {
        self.shared.change(|state| state.ended = true);
    }

    /// Something that opens it, from its beginning.
    pub(in super::super) fn opener(&self) -> impl Fn() -> Source + Send + Sync + 'static + use<> {
        let (shared, size) = (Arc::clone(&self.shared), self.size);
        move || {
            let bytes = Growing { shared: Arc::clone(&shared), at: 0, size };
            Source { bytes: Box::new(bytes), size }
        }
    }

    fn available(&self) -> u64 {
        self.shared.state().available
    }

    /// Downloads what is missing.
    pub(in super::super) async fn fetch(
        &self,
        repository: &Repository,
        tell: &(dyn Fn(Progress) + Sync),
    ) -> Result<()> {
        let mut cuts = 0;
        loop {
            let before = self.available();
            if before == self.size {
                self.shared.change(|state| state.ended = true);
                tell(self.progress("Download complete"));
                return Ok(());
            }
            let Some(problem) = self.go_on(repository, before, tell).await? else { continue };
            cuts = if self.available() > before { 1 } else { cuts + 1 };
            if cuts == ATTEMPTS {
                return Err(problem.at(&repository.name.registry));
            }
            tracing::debug!(digest = %self.digest, %problem, at = self.available(), "cut");
            tokio::time::sleep(PAUSE * 2_u32.pow(cuts - 1)).await;
        }
    }

    /// Asks for everything from an offset on; what cuts it short is the answer.
    async fn go_on(
        &self,
        repository: &Repository,
        from: u64,
        tell: &(dyn Fn(Progress) + Sync),
    ) -> Result<Option<Problem>> {
        let url = repository.url(&format!("blobs/{}", self.digest));
        // No other bytes than those of the digest.
        let mut ask = Ask::new(Method::GET, url).header(ACCEPT_ENCODING, "identity");
        if from > 0 {
            ask = ask.header(RANGE, &format!("bytes={from}-"));
        }
        let answer = repository.ask(&ask).await?;
        let good = [StatusCode::OK, StatusCode::PARTIAL_CONTENT];
        let response = repository.expect(answer, &good).await?.into_response();
        let mut skip = match start(&response) {
            Some(start) if start <= from => from - start,
            _ => {
                let said =
                    format!("`{}` sends another part than was asked for", repository.name.registry);
                return Err(RuntimeError::Refused(said));
            }
        };
        let mut body = response.into_body();
        let mut told = from;
        loop {
            let frame = match tokio::time::timeout(PATIENCE, body.frame()).await {
                Err(_) => return Ok(Some(Problem::Slow)),
                Ok(None) if self.available() == self.size => return Ok(None),
                Ok(None) => {
                    let cut = io::Error::from(io::ErrorKind::UnexpectedEof);
                    return Ok(Some(Problem::Cut(cut)));
                }
                Ok(Some(Err(error))) => return Ok(Some(Problem::Cut(io::Error::other(error)))),
                Ok(Some(Ok(frame))) => frame,
            };
            let Ok(data) = frame.into_data() else { continue };
            let skipped = usize::try_from(skip).map_or(data.len(), |skip| skip.min(data.len()));
            skip -= skipped as u64;
            self.take(&data[skipped..])?;
            let now = self.available();
            if now >= told + STEP {
                told = now;
                tell(self.progress("Downloading"));
            }
        }
    }

    /// Writes what came.
    fn take(&self, data: &[u8]) -> Result<()> {
        let at = self.available();
        if at + data.len() as u64 > self.size {
            self.discard();
            return Err(RuntimeError::Refused(format!(
                "`{}` is longer than the {} bytes that its manifest promises",
                self.digest, self.size
            )));
        }
        self.shared.file.write_all_at(data, at).map_err(failed("write", &self.path))?;
        self.shared.change(|state| state.available += data.len() as u64);
        Ok(())
    }

    fn progress(&self, status: &str) -> Progress {
        Progress {
            part: self.digest.hex()[..12].to_owned(),
            status: status.to_owned(),
            current: self.available(),
            total: self.size,
        }
    }
}

/// Where the body of an answer begins; `None` if that is not to be understood.
fn start<B>(response: &Response<B>) -> Option<u64> {
    if response.status() == StatusCode::OK {
        return Some(0);
    }
    let range = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

/// Reads a file that grows.
struct Growing {
    shared: Arc<Shared>,
    at: u64,
    size: u64,
}

impl io::Read for Growing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.size || buffer.is_empty() {
            return Ok(0);
        }
        let mut state = self.shared.state();
        while state.available <= self.at {
            if state.ended {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the download has ended"));
            }
            state = self.shared.more.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let room = state.available - self.at;
        drop(state);
        let room = usize::try_from(room).map_or(buffer.len(), |room| room.min(buffer.len()));
        let count = self.shared.file.read_at(&mut buffer[..room], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn descriptor(text: &str) -> Descriptor {
        Descriptor::new(String::new(), Digest::of(text.as_bytes()), text.len() as u64)
    }

    #[test]
    fn a_reader_waits_for_more_and_what_was_cut_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::open(directory.path()).unwrap();
        let descriptor = descriptor("hello world");
        let download = Download::open(&place, &descriptor).unwrap();
        let opener = download.opener();
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            opener().bytes.read_to_string(&mut text).map(|_| text)
        });
        download.take(b"hello ").unwrap();
        drop(download);
        assert!(reader.join().unwrap().is_err());
        let download = Download::open(&place, &descriptor).unwrap();
        assert!(download.is_resumed && download.available() == 6);
        let opener = download.opener();
        download.take(b"world").unwrap();
        let mut text = String::new();
        opener().bytes.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello world");
        assert!(download.take(b"!").is_err(), "more than was promised");
        drop(download);
        assert_eq!(fs::read_dir(place.path("partial")).unwrap().count(), 0);
    }

    #[test]
    fn two_who_want_the_same_wait_for_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::open(directory.path()).unwrap();
        let descriptor = descriptor("x");
        let first = Download::open(&place, &descriptor).unwrap();
        let other = {
            let (place, descriptor) = (place.clone(), descriptor.clone());
            std::thread::spawn(move || Download::open(&place, &descriptor).unwrap().is_resumed)
        };
        first.take(b"x").unwrap();
        first.discard();
        drop(first);
        // Whoever waited begins anew: the first one has removed the file.
        assert!(!other.join().unwrap());
    }
}
