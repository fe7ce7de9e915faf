//! The real program on a real engine: a project for each intent, from command to what can be seen.
//!
//! Each scenario has a project and a folder of its own; its containers, networks and volumes are
//! removed in the end, however it ends. What is made is looked at through the `docker` program, so
//! that nothing of ours vouches for itself. Skipped where no engine answers.

mod change;
mod crash;
mod depend;
mod down;
mod foreground;
mod logs;
mod look;
mod peer;
mod provide;
mod refuse;
mod stage;
mod treat;
mod up;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::binary::{Output, Run, ketch};

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_mins(1);

/// Before every project: what most services have. It ends at once when it is stopped.
const APP: &str = "\
x-app: &app {image: 'corpus/busybox:1', command: [sleep, '1000'], stop_signal: SIGKILL}
";

/// Why there is no engine to use.
static MISSING: LazyLock<Option<&str>> = LazyLock::new(|| {
    let succeeds = |arguments: &[&str]| {
        let output = Command::new("docker").args(arguments).output();
        output.is_ok_and(|output| output.status.success())
    };
    if !succeeds(&["version"]) {
        Some("no engine answers")
    } else if !succeeds(&["image", "inspect", "corpus/busybox:1"]) {
        Some("the engine has no image corpus/busybox:1")
    } else {
        None
    }
});

/// A project of its own.
struct Scenario {
    dir: TempDir,
    project: String,
}

/// Runs a scenario in a project of this name, from this file.
fn scenario(name: &str, compose: &str, body: impl FnOnce(&Scenario)) {
    if let Some(reason) = *MISSING {
        return println!("skipped: {reason}");
    }
    let project = format!("ks{}-{name}", std::process::id());
    let scenario = Scenario { dir: TempDir::new().unwrap(), project };
    scenario.write(compose);
    let ended = catch_unwind(AssertUnwindSafe(|| body(&scenario)));
    if ended.is_err() {
        println!("{name}: {:?}", scenario.containers());
    }
    scenario.clear();
    if let Err(panic) = ended {
        resume_unwind(panic);
    }
}

/// A container as `docker` shows it.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    id: String,
    state: String,
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
        ["PATH", "HOME", "DOCKER_HOST"].into_iter().fold(run.arguments(&words), |run, name| {
            match std::env::var(name) {
                Ok(value) => run.env(name, &value),
                Err(_) => run,
            }
        })
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
        let pipes = command.current_dir(self.dir()).stdin(Stdio::null());
        let child = pipes.stdout(file("stdout")).stderr(file("stderr")).spawn().unwrap();
        Running { child, dir: self.dir().to_owned() }
    }

    /// What is made, by kind: `container`, `network`, `volume`; one line for each.
    fn list(&self, kind: &str, format: &str) -> Vec<String> {
        let label = format!("label=com.docker.compose.project={}", self.project);
        let arguments: &[&str] = match kind {
            "container" => &["ps", "--all", "--no-trunc"],
            "network" => &["network", "ls", "--no-trunc"],
            _ => &["volume", "ls"],
        };
        let filter = ["--filter", label.as_str(), "--format", format];
        let text = docker(&[arguments, &filter].concat());
        text.lines().map(str::to_owned).collect()
    }

    /// The containers by name without that of the project: `web-1`.
    fn containers(&self) -> BTreeMap<String, Seen> {
        let lines = self.list("container", "{{.Names}} {{.ID}} {{.State}}");
        let seen = lines.iter().map(|line| {
            let mut words = line.split(' ').map(str::to_owned);
            let mut word = || words.next().unwrap();
            let name = word();
            let short = name.strip_prefix(&format!("{}-", self.project)).unwrap_or(&name);
            (short.to_owned(), Seen { id: word(), state: word() })
        });
        seen.collect()
    }

    /// `web-1 running`, one for each container, in order.
    fn states(&self) -> Vec<String> {
        let all = self.containers();
        all.iter().map(|(name, seen)| format!("{name} {}", seen.state)).collect()
    }

    fn id(&self, short: &str) -> String {
        self.containers()[short].id.clone()
    }

    /// What `docker inspect` says about a container.
    fn inspect(&self, short: &str, format: &str) -> String {
        docker(&["inspect", "--format", format, &self.name(short)]).trim().to_owned()
    }

    /// `die web-1`, for what has happened to containers since a time.
    fn events(&self, since: &str) -> Vec<String> {
        let label = format!("label=com.docker.compose.project={}", self.project);
        let format = "{{.Action}} {{.Actor.Attributes.name}}";
        let now = now();
        let range = ["--since", since, "--until", &now];
        let what = ["--filter", "type=container", "--filter", &label, "--format", format];
        let text = docker(&[&["events"], &range[..], &what].concat());
        let prefix = format!("{}-", self.project);
        text.lines().map(|line| line.replace(&prefix, "")).collect()
    }

    /// All that is left, of every kind.
    fn left(&self) -> Vec<String> {
        let mut left = self.list("container", "{{.Names}}");
        left.extend(self.list("network", "{{.Name}}"));
        left.extend(self.list("volume", "{{.Name}}"));
        left
    }

    fn clear(&self) {
        let remove = |kind: &str, command: &[&str], format: &str| {
            for name in self.list(kind, format) {
                // It may be gone by now.
                let _ = Command::new("docker").args(command).arg(name).output();
            }
        };
        remove("container", &["rm", "--force", "--volumes"], "{{.ID}}");
        remove("network", &["network", "rm"], "{{.ID}}");
        remove("volume", &["volume", "rm"], "{{.Name}}");
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

/// Standard output of a `docker` command that succeeds.
fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// The time in seconds since 1970, as `docker events` takes it.
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
