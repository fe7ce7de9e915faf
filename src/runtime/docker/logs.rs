//! Stub.

use super::Docker;
use crate::runtime::{Chunk, LogOptions, Stream};

impl Docker {
    pub(super) fn read_logs(
        &self,
        _container: &str,
        _options: &LogOptions,
    ) -> Stream<'static, Chunk> {
        todo!()
    }
}
