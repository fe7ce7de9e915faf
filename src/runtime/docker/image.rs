//! Stub.

use super::Docker;
use crate::model::observed::ObservedImage;
use crate::model::spec::PullSpec;
use crate::runtime::{Commit, OnProgress, Result};

impl Docker {
    pub(super) async fn image_named(&self, _reference: &str) -> Result<Option<ObservedImage>> {
        todo!()
    }

    pub(super) async fn pull_image(
        &self,
        _image: &PullSpec,
        _progress: OnProgress<'_>,
    ) -> Result<()> {
        todo!()
    }

    pub(super) async fn push_image(&self, _image: &str, _progress: OnProgress<'_>) -> Result<()> {
        todo!()
    }

    pub(super) async fn images_of(&self, _project: &str) -> Result<Vec<String>> {
        todo!()
    }

    pub(super) async fn delete_image(&self, _reference: &str) -> Result<()> {
        todo!()
    }

    pub(super) async fn commit_image(&self, _container: &str, _commit: &Commit) -> Result<String> {
        todo!()
    }
}
