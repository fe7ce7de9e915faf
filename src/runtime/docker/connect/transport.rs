//! Connections to an engine: over a socket, TCP, TLS, or `ssh HOST docker system dial-stdio`.
//!
//! In: a [`Place`]. Out: a bollard client whose requests go there over connections that are kept.
//!
//! # Invariants
//!
//! - Every request but the first one, the ping, names the version of the API: bollard leaves it out.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bollard::errors::Error;
use bollard::{BollardRequest, ClientVersion, Docker as Client, body_full};
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::http::uri::PathAndQuery;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::{Response, Uri};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::{ChildStderr, ChildStdin, Command};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::address::{Place, Route};
use super::bounded::{Bounded, Bounds};
use super::tls;
use crate::runtime::Result;

/// As long as bollard can wait.
const NO_LIMIT: Duration = Duration::from_secs(u32::MAX as u64);
/// How much of what `ssh` complains about is kept.
const COMPLAINT: u64 = 4096;

/// A way to an engine.
#[derive(Clone)]
pub(in crate::runtime::docker) struct Transport {
    /// For answers that last as long as what they watch.
    http: legacy::Client<Dialer, Body>,
    way: Arc<Way>,
    authority: String,
    base: String,
    complaint: Arc<Mutex<String>>,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("authority", &self.authority).finish_non_exhaustive()
    }
}

/// What an engine says when it is greeted.
pub(super) struct Greeting {
    /// The newest version of the API that it speaks.
    pub(super) api: Option<String>,
    /// Its clock, as an HTTP date.
    pub(super) time: Option<String>,
}

/// The type of a request's body, which bollard does not name.
type Body = <BollardRequest as HasBody>::Body;

trait HasBody {
    type Body;
}

impl<B> HasBody for hyper::Request<B> {
    type Body = B;
}

impl Transport {
    /// Gets ready to dial; dials nobody.
    pub(super) async fn new(place: Place) -> Result<Self> {
        let complaint = Arc::new(Mutex::new(String::new()));
        let mut authority = "docker".to_owned();
        let mut base = String::new();
        let route = match place.route {
            Route::Unix(path) => Way::Unix(path),
            Route::Ssh(arguments) => Way::Ssh(arguments, Arc::clone(&complaint)),
            Route::Tcp { host, port, base: path, tls } => {
                base = path;
                let bracketed = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                authority = format!("{bracketed}:{port}");
                let tls = match &tls {
                    Some(tls) => Some(tls::connector(tls).await?),
                    None => None,
                };
                Way::Tcp(host, port, tls)
            }
        };
        let way = Arc::new(route);
        let http = pool(&way, Bounds::default());
        Ok(Self { http, way, authority, base, complaint })
    }

    /// Greets the engine.
    pub(super) async fn ping(&self) -> std::result::Result<Greeting, Error> {
        let request = hyper::Request::head(format!("http://{}{}/_ping", self.authority, self.base))
            .body(body_full(Bytes::new()))?;
        let response = self.http.request(request).await?;
        let header = |name| response.headers().get(name)?.to_str().ok().map(str::to_owned);
        Ok(Greeting { api: header("api-version"), time: header("date") })
    }

    /// What `ssh` complained about, if anything.
    pub(super) fn last_words(&self) -> String {
        let words = self.complaint.lock().unwrap_or_else(PoisonError::into_inner);
        words.trim().to_owned()
    }

    /// Sends a request to a path below this version of the API; its answer may be of any status.
    pub(in crate::runtime::docker) async fn send(
        &self,
        api: ClientVersion,
        mut request: BollardRequest,
    ) -> std::result::Result<Response<Incoming>, Error> {
        let path = request.uri();
        let uri = format!("http://{}{}/v{api}{path}", self.authority, self.base);
        *request.uri_mut() = uri.parse()?;
        self.http.request(request).await.map_err(Error::from)
    }

    /// A way to a socket of this machine.
    #[cfg(test)]
    pub(in crate::runtime::docker) fn to_socket(path: &std::path::Path) -> Self {
        let way = Arc::new(Way::Unix(path.to_owned()));
        let http = pool(&way, Bounds::default());
        let authority = "docker".to_owned();
        Self { http, way, authority, base: String::new(), complaint: Arc::default() }
    }

    /// A client that speaks this version, and whose answers keep within these bounds.
    pub(super) fn client(
        &self,
        api: ClientVersion,
        bounds: Bounds,
    ) -> std::result::Result<Client, Error> {
        let is_bounded = bounds != Bounds::default();
        let http = if is_bounded { pool(&self.way, bounds) } else { self.http.clone() };
        let limit = bounds.time.unwrap_or(NO_LIMIT);
        let prefix = format!("{}/v{api}", self.base);
        let send = move |mut request: BollardRequest| {
            let http = http.clone();
            let uri = prefixed(request.uri(), &prefix);
            async move {
                *request.uri_mut() = uri?;
                http.request(request).await.map_err(Error::from)
            }
        };
        let address = format!("http://{}", self.authority);
        Client::connect_with_custom_transport(send, Some(address), limit.as_secs(), &api)
    }
}

/// Puts a prefix before the path.
fn prefixed(uri: &Uri, prefix: &str) -> std::result::Result<Uri, Error> {
    let mut parts = uri.clone().into_parts();
    let path = parts.path_and_query.as_ref().map_or("/", PathAndQuery::as_str);
    parts.path_and_query = Some(format!("{prefix}{path}").parse()?);
    Ok(Uri::from_parts(parts)?)
}

/// Connections that are kept.
fn pool(way: &Arc<Way>, bounds: Bounds) -> legacy::Client<Dialer, Body> {
    legacy::Client::builder(TokioExecutor::new()).build(Dialer(Arc::clone(way), bounds))
}

/// Dials an engine.
#[derive(Clone)]
struct Dialer(Arc<Way>, Bounds);

enum Way {
    Unix(std::path::PathBuf),
    Tcp(String, u16, Option<TlsConnector>),
    Ssh(Vec<String>, Arc<Mutex<String>>),
}

impl tower_service::Service<Uri> for Dialer {
    type Response = Wire;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Wire>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let (way, bounds) = (Arc::clone(&self.0), self.1);
        Box::pin(async move {
            let stream = dial(&way).await?;
            Ok(Wire(TokioIo::new(Bounded::new(stream, bounds))))
        })
    }
}

async fn dial(way: &Way) -> io::Result<Box<dyn Duplex>> {
    match way {
        Way::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
        Way::Tcp(host, port, None) => Ok(Box::new(tcp(host, *port).await?)),
        Way::Tcp(host, port, Some(tls)) => {
            let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
            Ok(Box::new(tls.connect(name, tcp(host, *port).await?).await?))
        }
        Way::Ssh(arguments, complaint) => ssh(arguments, complaint),
    }
}

async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Runs `ssh`. It ends when the connection is dropped: its input ends.
fn ssh(arguments: &[String], complaint: &Arc<Mutex<String>>) -> io::Result<Box<dyn Duplex>> {
    let mut command = Command::new("ssh");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("`ssh` cannot be run: {error}")))?;
    let (Some(input), Some(output), Some(errors)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(io::Error::other("`ssh` has no streams"));
    };
    tokio::spawn(listen(errors, Arc::clone(complaint)));
    Ok(Box::new(tokio::io::join(output, Input(Some(input)))))
}

/// What `ssh` reads. It is closed when nothing more will be written: a pipe knows no other end.
struct Input(Option<ChildStdin>);

impl Input {
    fn pipe(&mut self) -> io::Result<Pin<&mut ChildStdin>> {
        self.0.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

impl AsyncWrite for Input {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.pipe()?.poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.pipe() {
            Ok(pipe) => pipe.poll_flush(cx),
            // What was written went out before it was closed.
            Err(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0 = None;
        Poll::Ready(Ok(()))
    }
}

/// Keeps the beginning of what is complained about, and reads the rest so that nobody blocks.
async fn listen(mut errors: ChildStderr, complaint: Arc<Mutex<String>>) {
    let mut text = Vec::new();
    // What cannot be read is not worth a word: it would only explain another error.
    let _ = (&mut errors).take(COMPLAINT).read_to_end(&mut text).await;
    let text = String::from_utf8_lossy(&text).into_owned();
    *complaint.lock().unwrap_or_else(PoisonError::into_inner) = text;
    let _ = tokio::io::copy(&mut errors, &mut tokio::io::sink()).await;
}

/// Bytes in both directions.
trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection as hyper wants it.
struct Wire(TokioIo<Bounded<Box<dyn Duplex>>>);

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl Write for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::prefixed;

    #[test]
    fn requests_name_the_version() {
        let uri = "http://docker/containers/json?all=true".parse().unwrap();
        assert_eq!(
            prefixed(&uri, "/base/v1.41").unwrap(),
            "http://docker/base/v1.41/containers/json?all=true"
        );
    }
}
