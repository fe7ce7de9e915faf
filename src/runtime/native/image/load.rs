//! Images out of archives and layouts: what `docker save` writes, and the layout of the OCI image
//! specification, each as a directory, a file or a stream.
//!
//! In: [`Contents`]. Out: [`Image`]s in the store.
//!
//! # Invariants
//!
//! - Digests of documents are checked where the format gives them; those of layers always.

use std::io;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::contents::Contents;
use super::digest::Digest;
use super::install::{Cancel, Source, Supply, Wanted, check, install};
use super::place::failed;
use super::platform::Platform;
use super::pull::Naming;
use super::record::Record;
use super::reference::{Name, Reference};
use super::source::name_and_stamp;
use super::spec::{Descriptor, ImageConfig, Index, Manifest, media};
use super::store::{Recipe, Recorded, Store, no_such_image};
use super::{Image, Input};
use crate::runtime::{OnProgress, Progress, Result, RuntimeError};

/// The most layers that an overlay takes.
pub(super) const MAX_LAYERS: usize = 500;
/// The most lists in lists.
const MAX_DEPTH: usize = 3;
/// What an index calls its images.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
const FULL_NAME: &str = "io.containerd.image.name";

/// An image that was loaded.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// What it is.
    pub image: Image,
    /// The names that it got, as people write them.
    pub names: Vec<String>,
}

/// An image that some contents have.
#[derive(Debug)]
pub(super) struct Found {
    /// Its names, or tags.
    pub(super) names: Vec<String>,
    config: Vec<u8>,
    layers: Vec<Wanted>,
    /// The file of each layer.
    files: Vec<String>,
}

/// A line of `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

impl Store {
    /// Loads all images of a file, directory or stream, under the names that they have there.
    ///
    /// # Errors
    ///
    /// The input holds no images, is damaged, or does not fit its digests.
    pub fn load(
        &self,
        input: Input<'_>,
        platform: Option<&Platform>,
        progress: OnProgress<'_>,
    ) -> Result<Vec<Loaded>> {
        self.sweep()?;
        let _busy = self.place.busy()?;
        let contents = match input {
            Input::Path(path) if path.is_dir() => Contents::of_directory(path)?,
            Input::Path(path) => Contents::of_file(path, &self.place)?,
            Input::Stream(stream) => Contents::of_stream(stream, &self.place)?,
        };
        let host = Platform::host();
        let found = images(&contents, platform.unwrap_or(&host))?;
        let cancel = Cancel::default();
        let mut loaded = Vec::new();
        for found in found {
            let names = found.names.iter().filter_map(|name| name.parse::<Name>().ok());
            let names: Vec<Name> = names.filter(|name| name.digest.is_none()).collect();
            let stored: Vec<_> =
                names.iter().map(|name| (name.to_string(), String::new())).collect();
            let image = self.bring(&contents, &found, &stored, &(progress, &cancel))?;
            loaded.push(Loaded { image, names: names.iter().map(Name::familiar).collect() });
        }
        Ok(loaded)
    }

    /// Loads the image of a source of this machine, under the reference itself.
    pub(super) fn load_source(
        &self,
        source: &Reference,
        platform: &Platform,
        (naming, progress, cancel): (Naming, OnProgress<'_>, &Cancel),
    ) -> Result<Image> {
        self.sweep()?;
        let _busy = self.place.busy()?;
        let (contents, wanted) = match source {
            Reference::Layout { directory, tag } => (Contents::of_directory(directory)?, tag),
            Reference::Archive { file, name } => (Contents::of_file(file, &self.place)?, name),
            Reference::Registry(_) | Reference::RootFs(_) => {
                return Err(RuntimeError::Unsupported("only archives are loaded".to_owned()));
            }
        };
        let io_failed =
            |error| RuntimeError::Io { action: "look at the source".to_owned(), source: error };
        let (name, stamp) = name_and_stamp(source).map_err(io_failed)?;
        let mut found = images(&contents, platform)?;
        if !wanted.is_empty() {
            found.retain(|found| found.names.iter().any(|name| is_named(name, wanted)));
        }
        match &found[..] {
            [found] => {
                let mut names = vec![(name, stamp)];
                names.retain(|_| naming == Naming::Given);
                self.bring(&contents, found, &names, &(progress, cancel))
            }
            [] => Err(no_such_image(&name)),
            several => {
                let names: Vec<&str> =
                    several.iter().flat_map(|it| &it.names).map(String::as_str).collect();
                let said = format!("`{name}` has several images: add one of {}", names.join(", "));
                Err(RuntimeError::Refused(said))
            }
        }
    }

    /// Brings an image of some contents into the store.
    fn bring(
        &self,
        contents: &Contents,
        found: &Found,
        names: &[(String, String)],
        (progress, cancel): &(OnProgress<'_>, &Cancel),
    ) -> Result<Image> {
        let supply = Local { contents, files: &found.files, progress: *progress, cancel };
        self.settle(&found.config, names, || install(self, &found.layers, &supply))
    }

    /// Records an image once its layers are there; they are brought again if somebody has removed
    /// one meanwhile.
    pub(super) fn settle(
        &self,
        config: &[u8],
        names: &[(String, String)],
        mut layers: impl FnMut() -> Result<Vec<super::record::LayerRecord>>,
    ) -> Result<Image> {
        const ATTEMPTS: usize = 3;
        for _ in 0..ATTEMPTS {
            let record = Record { below: None, layers: layers()? };
            let recipe = Recipe { config: config.to_vec(), record };
            if let Recorded::Done(id) = self.record(&recipe, names)? {
                let image = self.image(&id, &self.names()?)?;
                return image.ok_or_else(|| no_such_image(id.as_str()));
            }
        }
        Err(RuntimeError::Conflict("somebody removes layers again and again".to_owned()))
    }
}

/// Whether a name of an archive or layout is the one that is asked for.
fn is_named(name: &str, wanted: &str) -> bool {
    let whole = |text: &str| text.parse::<Name>().map(|name| name.to_string()).ok();
    name == wanted || (whole(name).is_some() && whole(name) == whole(wanted))
}

struct Local<'a> {
    contents: &'a Contents,
    files: &'a [String],
    progress: OnProgress<'a>,
    cancel: &'a Cancel,
}

impl Supply for Local<'_> {
    fn open(&self, index: usize) -> io::Result<Source> {
        let name = self.files.get(index).ok_or(io::ErrorKind::NotFound)?;
        self.contents.open(name)
    }

    fn tell(&self, progress: Progress) {
        (self.progress)(progress);
    }

    fn cancel(&self) -> &Cancel {
        self.cancel
    }
}

/// The images that some contents have for a platform.
pub(super) fn images(contents: &Contents, platform: &Platform) -> Result<Vec<Found>> {
    let saved = || -> Result<Option<Vec<Saved>>> { document(contents, "manifest.json") };
    let is_layout = matches!(contents, Contents::Directory(_));
    if !is_layout && let Some(saved) = saved()? {
        return saved.iter().map(|saved| of_docker(contents, saved)).collect();
    }
    if let Some(index) = document::<Index>(contents, "index.json")? {
        let mut found = Vec::new();
        of_index(contents, &index, platform, &mut found)?;
        return Ok(found);
    }
    match saved()? {
        Some(saved) => saved.iter().map(|saved| of_docker(contents, saved)).collect(),
        None => Err(RuntimeError::Refused(
            "it holds no images: neither `manifest.json` nor `index.json` is there".to_owned(),
        )),
    }
}

/// An image as `docker save` writes it.
fn of_docker(contents: &Contents, saved: &Saved) -> Result<Found> {
    let config = needed(contents, &saved.config)?;
    let files = saved.layers.clone().unwrap_or_default();
    let layers = wanted(&config, files.len())?;
    let layers = layers.into_iter().map(|diff_id| Wanted { diff_id, compressed: None }).collect();
    Ok(Found { names: saved.repo_tags.clone().unwrap_or_default(), config, layers, files })
}

/// The images of an index; of what is there for several platforms the one that fits best.
fn of_index(
    contents: &Contents,
    index: &Index,
    platform: &Platform,
    found: &mut Vec<Found>,
) -> Result<()> {
    for descriptor in &index.manifests {
        let manifest = resolve(contents, descriptor, platform)?;
        let Some(manifest) = manifest else { continue };
        let name = |key| descriptor.annotations.as_ref()?.get(key).cloned();
        let names = name(FULL_NAME).or_else(|| name(REF_NAME)).into_iter().collect();
        let config = blob(contents, &manifest.config)?;
        let diff_ids = wanted(&config, manifest.layers.len())?;
        let files = manifest.layers.iter().map(|layer| blob_path(&layer.digest)).collect();
        let layers = diff_ids
            .into_iter()
            .zip(manifest.layers)
            .map(|(diff_id, layer)| Wanted { diff_id, compressed: Some(layer) })
            .collect();
        found.push(Found { names, config, layers, files });
    }
    Ok(())
}

/// The manifest that a descriptor leads to; `None` if there is none for the platform.
fn resolve(
    contents: &Contents,
    descriptor: &Descriptor,
    platform: &Platform,
) -> Result<Option<Manifest>> {
    let mut descriptor = descriptor.clone();
    for _ in 0..MAX_DEPTH {
        if descriptor.platform.as_ref().is_some_and(|own| platform.distance(own).is_none()) {
            return Ok(None);
        }
        let bytes = blob(contents, &descriptor)?;
        match manifest_or_index(&bytes)? {
            Document::Manifest(manifest) => return Ok(Some(manifest)),
            Document::Index(index) => match fitting(&index, platform) {
                Some(next) => descriptor = next.clone(),
                None => return Ok(None),
            },
        }
    }
    Err(RuntimeError::Refused("lists of images are in each other too deep".to_owned()))
}

/// What a descriptor may lead to.
pub(super) enum Document {
    Manifest(Manifest),
    Index(Index),
}

/// Reads a manifest or a list of them, whatever it is called.
pub(super) fn manifest_or_index(bytes: &[u8]) -> Result<Document> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Shape {
        #[serde(default)]
        media_type: String,
        #[serde(default)]
        schema_version: u32,
        manifests: Option<serde_json::Value>,
        layers: Option<serde_json::Value>,
    }
    let shape: Shape = parse("the manifest", bytes)?;
    if shape.schema_version == 1 || shape.media_type.starts_with(media::DOCKER_SCHEMA_1) {
        let said = "its manifest has the obsolete schema 1; push the image again with a newer tool";
        return Err(RuntimeError::Refused(said.to_owned()));
    }
    match (shape.manifests, shape.layers) {
        // One document that is both is read differently by different readers.
        (Some(_), Some(_)) => Err(RuntimeError::Refused(
            "the manifest is a list of manifests as well: it is not to be trusted".to_owned(),
        )),
        (Some(_), None) => parse("the index", bytes).map(Document::Index),
        _ => parse("the manifest", bytes).map(Document::Manifest),
    }
}

/// The one of several images that fits a platform best.
pub(super) fn fitting<'i>(index: &'i Index, platform: &Platform) -> Option<&'i Descriptor> {
    let distance = |descriptor: &Descriptor| match &descriptor.platform {
        Some(offered) => platform.distance(offered),
        // Better than none: it says when it is unpacked what it is for.
        None => Some(u32::MAX),
    };
    let known = index.manifests.iter().filter_map(|it| Some((distance(it)?, it)));
    known.min_by_key(|(distance, _)| *distance).map(|(_, descriptor)| descriptor)
}

/// The layers that a config promises, which must be as many as there are archives.
pub(super) fn wanted(config: &[u8], archives: usize) -> Result<Vec<Digest>> {
    let config: ImageConfig = parse("the config of the image", config)?;
    let layers = config.rootfs.diff_ids;
    if layers.len() != archives {
        return Err(RuntimeError::Refused(format!(
            "it is no image of containers: its config names {} layers, and there are {archives}",
            layers.len()
        )));
    }
    if layers.len() > MAX_LAYERS {
        let said = format!("it has {} layers; {MAX_LAYERS} is the most", layers.len());
        return Err(RuntimeError::Refused(said));
    }
    Ok(layers)
}

/// Understands a document that somebody else wrote.
pub(super) fn parse<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes)
        .map_err(|error| RuntimeError::Refused(format!("{what} cannot be understood: {error}")))
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// A document by its digest.
fn blob(contents: &Contents, descriptor: &Descriptor) -> Result<Vec<u8>> {
    let bytes = needed(contents, &blob_path(&descriptor.digest))?;
    check("document", Some(&descriptor.digest), &Digest::of(&bytes))?;
    Ok(bytes)
}

fn needed(contents: &Contents, name: &str) -> Result<Vec<u8>> {
    let read = contents.document(name).map_err(failed("read", name.as_ref()))?;
    read.ok_or_else(|| RuntimeError::Refused(format!("`{name}` is missing")))
}

fn document<T: DeserializeOwned>(contents: &Contents, name: &str) -> Result<Option<T>> {
    let read = contents.document(name).map_err(failed("read", name.as_ref()))?;
    read.map(|bytes| parse(&format!("`{name}`"), &bytes)).transpose()
}
