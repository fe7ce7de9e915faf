//! Stub.

use futures_util::stream::BoxStream;

use super::Docker;
use crate::runtime::{Bytes, PathInfo, Result, Stream};

impl Docker {
    pub(super) async fn path_info(
        &self,
        _container: &str,
        _path: &str,
    ) -> Result<Option<PathInfo>> {
        todo!()
    }

    pub(super) fn download(&self, _container: &str, _path: &str) -> Stream<'static, Bytes> {
        todo!()
    }

    pub(super) async fn upload(
        &self,
        _container: &str,
        _directory: &str,
        _tar: BoxStream<'static, Bytes>,
    ) -> Result<()> {
        todo!()
    }

    pub(super) fn whole_file_system(&self, _container: &str) -> Stream<'static, Bytes> {
        todo!()
    }
}
