//! Stub.

use super::Docker;
use crate::model::observed::Observed;
use crate::runtime::Result;

impl Docker {
    pub(super) async fn list_project(&self, _project: Option<&str>) -> Result<Observed> {
        todo!()
    }
}
