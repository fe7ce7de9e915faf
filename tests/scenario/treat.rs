//! `stop`, `start`, `restart`, `pause`, `unpause`, `kill`, `rm`.

use ketch::model::observed::State;

use super::{scenario, until};

#[test]
fn containers_pause_and_go_on() {
    scenario("pause", "services: {web: *app, db: *app}\n", |it| {
        it.ok("up -d");
        it.ok("pause web");
        assert_eq!(it.states(), ["db-1 running", "web-1 paused"]);
        it.ok("up -d");
        assert_eq!(it.states(), ["db-1 running", "web-1 running"], "up lets them go on");
        it.ok("pause");
        it.ok("unpause");
        assert_eq!(it.states(), ["db-1 running", "web-1 running"]);
    });
}

#[test]
fn containers_stop_start_and_restart() {
    scenario("stop", "services: {web: *app, db: *app}\n", |it| {
        it.ok("up -d");
        let before = it.containers();
        let started = it.began("web-1");
        it.ok("stop web");
        assert_eq!(it.states(), ["db-1 running", "web-1 exited"]);
        it.ok("stop web");
        it.ok("start");
        assert_eq!(it.containers(), before);
        it.ok("restart web");
        assert_eq!(it.containers(), before);
        assert_ne!(it.began("web-1"), started);
    });
}

#[test]
fn what_can_take_no_signal_is_not_waited_for_unless_somebody_said_so() {
    let file = "
services:
  deaf: {<<: *app, stop_signal: SIGTERM}
  patient: {<<: *app, stop_signal: SIGTERM, stop_grace_period: 4s}
";
    scenario("deaf", file, |it| {
        it.ok("up -d");
        for name in ["deaf-1", "patient-1"] {
            it.exec(name, &["true"]);
        }
        let mut stop = it.start("stop");
        until("deaf has ended", || it.containers()["deaf-1"].state == State::Exited);
        assert!(it.containers()["patient-1"].state.has_processes(), "ten seconds by themselves");
        assert_eq!(stop.end(), Some(0), "{}", stop.stderr());
        it.ok("start");
        let before = it.began("deaf-1");
        it.ok("restart");
        let after = it.began("deaf-1");
        assert!(before < after && after < it.began("patient-1"));
    });
}

#[test]
fn start_does_not_create() {
    scenario("start", "services: {web: *app, db: *app}\n", |it| {
        it.ok("up -d db");
        let output = it.ends(1, "start web");
        assert!(output.stderr.contains("service \"web\" has no container to start"), "{output:?}");
        let output = it.ends(1, "start wep");
        assert!(output.stderr.contains("no such service: wep"), "{output:?}");
    });
}

#[test]
fn create_does_not_start() {
    scenario("create", "services: {web: *app}\n", |it| {
        it.ok("create");
        assert_eq!(it.states(), ["web-1 created"]);
        it.ok("up --no-start");
        assert_eq!(it.states(), ["web-1 created"]);
        it.ok("start");
        assert_eq!(it.states(), ["web-1 running"]);
    });
}

#[test]
fn kill_sends_a_signal_to_what_runs() {
    let trap = "trap 'exit 5' USR1; while :; do sleep 0.1; done";
    let file = format!("services: {{web: {{<<: *app, command: [sh, -c, {trap:?}]}}, db: *app}}\n");
    scenario("kill", &file, |it| {
        it.ok("up -d");
        it.ok("kill -s SIGUSR1 web");
        until("web ends", || it.containers()["web-1"].state == State::Exited);
        assert_eq!(it.code("web-1"), 5);
        it.ok("kill");
        assert_eq!(it.code("db-1"), 137);
        let output = it.ok("kill");
        assert!(output.stderr.contains("No container to kill"), "{output:?}");
    });
}

#[test]
fn rm_asks_and_leaves_what_runs() {
    let file = "services: {web: *app, db: {<<: *app, volumes: [/data]}}\n";
    scenario("rm", file, |it| {
        it.ok("up -d");
        let output = it.ok("rm -f");
        assert!(output.stderr.contains("No stopped containers"), "{output:?}");
        it.ok("stop");
        for answer in ["", "n\n"] {
            let output = it.ketch("rm").stdin(answer).output();
            let told = ["Going to remove ", &it.name("db-1"), &it.name("web-1")];
            let is_told = told.iter().all(|text| output.stdout.contains(text));
            assert!(output.code == 0 && is_told, "{output:?}");
            assert_eq!(it.states(), ["db-1 exited", "web-1 exited"]);
        }
        let output = it.ketch("rm web").stdin("y\n").output();
        assert_eq!((output.code, it.states()), (0, vec!["db-1 exited".to_owned()]));
        it.ok("start db");
        let volumes = it.mounted("db-1");
        it.ok("rm -s -f -v");
        assert_eq!(it.states(), Vec::<String>::new());
        assert!(volumes.len() == 1 && !it.has_volume(&volumes[0]), "-v: its volume too");
    });
}
