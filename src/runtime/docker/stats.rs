//! Stub.

use super::Docker;
use crate::runtime::{ProcessTable, Repeat, Result, Sample, Stream};

impl Docker {
    pub(super) async fn processes(&self, _container: &str) -> Result<ProcessTable> {
        todo!()
    }

    pub(super) fn samples(&self, _container: &str, _repeat: Repeat) -> Stream<'static, Sample> {
        todo!()
    }
}
