//! Caches of builds that are elsewhere: `cache_from` and `cache_to`.
//!
//! In: steps of the store. Out: an image that holds their layers, in a registry or as a layout of
//! the OCI image specification in a directory; and back.
//!
//! # Invariants
//!
//! - A cache that cannot be read is none: the build goes on, and says so. One that cannot be
//!   written fails the build.
//! - Names are the user's: a cache gets none here, takes none away, and goes when it was used.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::copy::refused;
use super::job::{Job, failed};
use crate::model::spec::PullSpec;
use crate::runtime::native::image::{Image, ImageConfig, Origin, Output, Scratch, Step};
use crate::runtime::native::thread::in_thread;
use crate::runtime::{Progress, Result};

/// What the config of a cache says: each step by its key.
const STEPS: &str = "dev.ketch.steps";

/// Where a cache is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A name in a registry.
    Registry(String),
    /// A directory.
    Directory(PathBuf),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Registry(name) => f.write_str(name),
            Self::Directory(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A step in a cache.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    /// Which of the layers of the image it has made.
    layer: Option<usize>,
    created: String,
}

impl Place {
    /// Reads an item of `cache_from` or `cache_to`: a name, or `type=…,KEY=VALUE`. A relative path
    /// begins at the directory of the project.
    pub(super) fn parse(text: &str, directory: &Path) -> std::result::Result<Self, String> {
        if !text.contains('=') {
            return Ok(Self::Registry(text.to_owned()));
        }
        let fields: BTreeMap<&str, &str> =
            text.split(',').filter_map(|field| field.split_once('=')).collect();
        let needed = |names: &[&str]| {
            let found = names.iter().find_map(|name| fields.get(name)).copied();
            found.ok_or_else(|| format!("`{text}`: `{}` is missing", names[0]))
        };
        match fields.get("type").copied().unwrap_or("registry") {
            "registry" => Ok(Self::Registry(needed(&["ref"])?.to_owned())),
            "local" => Ok(Self::Directory(directory.join(needed(&["src", "dest"])?))),
            other => Err(format!(
                "`{text}`: the native runtime has caches of type registry and local, not `{other}`"
            )),
        }
    }
}

/// Refuses an image that is no cache.
fn has_steps(config: &ImageConfig) -> Result<()> {
    if config.other.contains_key(STEPS) {
        return Ok(());
    }
    Err(refused("it holds no steps: name what `ketch build` has written to `build.cache_to`"))
}

impl Job {
    /// Takes over what other caches know.
    pub(super) async fn import(self: &Arc<Self>, places: &[Place]) {
        for place in places {
            if let Err(error) = self.import_from(place).await {
                let said = format!("the cache `{place}` is not used: {error}");
                self.say("", &said).await;
            }
        }
    }

    async fn import_from(self: &Arc<Self>, place: &Place) -> Result<()> {
        let reference = match place {
            Place::Registry(name) => name.clone(),
            Place::Directory(path) => format!("oci:{}", path.display()),
        };
        let credentials = self.native.credentials().await?;
        let pull = PullSpec { image: reference.clone(), platform: String::new() };
        let image = self.store.pull_nameless(&pull, &credentials, has_steps).await?;
        let job = Arc::clone(self);
        in_thread(move || {
            let held = job.hold(&image)?;
            let (origin, config) = job.store.origin(&reference, &image)?;
            let entries = config.other.get(STEPS).cloned().unwrap_or_default();
            let entries: BTreeMap<String, Entry> =
                serde_json::from_value(entries).unwrap_or_default();
            for (key, entry) in entries {
                let is_key = key.len() == 64 && key.chars().all(|char| char.is_ascii_hexdigit());
                let layer = entry.layer.map(|at| origin.layer(at).cloned());
                // An entry that names no layer of this image is not to be trusted.
                let (true, false) = (is_key, layer == Some(None)) else { continue };
                if job.store.step(&key)?.is_none() {
                    let step = Step { layer: layer.flatten(), created: entry.created };
                    job.store.keep_step(&key, &step)?;
                }
            }
            drop(held);
            job.store.forget(&image.id)
        })
        .await
    }

    /// Keeps an image, which has no name, from being removed by others.
    fn hold(&self, image: &Image) -> Result<Scratch> {
        let holder = self.store.scratch()?;
        self.store.hold(image, holder.path())?;
        Ok(holder)
    }

    /// Hands on what this build has made or used.
    pub(super) async fn export(self: &Arc<Self>, places: &[Place]) -> Result<()> {
        if places.is_empty() {
            return Ok(());
        }
        let job = Arc::clone(self);
        let (image, held) = in_thread(move || {
            let image = job.assemble_cache()?;
            let held = job.hold(&image)?;
            Ok((image, held))
        })
        .await?;
        let mut exported = Ok(());
        for place in places {
            exported = self.export_to(place, &image).await;
            if exported.is_err() {
                break;
            }
        }
        drop(held);
        self.store.forget(&image.id)?;
        exported
    }

    async fn export_to(self: &Arc<Self>, place: &Place, image: &Image) -> Result<()> {
        match place {
            Place::Registry(name) => {
                let credentials = self.native.credentials().await?;
                let pushed = self.store.push_as(&image.id, name, &credentials, &|_: Progress| {});
                pushed.await.map_err(|error| refused(format!("`build.cache_to`: {error}")))
            }
            Place::Directory(path) => {
                let (job, id, path) = (Arc::clone(self), image.id.to_string(), path.clone());
                in_thread(move || job.save_cache(&id, &path)).await
            }
        }
    }

    /// An image of all layers that steps of this build have made.
    fn assemble_cache(&self) -> Result<Image> {
        let keys = self.used.lock().map(|used| used.clone()).unwrap_or_default();
        let (mut origin, mut entries) = (Origin::default(), BTreeMap::new());
        for key in keys {
            let Some(step) = self.store.step(&key)? else { continue };
            let layer = step.layer.map(|layer| {
                origin.push(layer);
                origin.len() - 1
            });
            entries.insert(key, Entry { layer, created: step.created });
        }
        let mut config = ImageConfig { platform: self.platform.clone(), ..ImageConfig::default() };
        let entries = serde_json::to_value(entries);
        let entries = entries.map_err(|error| refused(format!("`build.cache_to`: {error}")))?;
        config.other.insert(STEPS.to_owned(), entries);
        self.store.assemble(&origin, config, &[])
    }

    /// Writes a cache to a directory, in place of the one that was there.
    fn save_cache(&self, id: &str, path: &Path) -> Result<()> {
        let parent = path.parent().unwrap_or(path);
        fs::create_dir_all(parent).map_err(failed("make", parent))?;
        let new = tempfile::tempdir_in(parent).map_err(failed("make", parent))?;
        self.store.save(&[id], Output::Directory(new.path()))?;
        let is_cache = path.join("oci-layout").is_file();
        let replace = || -> io::Result<()> {
            // Only what is a cache goes; another directory must be empty.
            match if is_cache { fs::remove_dir_all(path) } else { fs::remove_dir(path) } {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            fs::rename(new.keep(), path)
        };
        replace().map_err(failed("write the cache", path))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Place;

    #[test]
    fn places_are_names_or_directories() {
        let parse = |text: &str| Place::parse(text, Path::new("/p"));
        assert_eq!(parse("reg/x:1"), Ok(Place::Registry("reg/x:1".to_owned())));
        assert_eq!(parse("type=registry,ref=a,mode=max"), Ok(Place::Registry("a".to_owned())));
        assert_eq!(parse("type=local,src=c"), Ok(Place::Directory("/p/c".into())));
        assert_eq!(parse("type=local"), Err("`type=local`: `src` is missing".to_owned()));
        assert!(parse("type=gha").unwrap_err().contains("registry and local"));
    }
}
