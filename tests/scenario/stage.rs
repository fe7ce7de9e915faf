//! A project that runs for the time of a test.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::binary::{Output, ketch};

/// The image that the containers are made of.
const IMAGE: &str = "corpus/busybox:1";
/// How long something may take that has to happen.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

/// A project that has been brought up.
pub(super) struct Stage {
    /// Name of the project.
    pub(super) name: String,
    pub(super) folder: tempfile::TempDir,
}

impl Stage {
    /// Brings a project up from its services, where `IMAGE` stands for an image. `None`: there is
    /// no engine.
    pub(super) fn up(test: &str, services: &str) -> Option<Self> {
        if docker(&["image", "inspect", IMAGE]).is_none() {
            println!("skipped {test}: no engine with the image {IMAGE} answers");
            return None;
        }
        let name = format!("hlook-{test}-{}", std::process::id());
        let stage = Self { name, folder: tempfile::tempdir().unwrap() };
        let yaml = format!("name: {}\n{}", stage.name, services.replace("IMAGE", IMAGE));
        std::fs::write(stage.folder.path().join("compose.yaml"), yaml).unwrap();
        let up = stage.ketch("up -d");
        assert_eq!(up.code, 0, "{}", up.stderr);
        Some(stage)
    }

    /// Runs `ketch` in the project's folder.
    pub(super) fn ketch(&self, arguments: &str) -> Output {
        ketch(self.folder.path(), arguments).output()
    }

    /// What `ketch` prints, if it succeeds.
    pub(super) fn says(&self, arguments: &str) -> String {
        let output = self.ketch(arguments);
        assert_eq!(output.code, 0, "ketch {arguments}: {}", output.stderr);
        output.stdout
    }

    /// What `ketch` complains about when it fails with exit code 1.
    pub(super) fn complains(&self, arguments: &str) -> String {
        let output = self.ketch(arguments);
        assert_eq!((output.code, output.stdout.as_str()), (1, ""), "ketch {arguments}");
        output.stderr
    }

    /// Starts `ketch` and leaves it running.
    pub(super) fn start(&self, arguments: &str) -> Running {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ketch"))
            .args(arguments.split_whitespace())
            .current_dir(self.folder.path())
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Running { child, lines }
    }

    /// Name of a container.
    pub(super) fn container(&self, service: &str) -> String {
        format!("{}-{service}-1", self.name)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let filter = format!("label=com.docker.compose.project={}", self.name);
        let list = |what: &[&str]| {
            let words = [what, &["--filter", &filter, "-q"]].concat();
            let ids = docker(&words).unwrap_or_default();
            ids.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        for (listing, removal) in [
            (&["ps", "-a"][..], &["rm", "-f", "-v"][..]),
            (&["network", "ls"], &["network", "rm"]),
            (&["volume", "ls"], &["volume", "rm"]),
        ] {
            let ids = list(listing);
            let words = removal.iter().copied().chain(ids.iter().map(String::as_str));
            if !ids.is_empty() {
                docker(&words.collect::<Vec<_>>());
            }
        }
    }
}

/// A `ketch` that runs, and the lines that it prints.
pub(super) struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    /// Waits for a line that contains this; gives all lines up to it.
    pub(super) fn until(&self, text: &str) -> Vec<String> {
        let end = Instant::now() + LIMIT;
        let mut lines = Vec::new();
        while !lines.last().is_some_and(|line: &String| line.contains(text)) {
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => lines.push(line),
                Err(error) => panic!("no {text:?} ({error}) after {lines:#?}"),
            }
        }
        lines
    }

    /// Sends it a signal.
    pub(super) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
    }

    /// Its exit code and the rest of its lines, when it has ended.
    pub(super) fn end(&mut self) -> (Option<i32>, Vec<String>) {
        let end = Instant::now() + LIMIT;
        let mut rest = Vec::new();
        // Its output ends with it.
        while let Ok(line) = self.lines.recv_timeout(end.saturating_duration_since(Instant::now()))
        {
            rest.push(line);
        }
        if Instant::now() >= end {
            self.child.kill().unwrap();
            panic!("it does not end after {rest:#?}");
        }
        (self.child.wait().unwrap().code(), rest)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has mostly ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `docker` prints; `None` if it fails.
pub(super) fn docker(words: &[&str]) -> Option<String> {
    let output = Command::new("docker").args(words).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then_some(text)
}
