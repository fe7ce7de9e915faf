//! What a shim is asked for, and how it is reached.
//!
//! In: requests. Out: answers. A request and its answer are one line of JSON each; after
//! [`Request::Attach`] the connection carries the streams of the container instead: what it writes
//! as frames, what it reads as it is.
//!
//! # Invariants
//!
//! - Sockets are reached through their open directory: their paths may be longer than addresses
//!   of sockets can be.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

use crate::model::Output;
use crate::runtime::{Bytes, Chunk, Result, RuntimeError, Size};

/// The name of the socket in the volatile directory of a container.
pub(super) const SOCKET: &str = "control.sock";

/// The longest request or answer.
const LONGEST: u64 = 64 * 1024;

/// What a shim is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Request {
    /// To end the container: answered when it has ended.
    Stop {
        /// The signal, if it is not the container's own.
        signal: Option<String>,
        /// How long to wait before it is killed; negative: for ever.
        seconds: Option<i32>,
        /// What comes then.
        then: Then,
    },
    /// To send a signal.
    Kill {
        /// Its name or number.
        signal: String,
    },
    /// To freeze all processes.
    Pause,
    /// To let them go on.
    Unpause,
    /// To tell the terminal its size.
    Resize {
        /// Width.
        columns: u16,
        /// Height.
        rows: u16,
    },
    /// To connect to the streams.
    Attach {
        /// Whether what is sent is read by the container.
        input: Input,
    },
    /// To look again in which networks the container is.
    Refresh,
}

/// What comes after a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Then {
    /// The container stays as it is, or is removed if it wants that.
    Nothing,
    /// It is started again by who asked.
    Start,
}

/// Whether input goes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Input {
    /// It does.
    Open,
    /// It does not.
    None,
}

impl Input {
    /// What the socket of somebody begins with who waits for the start.
    pub(super) fn mark(self) -> char {
        match self {
            Self::Open => 'i',
            Self::None => 'o',
        }
    }
}

/// The answer to a request.
pub(super) type Answer = std::result::Result<(), Fault>;

/// Why something was not done, as it travels between processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fault {
    kind: Kind,
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    NotFound,
    Conflict,
    PortTaken,
    Unsupported,
    Refused,
}

impl From<RuntimeError> for Fault {
    fn from(error: RuntimeError) -> Self {
        let kind = match &error {
            RuntimeError::NotFound(_) => Kind::NotFound,
            RuntimeError::Conflict(_) => Kind::Conflict,
            RuntimeError::PortTaken { .. } => Kind::PortTaken,
            RuntimeError::Unsupported(_) => Kind::Unsupported,
            _ => Kind::Refused,
        };
        let port = match &error {
            RuntimeError::PortTaken { port, .. } => Some(*port),
            _ => None,
        };
        Self { kind, message: whole(&error), port }
    }
}

impl Fault {
    /// The same here.
    pub(super) fn into_error(self) -> RuntimeError {
        let Self { kind, message, port } = self;
        match kind {
            Kind::NotFound => RuntimeError::NotFound(message),
            Kind::Conflict => RuntimeError::Conflict(message),
            Kind::PortTaken => RuntimeError::PortTaken { port: port.unwrap_or_default(), message },
            Kind::Unsupported => RuntimeError::Unsupported(message),
            Kind::Refused => RuntimeError::Refused(message),
        }
    }
}

/// An error with its causes.
pub(super) fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// The path of something in a directory by way of the directory, which must stay open.
fn through(directory: &Path, name: &str) -> io::Result<(File, PathBuf)> {
    let open = File::open(directory)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/{name}", open.as_raw_fd()));
    Ok((open, path))
}

/// Connects to a socket in a directory.
pub(super) async fn connect(directory: &Path, name: &str) -> io::Result<UnixStream> {
    let (_open, path) = through(directory, name)?;
    UnixStream::connect(path).await
}

/// Listens at a socket in a directory, in place of one that nobody listens at.
pub(super) fn listen(directory: &Path, name: &str) -> io::Result<UnixListener> {
    let (_open, path) = through(directory, name)?;
    match std::fs::remove_file(directory.join(name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(path)
}

/// Sends a value as a line.
pub(super) async fn send(
    stream: &mut (impl tokio::io::AsyncWrite + Unpin),
    value: &impl Serialize,
) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    stream.write_all(&line).await
}

/// Receives a line as a value. Nothing behind the line is consumed.
pub(super) async fn receive<T: serde::de::DeserializeOwned>(
    stream: &mut (impl tokio::io::AsyncRead + Unpin),
) -> io::Result<T> {
    // One byte of buffer: what follows belongs to the container.
    let mut reader = BufReader::with_capacity(1, stream.take(LONGEST));
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line).await?;
    if line.last() != Some(&b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_slice(&line)?)
}

/// Bytes before the output in a frame.
const HEADER: usize = 5;

/// Output as it travels.
pub(super) fn frame(output: Output, bytes: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEADER + bytes.len());
    frame.push(match output {
        Output::Stdout => 1,
        Output::Stderr => 2,
    });
    // Pieces are not longer than the buffer that they were read into.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(bytes);
    frame
}

/// The next output from a connection; `None` at its end.
pub(super) async fn next_frame(
    stream: &mut (impl tokio::io::AsyncRead + Unpin),
) -> io::Result<Option<Chunk>> {
    let mut header = [0; HEADER];
    match stream.read_exact(&mut header).await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
        read => read?,
    };
    let output = if header[0] == 2 { Output::Stderr } else { Output::Stdout };
    let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
    let mut bytes = Vec::new();
    stream.take(length.into()).read_to_end(&mut bytes).await?;
    Ok(Some(Chunk { output, bytes: Bytes::from(bytes) }))
}

/// Asks a shim for something.
pub(super) async fn ask(directory: &Path, request: &Request) -> Result<()> {
    let attempt = async {
        let mut stream = connect(directory, SOCKET).await?;
        send(&mut stream, request).await?;
        receive::<Answer>(&mut stream).await
    };
    match attempt.await {
        Ok(answer) => answer.map_err(Fault::into_error),
        Err(source) => {
            Err(RuntimeError::Io { action: format!("reach `{}`", directory.display()), source })
        }
    }
}

impl From<Size> for Request {
    fn from(Size { columns, rows }: Size) -> Self {
        Self::Resize { columns, rows }
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Fault, Output, Request, frame, next_frame, receive, send};
    use crate::runtime::RuntimeError;

    #[tokio::test]
    async fn what_follows_a_line_is_left() {
        let (mut here, mut there) = tokio::io::duplex(1024);
        send(&mut here, &Request::Pause).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut here, &frame(Output::Stderr, b"oh"))
            .await
            .unwrap();
        drop(here);
        assert_eq!(receive::<Request>(&mut there).await.unwrap(), Request::Pause);
        let chunk = next_frame(&mut there).await.unwrap().unwrap();
        assert_eq!((chunk.output, &chunk.bytes[..]), (Output::Stderr, &b"oh"[..]));
        assert!(next_frame(&mut there).await.unwrap().is_none());
        assert!(receive::<Request>(&mut there).await.is_err());
    }

    #[test]
    fn errors_keep_their_kind_and_causes() {
        let taken = RuntimeError::PortTaken { port: 80, message: "no".to_owned() };
        let text = serde_json::to_string(&Answer::Err(Fault::from(taken))).unwrap();
        let back: Answer = serde_json::from_str(&text).unwrap();
        let error = back.unwrap_err().into_error();
        assert!(matches!(error, RuntimeError::PortTaken { port: 80, .. }));
        let io = RuntimeError::Io {
            action: "open `x`".to_owned(),
            source: std::io::ErrorKind::NotFound.into(),
        };
        assert_eq!(Fault::from(io).message, "cannot open `x`: entity not found");
    }
}
