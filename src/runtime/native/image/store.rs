//! The store: which images are here, under which names, and who uses them.
//!
//! In: references. Out: [`Image`]s.
//!
//! # Invariants
//!
//! - Readers take no lock: documents are replaced whole, and what has vanished is not found.
//! - A name stands for an image whose layers are all here: an image is recorded under the lock,
//!   and only if none of its layers has been removed meanwhile.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::digest::Digest;
use super::place::{Place, failed, read, read_json};
use super::record::{LayerRecord, Named, Names, Record};
use super::reference::{Name, Reference};
use super::spec::ImageConfig;
use super::{Image, rootfs};
use crate::runtime::native::lock::Lock;
use crate::runtime::{Result, RuntimeError};

/// The fewest digits of an identity that stand for an image.
const MIN_DIGITS: usize = 4;

/// The images of one user on this machine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    pub(super) place: Place,
}

/// An image that is about to be recorded.
#[derive(Debug)]
pub(super) struct Recipe {
    /// The bytes of its config.
    pub(super) config: Vec<u8>,
    pub(super) record: Record,
}

impl Store {
    /// Opens the store in a directory; makes what is missing.
    ///
    /// # Errors
    ///
    /// The directory cannot be made.
    pub fn open(directory: &Path) -> Result<Self> {
        Ok(Self { place: Place::open(directory)? })
    }

    /// The image that a reference names, if it is here: a name, an identity or its first digits, a
    /// source of this machine that has not changed since it was loaded, or a directory.
    ///
    /// # Errors
    ///
    /// The store or the directory cannot be read, or several images begin with the digits.
    pub fn find(&self, reference: &str) -> Result<Option<Image>> {
        if let Ok(Reference::RootFs(directory)) = reference.parse() {
            return rootfs::image(&directory, reference).map(Some);
        }
        let names = self.names()?;
        match self.resolve(reference, &names)? {
            Some(id) => self.image(&id, &names),
            None => Ok(None),
        }
    }

    /// All images, the latest made first.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn list(&self) -> Result<Vec<Image>> {
        let names = self.names()?;
        let mut images = Vec::new();
        for id in self.ids()? {
            images.extend(self.image(&id, &names)?);
        }
        images.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
        Ok(images)
    }

    /// Keeps an image as long as a path, the directory of a container, exists.
    ///
    /// The path must be there already. Whoever removes it need not tell the store.
    ///
    /// # Errors
    ///
    /// The image has just been removed, or the store cannot be written.
    pub fn hold(&self, image: &Image, holder: &Path) -> Result<()> {
        let _lock = self.place.lock()?;
        if image.layers.iter().any(|layer| !layer.is_dir()) {
            let said = format!("image `{}` has just been removed", image.id);
            return Err(RuntimeError::NotFound(said));
        }
        let holds = self.place.holds(image.id.hex());
        fs::create_dir_all(&holds).map_err(failed("make", &holds))?;
        let text = holder.as_os_str().as_encoded_bytes();
        let path = holds.join(Digest::of(text).hex());
        fs::write(&path, text).map_err(failed("write", &path))
    }

    /// The paths that hold an image; holds whose path is gone are forgotten.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn holders(&self, id: &Digest) -> Result<Vec<PathBuf>> {
        use std::os::unix::ffi::OsStringExt as _;
        let holds = self.place.holds(id.hex());
        let Ok(entries) = fs::read_dir(&holds) else { return Ok(Vec::new()) };
        let mut holders = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed("read", &holds))?.path();
            let Some(bytes) = read(&path)? else { continue };
            let holder = PathBuf::from(std::ffi::OsString::from_vec(bytes));
            if holder.symlink_metadata().is_ok() {
                holders.push(holder);
            } else {
                // Whoever else sees that it is void removes it too.
                let _ = fs::remove_file(&path);
            }
        }
        holders.sort();
        Ok(holders)
    }

    /// Gives an image another name.
    ///
    /// # Errors
    ///
    /// The image is not there, or the name is none.
    pub fn tag(&self, reference: &str, name: &str) -> Result<()> {
        let name = tagged(name)?;
        let lock = self.place.lock()?;
        let mut names = self.names()?;
        let id = self.resolve(reference, &names)?.ok_or_else(|| no_such_image(reference))?;
        names.give(&name.to_string(), &id, String::new());
        self.write_names(&names, &lock)
    }

    /// The image with this identity, if it is here.
    pub(super) fn image(&self, id: &Digest, names: &Names) -> Result<Option<Image>> {
        let directory = self.place.image(id.hex());
        let Some(config) = read_json::<ImageConfig>(&directory.join("config.json"))? else {
            return Ok(None);
        };
        let Some(record) = self.record_of(id)? else { return Ok(None) };
        let own = || names.names.iter().filter(|(_, named)| named.image == *id);
        let (digests, tags): (Vec<_>, Vec<_>) = own().partition(|(name, _)| is_digest_name(name));
        let familiar = |(name, _): (&String, &Named)| familiar(name);
        Ok(Some(Image {
            id: id.clone(),
            names: tags.into_iter().map(familiar).collect(),
            digests: digests.into_iter().map(familiar).collect(),
            created: seconds(&config.created),
            tagged: own().map(|(_, named)| named.at).max().unwrap_or_default(),
            size: record.layers.iter().map(|layer| layer.size).sum(),
            config: Arc::new(config),
            layers: self.stack(&record),
            below: record.below,
        }))
    }

    /// The directories of an overlay that shows an image, lowest first; what covers parts of this
    /// machine is made if it is missing.
    ///
    /// # Errors
    ///
    /// A directory of this machine cannot be read, or the store cannot be written.
    pub fn files(&self, image: &Image) -> Result<Vec<PathBuf>> {
        self.above(image.below.as_deref(), &image.layers)
    }

    /// The directories of an overlay of layers above a directory of this machine.
    pub(super) fn above(&self, below: Option<&Path>, layers: &[PathBuf]) -> Result<Vec<PathBuf>> {
        let mut all = match below {
            Some(directory) => rootfs::layers(self, directory)?,
            None => Vec::new(),
        };
        all.extend_from_slice(layers);
        Ok(all)
    }

    /// The layers of an image as an overlay takes them: each once. Of one that is there twice the
    /// upper one gives all that the lower one does.
    pub(super) fn stack(&self, record: &Record) -> Vec<PathBuf> {
        let layers = &record.layers;
        let is_last = |at: usize| {
            !layers[at + 1..].iter().any(|upper| upper.directory == layers[at].directory)
        };
        let kept = (0..layers.len()).filter(|at| is_last(*at));
        kept.map(|at| self.root_of(&layers[at])).collect()
    }

    /// What an overlay takes of a layer.
    pub(super) fn root_of(&self, layer: &LayerRecord) -> PathBuf {
        self.place.layer(&layer.directory).join("root")
    }

    /// What was written down about an image.
    pub(super) fn record_of(&self, id: &Digest) -> Result<Option<Record>> {
        read_json(&self.place.image(id.hex()).join("record.json"))
    }

    /// The bytes of an image's config.
    pub(super) fn config_of(&self, id: &Digest) -> Result<Vec<u8>> {
        let path = self.place.image(id.hex()).join("config.json");
        read(&path)?.ok_or_else(|| no_such_image(id.as_str()))
    }

    /// All names.
    pub(super) fn names(&self) -> Result<Names> {
        Ok(read_json(&self.place.path("names.json"))?.unwrap_or_default())
    }

    pub(super) fn write_names(&self, names: &Names, lock: &Lock) -> Result<()> {
        self.place.write(&self.place.path("names.json"), names, lock)
    }

    /// The identities of all images.
    pub(super) fn ids(&self) -> Result<Vec<Digest>> {
        let path = self.place.path("images");
        let mut ids = Vec::new();
        for entry in fs::read_dir(&path).map_err(failed("read", &path))? {
            let name = entry.map_err(failed("read", &path))?.file_name();
            ids.extend(format!("sha256:{}", name.to_string_lossy()).parse::<Digest>());
        }
        ids.sort();
        Ok(ids)
    }

    /// The identity that a reference stands for.
    pub(super) fn resolve(&self, reference: &str, names: &Names) -> Result<Option<Digest>> {
        match reference.parse() {
            Ok(Reference::Registry(name)) => {
                // A digest says it all; a tag beside it is only for people.
                let asked = match &name.digest {
                    Some(digest) => name.with_digest(digest.clone()),
                    None => name,
                };
                match names.names.get(&asked.to_string()) {
                    Some(found) => Ok(Some(found.image.clone())),
                    None => self.with_digits(reference),
                }
            }
            Ok(source) => Ok(super::source::find(&source, names)),
            Err(_) => self.with_digits(reference),
        }
    }

    /// The only image whose identity begins so.
    fn with_digits(&self, text: &str) -> Result<Option<Digest>> {
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        if digits.len() < MIN_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let mut ids = self.ids()?;
        ids.retain(|id| id.hex().starts_with(digits));
        match &ids[..] {
            [] => Ok(None),
            [id] => Ok(Some(id.clone())),
            _ => Err(RuntimeError::Refused(format!("several images begin with `{text}`"))),
        }
    }

    /// Records an image whose layers are here, under names; says which layer has vanished instead
    /// if one has.
    pub(super) fn record(&self, recipe: &Recipe, names: &[(String, String)]) -> Result<Recorded> {
        let id = Digest::of(&recipe.config);
        let lock = self.place.lock()?;
        let gone = recipe.record.layers.iter().find(|layer| !self.root_of(layer).is_dir());
        if let Some(layer) = gone {
            return Ok(Recorded::LayerVanished(layer.directory.clone()));
        }
        // Nothing is written where all is as it is: each write waits for the disk.
        if self.record_of(&id)?.as_ref() != Some(&recipe.record) {
            self.write_image(&id, recipe, &lock)?;
        }
        let mut all = self.names()?;
        let new = names.iter().filter(|(name, stamp)| !all.has(name, &id, stamp));
        let new: Vec<_> = new.cloned().collect();
        if !new.is_empty() {
            for (name, stamp) in new {
                all.give(&name, &id, stamp);
            }
            self.write_names(&all, &lock)?;
        }
        Ok(Recorded::Done(id))
    }

    fn write_image(&self, id: &Digest, recipe: &Recipe, lock: &Lock) -> Result<()> {
        let target = self.place.image(id.hex());
        if target.is_dir() {
            // The layers may be others now, if the old ones were damaged.
            return self.place.write(&target.join("record.json"), &recipe.record, lock);
        }
        let staging = self.place.stage_under(lock)?;
        let config = staging.path().join("config.json");
        fs::write(&config, &recipe.config).map_err(failed("write", &config))?;
        self.place.write(&staging.path().join("record.json"), &recipe.record, lock)?;
        staging.publish(&target)?;
        Ok(())
    }
}

/// What came of recording an image.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Recorded {
    Done(Digest),
    /// Somebody has removed a layer; it has to be unpacked again.
    LayerVanished(String),
}

impl Names {
    /// Whether a name stands for an image already.
    fn has(&self, name: &str, image: &Digest, stamp: &str) -> bool {
        self.names.get(name).is_some_and(|it| it.image == *image && it.stamp == stamp)
    }

    /// Gives a name to an image, whoever had it.
    pub(super) fn give(&mut self, name: &str, image: &Digest, stamp: String) {
        let named = Named { image: image.clone(), at: now(), stamp };
        self.names.insert(name.to_owned(), named);
    }

    /// The names of each image.
    pub(super) fn by_image(&self) -> BTreeMap<&Digest, Vec<&str>> {
        let mut all: BTreeMap<&Digest, Vec<&str>> = BTreeMap::new();
        for (name, named) in &self.names {
            all.entry(&named.image).or_default().push(name);
        }
        all
    }
}

/// Whether a stored name has a digest instead of a tag.
pub(super) fn is_digest_name(name: &str) -> bool {
    name.parse::<Name>().is_ok_and(|name| name.digest.is_some())
}

/// A stored name as people write it.
pub(super) fn familiar(name: &str) -> String {
    match name.parse() {
        Ok(Reference::Registry(name)) => name.familiar(),
        _ => name.to_owned(),
    }
}

/// A name that something can be called by: with a tag, and no digest.
pub(super) fn tagged(name: &str) -> Result<Name> {
    let refused = |why: String| RuntimeError::Refused(why);
    match name.parse().map_err(|error: super::NotAReference| refused(error.to_string()))? {
        Reference::Registry(name) if name.digest.is_none() => Ok(name),
        _ => Err(refused(format!("`{name}` is no name with a tag"))),
    }
}

pub(super) fn no_such_image(reference: &str) -> RuntimeError {
    RuntimeError::NotFound(format!("no such image: {reference}"))
}

fn now() -> (i64, i32) {
    let now = jiff::Timestamp::now();
    (now.as_second(), now.subsec_nanosecond())
}

/// Seconds since 1970; 0 if it is no time.
fn seconds(time: &str) -> i64 {
    time.parse::<jiff::Timestamp>().map_or(0, |time| time.as_second().max(0))
}
