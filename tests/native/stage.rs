//! A project on a native runtime of its own, and what could be left of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Home, MISSING};
use crate::binary::{Output, ketch};

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(30);

/// A project on a native runtime of its own.
pub(super) struct Stage {
    pub(super) home: Home,
    pub(super) name: String,
}

impl Stage {
    pub(super) fn new(test: &str, compose: &str) -> Option<Self> {
        if let Some(reason) = &*MISSING {
            println!("skipped {test}: {reason}");
            return None;
        }
        Some(Self::of(Home::new().unwrap(), test, compose))
    }

    /// A project in places that are there.
    pub(super) fn of(home: Home, test: &str, compose: &str) -> Self {
        let name = format!("knl{}{test}", std::process::id());
        let file = format!("name: {name}\n{compose}");
        std::fs::write(home.directory.path().join("compose.yaml"), file).unwrap();
        Self { home, name }
    }

    /// `ketch`, left to itself, with its output in a pipe.
    pub(super) fn start(&self, arguments: &str) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ketch"));
        command.args(arguments.split_whitespace()).current_dir(self.home.directory.path());
        command.envs(self.home.environment()).stdin(Stdio::null()).stderr(Stdio::null());
        command.stdout(Stdio::piped()).spawn().unwrap()
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
    pub(super) fn shims(&self) -> BTreeMap<String, i32> {
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

    /// Kills processes, and waits until the kernel has taken back all that they held: of one that
    /// has just been killed, the locks go last.
    pub(super) fn kill(processes: &[i32]) {
        let words: Vec<String> = processes.iter().map(i32::to_string).collect();
        assert!(Command::new("kill").arg("-9").args(&words).status().unwrap().success());
        until("they have ended", || words.iter().all(|process| has_ended(process)));
    }

    pub(super) fn states(&self) -> Vec<String> {
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

pub(super) fn read(path: &str) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether a process is gone, or waits for its parent only.
fn has_ended(process: &str) -> bool {
    let stat = read(&format!("/proc/{process}/stat"));
    stat.rsplit(") ").next().is_none_or(|rest| rest.is_empty() || rest.starts_with(['Z', 'X']))
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
    let entries = std::fs::read_dir(stage.home.run()).into_iter().flatten().flatten();
    let locks = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    found.extend(locks.filter(|name| name.contains(".lock")));
    let entries = std::fs::read_dir(stage.home.run().join("net/.locks"));
    let locks = entries.into_iter().flatten().flatten();
    found.extend(locks.map(|entry| format!("lock of {}", entry.file_name().display())));
    // Who needs a lock of all projects makes its file; it may stay.
    found.retain(|trace| !trace.ends_with(" .lock") && trace != "net .locks");
    found.sort();
    found
}

/// The cgroups of containers.
pub(super) fn cgroups(ids: &[String]) -> Vec<String> {
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
