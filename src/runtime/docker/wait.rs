//! Stub.

use super::Docker;
use crate::model::observed::Milestone;
use crate::runtime::Result;

impl Docker {
    pub(super) async fn wait_for(&self, _container: &str, _milestone: Milestone) -> Result<()> {
        todo!()
    }

    pub(super) async fn wait_for_end(&self, _container: &str) -> Result<i64> {
        todo!()
    }
}
