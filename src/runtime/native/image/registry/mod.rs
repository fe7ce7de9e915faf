//! Registries: the distribution protocol of the OCI, which Docker's registry speaks.
//!
//! In: a [`Name`] and credentials. Out: documents and layers, and the other way round.
//!
//! # Invariants
//!
//! - A password goes to its registry and to the place of tokens that it names, over TLS; without
//!   TLS only if both are this machine. It never follows a redirect to another host.
//! - Registries of this machine may speak HTTP, as Docker permits; all others must speak TLS.
//! - What a document holds is checked against the digest that it was asked by.
//!
//! # Not here
//!
//! What becomes of layers ([`super::install`]).

mod auth;
mod download;
mod file;
mod http;
#[cfg(test)]
pub(super) mod trial;
mod upload;

use std::sync::{Mutex, PoisonError};

use hyper::header::{ACCEPT, CONTENT_TYPE, LOCATION};
use hyper::{Method, Response, StatusCode};
use tracing::debug;

use super::digest::Digest;
use super::install::check;
use super::reference::{HUB, Name};
use super::spec::{Descriptor, MAX_DOCUMENT, media};
use crate::runtime::credentials::{Credential, Credentials};
use crate::runtime::{Result, RuntimeError};
use auth::{Access, Authorization};
use http::{Answer, Ask, Http, Problem};

pub(super) use download::Download;
pub use file::{Downloaded, download};
pub(super) use upload::Sent;

/// Where Docker's own images are handed out.
const HUB_HOST: &str = "registry-1.docker.io";

/// A repository of a registry.
pub(super) struct Repository {
    http: Http,
    name: Name,
    /// Scheme, host and port.
    base: String,
    credential: Credential,
    access: Access,
    authorization: Mutex<Option<Authorization>>,
}

/// A manifest or a list of them.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) digest: Digest,
    pub(super) bytes: Vec<u8>,
}

impl Repository {
    /// Gets ready to pull.
    pub(super) async fn to_pull(name: &Name, credentials: &Credentials) -> Result<Self> {
        Self::open(name, credentials, Access::Pull).await
    }

    /// Gets ready to push.
    pub(super) async fn to_push(name: &Name, credentials: &Credentials) -> Result<Self> {
        Self::open(name, credentials, Access::Push).await
    }

    async fn open(name: &Name, credentials: &Credentials, access: Access) -> Result<Self> {
        let host = if name.registry == HUB { HUB_HOST } else { &name.registry };
        let http = Http::new(host, credentials.environment())?;
        let credential = credentials.for_image(&name.familiar()).await?;
        let base = http.base(host).await.map_err(|problem| problem.at(&name.registry))?;
        debug!(%base, "registry");
        let (name, authorization) = (name.clone(), Mutex::default());
        Ok(Self { http, name, base, credential, access, authorization })
    }

    fn url(&self, rest: &str) -> String {
        format!("{}/v2/{}/{rest}", self.base, self.name.repository)
    }

    /// A manifest by tag or digest.
    pub(super) async fn manifest(&self, version: &str) -> Result<Document> {
        let accept = [media::INDEX, media::MANIFEST, media::DOCKER_LIST, media::DOCKER_MANIFEST];
        let ask = Ask::new(Method::GET, self.url(&format!("manifests/{version}")))
            .header(ACCEPT, &accept.join(", "));
        let answer = self.ask(&ask).await?;
        let answer = self.expect(answer, &[StatusCode::OK]).await?;
        let promised = answer.header("docker-content-digest");
        let bytes = self.body(answer).await?;
        let digest = Digest::of(&bytes);
        check("manifest", version.parse().ok().as_ref(), &digest)?;
        check("manifest", promised.and_then(|text| text.parse().ok()).as_ref(), &digest)?;
        Ok(Document { digest, bytes })
    }

    /// A small document by its digest.
    pub(super) async fn blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        let ask = Ask::new(Method::GET, self.url(&format!("blobs/{}", descriptor.digest)));
        let answer = self.ask(&ask).await?;
        let answer = self.expect(answer, &[StatusCode::OK]).await?;
        let bytes = self.body(answer).await?;
        check("document", Some(&descriptor.digest), &Digest::of(&bytes))?;
        Ok(bytes)
    }

    /// Whether the registry has something.
    pub(super) async fn has(&self, digest: &Digest) -> Result<bool> {
        let ask = Ask::new(Method::HEAD, self.url(&format!("blobs/{digest}")));
        let answer = self.ask(&ask).await?;
        match answer.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => self.expect(answer, &[]).await.map(|_| false),
        }
    }

    /// Asks, with whatever the registry wants to know of us.
    async fn ask(&self, ask: &Ask) -> Result<Answer> {
        let told = self.known_authorization();
        let failed = |problem: Problem| problem.at(&self.name.registry);
        let answer = self.http.ask(ask, told.as_ref()).await.map_err(failed)?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let challenges = answer.headers("www-authenticate");
        let found = auth::answer(self, &challenges).await?;
        if found.is_none() || found == told {
            return Ok(answer);
        }
        self.remember(found.clone());
        self.http.ask(ask, found.as_ref()).await.map_err(failed)
    }

    fn remember(&self, authorization: Option<Authorization>) {
        *self.authorization.lock().unwrap_or_else(PoisonError::into_inner) = authorization;
    }

    fn known_authorization(&self) -> Option<Authorization> {
        self.authorization.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Fails unless the status is one of these.
    async fn expect(&self, answer: Answer, good: &[StatusCode]) -> Result<Answer> {
        let status = answer.status();
        if good.contains(&status) {
            return Ok(answer);
        }
        // What it says may explain the status, but the status is the reason.
        let body = answer.text(64 << 10).await.unwrap_or_default();
        Err(self.refusal(status, &body))
    }

    /// The words for what a registry does not do.
    fn refusal(&self, status: StatusCode, body: &[u8]) -> RuntimeError {
        let name = self.name.familiar();
        let said = http::complaint(body);
        match status {
            StatusCode::NOT_FOUND => RuntimeError::NotFound(format!(
                "`{}` has no image `{name}`{said}",
                self.name.registry
            )),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => RuntimeError::Refused(format!(
                "`{}` denies access to `{name}`{said}; the image may not exist, or `docker login {}` \
                 may be needed",
                self.name.registry, self.name.registry
            )),
            StatusCode::TOO_MANY_REQUESTS => RuntimeError::Refused(format!(
                "`{}` wants fewer requests{said}; log in, or try again later",
                self.name.registry
            )),
            status => RuntimeError::Refused(format!(
                "`{}` answers {status} about `{name}`{said}",
                self.name.registry
            )),
        }
    }

    async fn body(&self, answer: Answer) -> Result<Vec<u8>> {
        let failed = |problem: Problem| problem.at(&self.name.registry);
        answer.text(MAX_DOCUMENT).await.map_err(failed)
    }

    /// Puts a manifest; gives its digest.
    pub(super) async fn put_manifest(
        &self,
        version: &str,
        kind: &str,
        bytes: &[u8],
    ) -> Result<Digest> {
        let ask = Ask::new(Method::PUT, self.url(&format!("manifests/{version}")))
            .header(CONTENT_TYPE, kind)
            .body(bytes.to_vec());
        let answer = self.ask(&ask).await?;
        self.expect(answer, &[StatusCode::CREATED, StatusCode::OK]).await?;
        Ok(Digest::of(bytes))
    }
}

/// The address in a header, relative to the one that was asked.
fn location<B>(response: &Response<B>) -> Option<&str> {
    response.headers().get(LOCATION)?.to_str().ok()
}
