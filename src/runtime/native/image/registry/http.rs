//! HTTP towards registries: TLS, proxies, redirects, and waiting no longer than is sensible.
//!
//! In: an [`Ask`]. Out: an [`Answer`], or a [`Problem`].
//!
//! # Invariants
//!
//! - Who is not this machine is spoken to over TLS. A redirect from TLS to plain HTTP is refused.
//! - Authorization stays with the host that it was meant for.

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::{TokioExecutor, TokioIo};
use indexmap::IndexMap;
use tokio::net::TcpStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tower_service::Service;

use super::auth::Authorization;
use super::location;
use crate::runtime::{Result, RuntimeError};

/// How long to wait for a connection, and for the beginning of an answer or more of it.
const CONNECT: Duration = Duration::from_secs(30);
pub(super) const PATIENCE: Duration = Duration::from_mins(1);
/// The most redirects for one request, and attempts when a registry is busy.
const REDIRECTS: usize = 5;
const ATTEMPTS: u32 = 4;
/// Before the second attempt; each time twice as long.
const PAUSE: Duration = Duration::from_millis(250);
const AGENT: &str = concat!("ketch/", env!("CARGO_PKG_VERSION"));
/// Where Docker keeps certificates of registries that no authority vouches for.
const CERTIFICATES: &str = "/etc/docker/certs.d";

/// The body of a request.
pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A request that can be sent again.
pub(super) struct Ask {
    method: Method,
    url: String,
    headers: Vec<(HeaderName, String)>,
    body: Box<dyn Fn() -> io::Result<Body> + Send + Sync>,
}

impl Ask {
    pub(super) fn new(method: Method, url: String) -> Self {
        Self { method, url, headers: Vec::new(), body: Box::new(|| Ok(whole(Bytes::new()))) }
    }

    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(super) fn body(self, bytes: Vec<u8>) -> Self {
        let bytes = Bytes::from(bytes);
        self.streams(move || Ok(whole(bytes.clone())))
    }

    /// A body that is made when it is sent.
    pub(super) fn streams(
        mut self,
        body: impl Fn() -> io::Result<Body> + Send + Sync + 'static,
    ) -> Self {
        self.body = Box::new(body);
        self
    }
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// What came back.
pub(super) struct Answer {
    response: Response<Incoming>,
    /// The address that answered in the end.
    pub(super) url: Uri,
}

impl Answer {
    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(super) fn header(&self, name: &str) -> Option<String> {
        self.headers(name).into_iter().next()
    }

    pub(super) fn headers(&self, name: &str) -> Vec<String> {
        let all = self.response.headers().get_all(name).iter();
        all.filter_map(|value| value.to_str().ok()).map(str::to_owned).collect()
    }

    pub(super) fn into_response(self) -> Response<Incoming> {
        self.response
    }

    /// The whole body, which may not be longer than this.
    pub(super) async fn text(self, limit: u64) -> std::result::Result<Vec<u8>, Problem> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let body = Limited::new(self.response.into_body(), limit).collect();
        let read = tokio::time::timeout(PATIENCE, body).await.map_err(|_| Problem::Slow)?;
        Ok(read.map_err(|error| Problem::Cut(io::Error::other(error)))?.to_bytes().to_vec())
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("it cannot be reached")]
    Unreachable(#[source] Error),
    #[error("it does not answer for {} seconds", PATIENCE.as_secs())]
    Slow,
    #[error("its answer is cut off or too long")]
    Cut(#[source] io::Error),
    #[error("it leads to `{0}`, which is no address to follow")]
    Redirect(String),
    #[error("it leads from one address to the next too often")]
    Redirects,
    #[error("the address `{0}` is none")]
    Address(String),
    #[error("what is sent cannot be read")]
    Body(#[source] io::Error),
}

impl Problem {
    /// As an error about a registry.
    pub(super) fn at(self, registry: &str) -> RuntimeError {
        RuntimeError::RegistryUnreachable { address: registry.to_owned(), source: Box::new(self) }
    }

    /// Whether nobody listens there, or what is there does not speak so.
    fn is_another_protocol(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Cut(_))
    }
}

/// Sends requests.
#[derive(Clone)]
pub(super) struct Http {
    client: Client<HttpsConnector<Dialer>, Body>,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}

impl Http {
    /// For a registry; the environment tells proxies.
    pub(super) fn new(host: &str, environment: &IndexMap<String, String>) -> Result<Self> {
        let tls = tls(host)?;
        let dialer = Dialer::new(environment);
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(dialer);
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(connector) })
    }

    /// Scheme and host of a registry: plain HTTP is tried for this machine only.
    pub(super) async fn base(&self, host: &str) -> std::result::Result<String, Problem> {
        let secure = format!("https://{host}");
        if !is_this_machine(host) {
            return Ok(secure);
        }
        let plain = format!("http://{host}");
        let ask = Ask::new(Method::GET, format!("{plain}/v2/"));
        match self.once(&ask, &ask.url, None).await {
            // What expects TLS says so.
            Ok(answer) if answer.status() == StatusCode::BAD_REQUEST => Ok(secure),
            Err(problem) if problem.is_another_protocol() => {
                let ask = Ask::new(Method::GET, format!("{secure}/v2/"));
                // The first problem is the one to tell: nobody asked for TLS.
                self.once(&ask, &ask.url, None).await.map(|_| secure).map_err(|_| problem)
            }
            done => done.map(|_| plain),
        }
    }

    /// Sends a request, follows redirects, and tries again when the other side is busy.
    pub(super) async fn ask(
        &self,
        ask: &Ask,
        authorization: Option<&Authorization>,
    ) -> std::result::Result<Answer, Problem> {
        let mut attempt = 1;
        loop {
            let answer = self.follow(ask, authorization).await;
            let is_passing = match &answer {
                Ok(answer) => answer.status().is_server_error(),
                // Who reads the body once more may lose what others sent meanwhile.
                Err(problem) => matches!(problem, Problem::Unreachable(_) | Problem::Slow),
            };
            let is_repeatable = ask.method == Method::GET || ask.method == Method::HEAD;
            if !is_passing || !is_repeatable || attempt == ATTEMPTS {
                return answer;
            }
            tokio::time::sleep(PAUSE * 2_u32.pow(attempt - 1)).await;
            attempt += 1;
        }
    }

    async fn follow(
        &self,
        ask: &Ask,
        authorization: Option<&Authorization>,
    ) -> std::result::Result<Answer, Problem> {
        let mut url = ask.url.clone();
        let mut authorization = authorization;
        for _ in 0..=REDIRECTS {
            let answer = self.once(ask, &url, authorization).await?;
            let is_redirect = matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308)
                && (ask.method == Method::GET || ask.method == Method::HEAD);
            if !is_redirect {
                return Ok(answer);
            }
            let target = location(&answer.response).unwrap_or_default();
            let next = resolve(&answer.url, target)
                .ok_or_else(|| Problem::Redirect(target.chars().take(200).collect()))?;
            if next.authority() != answer.url.authority() || next.scheme() != answer.url.scheme() {
                authorization = None;
            }
            url = next.to_string();
        }
        Err(Problem::Redirects)
    }

    async fn once(
        &self,
        ask: &Ask,
        url: &str,
        authorization: Option<&Authorization>,
    ) -> std::result::Result<Answer, Problem> {
        let wrong = || Problem::Address(url.chars().take(200).collect());
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let mut request = Request::builder().method(ask.method.clone()).uri(&uri);
        request = request.header(USER_AGENT, AGENT);
        for (name, value) in &ask.headers {
            request = request.header(name, value);
        }
        if let Some(authorization) = authorization {
            let mut value = HeaderValue::from_str(authorization.header()).map_err(|_| wrong())?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let body = (ask.body)().map_err(Problem::Body)?;
        let request = request.body(body).map_err(|_| wrong())?;
        let answer = self.client.request(request);
        // What is sent may take long; only who sends nothing has to answer soon.
        let answer = if ask.method == Method::GET || ask.method == Method::HEAD {
            tokio::time::timeout(PATIENCE, answer).await.map_err(|_| Problem::Slow)?
        } else {
            answer.await
        };
        Ok(Answer { response: answer.map_err(Problem::Unreachable)?, url: uri })
    }
}

/// Where a redirect leads; `None` if it is not to be followed.
pub(super) fn resolve(from: &Uri, target: &str) -> Option<Uri> {
    let uri: Uri = target.parse().ok()?;
    let absolute = if uri.scheme().is_some() {
        uri
    } else {
        if !target.starts_with('/') || target.starts_with("//") {
            return None;
        }
        format!("{}://{}{target}", from.scheme_str()?, from.authority()?).parse().ok()?
    };
    let (from, to) = (from.scheme_str()?, absolute.scheme_str()?);
    let permitted = to == "https" || (to == "http" && from == "http");
    permitted.then_some(absolute)
}

/// Whether a host with its port, or without, is this machine.
pub(super) fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    match name.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => address.is_loopback(),
        Ok(IpAddr::V6(address)) => address == Ipv6Addr::LOCALHOST,
        Err(_) => name == "localhost",
    }
}

/// What a registry says in its error, to be put behind other words.
pub(super) fn complaint(body: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let first = &value["errors"][0];
    let said = first["message"].as_str().or(value["message"].as_str());
    let said = said.or(value["details"].as_str()).unwrap_or_default();
    let said: String = said.chars().filter(|c| !c.is_control()).take(200).collect();
    if said.is_empty() { said } else { format!(" ({said})") }
}

/// Whom we trust: the system, and for this registry what Docker's folder has.
fn tls(host: &str) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Ok(entries) = fs::read_dir(Path::new(CERTIFICATES).join(host)) {
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.extension().is_some_and(|end| end == "crt") {
                let found = CertificateDer::pem_file_iter(&path).map(Iterator::flatten);
                roots.add_parsable_certificates(found.into_iter().flatten());
            }
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| RuntimeError::Unsupported(format!("TLS cannot be set up: {error}")))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Dials a host, or the proxy that the environment names for it.
#[derive(Clone)]
pub(super) struct Dialer {
    direct: HttpConnector,
    proxies: Arc<Matcher>,
}

impl Dialer {
    fn new(environment: &IndexMap<String, String>) -> Self {
        let variable = |name: &str| {
            let lower = environment.get(&name.to_lowercase());
            lower.or_else(|| environment.get(name)).cloned().unwrap_or_default()
        };
        let mut direct = HttpConnector::new();
        direct.enforce_http(false);
        direct.set_nodelay(true);
        direct.set_connect_timeout(Some(CONNECT));
        // Plain HTTP goes to this machine only: no proxy is asked for that.
        let proxies = Matcher::builder().https(variable("HTTPS_PROXY")).no(variable("NO_PROXY"));
        Self { direct, proxies: Arc::new(proxies.build()) }
    }
}

impl Service<Uri> for Dialer {
    type Response = TokioIo<TcpStream>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future =
        Pin<Box<dyn Future<Output = std::result::Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<std::result::Result<(), Self::Error>> {
        self.direct.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let Some(proxy) = self.proxies.intercept(&target) else {
            let dialed = self.direct.call(target);
            return Box::pin(async move { dialed.await.map_err(Into::into) });
        };
        let mut tunnel = Tunnel::new(proxy.uri().clone(), self.direct.clone());
        if let Some(credentials) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(credentials.clone());
        }
        Box::pin(async move { tunnel.call(target).await.map_err(Into::into) })
    }
}

#[cfg(test)]
mod tests {
    use super::{complaint, is_this_machine, resolve};

    #[test]
    fn only_this_machine_may_do_without_tls() {
        for host in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.9.9.9", "[::1]:80"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in ["localhost.evil.org", "128.0.0.1", "box:5000", "[::2]", "127.0.0.1.evil.org"] {
            assert!(!is_this_machine(host), "{host}");
        }
    }

    #[test]
    fn redirects_lead_to_tls() {
        let to = |from: &str, target: &str| {
            resolve(&from.parse().unwrap(), target).map(|uri| uri.to_string())
        };
        assert_eq!(to("https://a/v2/", "/x?y"), Some("https://a/x?y".to_owned()));
        assert_eq!(to("https://a/", "https://b/c"), Some("https://b/c".to_owned()));
        assert_eq!(to("http://a/", "http://b/c"), Some("http://b/c".to_owned()));
        for target in ["http://b/", "//b/c", "c", "", "file:///etc/passwd", "ftp://b/"] {
            assert_eq!(to("https://a/", target), None, "{target}");
        }
    }

    #[test]
    fn what_a_registry_says_cannot_steer_the_terminal() {
        let body = br#"{"errors":[{"code":"DENIED","message":"no\u001b[31m way"}]}"#;
        assert_eq!(complaint(body), " (no[31m way)");
        assert_eq!(complaint(b"<html>"), "");
    }
}
