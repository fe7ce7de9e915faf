//! `ketch test`: a copy of a project for the time of a command.

use std::path::Path;

use ketch::model::label;
use ketch::model::observed::Observed;

use super::until;
use crate::binary::{Output, Run, ketch};
use crate::place::Place;

const FILE: &str = r#"
name: NAME
services:
  web:
    image: corpus/busybox:1
    init: true
    command: sh -c "mkdir -p /srv && echo hello >/srv/index.html && echo serving && exec busybox httpd -f -p 80 -h /srv"
    ports: ["127.0.0.1::80"]
    volumes: ["data:/data"]
    healthcheck: { test: "busybox wget -qO- http://127.0.0.1/", interval: 100ms }
  tests:
    image: corpus/busybox:1
    command: sh -c "busybox nslookup web >/dev/null && echo hello"
    profiles: [test]
    depends_on: { web: { condition: service_healthy } }
volumes:
  data:
"#;

/// A project that only this test has.
struct Trial {
    place: Place,
    folder: tempfile::TempDir,
    name: String,
}

impl Trial {
    fn all(test: &str) -> impl Iterator<Item = Self> {
        let name = format!("ktrial-{test}-{}", std::process::id());
        Place::all(test).map(move |place| {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("compose.yaml"), FILE.replace("NAME", &name))
                .unwrap();
            Self { place, folder, name: name.clone() }
        })
    }

    fn run(&self, words: &[&str]) -> Run {
        let run = ketch(self.folder.path(), "test").arguments(words);
        let environment = self.place.environment();
        environment.iter().fold(run, |run, (name, value)| run.env(name, value))
    }

    fn ketch(&self, words: &[&str]) -> Output {
        self.run(words).output()
    }

    /// What there is of all copies.
    fn left(&self) -> Observed {
        let mut seen = self.place.ask(self.place.runtime.observe(None)).unwrap();
        let is_own = |labels: &ketch::model::Dict| {
            labels.get(label::PROJECT).is_some_and(|it| it.starts_with(&self.name))
        };
        seen.containers.retain(|it| is_own(&it.labels));
        seen.networks.retain(|it| is_own(&it.labels));
        seen.volumes.retain(|it| is_own(&it.labels));
        seen
    }

    fn nothing_is_left(&self) {
        assert_eq!(self.left(), Observed::default());
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

#[test]
fn a_command_finds_the_services_and_its_code_is_passed_on() {
    for it in Trial::all("code") {
        let script = "exec 3<>/dev/tcp/${KETCH_ADDRESS_WEB_80%:*}/$KETCH_PORT_WEB_80; \
                      printf 'GET /index.html HTTP/1.0\\r\\n\\r\\n' >&3; tail -n 1 <&3; exit 7";
        let done = it.ketch(&["--logs", "never", "--", "bash", "-c", script]);
        assert_eq!((done.code, done.stdout.as_str()), (7, "hello\n"), "{}", done.stderr);
        assert!(done.stderr.contains("is ready after"), "{}", done.stderr);
        it.nothing_is_left();
    }
}

#[test]
fn logs_come_when_it_fails() {
    for it in Trial::all("logs") {
        let failed = it.ketch(&["--", "false"]);
        assert!(failed.code == 1 && failed.stderr.contains("web-1 | serving\n"), "{failed:?}");
        let done = it.ketch(&["--", "true"]);
        assert!(done.code == 0 && !done.stderr.contains("serving"), "{done:?}");
        it.nothing_is_left();
    }
}

#[test]
fn a_service_of_the_project_can_be_the_command() {
    for it in Trial::all("service") {
        let done = it.ketch(&["--service", "tests"]);
        assert_eq!((done.code, done.stdout.as_str()), (0, "hello\n"), "{}", done.stderr);
        let other = it.ketch(&["--service", "tests", "--", "sh", "-c", "echo oh >&2; exit 9"]);
        assert_eq!((other.code, other.stdout.as_str()), (9, ""), "{}", other.stderr);
        assert!(other.stderr.contains("oh\n"), "{}", other.stderr);
        it.nothing_is_left();
    }
}

#[test]
fn what_the_command_leaves_behind_ends_with_it() {
    for it in Trial::all("children") {
        let script = "setsid sh -c 'trap \"\" TERM HUP; echo $$ >pid; sleep 1000; sleep 1000' & \
                      until test -s pid; do :; done";
        let done = it.ketch(&["--", "sh", "-c", script]);
        assert_eq!(done.code, 0, "{}", done.stderr);
        let pid = std::fs::read_to_string(it.path().join("pid")).unwrap();
        let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
        let is_gone = state.map_or(true, |text| text.contains(") Z "));
        assert!(is_gone, "a child in a session of its own has outlived the command");
        it.nothing_is_left();
    }
}

#[test]
fn a_command_that_takes_too_long_is_killed() {
    for it in Trial::all("late") {
        let script = "trap '' TERM INT; sleep 1000; sleep 1000";
        let done =
            it.ketch(&["--timeout", "300ms", "--junit", "out.xml", "--", "sh", "-c", script]);
        assert_eq!(done.code, 124, "{}", done.stderr);
        let report = std::fs::read_to_string(it.path().join("out.xml")).unwrap();
        assert!(report.contains("failures=\"1\""), "{report}");
        it.nothing_is_left();
    }
}

#[test]
fn shards_run_side_by_side_each_with_its_own_copy() {
    for it in Trial::all("shards") {
        let script = "echo $KETCH_SHARD of $KETCH_SHARDS; echo $COMPOSE_PROJECT_NAME >$KETCH_SHARD; \
                      until test -s 1 -a -s 2 -a -s 3; do :; done";
        let done = it.ketch(&["--parallel", "3", "--", "sh", "-c", script]);
        assert_eq!(done.code, 0, "{}", done.stderr);
        for shard in 1..=3 {
            let line = format!("{shard} of 3\n");
            assert!(done.stdout.contains(&line), "{}", done.stdout);
        }
        let read = |shard: i32| std::fs::read_to_string(it.path().join(shard.to_string())).unwrap();
        assert!(read(1) != read(2) && read(2) != read(3) && read(1) != read(3));
        it.nothing_is_left();
    }
}

#[test]
fn a_copy_stays_if_that_is_wanted() {
    for it in Trial::all("keep") {
        let script = "echo $COMPOSE_PROJECT_NAME";
        let kept =
            it.ketch(&["--keep-on-failure", "--", "sh", "-c", "echo $COMPOSE_PROJECT_NAME; false"]);
        let name = kept.stdout.trim();
        assert_eq!(kept.code, 1);
        assert!(kept.stderr.contains(&format!("`ketch -p {name} down -v`")), "{}", kept.stderr);
        assert_eq!(it.left().containers.len(), 1);
        let environment = it.place.environment();
        let down = ketch(it.path(), "").arguments(&["-p", name, "down", "-v"]);
        let down = environment.iter().fold(down, |run, (name, value)| run.env(name, value));
        assert_eq!(down.output().code, 0);
        it.nothing_is_left();
        let gone = it.ketch(&["--keep-on-failure", "--", "sh", "-c", script]);
        assert_eq!(gone.code, 0);
        it.nothing_is_left();
    }
}

#[test]
fn nothing_is_left_when_ketch_is_killed() {
    for it in Trial::all("killed") {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ketch"));
        command.args(["test", "--", "sh", "-c", "touch here; exec sleep 20"]);
        command.current_dir(it.path()).envs(it.place.environment());
        let null = std::process::Stdio::null;
        let mut child = command.stdin(null()).stdout(null()).stderr(null()).spawn().unwrap();
        until("the command runs", || it.path().join("here").exists());
        child.kill().unwrap();
        child.wait().unwrap();
        until("nothing is left", || it.left() == Observed::default());
    }
}

#[test]
fn nothing_to_run_and_what_cannot_be_run_are_said() {
    for it in Trial::all("nothing") {
        let nothing = it.ketch(&[]);
        assert!(nothing.stderr.contains("`ketch test -- COMMAND`"), "{}", nothing.stderr);
        let odd = it.ketch(&["--timeout", "soon", "--", "true"]);
        assert!(odd.stderr.contains("`soon` is no time for --timeout"), "{}", odd.stderr);
        let unknown = it.ketch(&["--service", "test"]);
        assert!(unknown.stderr.starts_with("error: no such service: test\n"), "{}", unknown.stderr);
        assert!(unknown.stderr.contains("`tests`"), "{}", unknown.stderr);
        let absent = it.ketch(&["--", "no-such-program"]);
        assert!(absent.stderr.contains("cannot run `no-such-program`"), "{}", absent.stderr);
        it.nothing_is_left();
    }
}
