//! Stub.

use super::Docker;
use crate::model::spec::BuildSpec;
use crate::runtime::{OnProgress, Result};

impl Docker {
    pub(super) async fn build_image(
        &self,
        _build: &BuildSpec,
        _progress: OnProgress<'_>,
    ) -> Result<()> {
        todo!()
    }
}
