//! Images, as commands ask for them.
//!
//! In: references. Out: what the store has, gets and gives.

use super::image::{Force, Image, Snapshot, Store};
use super::record::Record;
use super::{Native, names};
use crate::model::label;
use crate::model::observed::ObservedImage;
use crate::model::spec::PullSpec;
use crate::runtime::{Commit, OnProgress, Result, RuntimeError};

impl Native {
    fn store(&self) -> Result<Store> {
        Store::open(&self.root.images())
    }

    pub(super) fn image_named(&self, reference: &str) -> Result<Option<ObservedImage>> {
        Ok(self.store()?.find(reference)?.map(|image| observed(&image)))
    }

    pub(super) async fn pull_image(
        &self,
        image: &PullSpec,
        progress: OnProgress<'_>,
    ) -> Result<()> {
        let credentials = self.credentials().await?;
        self.store()?.pull(image, &credentials, progress).await.map(drop)
    }

    pub(super) async fn push_image(&self, image: &str, progress: OnProgress<'_>) -> Result<()> {
        let credentials = self.credentials().await?;
        self.store()?.push(image, &credentials, progress).await
    }

    pub(super) async fn remote_digest(&self, reference: &str) -> Result<String> {
        let credentials = self.credentials().await?;
        self.store()?.remote_digest(reference, &credentials).await
    }

    /// The names of the images that carry the label of a project.
    pub(super) fn images_of(&self, project: &str) -> Result<Vec<String>> {
        let images = self.store()?.list()?;
        let is_ours = |image: &Image| {
            let labels = &image.config.config.labels;
            labels.get(label::PROJECT).is_some_and(|found| found == project)
        };
        Ok(images.into_iter().filter(is_ours).flat_map(|image| image.names).collect())
    }

    pub(super) fn delete_image(&self, reference: &str) -> Result<()> {
        match self.store()?.remove(reference, Force::No) {
            Err(RuntimeError::NotFound(_)) => Ok(()),
            done => done.map(drop),
        }
    }

    /// Makes an image of a container, frozen meanwhile if that is wanted.
    pub(super) async fn commit_image(&self, container: &str, commit: &Commit) -> Result<String> {
        let named = names::the(&self.root, container)?;
        let place = self.root.container(&named.id);
        let record = Record::read(&place)?.ok_or_else(|| names::missing(container))?;
        let store = self.store()?;
        // A directory of this machine is no image of the store, and is found by its reference.
        let base = match store.find(&record.image_id)? {
            Some(base) => Some(base),
            None => store.find(&record.image)?,
        };
        let gone = || RuntimeError::NotFound(format!("no such image: {}", record.image));
        let base = base.ok_or_else(gone)?;
        let is_frozen = commit.pause && self.pause(container).await.is_ok();
        let upper = place.upper();
        let made = store.commit(&Snapshot { base: &base, upper: &upper, commit });
        if is_frozen {
            self.unpause(container).await?;
        }
        Ok(made?.id.to_string())
    }
}

fn observed(image: &Image) -> ObservedImage {
    let config = &image.config.config;
    ObservedImage {
        id: image.id.to_string(),
        names: image.names.clone(),
        platform: image.config.platform.to_string(),
        volumes: config.volumes.keys().cloned().collect(),
        tagged: image.tagged.0,
        tagged_nanos: image.tagged.1,
        size: image.size,
        labels: config.labels.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
    }
}
