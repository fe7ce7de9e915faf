//! `stop`, `start`, `restart`, `pause`, `unpause`, `kill`, `rm`.

use super::{docker, scenario};

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
        let started = it.inspect("web-1", "{{.State.StartedAt}}");
        it.ok("stop web");
        assert_eq!(it.states(), ["db-1 running", "web-1 exited"]);
        it.ok("stop web");
        it.ok("start");
        assert_eq!(it.containers(), before);
        it.ok("restart web");
        assert_eq!(it.containers(), before);
        assert_ne!(it.inspect("web-1", "{{.State.StartedAt}}"), started);
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
            docker(&["exec", &it.name(name), "true"]);
        }
        it.ok("stop");
        let ended = |name| it.inspect(name, "{{.State.FinishedAt}}");
        assert!(ended("deaf-1") < ended("patient-1"), "ten seconds by themselves");
        it.ok("start");
        let before = it.inspect("deaf-1", "{{.State.StartedAt}}");
        it.ok("restart");
        let after = it.inspect("deaf-1", "{{.State.StartedAt}}");
        assert!(before < after && after < it.inspect("patient-1", "{{.State.StartedAt}}"));
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
        super::until("web ends", || it.containers()["web-1"].state == "exited");
        assert_eq!(it.inspect("web-1", "{{.State.ExitCode}}"), "5");
        it.ok("kill");
        assert_eq!(it.inspect("db-1", "{{.State.ExitCode}}"), "137");
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
        let volume = it.inspect("db-1", "{{(index .Mounts 0).Name}}");
        it.ok("rm -s -f -v");
        assert_eq!(it.states(), Vec::<String>::new());
        assert!(!super::docker(&["volume", "ls", "-q"]).contains(&volume), "-v: its volume too");
    });
}
