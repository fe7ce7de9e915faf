//! Requests whose answers bollard would interpret: raw bodies, lines of JSON with every field, and
//! connections that are taken over.
//!
//! In: a [`Call`]. Out: the answer as it came. bollard guesses from the first byte whether output
//! is multiplexed, cuts `since` to whole seconds, drops the layer from the progress of a push, and
//! encodes credentials in an alphabet that engines do not read; so logs, attach, exec, pull, push
//! and build speak HTTP themselves, over bollard's connections.
//!
//! # Invariants
//!
//! - Dropping an answer closes its connection, which ends the request at the engine.
//! - There is no time limit: these requests last as long as what they watch.

use std::fmt;
use std::io;

use bollard::errors::Error;
use bollard::{BollardRequest, ClientVersion, body_full, body_try_stream};
use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_TYPE, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt as _, ReadHalf, WriteHalf};
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};
use tokio_util::io::StreamReader;

use super::connect::Transport;
use super::{Address, Docker, failure};
use crate::runtime::{Bytes, Result, RuntimeError, Stream};

/// How many words an engine may make of a refusal, in bytes.
const LONGEST_REFUSAL: usize = 1024 * 1024;

/// How long a line of an answer may be, in bytes: lists of containers come as one.
const LONGEST_LINE: usize = 64 * 1024 * 1024;

/// The body of a request, as bollard has it.
type Body = <BollardRequest as HasBody>::Body;

trait HasBody {
    type Body;
}

impl<B> HasBody for Request<B> {
    type Body = B;
}

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
        Self { method, path: path.into(), headers: Vec::new(), body: body_full(Bytes::new()) }
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
        self.body = body_full(value.to_string().into());
        self.header(CONTENT_TYPE.as_str(), "application/json".to_owned())
    }

    /// With an archive that is made while it is sent.
    pub(super) fn archive(mut self, tar: BoxStream<'static, io::Result<Bytes>>) -> Self {
        self.body = body_try_stream(tar);
        self.header(CONTENT_TYPE.as_str(), "application/x-tar".to_owned())
    }
}

/// A way to the engine that does not borrow.
#[derive(Clone)]
pub(super) struct Wire {
    transport: Transport,
    address: Address,
    api: ClientVersion,
}

impl Docker {
    /// A way to the engine that does not borrow.
    pub(super) fn wire(&self) -> Wire {
        Wire { transport: self.transport.clone(), address: self.address.clone(), api: self.api }
    }
}

impl Wire {
    /// An error of bollard as one of a runtime.
    pub(super) fn failure(&self, error: Error) -> RuntimeError {
        failure::translate(&self.address, error)
    }

    /// Sends a request and returns its answer, which is a success.
    pub(super) async fn send(&self, call: Call) -> Result<Response<Incoming>> {
        let request = request(call)?;
        let answer = self.transport.send(self.api, request).await;
        let answer = answer.map_err(|error| self.failure(error))?;
        if answer.status().is_success() || answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(answer);
        }
        let status_code = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), LONGEST_REFUSAL).collect().await;
        // Its status tells that it refused, whatever its words are.
        let message = body.map(|body| message_of(&body.to_bytes()));
        let message = message.unwrap_or_else(|error| format!("status {status_code} ({error})"));
        Err(self.failure(Error::DockerResponseServerError { status_code, message }))
    }

    /// Sends a request and takes its connection over.
    pub(super) async fn hijack(&self, call: Call) -> Result<Hijacked> {
        let call = call
            .header(CONNECTION.as_str(), "Upgrade".to_owned())
            .header(UPGRADE.as_str(), "tcp".to_owned());
        let answer = self.send(call).await?;
        let upgraded =
            hyper::upgrade::on(answer).await.map_err(|error| self.failure(error.into()))?;
        Ok(tokio::io::split(TokioIo::new(upgraded)))
    }

    /// Sends a request and returns the lines of its answer, each of them JSON.
    pub(super) async fn lines<T>(&self, call: Call) -> Result<BoxStream<'static, Result<T>>>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let body = StreamReader::new(chunks(self.send(call).await?));
        let lines = FramedRead::new(body, LinesCodec::new_with_max_length(LONGEST_LINE));
        let parse = |line: std::result::Result<String, LinesCodecError>| async move {
            match line {
                Ok(line) if line.trim().is_empty() => None,
                Ok(line) => Some(serde_json::from_str(&line).map_err(|error| {
                    RuntimeError::Refused(format!("the engine's answer is not understood: {error}"))
                })),
                Err(LinesCodecError::MaxLineLengthExceeded) => Some(Err(RuntimeError::Refused(
                    "the engine's answer has a line without an end".to_owned(),
                ))),
                Err(LinesCodecError::Io(source)) => Some(Err(RuntimeError::Io {
                    action: "read the engine's answer".into(),
                    source,
                })),
            }
        };
        Ok(lines.filter_map(parse).boxed())
    }
}

fn request(call: Call) -> Result<BollardRequest> {
    let mut request = Request::builder().method(call.method).uri(&call.path);
    for (name, value) in call.headers {
        request = request.header(name, value);
    }
    request.body(call.body).map_err(|error| {
        // Parameters may hold secrets: build arguments.
        let path = call.path.split('?').next().unwrap_or_default();
        RuntimeError::Refused(format!("`{path}` cannot be asked for: {error}"))
    })
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
    /// Headers and parameters may hold secrets: they are not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path.split('?').next().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::UnixListener;

    use super::super::trial::limited;
    use super::*;

    fn wire(path: std::path::PathBuf) -> Wire {
        let api = ClientVersion { major_version: 1, minor_version: 41 };
        Wire { transport: Transport::to_socket(&path), address: Address::Unix(path), api }
    }

    /// An engine that takes one request, answers with this text, and keeps the connection open.
    /// Gives the request when the other side has closed.
    fn answering(text: &'static str) -> (tempfile::TempDir, Wire, tokio::task::JoinHandle<String>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("engine.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let server = tokio::spawn(async move {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let length = connection.read(&mut request).await.unwrap();
            connection.write_all(text.as_bytes()).await.unwrap();
            let mut rest = Vec::new();
            // A connection that is reset is closed too.
            let _ = connection.read_to_end(&mut rest).await;
            request.truncate(length);
            request.extend(rest);
            String::from_utf8(request).unwrap()
        });
        (directory, wire(path), server)
    }

    #[tokio::test]
    async fn dropping_an_answer_closes_its_connection() {
        let (_directory, wire, server) =
            answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
        let call = Call::new(Method::GET, "/x").query(&[("a", "b c".into()), ("d", String::new())]);
        let mut body = chunks(wire.send(call).await.unwrap());
        assert_eq!(limited(body.next()).await.unwrap().unwrap(), b"abc"[..]);
        drop(body);
        let request = limited(server).await.unwrap();
        assert!(request.starts_with("GET /v1.41/x?a=b+c HTTP/1.1\r\n"), "{request}");
    }

    #[tokio::test]
    async fn a_connection_that_is_taken_over_is_closed_one_way_first() {
        let (_directory, wire, server) =
            answering("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nraw");
        let call = Call::new(Method::POST, "/x").json(&serde_json::json!({ "a": 1 }));
        let (reader, mut writer) = wire.hijack(call).await.unwrap();
        writer.write_all(b"input").await.unwrap();
        writer.shutdown().await.unwrap();
        let found: Vec<Bytes> = limited(chunks_of(reader).try_collect()).await.unwrap();
        assert_eq!(found.concat(), b"raw");
        let request = limited(server).await.unwrap();
        assert!(request.ends_with("{\"a\":1}input"), "{request}");
    }

    #[tokio::test]
    async fn refusals_are_told_in_the_engines_words() {
        let (_directory, wire, _server) =
            answering("HTTP/1.1 409 C\r\nContent-Length: 18\r\n\r\n{\"message\":\"busy\"}");
        let error = wire.send(Call::new(Method::GET, "/x")).await.unwrap_err();
        assert!(matches!(&error, RuntimeError::Conflict(said) if said == "busy"), "{error:?}");
    }

    #[tokio::test]
    async fn an_engine_that_is_not_there_is_told_with_its_address() {
        let wire = wire("/nonexistent/engine.sock".into());
        let error = wire.send(Call::new(Method::GET, "/x")).await.unwrap_err();
        let said = "cannot reach the engine at `unix:///nonexistent/engine.sock`";
        assert_eq!(error.to_string(), said);
        let long = "x".repeat(70_000);
        let call = Call::new(Method::GET, "/x").query(&[("buildargs", long)]);
        let error = request(call).err().unwrap().to_string();
        assert!(error.starts_with("`/x` cannot be asked for: ") && error.len() < 100, "{error}");
    }
}
