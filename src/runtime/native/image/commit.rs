//! A container as an image: what it has written becomes a layer.
//!
//! In: a [`Snapshot`]. Out: an [`Image`].

use std::io;

use super::place::failed;
use super::record::{LayerRecord, Record};
use super::spec::{History, ImageConfig};
use super::store::{Recipe, Recorded, Store, no_such_image, tagged};
use super::{Image, Snapshot, change};
use crate::runtime::{Result, RuntimeError};

impl Store {
    /// Makes an image of a container.
    ///
    /// # Errors
    ///
    /// The base is no image of the store, a change is none, or what was written cannot be read.
    pub fn commit(&self, snapshot: &Snapshot<'_>) -> Result<Image> {
        self.sweep()?;
        let _busy = self.place.busy()?;
        let name = match snapshot.commit.reference.as_str() {
            "" => None,
            reference => Some(tagged(reference)?.to_string()),
        };
        let id = &snapshot.base.id;
        let Some(mut record) = self.record_of(id)? else {
            return Err(RuntimeError::Unsupported(
                "a container of `rootfs:DIR` cannot become an image: its files are not in the store"
                    .to_owned(),
            ));
        };
        let mut config: ImageConfig =
            serde_json::from_slice(&self.config_of(id)?).map_err(|_| no_such_image(id.as_str()))?;
        change::apply(&mut config.config, &snapshot.commit.changes)?;
        let layer = self.layer_of(snapshot)?;
        let now = jiff::Timestamp::now().to_string();
        config.created.clone_from(&now);
        config.author.clone_from(&snapshot.commit.author);
        // What Docker says of the container that it was, which is no more.
        for outdated in ["container", "container_config", "id", "parent"] {
            config.other.shift_remove(outdated);
        }
        config.rootfs.diff_ids.push(layer.1);
        config.history.push(History {
            created: now,
            author: snapshot.commit.author.clone(),
            comment: snapshot.commit.message.clone(),
            ..History::default()
        });
        record.layers.push(layer.0);
        self.add(&config, record, name)
    }

    /// Records an image that was made here.
    fn add(&self, config: &ImageConfig, record: Record, name: Option<String>) -> Result<Image> {
        let names: Vec<_> = name.into_iter().collect();
        self.add_named(config, record, &names)
    }

    /// The same with several names.
    pub(super) fn add_named(
        &self,
        config: &ImageConfig,
        record: Record,
        names: &[String],
    ) -> Result<Image> {
        let config = serde_json::to_vec(config).map_err(io::Error::from);
        let config = config.map_err(failed("write", "the config of the image".as_ref()))?;
        let names: Vec<_> = names.iter().map(|name| (name.clone(), String::new())).collect();
        match self.record(&Recipe { config, record }, &names)? {
            Recorded::Done(id) => {
                self.image(&id, &self.names()?)?.ok_or_else(|| no_such_image(id.as_str()))
            }
            Recorded::LayerVanished(layer) => {
                Err(RuntimeError::Conflict(format!("layer `{layer}` was removed meanwhile")))
            }
        }
    }

    /// What a container has written as a layer.
    fn layer_of(&self, snapshot: &Snapshot<'_>) -> Result<(LayerRecord, super::Digest)> {
        let made = self.layer_of_directory(snapshot.upper, None)?;
        Ok((made.record, made.diff_id))
    }
}
