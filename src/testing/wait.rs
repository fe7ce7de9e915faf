//! What a test waits for, by the event where there is one.
//!
//! # Invariants
//!
//! - Logs and health are waited for by what the runtime tells; only ports, of which it knows
//!   nothing, are tried again and again, with growing pauses.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::StackError;
use super::error::indented;
use super::service::address_of;
use super::world::World;
use crate::model::observed::{Milestone, ObservedContainer};
use crate::runtime::{Bytes, LogOptions};

/// How long is waited unless a test says otherwise.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pauses between two tries.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(200));
/// How long one try may take.
const TRY: Duration = Duration::from_secs(2);
/// How many last lines of a log an error has.
const LINES: u64 = 20;
/// The longest line that is searched, in bytes; what is longer is searched in parts.
const LONGEST: usize = 64 << 10;

/// Something to wait for.
#[derive(Clone, Debug)]
pub struct WaitFor {
    what: What,
    limit: Duration,
}

#[derive(Clone, Debug)]
enum What {
    Healthy,
    Log(String),
    Tcp(u16),
    Http(u16, String),
}

impl WaitFor {
    /// Its health check succeeds.
    pub fn healthy() -> Self {
        Self { what: What::Healthy, limit: PATIENCE }
    }

    /// A line with this text is in its log, whenever it was written.
    pub fn log(text: impl Into<String>) -> Self {
        Self { what: What::Log(text.into()), limit: PATIENCE }
    }

    /// It takes connections at a port that it publishes.
    pub fn tcp(port: u16) -> Self {
        Self { what: What::Tcp(port), limit: PATIENCE }
    }

    /// It answers `GET PATH` at a port that it publishes with a status from 200 to 399.
    pub fn http(port: u16, path: impl Into<String>) -> Self {
        Self { what: What::Http(port, path.into()), limit: PATIENCE }
    }

    /// For this long at most.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    pub(super) async fn come(
        self,
        world: &World,
        service: &str,
        container: &ObservedContainer,
    ) -> Result<(), StackError> {
        let mut why = String::new();
        let work = self.what.come(world, (service, container), &mut why);
        let done = match tokio::time::timeout(self.limit, work).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => Some(error),
            Err(_) => None,
        };
        if let Some(error @ StackError::NoPort { .. }) = done {
            return Err(error);
        }
        let why = done.map_or(why, |error| error.to_string());
        let on_a_line = |text: String| if text.is_empty() { text } else { format!("\n{text}") };
        Err(StackError::Timeout {
            service: service.to_owned(),
            what: self.what.to_string(),
            limit: self.limit,
            why: on_a_line(why),
            log: on_a_line(last_lines(world, container).await),
        })
    }
}

impl std::fmt::Display for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Healthy => f.write_str("become healthy"),
            Self::Log(text) => write!(f, "write `{text}`"),
            Self::Tcp(port) => write!(f, "take connections at port {port}"),
            Self::Http(port, path) => write!(f, "answer `GET {path}` at port {port}"),
        }
    }
}

impl What {
    /// Waits without end; `why` says what came instead, as far as it got.
    async fn come(
        &self,
        world: &World,
        (service, container): (&str, &ObservedContainer),
        why: &mut String,
    ) -> Result<(), StackError> {
        let at = |port: u16| address_of(container, (service, port), "tcp");
        match self {
            Self::Healthy => Ok(world.runtime.wait(&container.id, Milestone::Healthy).await?),
            Self::Log(text) => log(world, &container.id, text).await,
            Self::Tcp(port) => {
                let address = at(*port)?;
                again(why, async || TcpStream::connect(address).await.map(drop)).await;
                Ok(())
            }
            Self::Http(port, path) => {
                let address = at(*port)?;
                again(why, async || get(address, path).await).await;
                Ok(())
            }
        }
    }
}

/// Tries until it succeeds; keeps why it did not.
async fn again(why: &mut String, work: impl AsyncFn() -> std::io::Result<()>) {
    let (mut pause, longest) = PAUSES;
    loop {
        match tokio::time::timeout(TRY, work()).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => *why = error.to_string(),
            Err(_) => "no answer".clone_into(why),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}

/// Asks once.
async fn get(address: SocketAddr, path: &str) -> std::io::Result<()> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(std::io::Error::other)?;
    let request = hyper::Request::get(path)
        .header("Host", address.to_string())
        .body(Empty::<Bytes>::new())
        .map_err(std::io::Error::other)?;
    let answer = async { sender.send_request(request).await };
    let status = tokio::select! {
        answer = answer => answer.map_err(std::io::Error::other)?.status(),
        ended = connection => {
            return Err(std::io::Error::other(match ended {
                Ok(()) => "the connection ended before an answer".to_owned(),
                Err(error) => error.to_string(),
            }));
        }
    };
    if status.is_success() || status.is_redirection() {
        Ok(())
    } else {
        Err(std::io::Error::other(format!("the answer was {status}")))
    }
}

/// Waits for a line of a log.
async fn log(world: &World, container: &str, text: &str) -> Result<(), StackError> {
    let options = LogOptions { follow: true, ..LogOptions::default() };
    let mut logs = world.runtime.logs(container, &options);
    let mut line = Vec::new();
    while let Some(chunk) = logs.try_next().await? {
        line.extend_from_slice(&chunk.bytes);
        if memchr::memmem::find(&line, text.as_bytes()).is_some() {
            return Ok(());
        }
        // What is kept is enough to find a text that was cut in two.
        let end = memchr::memrchr(b'\n', &line).map_or(0, |newline| newline + 1);
        let is_long = line.len() - end > LONGEST;
        let start = if is_long { line.len().saturating_sub(text.len()) } else { end };
        line.drain(..start);
    }
    let text = "it ended before".to_owned();
    Err(crate::orchestrator::OrchestrationError::Other(text).into())
}

async fn last_lines(world: &World, container: &ObservedContainer) -> String {
    let options = LogOptions { tail: Some(LINES), ..LogOptions::default() };
    let mut logs = world.runtime.logs(&container.id, &options);
    let mut text = Vec::new();
    while let Ok(Some(chunk)) = logs.try_next().await {
        text.extend_from_slice(&chunk.bytes);
    }
    indented(String::from_utf8_lossy(&text).lines())
}
