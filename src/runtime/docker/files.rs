//! Files in containers, in and out as tar archives.
//!
//! In: a container, a path, an archive. Out: archives as they are made; nothing is held in memory.

use bollard::body_stream;
use bollard::query_parameters::{
    ContainerArchiveInfoOptions, DownloadFromContainerOptions, UploadToContainerOptions,
};
use futures_util::stream::{BoxStream, StreamExt as _};

use super::{Docker, failure};
use crate::runtime::{Bytes, PathInfo, Result, RuntimeError, Stream};

/// The bit of a directory in the modes that engines tell, which are those of Go.
const DIRECTORY: u32 = 1 << 31;

impl Docker {
    pub(super) async fn path_info(&self, container: &str, path: &str) -> Result<Option<PathInfo>> {
        let options = ContainerArchiveInfoOptions { path: path.to_owned() };
        let found = self.client.get_container_archive_info(container, Some(options)).await;
        match found.map_err(failure::told) {
            Ok(found) => Ok(Some(PathInfo {
                name: found.name,
                is_dir: found.file_mode & DIRECTORY != 0,
                link: found.link_target,
            })),
            // The answer has no words: is it the path that is missing, or the container?
            Err(RuntimeError::NotFound(_)) => self.has_tty(container).await.map(|_| None),
            Err(other) => Err(other),
        }
    }

    pub(super) fn download(&self, container: &str, path: &str) -> Stream<'static, Bytes> {
        let options = DownloadFromContainerOptions { path: path.to_owned() };
        self.client
            .download_from_container(container, Some(options))
            .map(|bytes| bytes.map_err(failure::told))
            .boxed()
    }

    /// Unpacks an archive. Files of a container that runs as a user belong to that user; a
    /// directory is never replaced by something else, nor the other way round.
    pub(super) async fn upload(
        &self,
        container: &str,
        directory: &str,
        tar: BoxStream<'static, Bytes>,
    ) -> Result<()> {
        let options = UploadToContainerOptions {
            path: directory.to_owned(),
            no_overwrite_dir_non_dir: Some("1".to_owned()),
            copy_uidgid: Some("1".to_owned()),
        };
        self.patient()
            .upload_to_container(container, Some(options), body_stream(tar))
            .await
            .map_err(failure::told)
    }

    pub(super) fn whole_file_system(&self, container: &str) -> Stream<'static, Bytes> {
        self.client.export_container(container).map(|bytes| bytes.map_err(failure::told)).boxed()
    }
}
