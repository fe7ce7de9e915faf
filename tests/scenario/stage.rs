//! A project that runs for the time of a test.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use ketch::model::observed::ObservedContainer;

use crate::binary::{Output, Run, ketch};
use crate::place::Place;

/// The image that the containers are made of.
const IMAGE: &str = "corpus/busybox:1";
/// How long something may take that has to happen.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

/// A project that has been brought up.
pub(super) struct Stage {
    /// Name of the project.
    pub(super) name: String,
    pub(super) folder: tempfile::TempDir,
    pub(super) place: Place,
}

impl Stage {
    /// Brings a project up on every runtime in turn, from its services, where `IMAGE` stands for an
    /// image.
    pub(super) fn all(test: &str, services: &str) -> impl Iterator<Item = Self> {
        Place::all(test).map(move |place| Self::up(place, test, services))
    }

    fn up(place: Place, test: &str, services: &str) -> Self {
        let name = format!("hlook-{test}-{}", std::process::id());
        let stage = Self { name, folder: tempfile::tempdir().unwrap(), place };
        let yaml = format!("name: {}\n{}", stage.name, services.replace("IMAGE", IMAGE));
        std::fs::write(stage.folder.path().join("compose.yaml"), yaml).unwrap();
        let up = stage.ketch("up -d");
        assert_eq!(up.code, 0, "{}", up.stderr);
        stage
    }

    /// Runs `ketch` in the project's folder.
    pub(super) fn ketch(&self, arguments: &str) -> Output {
        self.ketch_in(self.folder.path(), arguments).output()
    }

    /// `ketch` in another folder.
    pub(super) fn ketch_in(&self, folder: &Path, arguments: &str) -> Run {
        let environment = self.place.environment();
        let run = ketch(folder, arguments);
        environment.iter().fold(run, |run, (name, value)| run.env(name, value))
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
            .envs(self.place.environment())
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

    /// What the runtime sees of a container.
    pub(super) fn seen(&self, service: &str) -> ObservedContainer {
        let name = self.container(service);
        let all = self.place.observe(&self.name).containers;
        all.into_iter().find(|it| it.name == name).unwrap()
    }

    /// Waits for the end of a container.
    pub(super) fn ended(&self, service: &str) {
        self.place.ask(self.place.runtime.wait_ended(&self.container(service))).unwrap();
    }

    /// Kills a container, without a word to the project.
    pub(super) fn kill(&self, service: &str) {
        let name = self.container(service);
        self.place.ask(self.place.runtime.kill_container(&name, "SIGKILL")).unwrap();
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.place.clear(&self.name);
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
