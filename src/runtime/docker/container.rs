//! Stub.

use super::Docker;
use crate::model::spec::ContainerSpec;
use crate::runtime::Result;

impl Docker {
    pub(super) async fn make_container(&self, _container: &ContainerSpec) -> Result<Vec<String>> {
        todo!()
    }
}
