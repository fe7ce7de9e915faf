//! Engines that answer badly, slowly, or not at all: a small server on a socket of its own stands in
//! for them. Whatever they do, a command ends with words that help.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::binary::{Output, ketch};

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(30);

/// Answers a request, of which it gets the first line; `false`: the connection is closed.
type Answer = fn(&str, &mut UnixStream) -> bool;

/// An engine that answers as badly as it is told to.
struct Engine {
    dir: TempDir,
}

impl Engine {
    fn answering(answer: Answer) -> Self {
        let dir = TempDir::new().unwrap();
        let file = "name: faults\nservices: {web: {image: x}}\n";
        std::fs::write(dir.path().join("compose.yaml"), file).unwrap();
        let engine = Self { dir };
        let listener = UnixListener::bind(engine.socket()).unwrap();
        // It ends with the process.
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                std::thread::spawn(move || serve(connection, answer));
            }
        });
        engine
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("engine.sock")
    }

    fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    fn ketch(&self, arguments: &str) -> Output {
        ketch(self.dir.path(), arguments).env("DOCKER_HOST", &self.host()).output()
    }
}

/// Answers greetings well, and all else as it is told to.
fn serve(mut connection: UnixStream, answer: Answer) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = connection.read(&mut buffer) {
        request.extend_from_slice(&buffer[..count]);
        let Some(end) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&request[..end]).into_owned();
        request.drain(..end + 4);
        let first = head.lines().next().unwrap_or_default();
        let goes_on = if first.contains("/_ping") {
            let greeting = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 0\r\n\r\n";
            connection.write_all(greeting.as_bytes()).is_ok()
        } else {
            answer(first, &mut connection)
        };
        if !goes_on {
            return;
        }
    }
}

fn send(connection: &mut UnixStream, bytes: &[u8]) -> bool {
    connection.write_all(bytes).is_ok()
}

fn json(connection: &mut UnixStream, body: &str) -> bool {
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    send(connection, head.as_bytes()) && send(connection, body.as_bytes())
}

/// Sends something and hangs up.
fn last(connection: &mut UnixStream, bytes: &[u8]) -> bool {
    send(connection, bytes);
    false
}

/// A body without an end.
fn endless(connection: &mut UnixStream, status: &str) -> bool {
    let head = format!("HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n");
    let piece = [b"100000\r\n".as_slice(), &vec![b' '; 0x0010_0000], b"\r\n"].concat();
    send(connection, head.as_bytes()) && while_possible(|| send(connection, &piece))
}

fn while_possible(mut send: impl FnMut() -> bool) -> bool {
    while send() {}
    false
}

#[test]
fn bad_answers_end_commands_with_words_that_help() {
    let cases: [(Answer, &str); 7] = [
        (|_, to| last(to, b"\0\x01garbage\r\n\r\n"), "does not speak HTTP"),
        (|_, to| json(to, "[{\"Id\": \"a\", \"Names\""), "cannot be read"),
        (|_, to| json(to, "{\"a\": 1}"), "cannot be read"),
        (|_, to| json(to, "<html>no engine</html>"), "cannot be read"),
        (
            |_, to| last(to, b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n[{"),
            "went away in the middle",
        ),
        (|_, _| false, "went away in the middle"),
        (|_, to| endless(to, "200 OK"), "has no end"),
    ];
    for (answer, expected) in cases {
        let engine = Engine::answering(answer);
        for arguments in ["ps", "up -d", "down", "plan"] {
            let output = engine.ketch(arguments);
            assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{arguments}: {output:?}");
            assert!(output.stderr.contains(expected), "{expected}: {output:?}");
            assert!(!output.stderr.contains("panicked"), "{output:?}");
        }
    }
}

#[test]
fn a_line_without_an_end_is_no_progress() {
    let engine = Engine::answering(|first, to| {
        if first.starts_with("POST") {
            return endless(to, "200 OK");
        }
        last(to, b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}")
    });
    let output = engine.ketch("pull");
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("a line without an end"), "{output:?}");
}

#[test]
fn a_refusal_without_an_end_is_cut() {
    let engine = Engine::answering(|_, to| endless(to, "500 Internal Server Error"));
    let output = engine.ketch("logs");
    assert_eq!(output.code, 1);
    assert!(output.stderr.len() < 10_000, "{}", output.stderr.len());
}

#[test]
fn an_engine_that_hangs_is_told_of_and_can_be_left() {
    let engine = Engine::answering(|_, _| {
        std::thread::sleep(LIMIT * 2);
        false
    });
    for arguments in [&["ps"][..], &["up", "-d"], &["down"]] {
        let errors = engine.dir.path().join("stderr");
        let mut child = Command::new(env!("CARGO_BIN_EXE_ketch"))
            .args(arguments)
            .current_dir(engine.dir.path())
            .env_clear()
            .env("DOCKER_HOST", engine.host())
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(&errors).unwrap())
            .spawn()
            .unwrap();
        let began = Instant::now();
        let mut said = String::new();
        while !said.contains("waiting for the engine") {
            assert!(began.elapsed() < LIMIT, "{arguments:?} says nothing: {said}");
            std::thread::park_timeout(Duration::from_millis(20));
            said = std::fs::read_to_string(&errors).unwrap();
        }
        let id = child.id().to_string();
        assert!(Command::new("kill").args(["-s", "INT", &id]).status().unwrap().success());
        while child.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < LIMIT, "{arguments:?} cannot be left");
            std::thread::park_timeout(Duration::from_millis(20));
        }
        assert_eq!(child.wait().unwrap().code(), Some(130), "{arguments:?}");
    }
}

/// Lists two thousand containers of the project, and nothing else.
fn crowd(request: &str, to: &mut UnixStream) -> bool {
    if !request.contains("/containers/json") {
        let none = if request.contains("/volumes") { "{\"Volumes\": []}" } else { "[]" };
        return json(to, none);
    }
    let container = |number: usize| {
        serde_json::json!({
            "Id": format!("{number:064}"),
            "Names": [format!("/faults-web-{number}")],
            "Image": "x",
            "Command": "sleep",
            "Created": 1_700_000_000 + number,
            "State": "running",
            "Status": "Up 1 second",
            "Labels": {
                "com.docker.compose.project": "faults",
                "com.docker.compose.service": "web",
                "com.docker.compose.config-hash": "0",
                "com.docker.compose.container-number": number.to_string(),
                "com.docker.compose.oneoff": "False"
            }
        })
    };
    let all: Vec<_> = (1..=2000).map(container).collect();
    json(to, &serde_json::Value::from(all).to_string())
}

#[test]
fn two_thousand_containers_are_no_trouble() {
    let engine = Engine::answering(crowd);
    let began = Instant::now();
    assert_eq!(engine.ketch("ps -q").stdout.lines().count(), 2000);
    assert_eq!(engine.ketch("ps --format json").stdout.lines().count(), 2000);
    let plan = engine.ketch("plan --down");
    assert!(plan.stdout.contains("2000 to stop, 2000 to remove"), "{}", plan.stderr);
    assert!(began.elapsed() < LIMIT, "{:?}", began.elapsed());
}
