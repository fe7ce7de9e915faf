//! A real engine that fails in the middle: between it and `ketch` stands a relay that does one
//! thing wrong. Whatever it is, the command says so, and the next one copes with what is left.
//! Skipped where no engine answers.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;

use crate::binary::{Output, ketch};

/// Where the engine listens.
const ENGINE: &str = "/var/run/docker.sock";
/// An image with a shell that is there.
const IMAGE: &str = "corpus/busybox:1";

/// What becomes of a request, of which it gets the first line.
#[derive(PartialEq, Eq)]
enum Fate {
    /// The engine answers it.
    Passed,
    /// It is answered with an error of the engine.
    Refused(&'static str),
    /// The engine is gone for good.
    Gone,
}

/// A project, and the relay that leads to the engine.
struct Stage {
    name: String,
    folder: TempDir,
}

impl Stage {
    /// `None`: there is no engine.
    fn new(test: &str, services: &str) -> Option<Self> {
        if docker(&["image", "inspect", IMAGE]).is_none() {
            println!("skipped {test}: no engine with the image {IMAGE} answers");
            return None;
        }
        let name = format!("kfault-{test}-{}", std::process::id());
        let folder = TempDir::new().unwrap();
        let app = format!("x-app: &app {{image: '{IMAGE}', command: [sleep, '1000']}}");
        let file = format!("name: {name}\n{app}\n{services}");
        std::fs::write(folder.path().join("compose.yaml"), file).unwrap();
        Some(Self { name, folder })
    }

    /// Has all requests judged from now on.
    fn relay(&self, judge: impl Fn(&str) -> Fate + Send + Sync + 'static) {
        let socket = self.folder.path().join("engine.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let judge = Arc::new(judge);
        // It ends with the process.
        std::thread::spawn(move || {
            for here in listener.incoming().map_while(Result::ok) {
                let (judge, socket) = (Arc::clone(&judge), socket.clone());
                std::thread::spawn(move || {
                    if relay(here, &*judge) == Some(Fate::Gone) {
                        let _ = std::fs::remove_file(socket);
                    }
                });
            }
        });
    }

    fn by_relay(&self, arguments: &str) -> Output {
        let host = format!("unix://{}", self.folder.path().join("engine.sock").display());
        ketch(self.folder.path(), arguments).env("DOCKER_HOST", &host).output()
    }

    fn directly(&self, arguments: &str) -> Output {
        ketch(self.folder.path(), arguments).output()
    }

    /// States of the containers, by service.
    fn states(&self) -> Vec<String> {
        let output = self.directly("ps -a --format {{.Service}}={{.State}}");
        let mut states: Vec<String> = output.stdout.lines().map(str::to_owned).collect();
        states.sort();
        states
    }

    /// All that is left of the project.
    fn left(&self) -> String {
        let filter = format!("label=com.docker.compose.project={}", self.name);
        let list = |what: &[&str]| docker(&[what, &["-q", "--filter", &filter]].concat()).unwrap();
        list(&["ps", "-a"]) + &list(&["network", "ls"]) + &list(&["volume", "ls"])
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.directly("down -v -t 0");
        assert!(std::thread::panicking() || self.left().is_empty(), "{}", self.left());
    }
}

fn docker(arguments: &[&str]) -> Option<String> {
    let output = Command::new("docker").args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

/// Relays one request and its answer; says what became of it.
fn relay(mut here: UnixStream, judge: &dyn Fn(&str) -> Fate) -> Option<Fate> {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    let end = loop {
        if let Some(end) = request.windows(2).position(|bytes| bytes == b"\r\n") {
            break end;
        }
        let count = here.read(&mut buffer).ok().filter(|count| *count > 0)?;
        request.extend_from_slice(&buffer[..count]);
    };
    let first = String::from_utf8_lossy(&request[..end]).into_owned();
    match judge(&first) {
        Fate::Passed => {}
        Fate::Refused(message) => {
            let body = serde_json::json!({ "message": message }).to_string();
            let head = "HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\n";
            let answer = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
            here.write_all(answer.as_bytes()).ok()?;
            return None;
        }
        Fate::Gone => return Some(Fate::Gone),
    }
    // One connection has one request, so that each is judged.
    if !first.contains("/events") && !first.contains("/attach") && !first.contains("/exec/") {
        let rest = request.split_off(end);
        request.extend_from_slice(b"\r\nConnection: close");
        request.extend_from_slice(&rest);
    }
    let mut there = UnixStream::connect(ENGINE).ok()?;
    there.write_all(&request).ok()?;
    let (mut requests, mut to_engine) = (here.try_clone().ok()?, there.try_clone().ok()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut requests, &mut to_engine);
        let _ = to_engine.shutdown(Shutdown::Write);
    });
    let _ = std::io::copy(&mut there, &mut here);
    let _ = here.shutdown(Shutdown::Both);
    None
}

const CHAIN: &str = "
services:
  first: *app
  second: {<<: *app, depends_on: [first], volumes: ['data:/data']}
  third: {<<: *app, depends_on: [second]}
volumes: {data: {}}
";

#[test]
fn an_engine_that_goes_in_the_middle_is_told_and_nothing_is_lost() {
    for gone_at in ["/start", "/containers/create", "/networks/create", "/volumes/create"] {
        let Some(stage) = Stage::new("gone", CHAIN) else { return };
        stage.relay(
            move |request| {
                if request.contains(gone_at) { Fate::Gone } else { Fate::Passed }
            },
        );
        let output = stage.by_relay("up -d");
        assert_eq!(output.code, 1, "{gone_at}: {output:?}");
        assert!(output.stderr.contains("engine"), "{gone_at}: {output:?}");
        assert!(!output.stderr.contains("panicked"), "{output:?}");
        assert_ne!(stage.states(), ["first=running", "second=running", "third=running"]);
        assert_eq!(stage.directly("up -d").code, 0);
        assert_eq!(stage.states(), ["first=running", "second=running", "third=running"]);
    }
}

#[test]
fn a_full_disk_is_told_in_the_engines_words_and_what_was_begun_can_go() {
    let Some(stage) = Stage::new("full", CHAIN) else { return };
    stage.relay(|request| {
        if !request.contains("/containers/create") {
            return Fate::Passed;
        }
        Fate::Refused("mkdir /var/lib/docker/overlay2/x: no space left on device")
    });
    let output = stage.by_relay("up -d");
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("no space left on device"), "{output:?}");
    assert!(output.stderr.contains("first"), "which service it was: {output:?}");
    assert_eq!(stage.states(), Vec::<String>::new());
    assert!(!stage.left().is_empty(), "the network was made");
    assert_eq!(stage.by_relay("down -v").code, 0);
    assert_eq!(stage.left(), "");
}

#[test]
fn a_container_that_goes_between_look_and_action_is_told_and_made_anew() {
    let Some(stage) = Stage::new("away", "services: {web: *app}\n") else { return };
    assert_eq!(stage.directly("up -d").code, 0);
    assert_eq!(stage.directly("stop -t 0").code, 0);
    let name = format!("{}-web-1", stage.name);
    stage.relay(move |request| {
        if request.starts_with("POST") && request.contains("/start") {
            docker(&["rm", "-f", &name]);
        }
        Fate::Passed
    });
    let output = stage.by_relay("up -d");
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("web-1"), "{output:?}");
    assert_eq!(stage.directly("up -d").code, 0);
    assert_eq!(stage.states(), ["web=running"]);
    let name = format!("{}-web-1", stage.name);
    docker(&["rm", "-f", &name]);
    assert_eq!(stage.directly("down").code, 0);
}

#[test]
fn a_health_check_that_hangs_is_cut_and_shown() {
    let services = "
services:
  web:
    <<: *app
    healthcheck: {test: 'echo I hang; sleep 1000', interval: 1s, timeout: 1s, retries: 2}
";
    let Some(stage) = Stage::new("hang", services) else { return };
    let output = stage.directly("up -d --wait");
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("web-1 is unhealthy"), "{output:?}");
    assert!(output.stderr.contains("Health check exceeded timeout"), "{output:?}");
}
