//! What only the native runtime promises: nothing is left, and whoever is killed is noticed.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Home, MISSING};
use crate::binary::{Output, ketch};

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(30);

const FILE: &str = "
services:
  db:
    image: corpus/busybox:1
    command: [sleep, '1000']
    volumes: ['data:/data', /scratch]
    healthcheck: {test: [CMD, 'true'], interval: 1s}
  web:
    image: corpus/busybox:1
    command: [sh, -c, 'echo up; while :; do sleep 1; done']
    ports: ['127.0.0.1::80']
    depends_on: {db: {condition: service_healthy}}
  again:
    image: corpus/busybox:1
    command: [sleep, '1000']
    restart: always
volumes: {data: {}}
";

/// A project on a native runtime of its own.
pub(super) struct Stage {
    pub(super) home: Home,
    pub(super) name: String,
}

impl Stage {
    fn new(test: &str, compose: &str) -> Option<Self> {
        if let Some(reason) = &*MISSING {
            println!("skipped {test}: {reason}");
            return None;
        }
        Some(Self::of(Home::new().unwrap(), test, compose))
    }

    /// A project in these places.
    pub(super) fn of(home: Home, test: &str, compose: &str) -> Self {
        let name = format!("knl{}{test}", std::process::id());
        let file = format!("name: {name}\n{compose}");
        std::fs::write(home.directory.path().join("compose.yaml"), file).unwrap();
        Self { home, name }
    }

    pub(super) fn ketch(&self, arguments: &str) -> Output {
        let run = ketch(self.home.directory.path(), arguments);
        self.home.environment().iter().fold(run, |run, (name, value)| run.env(name, value)).output()
    }

    pub(super) fn ok(&self, arguments: &str) -> String {
        let output = self.ketch(arguments);
        assert_eq!(output.code, 0, "ketch {arguments}: {}", output.stderr);
        output.stdout
    }

    /// The processes that look after containers here.
    fn shims(&self) -> BTreeMap<String, i32> {
        let names = self.home.state().join("names");
        let mut found = BTreeMap::new();
        for process in processes() {
            let line = read(&format!("/proc/{process}/cmdline"));
            let mut words = line.split('\0');
            let Some((_, "shim", id)) = words
                .next()
                .zip(words.next())
                .zip(words.next())
                .map(|((program, word), id)| (program, word, id))
            else {
                continue;
            };
            let entries = std::fs::read_dir(&names).into_iter().flatten().flatten();
            for entry in entries {
                let target = std::fs::read_link(entry.path()).unwrap_or_default();
                if target.ends_with(id) {
                    found.insert(entry.file_name().into_string().unwrap(), process);
                }
            }
        }
        found
    }

    fn states(&self) -> Vec<String> {
        let text = self.ok("ps -a --format {{.Service}}={{.State}}");
        let mut states: Vec<String> = text.lines().map(str::to_owned).collect();
        states.sort();
        states
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.ketch("down -v -t 0");
    }
}

fn read(path: &str) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn processes() -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

pub(super) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// What is there of a kind that could be left behind.
pub(super) fn traces(stage: &Stage) -> Vec<String> {
    let mut found = Vec::new();
    let place = stage.home.directory.path().to_str().unwrap().to_owned();
    found.extend(
        read("/proc/self/mountinfo").lines().filter(|it| it.contains(&place)).map(str::to_owned),
    );
    found.extend(stage.shims().into_keys().map(|name| format!("process of {name}")));
    for directory in ["containers", "names", "volumes", "networks"] {
        let entries = std::fs::read_dir(stage.home.state().join(directory));
        let names = entries.into_iter().flatten().flatten();
        found.extend(names.map(|entry| format!("{directory} {}", entry.file_name().display())));
    }
    for directory in ["containers", "net", "ns", "uplink"] {
        let entries = std::fs::read_dir(stage.home.run().join(directory));
        let names = entries.into_iter().flatten().flatten();
        found.extend(names.map(|entry| format!("{directory} {}", entry.file_name().display())));
    }
    // Who needs a lock makes its file; it may stay.
    found.retain(|trace| !trace.contains(" .lock"));
    found.sort();
    found
}

/// The cgroups of containers.
fn cgroups(ids: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![Path::new("/sys/fs/cgroup").to_owned()];
    while let Some(path) = waiting.pop() {
        for entry in std::fs::read_dir(&path).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if ids.iter().any(|id| name.contains(id.as_str())) {
                    found.push(entry.path().display().to_string());
                }
                waiting.push(entry.path());
            }
        }
    }
    found
}

#[test]
fn nothing_is_left_after_down() {
    let Some(stage) = Stage::new("left", FILE) else { return };
    let before = traces(&stage);
    stage.ok("up -d");
    assert_eq!(stage.states(), ["again=running", "db=running", "web=running"]);
    let ids: Vec<String> = stage.ok("ps -a -q --no-trunc").lines().map(str::to_owned).collect();
    assert_eq!(ids.len(), 3);
    assert!(!cgroups(&ids).is_empty(), "limits are held somewhere");
    stage.ok("down -v -t 0");
    assert_eq!(traces(&stage), before);
    assert_eq!(cgroups(&ids), Vec::<String>::new());
}

#[test]
fn a_shim_that_is_killed_takes_its_container_alone_and_the_next_command_notices() {
    let Some(stage) = Stage::new("killed", FILE) else { return };
    stage.ok("up -d");
    let shims = stage.shims();
    assert_eq!(shims.len(), 3);
    for service in ["web", "again"] {
        let process = shims[&format!("{}-{service}-1", stage.name)].to_string();
        assert!(Command::new("kill").args(["-9", &process]).status().unwrap().success());
    }
    until("web has ended", || stage.states() == ["again=running", "db=running", "web=exited"]);
    let status = stage.ok("ps -a web --format {{.Status}}");
    assert!(status.starts_with("Exited (137)"), "{status}");
    let now = stage.shims();
    let name = |service: &str| format!("{}-{service}-1", stage.name);
    assert_eq!(now[&name("db")], shims[&name("db")]);
    assert_ne!(now[&name("again")], shims[&name("again")], "its policy wants it");
    stage.ok("up -d");
    assert_eq!(stage.states(), ["again=running", "db=running", "web=running"]);
}

#[test]
fn a_network_goes_though_a_container_in_it_has_vanished() {
    let Some(stage) = Stage::new("vanished", FILE) else { return };
    stage.ok("up -d again");
    let id = stage.ok("ps -q --no-trunc").trim().to_owned();
    let [(name, process)] = &stage.shims().into_iter().collect::<Vec<_>>()[..] else { panic!() };
    assert!(Command::new("kill").args(["-9", &process.to_string()]).status().unwrap().success());
    until("its processes have ended", || stage.shims().is_empty());
    for directory in [stage.home.state(), stage.home.run()] {
        let _ = std::fs::remove_dir_all(directory.join("containers").join(&id));
    }
    std::fs::remove_file(stage.home.state().join("names").join(name)).unwrap();
    stage.ok("down");
    let left = traces(&stage);
    assert!(!left.iter().any(|trace| trace.starts_with("net")), "{left:?}");
}

#[test]
fn a_command_that_is_killed_anywhere_leaves_what_the_next_ones_mend() {
    let Some(stage) = Stage::new("cut", FILE) else { return };
    let before = traces(&stage);
    for round in 0..12_u64 {
        let command = if round % 2 == 0 { "up -d" } else { "down -v -t 0" };
        let mut killed = Command::new(env!("CARGO_BIN_EXE_ketch"));
        killed.args(command.split(' ')).current_dir(stage.home.directory.path());
        killed.envs(stage.home.environment()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = killed.spawn().unwrap();
        let moment = Duration::from_millis(5 + round * 17);
        let began = Instant::now();
        while began.elapsed() < moment && child.try_wait().unwrap().is_none() {
            std::thread::park_timeout(Duration::from_millis(1));
        }
        // It may have ended.
        let _ = child.kill();
        child.wait().unwrap();
        if round % 3 == 2 {
            stage.ok("up -d");
            assert_eq!(stage.states(), ["again=running", "db=running", "web=running"]);
        }
    }
    stage.ok("down -v -t 0");
    assert_eq!(traces(&stage), before);
}

#[test]
fn a_program_that_can_take_no_signal_is_not_waited_for() {
    let file = "
services:
  deaf: {image: 'corpus/busybox:1', command: [sleep, '1000']}
  heeds: {image: 'corpus/busybox:1', command: [sh, -c, 'trap \"exit 7\" TERM; while :; do sleep 0.1; done']}
";
    let Some(stage) = Stage::new("deaf", file) else { return };
    stage.ok("up -d");
    let began = Instant::now();
    stage.ok("stop");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let codes = stage.ok("ps -a --format {{.Service}}={{.ExitCode}}");
    assert!(codes.contains("deaf=137") && codes.contains("heeds=7"), "{codes}");
}

#[test]
fn probes_need_no_program_in_the_image() {
    let file = "
x-app: &app {image: 'corpus/busybox:1', stop_signal: SIGKILL}
services:
  tcp: {<<: *app, command: [sh, -c, 'sleep 0.3; exec nc -ll -p 80 -e true'], x-ketch-probe: {tcp: 80}}
  http: {<<: *app, command: [sh, -c, 'sleep 0.3; exec httpd -f -p 80 -h /etc'], x-ketch-probe: {http: 80/passwd}}
  log: {<<: *app, command: [sh, -c, 'sleep 0.3; echo now ready; exec sleep 1000'], x-ketch-probe: {log: now ready}}
  all: {<<: *app, command: [sleep, '1000'], depends_on: {tcp: &well {condition: service_healthy}, http: *well, log: *well}}
";
    let Some(stage) = Stage::new("probes", file) else { return };
    stage.ok("up -d");
    let health = stage.ok("ps --format {{.Service}}={{.Health}}");
    for service in ["tcp", "http", "log"] {
        assert!(health.contains(&format!("{service}=healthy")), "{health}");
    }
}
