//! Images that are made here: layers, and what they are put on.
//!
//! In: archives of layers, as they are written. Out: [`Layer`]s in the store, then an [`Image`].
//!
//! # Not here
//!
//! What goes into them: `build`, and `commit` for containers.

use std::io::{self, BufWriter, PipeWriter};
use std::path::{Path, PathBuf};
use std::thread;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Image;
use super::digest::Digest;
use super::layer::{Job, Limits, NeedsLower, Newest, decompressed, pack, unpack, wants_too_much};
use super::place::{Staging, failed};
use super::record::{LayerRecord, Record};
use super::reference::Reference;
use super::rootfs;
use super::spec::ImageConfig;
use super::store::{Store, no_such_image, tagged};
use crate::model::hash;
use crate::runtime::{Result, RuntimeError};

/// A layer that is in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    pub(super) record: LayerRecord,
    /// The digest of its archive.
    pub diff_id: Digest,
}

/// A directory that goes when it is dropped; or, if this process is killed, with the next command.
#[derive(Debug)]
pub struct Scratch(Staging);

impl Scratch {
    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

/// The files of an image that is being made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    below: Option<PathBuf>,
    layers: Vec<Layer>,
}

impl Origin {
    /// What stands for these files: the same files have the same text. A directory of this machine
    /// is taken as one that does not change.
    pub fn identity(&self) -> String {
        let mut hash = Sha256::new();
        if let Some(below) = &self.below {
            hash.update(below.as_os_str().as_encoded_bytes());
        }
        for layer in &self.layers {
            hash.update([0]);
            hash.update(layer.diff_id.as_str());
        }
        hash::hex(&hash.finalize())
    }

    /// Puts a layer on top.
    pub fn push(&mut self, layer: Layer) {
        self.layers.push(layer);
    }

    /// One of the layers, the lowest first.
    pub fn layer(&self, at: usize) -> Option<&Layer> {
        self.layers.get(at)
    }

    /// How many layers there are.
    pub fn len(&self) -> usize {
        self.layers.len()
    }

    /// Whether there are no files at all.
    pub fn is_empty(&self) -> bool {
        self.below.is_none() && self.layers.is_empty()
    }

    fn record(&self) -> Record {
        let layers = self.layers.iter().map(|layer| layer.record.clone()).collect();
        Record { below: self.below.clone(), layers }
    }
}

impl Store {
    /// The files and the config of an image that is here.
    ///
    /// # Errors
    ///
    /// It is not there, or cannot be read.
    pub fn origin(&self, reference: &str, image: &Image) -> Result<(Origin, ImageConfig)> {
        let mut config = ImageConfig::clone(&image.config);
        if let Ok(Reference::RootFs(_)) = reference.parse() {
            config.config.labels.remove(rootfs::LABEL);
            return Ok((Origin { below: image.below.clone(), layers: Vec::new() }, config));
        }
        let record = self.record_of(&image.id)?.ok_or_else(|| no_such_image(reference))?;
        let layers = record.layers.into_iter().zip(&config.rootfs.diff_ids);
        let layers = layers.map(|(mut record, diff_id)| {
            // What a registry calls it is nothing of ours.
            record.compressed = None;
            Layer { record, diff_id: diff_id.clone() }
        });
        Ok((Origin { below: record.below, layers: layers.collect() }, config))
    }

    /// The directories of an overlay that shows these files.
    ///
    /// # Errors
    ///
    /// A directory of this machine cannot be read.
    pub fn directories(&self, origin: &Origin) -> Result<Vec<PathBuf>> {
        self.above(origin.below.as_deref(), &self.stack(&origin.record()))
    }

    /// A new directory for what is fetched.
    ///
    /// # Errors
    ///
    /// The store cannot be written.
    pub fn scratch(&self) -> Result<Scratch> {
        self.place.stage().map(Scratch)
    }

    /// Whether a layer is still here.
    pub(super) fn has(&self, layer: &Layer) -> bool {
        self.root_of(&layer.record).is_dir()
    }

    /// Keeps what no image has from being removed as long as it lives: one is being made.
    ///
    /// # Errors
    ///
    /// The store cannot be written.
    pub fn begin(&self) -> Result<impl std::fmt::Debug + Send + Sync + use<>> {
        self.sweep()?;
        self.place.busy()
    }

    /// Keeps others from making an image as long as it lives; `None`: somebody makes one.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn idle(&self) -> Result<Option<impl std::fmt::Debug + use<>>> {
        self.place.alone()
    }

    /// Makes a layer of an archive while it is written. `of` is what it is made of, for errors.
    ///
    /// # Errors
    ///
    /// The archive cannot be written or unpacked.
    pub fn layer(
        &self,
        of: &Path,
        write: impl FnOnce(BufWriter<PipeWriter>) -> io::Result<()> + Send,
    ) -> Result<Layer> {
        const PIECE: usize = 256 << 10;
        let staging = self.place.stage()?;
        let limits = Limits { bytes: u64::MAX, ..Limits::for_size(0) };
        let job = Job { into: staging.path(), lowers: None, limits };
        let (reader, writer) = io::pipe().map_err(failed("make", "a pipe".as_ref()))?;
        let (written, unpacked) = thread::scope(|scope| {
            let writing = scope.spawn(|| write(BufWriter::with_capacity(PIECE, writer)));
            let unpacked = unpack(io::BufReader::with_capacity(PIECE, reader), &job);
            (writing.join(), unpacked)
        });
        let panicked = || io::Error::other("the thread that reads it has ended");
        let written = written.unwrap_or_else(|_| Err(panicked()));
        // A pipe that nobody reads any more is the consequence, not the cause.
        let broken = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
        if let Err(error) = written
            && !(broken(&error) && unpacked.is_err())
        {
            return Err(failed("read", of)(error));
        }
        let info = unpacked.map_err(|error| {
            let error = if NeedsLower::is_why(&error) {
                io::Error::other("a directory is gone")
            } else {
                error
            };
            failed("read", of)(error)
        })?;
        let path = staging.path().join("layer.json");
        let text = serde_json::to_vec(&info).map_err(io::Error::from);
        let written = text.and_then(|text| std::fs::write(&path, text));
        written.map_err(failed("write", &path))?;
        let directory = info.diff_id.hex().to_owned();
        staging.publish(&self.place.layer(&directory))?;
        let record = LayerRecord { directory, size: info.size, compressed: None };
        Ok(Layer { record, diff_id: info.diff_id })
    }

    /// Makes a layer of what was written to the upper directory of an overlay. `newest`: no file
    /// gets a later time than this, in seconds since 1970.
    ///
    /// # Errors
    ///
    /// The directory cannot be read.
    pub fn layer_of_directory(&self, upper: &Path, newest: Option<u64>) -> Result<Layer> {
        let newest = newest.map_or(Newest::Any, Newest::At);
        self.layer(upper, |out| pack(upper, out, newest))
    }

    /// Records an image under its names.
    ///
    /// # Errors
    ///
    /// A name is none, or a layer was removed meanwhile.
    pub fn assemble(
        &self,
        origin: &Origin,
        mut config: ImageConfig,
        names: &[String],
    ) -> Result<Image> {
        "layers".clone_into(&mut config.rootfs.kind);
        config.rootfs.diff_ids = origin.layers.iter().map(|it| it.diff_id.clone()).collect();
        let names = names.iter().map(|name| tagged(name).map(|name| name.to_string()));
        let names = names.collect::<Result<Vec<_>>>()?;
        // What Docker says of the container that it was, which is no more.
        for outdated in ["container", "container_config", "id", "parent", "docker_version"] {
            config.other.shift_remove(outdated);
        }
        self.add_named(&config, origin.record(), &names)
    }

    /// Refuses names that no image can have.
    ///
    /// # Errors
    ///
    /// Which one it is.
    pub fn check_names(&self, names: &[String]) -> Result<()> {
        names.iter().try_for_each(|name| tagged(name).map(drop)).map_err(|error| match error {
            RuntimeError::Refused(why) => RuntimeError::Refused(format!("`build.tags`: {why}")),
            other => other,
        })
    }
}

/// Bytes without their compression, whatever it is: gzip, zstd, bzip2, xz.
///
/// # Errors
///
/// They cannot be read, or there is not enough memory.
pub fn plain<'a>(bytes: impl io::Read + 'a) -> io::Result<Box<dyn io::Read + 'a>> {
    decompressed(bytes)
}

/// Whether bytes are refused for the memory that their compression wants, not for what they are.
pub fn is_too_large(error: &io::Error) -> bool {
    wants_too_much(error)
}
