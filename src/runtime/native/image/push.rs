//! Images to registries.
//!
//! In: the name of an image. Out: its layers, compressed again, its config and a manifest.
//!
//! # Invariants
//!
//! - Every layer is checked against its digest before it is sent: files on the disk may have been
//!   changed.
//! - What the registry has already is not sent.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::super::thread::in_thread;
use super::digest::{Digest, Hashing};
use super::install::{Cancel, check};
use super::layer::Archive;
use super::place::{Staging, failed, read_json};
use super::record::{LayerInfo, LayerRecord};
use super::reference::Name;
use super::registry::{Repository, Sent};
use super::spec::{Descriptor, Manifest, media};
use super::store::{Store, no_such_image, tagged};
use super::task::CancelOnDrop;
use crate::runtime::{Credentials, OnProgress, Progress, Result};

/// How many layers are sent at once.
const UPLOADS: usize = 3;
const PIECE: usize = 128 << 10;

impl Store {
    /// Sends an image to the registry of its name.
    ///
    /// # Errors
    ///
    /// The image is not there, its files were changed on the disk, or the registry cannot be
    /// reached or denies access.
    pub async fn push(
        &self,
        image: &str,
        credentials: &Credentials,
        progress: OnProgress<'_>,
    ) -> Result<()> {
        let name = tagged(image)?;
        let found = self.find(&name.to_string())?.ok_or_else(|| no_such_image(image))?;
        let (layers, digest) = self.send(&found.id, &name, (credentials, progress)).await?;
        self.remember(&found.id, layers, &name.with_digest(digest).to_string())
    }

    /// Sends an image under a name that it does not have here, and does not get.
    ///
    /// # Errors
    ///
    /// As for [`push`](Self::push).
    pub async fn push_as(
        &self,
        id: &Digest,
        name: &str,
        credentials: &Credentials,
        progress: OnProgress<'_>,
    ) -> Result<()> {
        self.send(id, &tagged(name)?, (credentials, progress)).await.map(drop)
    }

    /// Sends an image; gives how the registry calls its layers and itself.
    async fn send(
        &self,
        id: &Digest,
        name: &Name,
        (credentials, progress): (&Credentials, OnProgress<'_>),
    ) -> Result<(Vec<Descriptor>, Digest)> {
        let record = self.record_of(id)?.ok_or_else(|| no_such_image(id.as_str()))?;
        record.check_whole(&name.familiar())?;
        let config = self.config_of(id)?;
        let repository = Repository::to_push(name, credentials).await?;
        let _busy = self.place.busy()?;
        let work = CancelOnDrop::default();
        let upload = |layer: LayerRecord| self.push_layer(&repository, layer, &work.0, progress);
        let layers: Vec<Descriptor> =
            stream::iter(record.layers.clone()).map(upload).buffered(UPLOADS).try_collect().await?;
        let config = self.push_config(&repository, config).await?;
        let manifest = Manifest {
            schema_version: 2,
            media_type: media::MANIFEST.to_owned(),
            config,
            layers: layers.clone(),
        };
        let bytes = serde_json::to_vec(&manifest)
            .map_err(io::Error::from)
            .map_err(failed("write", "the manifest".as_ref()))?;
        let digest = repository.put_manifest(name.version(), media::MANIFEST, &bytes).await?;
        Ok((layers, digest))
    }

    /// Writes down what the registry calls the image and its layers now.
    fn remember(&self, id: &Digest, layers: Vec<Descriptor>, name: &str) -> Result<()> {
        let lock = self.place.lock()?;
        if let Some(mut record) = self.record_of(id)? {
            for (layer, descriptor) in record.layers.iter_mut().zip(layers) {
                layer.compressed = Some(descriptor);
            }
            self.place.write(&self.place.image(id.hex()).join("record.json"), &record, &lock)?;
            let mut names = self.names()?;
            names.give(name, id, String::new());
            self.write_names(&names, &lock)?;
        }
        Ok(())
    }

    async fn push_layer(
        &self,
        repository: &Repository,
        layer: LayerRecord,
        cancel: &Cancel,
        progress: OnProgress<'_>,
    ) -> Result<Descriptor> {
        if let Some(known) = &layer.compressed
            && repository.has(&known.digest).await?
        {
            tell(progress, &known.digest, "Layer already exists", (0, 0));
            return Ok(known.clone());
        }
        let (store, cancel) = (self.clone(), cancel.clone());
        let packed = in_thread(move || store.compress(&layer, &cancel)).await?;
        let descriptor = packed.descriptor;
        if repository.has(&descriptor.digest).await? {
            tell(progress, &descriptor.digest, "Layer already exists", (0, 0));
            return Ok(descriptor);
        }
        let (sender, mut heard) = tokio::sync::watch::channel(0);
        let sent: Sent = Arc::new(move |bytes| {
            sender.send_replace(bytes);
        });
        let path = packed.staging.path().join("layer.tar.gz");
        let tell_how_far = async {
            while let Ok(()) = heard.changed().await {
                let bytes = *heard.borrow_and_update();
                tell(progress, &descriptor.digest, "Pushing", (bytes, descriptor.size));
            }
        };
        let upload = repository.upload(&descriptor.digest, &path, sent);
        futures_util::future::join(upload, tell_how_far).await.0?;
        tell(progress, &descriptor.digest, "Pushed", (0, 0));
        Ok(descriptor)
    }

    /// The archive of a layer, compressed.
    fn compress(&self, layer: &LayerRecord, cancel: &Cancel) -> Result<Packed> {
        let directory = self.place.layer(&layer.directory);
        let info: Option<LayerInfo> = read_json(&directory.join("layer.json"))?;
        let info = info.ok_or_else(|| no_such_image(&layer.directory))?;
        let staging = self.place.stage()?;
        let path = staging.path().join("layer.tar.gz");
        let compress = || -> io::Result<Digest> {
            let mut archive = Hashing::new(Archive::open(&directory)?);
            let mut out = GzEncoder::new(File::create_new(&path)?, Compression::default());
            let mut piece = vec![0; PIECE];
            loop {
                if cancel.is_set() {
                    return Err(io::Error::other("nobody waits for it any more"));
                }
                match archive.read(&mut piece)? {
                    0 => break,
                    count => out.write_all(&piece[..count])?,
                }
            }
            out.finish()?.flush()?;
            Ok(archive.finish().0)
        };
        let found = compress().map_err(failed("pack", &directory))?;
        check("layer on the disk", Some(&info.diff_id), &found)?;
        let mut packed = Hashing::new(File::open(&path).map_err(failed("open", &path))?);
        io::copy(&mut packed, &mut io::sink()).map_err(failed("read", &path))?;
        let (digest, size) = packed.finish();
        let media_type = media::TAR_GZIP.to_owned();
        Ok(Packed { staging, descriptor: Descriptor::new(media_type, digest, size) })
    }

    async fn push_config(&self, repository: &Repository, config: Vec<u8>) -> Result<Descriptor> {
        let media_type = media::CONFIG.to_owned();
        let descriptor = Descriptor::new(media_type, Digest::of(&config), config.len() as u64);
        if !repository.has(&descriptor.digest).await? {
            let staging = self.place.stage()?;
            let path = staging.path().join("config.json");
            fs::write(&path, &config).map_err(failed("write", &path))?;
            repository.upload(&descriptor.digest, &path, Arc::new(|_| {})).await?;
        }
        Ok(descriptor)
    }
}

/// A layer that is ready to be sent.
struct Packed {
    staging: Staging,
    descriptor: Descriptor,
}

fn tell(progress: OnProgress<'_>, digest: &Digest, status: &str, (current, total): (u64, u64)) {
    let part = digest.hex()[..12].to_owned();
    progress(Progress { part, status: status.to_owned(), current, total });
}
