//! Requests whose answers bollard would interpret: raw bodies, lines of JSON with every field, and
//! connections that are taken over.
//!
//! In: a [`Call`]. Out: the answer as it came. bollard guesses from the first byte whether output
//! is multiplexed, cuts `since` to whole seconds, drops the layer from the progress of a push, and
//! encodes credentials in an alphabet that engines do not read; so logs, attach, exec, pull, push
//! and build speak HTTP themselves, on a connection each.
//!
//! # Invariants
//!
//! - Dropping an answer closes its connection, which ends the request at the engine.
//! - There is no time limit: these requests last as long as what they watch.

use std::fmt;
use std::io;

use bollard::errors::Error;
use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadHalf, WriteHalf};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::Command;

use super::{Address, Docker, failure};
use crate::runtime::{Bytes, Result, RuntimeError, Stream};

/// The body of a request.
type Body = UnsyncBoxBody<Bytes, io::Error>;

/// The two directions of a connection that was taken over.
pub(super) type Hijacked = (ReadHalf<TokioIo<Upgraded>>, WriteHalf<TokioIo<Upgraded>>);

/// A request.
pub(super) struct Call {
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Body,
}

impl Call {
    /// A request without a body.
    pub(super) fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), headers: Vec::new(), body: body_of(Bytes::new()) }
    }

    /// With parameters, of which those that are empty are left out.
    pub(super) fn query(mut self, parameters: &[(&str, String)]) -> Self {
        let said: Vec<_> = parameters.iter().filter(|(_, value)| !value.is_empty()).collect();
        // Pairs of strings can always be encoded.
        let encoded = serde_urlencoded::to_string(said).unwrap_or_default();
        if !encoded.is_empty() {
            self.path = format!("{}?{encoded}", self.path);
        }
        self
    }

    /// With a header.
    pub(super) fn header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// With JSON.
    pub(super) fn json(mut self, value: &serde_json::Value) -> Self {
        self.body = body_of(value.to_string().into());
        self.header(CONTENT_TYPE.as_str(), "application/json".to_owned())
    }

    /// With an archive that is made while it is sent.
    pub(super) fn archive(mut self, tar: BoxStream<'static, io::Result<Bytes>>) -> Self {
        self.body = StreamBody::new(tar.map_ok(Frame::data)).boxed_unsync();
        self.header(CONTENT_TYPE.as_str(), "application/x-tar".to_owned())
    }
}

fn body_of(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// Where to send requests, and which version of the API to speak.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    address: Address,
    version: String,
}

impl Docker {
    /// A way to the engine that does not borrow.
    pub(super) fn wire(&self) -> Wire {
        let version = self.client.client_version();
        Wire {
            address: self.address.clone(),
            version: format!("v{}.{}", version.major_version, version.minor_version),
        }
    }

    /// bollard for requests that are answered when long work is done.
    pub(super) fn patient(&self) -> bollard::Docker {
        const A_DAY: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);
        self.client.clone().with_timeout(A_DAY)
    }
}

impl Wire {
    /// Sends a request and returns its answer, which is a success.
    pub(super) async fn send(&self, call: Call) -> Result<Response<Incoming>> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(self.dial().await?))
            .await
            .map_err(|error| self.unreachable(error))?;
        // The connection ends when its answer is read or dropped.
        tokio::spawn(connection.with_upgrades());
        let request = self.request(call)?;
        let answer = sender.send_request(request).await.map_err(|error| self.unreachable(error))?;
        if answer.status().is_success() || answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(answer);
        }
        let status_code = answer.status().as_u16();
        let body = answer.into_body().collect().await.map_err(|error| self.unreachable(error))?;
        Err(failure::told(Error::DockerResponseServerError {
            status_code,
            message: message_of(&body.to_bytes()),
        }))
    }

    /// Sends a request and takes its connection over.
    pub(super) async fn hijack(&self, call: Call) -> Result<Hijacked> {
        let call = call
            .header(CONNECTION.as_str(), "Upgrade".to_owned())
            .header(UPGRADE.as_str(), "tcp".to_owned());
        let answer = self.send(call).await?;
        let upgraded = hyper::upgrade::on(answer).await.map_err(|error| self.unreachable(error))?;
        Ok(tokio::io::split(TokioIo::new(upgraded)))
    }

    /// Sends a request and returns the lines of its answer, each of them JSON.
    pub(super) async fn lines<T>(&self, call: Call) -> Result<BoxStream<'static, Result<T>>>
    where
        T: DeserializeOwned + Send + 'static,
    {
        use futures_util::AsyncBufReadExt as _;

        let body = chunks(self.send(call).await?);
        let lines = body.into_async_read().lines();
        let parse = |line: io::Result<String>| async move {
            match line {
                Ok(line) if line.trim().is_empty() => None,
                Ok(line) => Some(serde_json::from_str(&line).map_err(|error| {
                    RuntimeError::Refused(format!("the engine's answer is not understood: {error}"))
                })),
                Err(source) => Some(Err(RuntimeError::Io {
                    action: "read the engine's answer".into(),
                    source,
                })),
            }
        };
        Ok(lines.filter_map(parse).boxed())
    }

    fn request(&self, call: Call) -> Result<Request<Body>> {
        let mut request = Request::builder()
            .method(call.method)
            .uri(format!("/{}{}", self.version, call.path))
            .header(HOST, "docker");
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        request.body(call.body).map_err(|_| {
            RuntimeError::NotFound(format!("`{}` is no name that an engine knows", call.path))
        })
    }

    async fn dial(&self) -> Result<Box<dyn Connection>> {
        let dialled = match &self.address {
            Address::Unix(path) => UnixStream::connect(path).await.map(boxed),
            Address::Remote(address) => dial_remote(address).await,
        };
        dialled.map_err(|error| self.unreachable(error))
    }

    fn unreachable(
        &self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> RuntimeError {
        let address = match &self.address {
            Address::Unix(path) => format!("unix://{}", path.display()),
            Address::Remote(address) => address.clone(),
        };
        RuntimeError::Unreachable { address, source: source.into() }
    }
}

/// What a request can be sent over.
trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

fn boxed(connection: impl Connection + 'static) -> Box<dyn Connection> {
    Box::new(connection)
}

async fn dial_remote(address: &str) -> io::Result<Box<dyn Connection>> {
    match address.split_once("://") {
        Some(("ssh", host)) => dial_ssh(host),
        Some(("tcp" | "http", host)) => {
            TcpStream::connect(host.trim_end_matches('/')).await.map(boxed)
        }
        _ => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "only `unix`, `tcp` and `ssh` addresses can carry streams",
        )),
    }
}

/// A connection through `ssh`, as the `docker` program makes it.
fn dial_ssh(host: &str) -> io::Result<Box<dyn Connection>> {
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => (host, Some(port)),
        _ => (host, None),
    };
    let mut command = Command::new("ssh");
    if let Some(port) = port {
        command.args(["-p", port]);
    }
    let mut child = command
        .args(["--", host.trim_end_matches('/'), "docker", "system", "dial-stdio"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    let (Some(output), Some(input)) = (child.stdout.take(), child.stdin.take()) else {
        return Err(io::Error::other("`ssh` has no streams"));
    };
    // `ssh` ends when its input does; somebody has to collect it then.
    tokio::spawn(async move { child.wait().await });
    Ok(boxed(tokio::io::join(output, input)))
}

/// What an engine says in an error answer.
fn message_of(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Said {
        message: String,
    }
    match serde_json::from_slice::<Said>(body) {
        Ok(said) => said.message,
        Err(_) => String::from_utf8_lossy(body).trim().to_owned(),
    }
}

/// The bytes of an answer as they come.
pub(super) fn chunks(answer: Response<Incoming>) -> BoxStream<'static, io::Result<Bytes>> {
    answer.into_body().into_data_stream().map_err(io::Error::other).boxed()
}

/// The bytes that arrive over a connection that was taken over.
pub(super) fn chunks_of(
    reader: impl AsyncRead + Send + Unpin + 'static,
) -> BoxStream<'static, io::Result<Bytes>> {
    const ROOM: usize = 32 * 1024;
    stream::try_unfold(reader, |mut reader| async move {
        let mut buffer = bytes::BytesMut::with_capacity(ROOM);
        let read = reader.read_buf(&mut buffer).await?;
        Ok((read > 0).then(|| (buffer.freeze(), reader)))
    })
    .boxed()
}

/// A stream that begins with work which may fail.
pub(super) fn deferred<T, S>(
    start: impl Future<Output = Result<S>> + Send + 'static,
) -> Stream<'static, T>
where
    T: Send + 'static,
    S: futures_util::Stream<Item = Result<T>> + Send + 'static,
{
    stream::once(start).try_flatten().boxed()
}

impl fmt::Debug for Call {
    /// Headers hold credentials: they are not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}
