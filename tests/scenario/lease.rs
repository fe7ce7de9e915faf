//! Projects that belong to a process: they go when it ends, however it ends.
//!
//! `KETCH_KILLS=200 cargo test at_any_moment` tries more moments than the usual ones, and tells how
//! long it took until nothing was left.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Running, Scenario, scenario, until, within};
use crate::binary::Output;
use crate::place::Kind;

const FILE: &str = "
services:
  db: {<<: *app, volumes: ['data:/data', /scratch], networks: [a], scale: 2}
  web: {<<: *app, depends_on: [db], networks: [a, b], container_name: <P>-fixed}
networks: {a: {}, b: {}}
volumes: {data: {}}
";

const UP: [&str; 3] = ["db-1 running", "db-2 running", "fixed running"];

/// What an environment adds so that the leases of a test are its own.
fn own_state(it: &Scenario) -> Option<(&'static str, String)> {
    let folder = it.dir().join("state").to_str().unwrap().to_owned();
    (it.place.kind == Kind::Docker).then_some(("KETCH_STATE_DIR", folder))
}

/// The folder of the leases.
fn leases(it: &Scenario) -> PathBuf {
    let named = it.place.environment().into_iter().find(|(name, _)| name == "KETCH_STATE_DIR");
    let folder = own_state(it).map(|(_, value)| value).or(named.map(|(_, value)| value));
    PathBuf::from(folder.unwrap()).join("leases")
}

fn files(it: &Scenario) -> usize {
    std::fs::read_dir(leases(it)).map_or(0, Iterator::count)
}

fn ketch(it: &Scenario, arguments: &str) -> Output {
    own_state(it)
        .iter()
        .fold(it.ketch(arguments), |run, (name, value)| run.env(name, value))
        .output()
}

fn ok(it: &Scenario, arguments: &str) -> Output {
    let output = ketch(it, arguments);
    assert_eq!(output.code, 0, "{arguments}: {output:#?}");
    output
}

/// A command that runs in the foreground.
fn start(it: &Scenario, arguments: &str) -> Running {
    let file = |name: &str| std::fs::File::create(it.dir().join(name)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ketch"));
    command.args(["-p", &it.project]).args(arguments.split_whitespace());
    command.envs(it.place.environment()).envs(own_state(it));
    let pipes = command.current_dir(it.dir()).stdin(Stdio::null());
    let child = pipes.stdout(file("stdout")).stderr(file("stderr")).spawn().unwrap();
    Running { child, dir: it.dir().to_owned() }
}

/// A process that has brought the project up, and owns it.
struct Owner(Child);

impl Owner {
    fn new(it: &Scenario) -> Self {
        let script = "\"$0\" -p \"$1\" up -d --lease && touch owned && exec sleep 1000";
        let mut command = Command::new("sh");
        command.args(["-c", script, env!("CARGO_BIN_EXE_ketch"), &it.project]);
        command.envs(it.place.environment()).envs(own_state(it)).current_dir(it.dir());
        let pipes = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let owner = Self(pipes.spawn().unwrap());
        until("it is up", || it.dir().join("owned").exists());
        std::fs::remove_file(it.dir().join("owned")).unwrap();
        owner
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The processes that look after leases of the project.
fn guards(it: &Scenario) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let processes = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let wanted = format!("ketch-lease\0{}\0", it.project);
    let is_guard = |process: &String| {
        let line = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        line == wanted.as_bytes()
    };
    processes.filter(is_guard).collect()
}

fn kill_guards(it: &Scenario) {
    let guards = guards(it);
    assert!(!guards.is_empty());
    assert!(Command::new("kill").arg("-9").args(&guards).status().unwrap().success());
    until("the guard is gone", || self::guards(it).is_empty());
}

fn is_gone(it: &Scenario) -> bool {
    files(it) == 0 && guards(it).is_empty() && it.left().is_empty()
}

fn all_goes(it: &Scenario) {
    let all = || format!("{:?}, {} leases, guards {:?}", it.left(), files(it), guards(it));
    assert!(within(super::LIMIT, || is_gone(it)), "{}", all());
}

#[test]
fn a_project_goes_with_its_owner() {
    scenario("lease", FILE, |it| {
        let owner = Owner::new(it);
        assert_eq!(it.states(), UP);
        assert_eq!((guards(it).len(), files(it)), (1, 1));
        let listed = ok(it, &format!("ls --format json --filter name=^{}$", it.project)).stdout;
        let holder = format!("\"Lease\":{{\"Pid\":{},\"Program\":\"sh\"}}", owner.0.id());
        assert!(listed.contains(&holder), "{listed}");
        assert_eq!(it.states(), UP, "it stays while its owner lives");
        owner.kill();
        all_goes(it);
    });
}

#[test]
fn what_a_guard_has_left_that_was_killed_goes_with_the_next_command() {
    scenario("lease-swept", FILE, |it| {
        let owner = Owner::new(it);
        kill_guards(it);
        let other = format!("-p {}other kill", it.project);
        ok(it, &other);
        assert_eq!((guards(it).len(), it.states().len()), (1, UP.len()), "a new guard");
        kill_guards(it);
        owner.kill();
        assert_eq!(it.states(), UP);
        let said = ok(it, &other).stderr;
        assert!(said.contains("has ended"), "{said}");
        all_goes(it);
    });
}

#[test]
fn a_lease_ends_when_nothing_is_left_of_the_project() {
    scenario("lease-down", FILE, |it| {
        let owner = Owner::new(it);
        ok(it, "down -t 0");
        assert_eq!(files(it), 1, "its volume is still there");
        ok(it, "down -v -t 0");
        until("the guard ends", || guards(it).is_empty());
        assert_eq!((files(it), it.left()), (0, Vec::new()));
        // Now the project belongs to nobody.
        ok(it, "up -d");
        owner.kill();
        assert_eq!(it.states(), UP);
        ok(it, "down -v -t 0");
    });
}

#[test]
fn a_project_belongs_to_one_process_or_to_none() {
    scenario("lease-two", FILE, |it| {
        let owner = Owner::new(it);
        let refused = ketch(it, "up -d --lease");
        assert_eq!(refused.code, 1);
        assert!(refused.stderr.contains(&format!("process {}", owner.0.id())), "{refused:?}");
        ok(it, &format!("up -d --lease={}", owner.0.id()));
        let told = ok(it, "up -d").stderr;
        assert_eq!(told.matches("is leased").count(), 1, "{told}");
        assert_eq!(files(it), 1, "it stays leased");
        owner.kill();
        all_goes(it);
        ok(it, "up -d");
        let refused = ketch(it, "up -d --lease");
        assert_eq!(refused.code, 1);
        assert!(refused.stderr.contains("ketch down -v"), "{refused:?}");
        assert_eq!((files(it), guards(it).len()), (0, 0));
        assert_eq!(it.states(), UP);
        for word in ["x", "0", "-1", "99999999"] {
            assert_eq!(ketch(it, &format!("up -d --lease={word}")).code, 1, "{word}");
        }
        ok(it, "down -v -t 0");
    });
}

#[test]
fn garbage_among_the_leases_harms_nobody() {
    scenario("lease-garbage", FILE, |it| {
        let folder = leases(it);
        std::fs::create_dir_all(&folder).unwrap();
        let name = format!("{}.0123456789abcdef", it.project);
        for (name, text) in [(name.as_str(), "{\"project\": \"/\"}"), ("x", ""), ("..y", "\0[[[")] {
            std::fs::write(folder.join(name), text).unwrap();
        }
        std::os::unix::fs::symlink("/dev/zero", folder.join("zero")).unwrap();
        let owner = Owner::new(it);
        assert_eq!((it.states().len(), files(it)), (UP.len(), 5));
        owner.kill();
        until("the project is gone", || it.left().is_empty() && files(it) == 4);
    });
}

#[test]
fn ctrl_c_stops_and_then_removes() {
    scenario("lease-attached", FILE, |it| {
        let mut up = start(it, "up --lease");
        until("it runs", || it.states() == UP);
        up.signal("INT");
        assert_eq!(up.end(), Some(130), "{}", up.stderr());
        assert_eq!(it.left(), Vec::<String>::new(), "{}", up.stderr());
        all_goes(it);
    });
}

#[test]
fn nothing_is_left_of_an_up_that_is_killed_at_any_moment() {
    let wanted = std::env::var("KETCH_KILLS").ok().and_then(|text| text.parse().ok());
    let rounds: u32 = wanted.unwrap_or(10);
    scenario("lease-killed", FILE, |it| {
        let mut took = Vec::new();
        // From a lease that is not there yet to a project that runs.
        let most = Duration::from_secs(3);
        for round in 0..rounds {
            let moment = most * (round * 7 % rounds) / rounds;
            let mut up = start(it, "up --lease");
            assert!(!within(moment, || up.child.try_wait().unwrap().is_some()), "{}", up.stderr());
            up.signal("KILL");
            let began = Instant::now();
            up.end();
            all_goes(it);
            took.push(began.elapsed());
        }
        took.sort();
        let (middle, last) = (took[took.len() / 2], took[took.len() - 1]);
        println!("{rounds} kills on {:?}: p50 {middle:?}, max {last:?}", it.place.kind);
    });
}
