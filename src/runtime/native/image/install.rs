//! Layers into the store: several at once, each checked against its digest.
//!
//! In: which layers an image has, and a way to open their archives. Out: their directories.
//!
//! # Invariants
//!
//! - A layer gets its name only when its digest is what the config says.
//! - Layers that need those below wait for them; all others are unpacked at the same time.
//! - Whoever does not want the image any more sets [`Cancel`]; unpacking ends with the next read.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::digest::{Digest, Hashing};
use super::layer::{Job, Limits, NeedsLower, decompressed, unpack};
use super::place::{failed, read_json};
use super::record::{LayerInfo, LayerRecord};
use super::spec::Descriptor;
use super::store::Store;
use crate::runtime::{Progress, Result, RuntimeError};

/// The most layers that are unpacked at once; some of them wait for the network.
const WORKERS: usize = 6;
/// After how many bytes progress is told.
const STEP: u64 = 1 << 20;

/// A layer that an image has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) diff_id: Digest,
    /// The archive as a registry or layout has it.
    pub(super) compressed: Option<Descriptor>,
}

impl Wanted {
    /// What it is called while it is on its way: as Docker does.
    pub(super) fn short(&self) -> String {
        let digest = self.compressed.as_ref().map_or(&self.diff_id, |it| &it.digest);
        digest.hex()[..12].to_owned()
    }
}

/// An archive that is open.
pub(super) struct Source {
    pub(super) bytes: Box<dyn Read + Send>,
    /// How long it is.
    pub(super) size: u64,
}

/// Ends what nobody waits for any more.
#[derive(Clone, Debug, Default)]
pub(super) struct Cancel(Arc<AtomicBool>);

impl Cancel {
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Where layers come from, and who is told about them.
pub(super) trait Supply: Sync {
    /// Opens the archive of a layer, from its beginning; may be called again.
    fn open(&self, index: usize) -> io::Result<Source>;

    /// Is told how far a layer is.
    fn tell(&self, progress: Progress);

    fn cancel(&self) -> &Cancel;
}

/// Brings the layers of an image into the store.
pub(super) fn install(
    store: &Store,
    wanted: &[Wanted],
    supply: &dyn Supply,
) -> Result<Vec<LayerRecord>> {
    let installation = Installation { store, wanted, supply };
    let first = installation.those_that_stand_alone()?;
    let mut done: Vec<LayerRecord> = Vec::new();
    for (index, record) in first.into_iter().enumerate() {
        let record = match record {
            Some(record) => record,
            None => installation.on_top_of(index, &done)?,
        };
        done.push(record);
    }
    Ok(done)
}

struct Installation<'a> {
    store: &'a Store,
    wanted: &'a [Wanted],
    supply: &'a dyn Supply,
}

impl Installation<'_> {
    /// Unpacks what is missing; `None` is a layer that needs those below.
    fn those_that_stand_alone(&self) -> Result<Vec<Option<LayerRecord>>> {
        let mut records: Vec<Option<LayerRecord>> = Vec::new();
        for index in 0..self.wanted.len() {
            records.push(self.existing(index)?);
        }
        let missing: Vec<usize> =
            (0..records.len()).filter(|index| self.is_first_missing(*index, &records)).collect();
        let next = AtomicUsize::new(0);
        let results = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..missing.len().min(WORKERS) {
                scope.spawn(|| {
                    while let Some(index) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let result = self.alone(*index);
                        let failed = result.is_err();
                        let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                        results.push((*index, result));
                        if failed {
                            // The others would be for nothing.
                            self.supply.cancel().set();
                        }
                    }
                });
            }
        });
        // The first one is the cause; others may only have been cancelled.
        for (index, result) in results.into_inner().unwrap_or_else(PoisonError::into_inner) {
            let record = result?;
            let diff_id = &self.wanted[index].diff_id;
            for (at, wanted) in self.wanted.iter().enumerate() {
                if wanted.diff_id == *diff_id && records[at].is_none() {
                    records[at].clone_from(&record);
                }
            }
        }
        Ok(records)
    }

    /// Whether a layer is missing, and stands there for the first time.
    fn is_first_missing(&self, index: usize, records: &[Option<LayerRecord>]) -> bool {
        let same = |other: &Wanted| other.diff_id == self.wanted[index].diff_id;
        records[index].is_none() && !self.wanted[..index].iter().any(same)
    }

    /// The layer if it is in the store already.
    fn existing(&self, index: usize) -> Result<Option<LayerRecord>> {
        for name in [self.wanted[index].diff_id.hex().to_owned(), self.pile(index)] {
            let directory = self.store.place.layer(&name);
            if let Some(info) = read_json::<LayerInfo>(&directory.join("layer.json"))? {
                self.tell(index, "Already exists");
                return Ok(Some(self.record(index, name, info.size)));
            }
        }
        Ok(None)
    }

    /// The name of a layer that needs those below.
    fn pile(&self, index: usize) -> String {
        let all: Vec<&str> =
            self.wanted[..=index].iter().map(|wanted| wanted.diff_id.as_str()).collect();
        Digest::of(all.join(" ").as_bytes()).hex().to_owned()
    }

    fn record(&self, index: usize, directory: String, size: u64) -> LayerRecord {
        LayerRecord { directory, size, compressed: self.wanted[index].compressed.clone() }
    }

    fn alone(&self, index: usize) -> Result<Option<LayerRecord>> {
        let name = self.wanted[index].diff_id.hex().to_owned();
        self.unpack(index, name, None)
    }

    fn on_top_of(&self, index: usize, below: &[LayerRecord]) -> Result<LayerRecord> {
        let mut lowers: Vec<PathBuf> =
            below.iter().map(|layer| self.store.root_of(layer)).collect();
        lowers.dedup();
        let record = self.unpack(index, self.pile(index), Some(&lowers))?;
        record.ok_or_else(|| RuntimeError::Refused("a layer needs more than the others".to_owned()))
    }

    /// Unpacks a layer; `None` if it needs those below and they are not given.
    fn unpack(
        &self,
        index: usize,
        name: String,
        lowers: Option<&[PathBuf]>,
    ) -> Result<Option<LayerRecord>> {
        let wanted = &self.wanted[index];
        let staging = self.store.place.stage()?;
        let broken = |error: io::Error| {
            let action = format!("unpack layer `{}`", wanted.short());
            RuntimeError::Io { action, source: error }
        };
        let source = self.supply.open(index).map_err(broken)?;
        let mut bytes = Hashing::new(self.watched(index, source.bytes, source.size));
        let job = Job { into: staging.path(), lowers, limits: Limits::for_size(source.size) };
        let unpacked = decompressed(&mut bytes).and_then(|archive| unpack(archive, &job));
        let info = match unpacked {
            Err(error) if NeedsLower::is_why(&error) && lowers.is_none() => return Ok(None),
            done => done.map_err(broken)?,
        };
        io::copy(&mut bytes, &mut io::sink()).map_err(broken)?;
        let compressed = wanted.compressed.as_ref().map(|it| &it.digest);
        check("layer", compressed, &bytes.finish().0)?;
        check("unpacked layer", Some(&wanted.diff_id), &info.diff_id)?;
        let path = staging.path().join("layer.json");
        let text =
            serde_json::to_vec(&info).map_err(io::Error::from).map_err(failed("write", &path))?;
        std::fs::write(&path, text).map_err(failed("write", &path))?;
        staging.publish(&self.store.place.layer(&name))?;
        self.tell(index, "Pull complete");
        Ok(Some(self.record(index, name, info.size)))
    }

    fn tell(&self, index: usize, status: &str) {
        let part = self.wanted[index].short();
        self.supply.tell(Progress { part, status: status.to_owned(), ..Progress::default() });
    }

    fn watched(&self, index: usize, bytes: Box<dyn Read + Send>, total: u64) -> Watched<'_> {
        let part = self.wanted[index].short();
        Watched { supply: self.supply, part, bytes, current: 0, total, told: 0 }
    }
}

/// Fails unless something has the digest that it should have.
pub(super) fn check(what: &str, expected: Option<&Digest>, found: &Digest) -> Result<()> {
    match expected {
        Some(expected) if expected != found => Err(RuntimeError::Refused(format!(
            "the {what} has digest `{found}` where `{expected}` is promised: it is damaged, or was \
             tampered with"
        ))),
        _ => Ok(()),
    }
}

/// Tells how much was read, and stops when nobody wants it any more.
struct Watched<'a> {
    supply: &'a dyn Supply,
    part: String,
    bytes: Box<dyn Read + Send>,
    current: u64,
    total: u64,
    told: u64,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.supply.cancel().is_set() {
            // Not `Interrupted`: that is tried again.
            return Err(io::Error::other("nobody waits for it any more"));
        }
        let count = self.bytes.read(buffer)?;
        self.current += count as u64;
        if self.current >= self.told + STEP {
            self.told = self.current;
            self.supply.tell(Progress {
                part: self.part.clone(),
                status: "Extracting".to_owned(),
                current: self.current,
                total: self.total,
            });
        }
        Ok(count)
    }
}
