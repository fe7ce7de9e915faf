//! An engine that fails in the middle: between it and `ketch` stands a relay that does one thing
//! wrong. Whatever it is, the command says so, and the next one copes with what is left. Only on
//! Docker, where there is an engine.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use super::{Scenario, scenario_in};
use crate::binary::Output;
use crate::place::{Kind, Place};

/// What becomes of a request.
enum Fate {
    /// The engine answers it.
    Passed,
    /// It is answered with an error of the engine.
    Refused(&'static str),
    /// The engine is gone for good.
    Gone,
}

/// Decides by the first line of a request.
type Judge = dyn Fn(&str) -> Fate + Send + Sync;

const SOCKET: &str = "engine.sock";

fn on_docker(name: &str, compose: &str, body: impl Fn(&Scenario)) {
    if let Some(place) = Place::on(Kind::Docker, name) {
        scenario_in(place, name, compose, body);
    }
}

/// Runs a command whose requests are judged on their way to the engine.
fn judged(
    it: &Scenario,
    arguments: &str,
    judge: impl Fn(&str) -> Fate + Send + Sync + 'static,
) -> Output {
    let version = it.place.ask(it.place.runtime.version()).unwrap();
    let engine = version.address.strip_prefix("unix://").expect("a socket of this machine");
    let (engine, socket) = (engine.to_owned(), it.dir().join(SOCKET));
    let listener = UnixListener::bind(&socket).unwrap();
    let host = format!("unix://{}", socket.display());
    let judge: Arc<Judge> = Arc::new(judge);
    // It ends with the process.
    std::thread::spawn(move || {
        for here in listener.incoming().map_while(Result::ok) {
            let (judge, engine, socket) = (Arc::clone(&judge), engine.clone(), socket.clone());
            std::thread::spawn(move || relay(here, &engine, (&*judge, &socket)));
        }
    });
    it.ketch(arguments).env("DOCKER_HOST", &host).output()
}

/// Relays one request and its answer.
fn relay(mut here: UnixStream, engine: &str, (judge, socket): (&Judge, &Path)) -> Option<()> {
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
            return here.write_all(answer.as_bytes()).ok();
        }
        Fate::Gone => return std::fs::remove_file(socket).ok(),
    }
    // One connection has one request, so that each is judged.
    if !first.contains("/events") && !first.contains("/attach") && !first.contains("/exec/") {
        let rest = request.split_off(end);
        request.extend_from_slice(b"\r\nConnection: close");
        request.extend_from_slice(&rest);
    }
    let mut there = UnixStream::connect(engine).ok()?;
    there.write_all(&request).ok()?;
    let (mut requests, mut to_engine) = (here.try_clone().ok()?, there.try_clone().ok()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut requests, &mut to_engine);
        let _ = to_engine.shutdown(Shutdown::Write);
    });
    let _ = std::io::copy(&mut there, &mut here);
    here.shutdown(Shutdown::Both).ok()
}

const CHAIN: &str = "
services:
  first: *app
  second: {<<: *app, depends_on: [first], volumes: ['data:/data']}
  third: {<<: *app, depends_on: [second]}
volumes: {data: {}}
";

const ALL: [&str; 3] = ["first-1 running", "second-1 running", "third-1 running"];

#[test]
fn an_engine_that_goes_in_the_middle_is_told_and_nothing_is_lost() {
    for gone_at in ["/start", "/containers/create", "/networks/create", "/volumes/create"] {
        on_docker("gone", CHAIN, |it| {
            let output = judged(it, "up -d", move |request| {
                if request.contains(gone_at) { Fate::Gone } else { Fate::Passed }
            });
            assert_eq!(output.code, 1, "{gone_at}: {output:?}");
            assert!(output.stderr.contains("engine"), "{gone_at}: {output:?}");
            assert!(!output.stderr.contains("panicked"), "{output:?}");
            assert_ne!(it.states(), ALL);
            it.ok("up -d");
            assert_eq!(it.states(), ALL);
        });
    }
}

#[test]
fn a_full_disk_is_told_in_the_engines_words_and_what_was_begun_can_go() {
    on_docker("full", CHAIN, |it| {
        let output = judged(it, "up -d", |request| {
            if !request.contains("/containers/create") {
                return Fate::Passed;
            }
            Fate::Refused("mkdir /var/lib/docker/overlay2/x: no space left on device")
        });
        assert_eq!(output.code, 1, "{output:?}");
        assert!(output.stderr.contains("no space left on device"), "{output:?}");
        assert!(output.stderr.contains("first"), "which service it was: {output:?}");
        assert_eq!(it.states(), Vec::<String>::new());
        assert!(!it.networks().is_empty(), "it was made");
        it.ok("down -v");
        assert_eq!(it.left(), Vec::<String>::new());
    });
}

#[test]
fn a_container_that_goes_between_look_and_action_is_told_and_made_anew() {
    on_docker("away", "services: {web: *app}\n", |it| {
        it.ok("up -d");
        it.ok("stop");
        let name = it.name("web-1");
        let output = judged(it, "up -d", move |request| {
            if request.starts_with("POST") && request.contains("/start") {
                let removed = Command::new("docker").args(["rm", "-f", &name]).output();
                assert!(removed.unwrap().status.success());
            }
            Fate::Passed
        });
        assert_eq!(output.code, 1, "{output:?}");
        assert!(output.stderr.contains("web-1"), "{output:?}");
        it.ok("up -d");
        assert_eq!(it.states(), ["web-1 running"]);
    });
}
