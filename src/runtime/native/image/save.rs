//! Images to archives and layouts.
//!
//! In: references. Out: an archive that is both what `docker load` reads, of any version, and a
//! layout of the OCI image specification; or that layout as a directory.
//!
//! # Invariants
//!
//! - Layers are the archives that they were unpacked from, byte for byte, and are checked while
//!   they are written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde_json::json;
use tar::{Builder, EntryType, Header};

use super::digest::{Digest, Hashing};
use super::install::check;
use super::layer::Archive;
use super::place::{failed, read_json};
use super::record::{LayerInfo, Record};
use super::reference::Name;
use super::spec::{Descriptor, Index, Manifest, media};
use super::store::{Store, no_such_image};
use crate::runtime::{Result, RuntimeError};

/// What says that a directory or archive is a layout.
const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// Where images are saved to.
pub enum Output<'a> {
    /// A tar archive.
    Archive(&'a mut dyn Write),
    /// A new or empty directory.
    Directory(&'a Path),
}

impl std::fmt::Debug for Output<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Archive(_) => f.write_str("Archive"),
            Self::Directory(path) => f.debug_tuple("Directory").field(path).finish(),
        }
    }
}

/// An image that is saved, under some of its names.
struct Saved {
    id: Digest,
    names: Vec<Name>,
    record: Record,
}

impl Store {
    /// Saves images under the names that they are asked for by; one that is asked for by its
    /// identity has none.
    ///
    /// # Errors
    ///
    /// An image is not there, its files were changed on the disk, or the output fails.
    pub fn save(&self, references: &[&str], output: Output<'_>) -> Result<()> {
        let images = self.to_save(references)?;
        let mut sink = match output {
            Output::Archive(out) => Sink::Archive(Box::new(Builder::new(out))),
            Output::Directory(path) => {
                fs::create_dir_all(path.join("blobs/sha256")).map_err(failed("make", path))?;
                Sink::Directory(path.to_owned())
            }
        };
        let mut written = BTreeSet::new();
        let (mut manifests, mut docker) = (Vec::new(), Vec::new());
        for image in &images {
            let saved = self.save_image(image, &mut sink, &mut written)?;
            docker.push(json!({
                "Config": blob(&image.id),
                "RepoTags": image.names.iter().map(Name::familiar).collect::<Vec<_>>(),
                "Layers": saved.layers.iter().map(|it| blob(&it.digest)).collect::<Vec<_>>(),
            }));
            manifests.extend(listed(&saved, &image.names, &mut sink, &mut written)?);
        }
        let index = Index { schema_version: 2, media_type: media::INDEX.to_owned(), manifests };
        sink.json("index.json", &index)?;
        sink.json("manifest.json", &docker)?;
        sink.file("oci-layout", LAYOUT.len() as u64, &mut &*LAYOUT)?;
        sink.finish()
    }

    fn to_save(&self, references: &[&str]) -> Result<Vec<Saved>> {
        let names = self.names()?;
        let mut images: Vec<Saved> = Vec::new();
        for reference in references {
            let id = self.resolve(reference, &names)?.ok_or_else(|| no_such_image(reference))?;
            let name = reference.parse::<Name>().ok();
            let name = name.filter(|name| names.names.contains_key(&name.to_string()));
            let name = name.filter(|name| name.digest.is_none());
            if let Some(known) = images.iter_mut().find(|image| image.id == id) {
                known.names.extend(name.filter(|name| !known.names.contains(name)));
                continue;
            }
            let record = self.record_of(&id)?.ok_or_else(|| no_such_image(reference))?;
            record.check_whole(reference)?;
            images.push(Saved { id, names: name.into_iter().collect(), record });
        }
        Ok(images)
    }

    /// Writes config and layers of an image; gives its manifest.
    fn save_image(
        &self,
        image: &Saved,
        sink: &mut Sink<'_>,
        written: &mut BTreeSet<Digest>,
    ) -> Result<Manifest> {
        let config = self.config_of(&image.id)?;
        check("config", Some(&image.id), &Digest::of(&config))?;
        let size = config.len() as u64;
        if written.insert(image.id.clone()) {
            sink.file(&blob(&image.id), size, &mut &config[..])?;
        }
        let mut layers = Vec::new();
        for layer in &image.record.layers {
            let directory = self.place.layer(&layer.directory);
            let info: Option<LayerInfo> = read_json(&directory.join("layer.json"))?;
            let info = info.ok_or_else(|| no_such_image(image.id.as_str()))?;
            if written.insert(info.diff_id.clone()) {
                let archive = Archive::open(&directory).map_err(failed("read", &directory))?;
                let mut archive = Hashing::new(archive);
                sink.file(&blob(&info.diff_id), info.archive_size, &mut archive)?;
                check("layer on the disk", Some(&info.diff_id), &archive.finish().0)?;
            }
            let media_type = media::TAR.to_owned();
            layers.push(Descriptor::new(media_type, info.diff_id, info.archive_size));
        }
        let config = Descriptor::new(media::CONFIG.to_owned(), image.id.clone(), size);
        Ok(Manifest { schema_version: 2, media_type: media::MANIFEST.to_owned(), config, layers })
    }
}

/// Writes a manifest; gives how the index lists it: once for each name.
fn listed(
    manifest: &Manifest,
    called: &[Name],
    sink: &mut Sink<'_>,
    written: &mut BTreeSet<Digest>,
) -> Result<Vec<Descriptor>> {
    let bytes = serde_json::to_vec(manifest).map_err(io::Error::from);
    let bytes = bytes.map_err(failed("write", "manifest".as_ref()))?;
    let digest = Digest::of(&bytes);
    if written.insert(digest.clone()) {
        sink.file(&blob(&digest), bytes.len() as u64, &mut &bytes[..])?;
    }
    let plain = Descriptor::new(media::MANIFEST.to_owned(), digest, bytes.len() as u64);
    if called.is_empty() {
        return Ok(vec![plain]);
    }
    let entry = |name: &Name| {
        let annotations = BTreeMap::from([
            ("io.containerd.image.name".to_owned(), name.to_string()),
            ("org.opencontainers.image.ref.name".to_owned(), name.version().to_owned()),
        ]);
        Descriptor { annotations: Some(annotations), ..plain.clone() }
    };
    Ok(called.iter().map(entry).collect())
}

fn blob(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// Takes files one after the other.
enum Sink<'a> {
    Archive(Box<Builder<&'a mut dyn Write>>),
    Directory(PathBuf),
}

impl Sink<'_> {
    fn json(&mut self, name: &str, value: &impl serde::Serialize) -> Result<()> {
        let bytes = serde_json::to_vec(value).map_err(io::Error::from);
        let bytes = bytes.map_err(failed("write", name.as_ref()))?;
        self.file(name, bytes.len() as u64, &mut &bytes[..])
    }

    fn file(&mut self, name: &str, size: u64, content: &mut dyn Read) -> Result<()> {
        let mut content = content.take(size);
        let written = match self {
            Self::Archive(builder) => {
                let mut header = Header::new_gnu();
                header.set_entry_type(EntryType::Regular);
                header.set_mode(0o644);
                header.set_uid(0);
                header.set_gid(0);
                header.set_mtime(0);
                header.set_size(size);
                builder.append_data(&mut header, name, &mut content)
            }
            Self::Directory(directory) => {
                let path = directory.join(name);
                File::create(path).and_then(|mut file| io::copy(&mut content, &mut file)).map(drop)
            }
        };
        written.map_err(failed("write", name.as_ref()))?;
        if content.limit() > 0 {
            return Err(RuntimeError::Refused(format!("`{name}` was changed on the disk")));
        }
        Ok(())
    }

    fn finish(self) -> Result<()> {
        match self {
            Self::Archive(builder) => {
                let written = builder.into_inner().and_then(Write::flush);
                written.map_err(failed("write", "the archive".as_ref()))
            }
            Self::Directory(_) => Ok(()),
        }
    }
}
