//! One file from any address: what `ADD` names in a Dockerfile.
//!
//! In: an address. Out: a file, its digest, and when it was changed.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use http_body_util::BodyExt as _;
use hyper::Method;
use hyper::header::LAST_MODIFIED;
use indexmap::IndexMap;
use sha2::{Digest as _, Sha256};

use super::http::{Ask, Http, PATIENCE, Problem};
use crate::model::hash;
use crate::runtime::{Result, RuntimeError};

/// A file that was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downloaded {
    /// The digest of its content: 64 hexadecimal digits.
    pub digest: String,
    /// When it was changed, in seconds since 1970.
    pub modified: Option<u64>,
    /// Its name, if the address it was found at ends with one.
    pub name: String,
}

/// Fetches a file. The environment tells proxies.
///
/// # Errors
///
/// The address is none, nobody answers there, or there is no such file.
pub async fn download(
    address: &str,
    environment: &IndexMap<String, String>,
    to: &Path,
) -> Result<Downloaded> {
    let host = address.split('/').nth(2).unwrap_or_default();
    let at = |problem: Problem| RuntimeError::RegistryUnreachable {
        address: address.to_owned(),
        source: Box::new(problem),
    };
    let http = Http::new(host, environment)?;
    let answer = http.ask(&Ask::new(Method::GET, address.to_owned()), None).await.map_err(at)?;
    if !answer.status().is_success() {
        let said = format!("`{address}` answers `{}`", answer.status());
        return Err(RuntimeError::NotFound(said));
    }
    let modified = answer.header(LAST_MODIFIED.as_str());
    let modified = modified.and_then(|text| httpdate::parse_http_date(&text).ok());
    let modified = modified.and_then(|it| it.duration_since(std::time::UNIX_EPOCH).ok());
    let name = answer.url.path().rsplit('/').next().unwrap_or_default().to_owned();
    let failed = |source| RuntimeError::Io { action: format!("keep `{address}`"), source };
    let mut file = File::create_new(to).map_err(failed)?;
    let mut hash = Sha256::new();
    let mut body = answer.into_response().into_body();
    loop {
        let next = tokio::time::timeout(PATIENCE, body.frame()).await;
        let Some(frame) = next.map_err(|_| at(Problem::Slow))? else { break };
        let frame = frame.map_err(|error| at(Problem::Cut(io::Error::other(error))))?;
        if let Ok(data) = frame.into_data() {
            hash.update(&data);
            file.write_all(&data).map_err(failed)?;
        }
    }
    let modified = modified.map(|time| time.as_secs());
    Ok(Downloaded { digest: hash::hex(&hash.finalize()), modified, name })
}
