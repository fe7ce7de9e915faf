//! Images from registries and sources into the store.
//!
//! In: a reference. Out: an [`Image`].
//!
//! ```text
//! manifest ──> config ──> layers: fetch ──> partial/HEX ──> install ──> layers/HEX ──> record
//!                                 (several at once)   (several at once)
//! ```
//!
//! # Invariants
//!
//! - A layer is unpacked while it is downloaded; what is here already is asked for by nobody.
//! - Locks of downloads are taken in the order of their digests: two pulls never wait for each
//!   other in a circle.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use futures_util::stream::{self, TryStreamExt as _};
use tokio::sync::mpsc;

use super::super::thread::in_thread;
use super::digest::Digest;
use super::install::{Cancel, Source, Supply, Wanted, install};
use super::load::{Document, fitting, manifest_or_index, parse, wanted};
use super::platform::Platform;
use super::record::{LayerInfo, Record};
use super::reference::{Name, Reference};
use super::registry::{Download, Repository};
use super::spec::{ImageConfig, Index, Manifest};
use super::store::{Recipe, Recorded, Store, no_such_image};
use super::task::CancelOnDrop;
use super::{Image, place};
use crate::model::spec::PullSpec;
use crate::runtime::{Credentials, OnProgress, Progress, Result, RuntimeError};

/// How many layers are downloaded at once.
const DOWNLOADS: usize = 4;
/// How often a pull begins anew because somebody removes layers, or a resumed download was wrong.
const ATTEMPTS: usize = 3;
/// The most lists in lists.
const MAX_DEPTH: usize = 3;

/// Whether an image gets the name that it is asked for by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    Given,
    None,
}

/// How an image is pulled.
#[derive(Clone, Copy)]
struct How<'a> {
    naming: Naming,
    progress: OnProgress<'a>,
    /// Sees the config of the image before any layer is asked for.
    check: &'a (dyn Fn(&ImageConfig) -> Result<()> + Send + Sync),
}

/// Everything about an image but its layers.
#[derive(Debug)]
struct Plan {
    config: Vec<u8>,
    layers: Vec<Wanted>,
    /// What it gets called.
    names: Vec<(String, String)>,
}

impl Store {
    /// Gets an image: from its registry, or from a source of this machine.
    ///
    /// # Errors
    ///
    /// The image is not there or not for this platform, the registry cannot be reached or denies
    /// access, or what it sends does not fit its digests.
    pub async fn pull(
        &self,
        image: &PullSpec,
        credentials: &Credentials,
        progress: OnProgress<'_>,
    ) -> Result<Image> {
        let how = How { naming: Naming::Given, progress, check: &|_: &ImageConfig| Ok(()) };
        self.pull_as(image, credentials, how).await
    }

    /// Gets an image without giving it a name: names are left to what has them. `check` sees its
    /// config before any layer is asked for.
    ///
    /// # Errors
    ///
    /// As for [`pull`](Self::pull), and what `check` says.
    pub async fn pull_nameless(
        &self,
        image: &PullSpec,
        credentials: &Credentials,
        check: impl Fn(&ImageConfig) -> Result<()> + Send + Sync,
    ) -> Result<Image> {
        let how = How { naming: Naming::None, progress: &|_: Progress| {}, check: &check };
        self.pull_as(image, credentials, how).await
    }

    async fn pull_as(
        &self,
        image: &PullSpec,
        credentials: &Credentials,
        How { naming, progress, check }: How<'_>,
    ) -> Result<Image> {
        let refused = |error: &dyn std::error::Error| RuntimeError::Refused(error.to_string());
        let reference: Reference = image.image.parse().map_err(|error| refused(&error))?;
        let platform = match image.platform.as_str() {
            "" => Platform::host(),
            text => text.parse().map_err(|error: super::NotAPlatform| refused(&error))?,
        };
        match reference {
            Reference::RootFs(_) => {
                self.find(&image.image)?.ok_or_else(|| no_such_image(&image.image))
            }
            Reference::Registry(name) => {
                let repository = Repository::to_pull(&name, credentials).await?;
                self.sweep()?;
                let _busy = self.place.busy()?;
                let mut plan = plan(&repository, &name, &platform).await?;
                check(&parse("the config", &plan.config)?)?;
                plan.names.retain(|_| naming == Naming::Given);
                self.pull_from(&repository, &Arc::new(plan), progress).await
            }
            source => {
                let store = self.clone();
                let work = move |tell: &Teller, cancel: &Cancel| {
                    store.load_source(&source, &platform, (naming, &|it| tell.tell(it), cancel))
                };
                let image = told(progress, CancelOnDrop::default(), work, std::future::pending());
                let image = image.await?;
                check(&image.config).map(|()| image)
            }
        }
    }

    /// The digest that an image has in its registry now.
    ///
    /// # Errors
    ///
    /// The reference names no registry, or the registry has no such image or does not answer.
    pub async fn remote_digest(
        &self,
        reference: &str,
        credentials: &Credentials,
    ) -> Result<String> {
        let parsed = reference.parse::<Reference>();
        let Reference::Registry(name) =
            parsed.map_err(|error| RuntimeError::Refused(error.to_string()))?
        else {
            return Err(RuntimeError::Unsupported(format!("`{reference}` is in no registry")));
        };
        let repository = Repository::to_pull(&name, credentials).await?;
        Ok(repository.manifest(name.version()).await?.digest.to_string())
    }

    async fn pull_from(
        &self,
        repository: &Repository,
        plan: &Arc<Plan>,
        progress: OnProgress<'_>,
    ) -> Result<Image> {
        let mut attempt = 1;
        loop {
            let done = self.bring_layers(repository, plan, progress).await;
            let (result, was_resumed) = match done {
                Ok(Recorded::Done(id)) => {
                    let image = self.image(&id, &self.names()?)?;
                    return image.ok_or_else(|| no_such_image(id.as_str()));
                }
                Ok(Recorded::LayerVanished(layer)) => {
                    let said = format!("layer `{layer}` is removed again and again");
                    (RuntimeError::Conflict(said), true)
                }
                Err((error, was_resumed)) => (error, was_resumed),
            };
            // What a process that was killed has left may be damaged; what comes now is not.
            if !was_resumed || attempt == ATTEMPTS {
                return Err(result);
            }
            tracing::debug!(%result, "again");
            attempt += 1;
        }
    }

    /// Downloads and unpacks the missing layers and records the image. With an error comes
    /// whether it may be due to what was here before.
    async fn bring_layers(
        &self,
        repository: &Repository,
        plan: &Arc<Plan>,
        progress: OnProgress<'_>,
    ) -> std::result::Result<Recorded, (RuntimeError, bool)> {
        let downloads = self.downloads(plan).await.map_err(|error| (error, false))?;
        let was_resumed = downloads.values().any(|download| download.is_resumed);
        let openers: BTreeMap<usize, Opener> =
            downloads.iter().map(|(at, it)| (*at, Box::new(it.opener()) as Opener)).collect();
        let (store, plan) = (self.clone(), Arc::clone(plan));
        let work = move |tell: &Teller, cancel: &Cancel| {
            let supply = Remote { openers, tell, cancel };
            let layers = install(&store, &plan.layers, &supply)?;
            let recipe =
                Recipe { config: plan.config.clone(), record: Record { below: None, layers } };
            store.record(&recipe, &plan.names)
        };
        let fetch = async {
            let all = stream::iter(downloads.values().map(Ok));
            let fetched = all
                .try_for_each_concurrent(DOWNLOADS, |it: &Download| it.fetch(repository, progress))
                .await;
            if fetched.is_err() {
                // Whoever reads them waits for nothing.
                downloads.values().for_each(Download::end);
            }
            fetched
        };
        let result = told(progress, CancelOnDrop::default(), work, fetch).await;
        let is_of_no_use = match &result {
            Ok(_) => true,
            // What the network cut goes on where it was cut.
            Err(error) => !matches!(error, RuntimeError::RegistryUnreachable { .. }),
        };
        if is_of_no_use {
            downloads.values().for_each(Download::discard);
        }
        result.map_err(|error| (error, was_resumed))
    }

    /// The downloads of the layers that are missing, by their place in the image.
    async fn downloads(&self, plan: &Arc<Plan>) -> Result<BTreeMap<usize, Download>> {
        let (store, plan) = (self.clone(), Arc::clone(plan));
        in_thread(move || {
            let mut missing = store.missing(&plan.layers)?;
            missing.sort_by_key(|at| plan.layers[*at].compressed.as_ref().map(|it| &it.digest));
            let mut downloads = BTreeMap::new();
            let mut last: Option<&Digest> = None;
            for at in missing {
                let Some(descriptor) = &plan.layers[at].compressed else { continue };
                if last == Some(&descriptor.digest) {
                    continue;
                }
                last = Some(&descriptor.digest);
                let download = Download::open(&store.place, descriptor)?;
                // Whoever had the lock may have brought it.
                if store.missing(&plan.layers[at..=at])?.is_empty() {
                    download.discard();
                } else {
                    downloads.insert(at, download);
                }
            }
            Ok(downloads)
        })
        .await
    }

    /// Which layers may be missing. One that relied on others before is opened again: what it
    /// relies on may differ.
    fn missing(&self, layers: &[Wanted]) -> Result<Vec<usize>> {
        let mut missing = Vec::new();
        for (at, wanted) in layers.iter().enumerate() {
            let info = self.place.layer(wanted.diff_id.hex()).join("layer.json");
            if place::read_json::<LayerInfo>(&info)?.is_none() {
                missing.push(at);
            }
        }
        Ok(missing)
    }
}

/// Asks for everything but the layers.
async fn plan(repository: &Repository, name: &Name, platform: &Platform) -> Result<Plan> {
    let top = repository.manifest(name.version()).await?;
    let by_digest = name.with_digest(top.digest.clone()).to_string();
    let manifest = resolve(repository, top.bytes, name, platform).await?;
    let config = repository.blob(&manifest.config).await?;
    let diff_ids = wanted(&config, manifest.layers.len())?;
    let layers = diff_ids
        .into_iter()
        .zip(manifest.layers)
        .map(|(diff_id, layer)| Wanted { diff_id, compressed: Some(layer) })
        .collect();
    let own = parse::<ImageConfig>("the config of the image", &config)?.platform;
    if !own.os.is_empty() && platform.distance(&own).is_none() {
        return Err(RuntimeError::NotFound(format!(
            "image `{}` is made for {own}, not for {platform}",
            name.familiar()
        )));
    }
    let by_tag = name.digest.is_none().then(|| name.to_string());
    let names = by_tag.into_iter().chain([by_digest]).map(|name| (name, String::new())).collect();
    Ok(Plan { config, layers, names })
}

/// The manifest for a platform.
async fn resolve(
    repository: &Repository,
    mut bytes: Vec<u8>,
    name: &Name,
    platform: &Platform,
) -> Result<Manifest> {
    for _ in 0..MAX_DEPTH {
        let index = match manifest_or_index(&bytes)? {
            Document::Manifest(manifest) => return Ok(manifest),
            Document::Index(index) => index,
        };
        let Some(descriptor) = fitting(&index, platform) else {
            return Err(no_platform(&index, name, platform));
        };
        bytes = repository.manifest(descriptor.digest.as_str()).await?.bytes;
    }
    Err(RuntimeError::Refused("lists of images are in each other too deep".to_owned()))
}

fn no_platform(index: &Index, name: &Name, platform: &Platform) -> RuntimeError {
    let known = index.manifests.iter().filter_map(|it| it.platform.as_ref());
    let mut known: Vec<String> =
        known.filter(|it| it.os != "unknown").map(ToString::to_string).collect();
    known.sort();
    known.dedup();
    known.truncate(20);
    RuntimeError::NotFound(format!(
        "image `{}` is not there for {platform}; it is for {}",
        name.familiar(),
        known.join(", ")
    ))
}

/// Opens a download.
type Opener = Box<dyn Fn() -> Source + Send + Sync>;

struct Remote<'a> {
    openers: BTreeMap<usize, Opener>,
    tell: &'a Teller,
    cancel: &'a Cancel,
}

impl Supply for Remote<'_> {
    fn open(&self, index: usize) -> io::Result<Source> {
        let opener = self.openers.get(&index);
        let opener = opener.ok_or_else(|| io::Error::other("it was removed meanwhile"))?;
        Ok(opener())
    }

    fn tell(&self, progress: Progress) {
        self.tell.tell(progress);
    }

    fn cancel(&self) -> &Cancel {
        self.cancel
    }
}

/// Takes progress in another thread.
#[derive(Clone, Debug)]
struct Teller(mpsc::UnboundedSender<Progress>);

impl Teller {
    fn tell(&self, progress: Progress) {
        // Nobody may listen any more.
        let _ = self.0.send(progress);
    }
}

/// Does work in a thread that tells how far it is, beside something else that it needs. What fails
/// there is told rather than what fails here because of it, which has to be over then.
async fn told<T: Send + 'static>(
    progress: OnProgress<'_>,
    cancel: CancelOnDrop,
    work: impl FnOnce(&Teller, &Cancel) -> Result<T> + Send + 'static,
    beside: impl Future<Output = Result<()>>,
) -> Result<T> {
    let (sender, mut heard) = mpsc::unbounded_channel();
    let flag = cancel.0.clone();
    let work = in_thread(move || work(&Teller(sender), &flag));
    let (mut work, mut beside) = (std::pin::pin!(work), std::pin::pin!(beside));
    let mut is_beside = true;
    loop {
        tokio::select! {
            biased;
            Some(told) = heard.recv() => progress(told),
            done = &mut beside, if is_beside => {
                is_beside = false;
                if let Err(error) = done {
                    cancel.0.set();
                    let _ = work.await;
                    return Err(error);
                }
            }
            done = &mut work => return done,
        }
    }
}
