//! What only the native runtime promises: nothing is left, and whoever is killed is noticed.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::stage::{Stage, cgroups, traces, until};

pub(super) const FILE: &str = "
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
    Stage::kill(&["web", "again"].map(|it| shims[&format!("{}-{it}-1", stage.name)]));
    until("again has come back", || {
        stage.states() == ["again=running", "db=running", "web=exited"]
    });
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
    Stage::kill(&[*process]);
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
