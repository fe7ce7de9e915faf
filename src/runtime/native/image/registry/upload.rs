//! Blobs to a registry.
//!
//! In: files whose digests are known. Out: nothing; the registry has them.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE};
use hyper::{Method, StatusCode, Uri};

use super::super::digest::Digest;
use super::super::place::failed;
use super::http::{Ask, Body, resolve};
use super::{Repository, location};
use crate::runtime::{Result, RuntimeError};

/// How much is sent at once.
const PIECE: usize = 256 << 10;

/// Is told how many bytes have been sent.
pub(in super::super) type Sent = Arc<dyn Fn(u64) + Send + Sync>;

impl Repository {
    /// Uploads a file.
    pub(in super::super) async fn upload(
        &self,
        digest: &Digest,
        path: &Path,
        sent: Sent,
    ) -> Result<()> {
        let size = path.metadata().map_err(failed("read", path))?.len();
        let ask = Ask::new(Method::POST, self.url("blobs/uploads/")).header(CONTENT_LENGTH, "0");
        let answer = self.ask(&ask).await?;
        let answer = self.expect(answer, &[StatusCode::ACCEPTED]).await?;
        let url =
            self.upload_url(&answer.url.clone(), location(&answer.into_response()), digest)?;
        let path = path.to_owned();
        let ask = Ask::new(Method::PUT, url)
            .header(CONTENT_LENGTH, &size.to_string())
            .header(CONTENT_TYPE, "application/octet-stream")
            .streams(move || Ok(body(File::open(&path)?, Arc::clone(&sent))));
        let answer = self.ask(&ask).await?;
        self.expect(answer, &[StatusCode::CREATED]).await.map(drop)
    }

    /// Where an upload goes: below the place that the registry has named for it.
    fn upload_url(&self, from: &Uri, target: Option<&str>, digest: &Digest) -> Result<String> {
        let wrong = || {
            let said = format!("`{}` names no place to upload to", self.name.registry);
            RuntimeError::Refused(said)
        };
        let url = resolve(from, target.ok_or_else(wrong)?).ok_or_else(wrong)?;
        if url.authority() != from.authority() {
            // Our authorization is for nobody else.
            return Err(wrong());
        }
        let separator = if url.query().is_some() { '&' } else { '?' };
        Ok(format!("{url}{separator}digest={digest}"))
    }
}

/// A file piece by piece.
fn body(file: File, sent: Sent) -> Body {
    let pieces = futures_util::stream::unfold((file, 0_u64), move |(mut file, total)| {
        let sent = Arc::clone(&sent);
        async move {
            let mut piece = vec![0; PIECE];
            match io::Read::read(&mut file, &mut piece) {
                Ok(0) => None,
                Ok(count) => {
                    piece.truncate(count);
                    let total = total + count as u64;
                    sent(total);
                    Some((Ok(Frame::data(Bytes::from(piece))), (file, total)))
                }
                Err(error) => Some((Err(error), (file, total))),
            }
        }
    });
    StreamBody::new(pieces.boxed()).boxed_unsync()
}
