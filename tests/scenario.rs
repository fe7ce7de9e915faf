//! The real program on real runtimes: a project for each intent, from command to what can be seen.
//!
//! Each scenario runs once on every runtime that can be had here, in a project and a folder of its
//! own; its containers, networks and volumes are removed in the end, however it ends. What is made
//! is looked at through the library's `Runtime` and from inside the containers.

mod change;
mod crash;
mod depend;
mod down;
mod foreground;
mod instance;
mod lease;
mod logs;
mod look;
mod peer;
mod provide;
mod refuse;
mod relay;
mod stage;
mod treat;
mod trial;
mod up;
mod watch;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ketch::model::observed::State;
use tempfile::TempDir;

use crate::binary::{Output, Run, ketch};
use crate::place::Place;

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_mins(1);

/// Before every project: what most services have. It ends at once when it is stopped.
const APP: &str = "\
x-app: &app {image: 'corpus/busybox:1', command: [sleep, '1000'], stop_signal: SIGKILL}
";

/// A project of its own.
struct Scenario {
    place: Place,
    dir: TempDir,
    project: String,
}

/// Runs a scenario on every runtime, in a project of this name, from this file.
fn scenario(name: &str, compose: &str, body: impl Fn(&Scenario)) {
    for place in Place::all(name) {
        scenario_in(place, name, compose, &body);
    }
}

/// Runs a scenario on one runtime.
fn scenario_in(place: Place, name: &str, compose: &str, body: impl Fn(&Scenario)) {
    let project = format!("ks{}-{name}", std::process::id());
    let scenario = Scenario { place, dir: TempDir::new().unwrap(), project };
    scenario.write(compose);
    let ended = catch_unwind(AssertUnwindSafe(|| body(&scenario)));
    if ended.is_err() {
        println!("{name} on {:?}: {:?}", scenario.place.kind, scenario.containers());
    }
    scenario.place.clear(&scenario.project);
    if let Err(panic) = ended {
        resume_unwind(panic);
    }
}

/// A container as it is.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    id: String,
    state: State,
    code: i64,
}

impl Scenario {
    fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Writes the project file anew.
    fn write(&self, compose: &str) {
        let text = format!("{APP}{}", compose.replace("<P>", &self.project));
        std::fs::write(self.dir().join("compose.yaml"), text).unwrap();
    }

    /// The name of a container, or of another object that belongs to the project.
    fn name(&self, short: &str) -> String {
        format!("{}-{short}", self.project)
    }

    /// `ketch` on this project, with arguments split at blanks.
    fn ketch(&self, arguments: &str) -> Run {
        let run = ketch(self.dir(), &format!("-p {}", self.project));
        let words: Vec<&str> = arguments.split_whitespace().collect();
        let environment = self.place.environment();
        environment.iter().fold(run.arguments(&words), |run, (name, value)| run.env(name, value))
    }

    fn run(&self, arguments: &str) -> Output {
        self.ketch(arguments).output()
    }

    /// Runs a command that succeeds.
    fn ok(&self, arguments: &str) -> Output {
        self.ends(0, arguments)
    }

    /// Runs a command that ends with this code.
    fn ends(&self, code: i32, arguments: &str) -> Output {
        let output = self.run(arguments);
        assert_eq!(output.code, code, "{arguments}: {output:#?}");
        output
    }

    /// Starts a command that is left to itself.
    fn start(&self, arguments: &str) -> Running {
        let file = |name: &str| std::fs::File::create(self.dir().join(name)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_ketch"));
        command.args(["-p", &self.project]).args(arguments.split_whitespace());
        command.envs(self.place.environment());
        let pipes = command.current_dir(self.dir()).stdin(Stdio::null());
        let child = pipes.stdout(file("stdout")).stderr(file("stderr")).spawn().unwrap();
        Running { child, dir: self.dir().to_owned() }
    }

    /// The containers by name without that of the project: `web-1`.
    fn containers(&self) -> BTreeMap<String, Seen> {
        let prefix = format!("{}-", self.project);
        let seen = self.place.observe(&self.project).containers.into_iter().map(|it| {
            let short = it.name.strip_prefix(&prefix).unwrap_or(&it.name).to_owned();
            (short, Seen { id: it.id, state: it.state, code: it.exit_code })
        });
        seen.collect()
    }

    /// `web-1 running`, one for each container, in order.
    fn states(&self) -> Vec<String> {
        let all = self.containers();
        all.iter().map(|(name, seen)| format!("{name} {}", seen.state.word())).collect()
    }

    fn id(&self, short: &str) -> String {
        self.containers()[short].id.clone()
    }

    fn code(&self, short: &str) -> i64 {
        self.containers()[short].code
    }

    /// The ids of the project's networks by name.
    fn networks(&self) -> BTreeMap<String, String> {
        let found = self.place.observe(&self.project).networks;
        found.into_iter().map(|network| (network.name, network.id)).collect()
    }

    /// The names of the volumes that are mounted into a container.
    fn mounted(&self, short: &str) -> Vec<String> {
        let all = self.place.observe(&self.project).containers;
        let name = self.name(short);
        let found = all.into_iter().find(|it| it.name == name).unwrap();
        found.mounts.into_iter().map(|it| it.name).filter(|name| !name.is_empty()).collect()
    }

    fn has_volume(&self, name: &str) -> bool {
        self.place.ask(self.place.runtime.find_volume(name)).unwrap().is_some()
    }

    /// What a command writes that succeeds in a container.
    fn exec(&self, short: &str, command: &[&str]) -> String {
        let (code, text) = self.place.exec(&self.name(short), command);
        assert_eq!(code, 0, "{command:?} in {short}: {text}");
        text
    }

    /// When the first process of a container began, in hundredths of a second since the boot.
    fn began(&self, short: &str) -> u64 {
        let text = self.exec(short, &["cat", "/proc/1/stat"]);
        text.split_whitespace().nth(21).unwrap().parse().unwrap()
    }

    /// `die web-1`, for what has happened to containers since a time.
    fn events(&self, since: &str) -> Vec<String> {
        let prefix = format!("{}-", self.project);
        let text = self.ok(&format!("events --json --since {since} --until {}", now())).stdout;
        let lines = text.lines().map(|line| {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            let word = |value: &serde_json::Value| value.as_str().unwrap().replace(&prefix, "");
            format!("{} {}", word(&event["action"]), word(&event["attributes"]["name"]))
        });
        lines.collect()
    }

    /// All that is left, of every kind.
    fn left(&self) -> Vec<String> {
        let seen = self.place.observe(&self.project);
        let mut left: Vec<String> = seen.containers.into_iter().map(|it| it.name).collect();
        left.extend(seen.networks.into_iter().map(|it| it.name));
        left.extend(seen.volumes.into_iter().map(|it| it.name));
        left
    }
}

/// A `ketch` that runs.
struct Running {
    child: Child,
    dir: std::path::PathBuf,
}

impl Running {
    fn stdout(&self) -> String {
        std::fs::read_to_string(self.dir.join("stdout")).unwrap()
    }

    fn stderr(&self) -> String {
        std::fs::read_to_string(self.dir.join("stderr")).unwrap()
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
    }

    /// Waits for its end and gives its exit code; `None` after a signal.
    fn end(&mut self) -> Option<i32> {
        until("ketch ends", || self.child.try_wait().unwrap().is_some());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The time in seconds since 1970, as `events` takes it.
fn now() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    format!("{}.{:09}", now.as_secs(), now.subsec_nanos())
}

/// Waits until something holds.
fn until(what: &str, holds: impl FnMut() -> bool) {
    assert!(within(LIMIT, holds), "not within {LIMIT:?}: {what}");
}

/// Whether something comes to hold within a time.
fn within(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while !holds() {
        if began.elapsed() > limit {
            return false;
        }
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(10));
    }
    true
}

/// The position of a line, which must be there.
#[track_caller]
fn position(lines: &[String], line: &str) -> usize {
    let found = lines.iter().position(|it| it == line);
    found.unwrap_or_else(|| panic!("no {line:?} in {lines:#?}"))
}
