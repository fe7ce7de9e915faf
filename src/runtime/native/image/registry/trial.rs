//! A registry to test with, which does what it is told to.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::super::digest::Digest;
use super::super::platform::Platform;
use super::super::spec::media;

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Asked {
    /// Method and path.
    pub(in super::super) line: String,
    /// By their names in lower case.
    pub(in super::super) headers: BTreeMap<String, String>,
    pub(in super::super) body: String,
}

impl Asked {
    pub(in super::super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Reply {
    pub(in super::super) status: u16,
    pub(in super::super) headers: Vec<(String, String)>,
    pub(in super::super) body: Vec<u8>,
    /// The connection ends after so many bytes of the body.
    pub(in super::super) cut: Option<usize>,
}

impl Reply {
    pub(in super::super) fn of(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, body: body.into(), ..Self::default() }
    }

    pub(in super::super) fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub(in super::super) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Answers, or leaves it to what is published.
type Behaviour = Box<dyn Fn(&Asked, usize) -> Option<Reply> + Send + Sync>;

/// A registry; everybody gets what is published.
pub(in super::super) struct Trial {
    pub(in super::super) address: String,
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    published: Mutex<BTreeMap<String, (String, Vec<u8>)>>,
    asked: Mutex<Vec<Asked>>,
    behaviour: Mutex<Option<Behaviour>>,
}

impl Drop for Trial {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Trial {
    pub(in super::super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { address, state, task }
    }

    /// What it does before it looks at what is published; it gets the request, and how many there
    /// were of this line before.
    pub(in super::super) fn behave(
        &self,
        behaviour: impl Fn(&Asked, usize) -> Option<Reply> + Send + Sync + 'static,
    ) {
        *self.state.behaviour.lock().unwrap() = Some(Box::new(behaviour));
    }

    /// The requests whose line has this in it.
    pub(in super::super) fn asked(&self, part: &str) -> Vec<Asked> {
        let all = self.state.asked.lock().unwrap();
        all.iter().filter(|asked| asked.line.contains(part)).cloned().collect()
    }

    fn put(&self, path: &str, kind: &str, bytes: &[u8]) {
        let entry = (kind.to_owned(), bytes.to_vec());
        self.state.published.lock().unwrap().insert(format!("/v2/{path}"), entry);
    }

    pub(in super::super) fn blob(&self, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes);
        self.put(&format!("app/blobs/{digest}"), "application/octet-stream", bytes);
        json!({ "mediaType": media::CONFIG, "digest": digest, "size": bytes.len() })
    }

    pub(in super::super) fn manifest(&self, tag: &str, kind: &str, value: &Value) -> Value {
        let bytes = value.to_string().into_bytes();
        let digest = Digest::of(&bytes);
        for version in [tag, digest.as_str()] {
            self.put(&format!("app/manifests/{version}"), kind, &bytes);
        }
        json!({ "mediaType": kind, "digest": digest, "size": bytes.len() })
    }

    /// Publishes an image of layers that are compressed already.
    pub(in super::super) fn image(&self, tag: &str, layers: &[(&[u8], &[u8])]) -> Value {
        let host = Platform::host();
        let diff_ids: Vec<Digest> = layers.iter().map(|(plain, _)| Digest::of(plain)).collect();
        let config = json!({
            "os": host.os, "architecture": host.architecture,
            "config": { "Cmd": ["sh"], "Labels": { "tag": tag } },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let config = self.blob(config.to_string().as_bytes());
        let layers: Vec<Value> = layers.iter().map(|(_, packed)| self.blob(packed)).collect();
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": layers });
        self.manifest(tag, media::MANIFEST, &manifest)
    }
}

async fn serve(mut stream: TcpStream, state: Arc<State>) {
    while let Some(asked) = read(&mut stream).await {
        let reply = state.answer(&asked);
        let mut text = format!("HTTP/1.1 {} -\r\n", reply.status).into_bytes();
        for (name, value) in &reply.headers {
            let _ = write!(text, "{name}: {value}\r\n");
        }
        let _ = write!(text, "content-length: {}\r\n\r\n", reply.body.len());
        if !asked.line.starts_with("HEAD") {
            text.extend_from_slice(&reply.body[..reply.cut.unwrap_or(reply.body.len())]);
        }
        if stream.write_all(&text).await.is_err() || reply.cut.is_some() {
            return;
        }
    }
}

impl State {
    fn answer(&self, asked: &Asked) -> Reply {
        let before = {
            let mut all = self.asked.lock().unwrap();
            let before = all.iter().filter(|other| other.line == asked.line).count();
            all.push(asked.clone());
            before
        };
        if let Some(behaviour) = &*self.behaviour.lock().unwrap()
            && let Some(reply) = behaviour(asked, before)
        {
            return reply;
        }
        let path = asked.line.split(' ').nth(1).unwrap_or_default();
        if path == "/v2/" {
            return Reply::of("{}");
        }
        let Some((kind, bytes)) = self.published.lock().unwrap().get(path).cloned() else {
            let body = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
            return Reply { status: 404, ..Reply::of(body) };
        };
        let reply = Reply::of(bytes.clone()).header("content-type", &kind);
        let range =
            asked.header("range").strip_prefix("bytes=").and_then(|it| it.strip_suffix('-'));
        match range.and_then(|from| from.parse::<usize>().ok()) {
            Some(from) => Reply { status: 206, body: bytes[from..].to_vec(), ..reply }.header(
                "content-range",
                &format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len()),
            ),
            None => reply,
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        text.push(stream.read_u8().await.ok()?);
    }
    let text = String::from_utf8(text).ok()?;
    let mut lines = text.lines();
    let line = lines.next()?.trim_end_matches(" HTTP/1.1").to_owned();
    let pair = |line: &str| {
        let (name, value) = line.split_once(": ")?;
        Some((name.to_lowercase(), value.to_owned()))
    };
    let headers: BTreeMap<String, String> = lines.filter_map(pair).collect();
    let length = headers.get("content-length").and_then(|it| it.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Asked { line, headers, body: String::from_utf8_lossy(&body).into_owned() })
}
