//! `logs`.

use std::process::{Command, Stdio};

use super::stage::Stage;

/// Two services that write, and one that nobody is attached to.
const WRITERS: &str = "
services:
  web:
    image: IMAGE
    command: sh -c 'echo one; echo two; exec sleep 1000'
    stop_grace_period: 0s
    scale: 2
  quiet:
    image: IMAGE
    command: sh -c 'echo psst; echo oops >&2'
    attach: false
";

fn writers(test: &str) -> impl Iterator<Item = Stage> {
    Stage::all(test, WRITERS).inspect(|stage| {
        stage.ended("quiet");
        let running = stage.start("logs -f web");
        let mut seen = 0;
        while seen < 4 {
            seen += usize::from(!running.until("|").is_empty());
        }
    })
}

/// Lines in their order by the alphabet: containers are read at once.
fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn logs_are_lines_of_both_streams_with_names() {
    for stage in writers("logs") {
        let all = ["web-1  | one", "web-1  | two", "web-2  | one", "web-2  | two"];
        assert_eq!(sorted(&stage.says("logs")), all);
        assert_eq!(stage.says("logs --index 2 --tail 1 web"), "web-2  | two\n");
        assert_eq!(sorted(&stage.says("logs quiet")), ["quiet-1  | oops", "quiet-1  | psst"]);
        assert_eq!(stage.says("logs --no-log-prefix --index 1 web"), "one\ntwo\n");
        assert_eq!(stage.says("logs --tail 0"), "");
        assert_eq!(stage.says("logs --until 10m"), "");
        assert_eq!(sorted(&stage.says("logs --since 10m")), all);
        let timed = stage.says("logs -t --index 1 web");
        let year = timed.strip_prefix("web-1  | 2").and_then(|rest| rest.split_once("Z one\n"));
        assert!(year.is_some(), "{timed}");
    }
}

#[test]
fn logs_that_cannot_be_meant_are_errors() {
    for stage in writers("logs-errors") {
        assert!(stage.complains("logs nope").contains("no such service: nope"));
        assert!(stage.complains("logs --index 1").contains("requires one service"));
        assert!(stage.complains("logs --index 9 web").contains("not running container #9"));
        assert!(stage.complains("logs --since soon").contains("`soon`"));
        assert!(stage.complains("logs --tail few").contains("few"));
    }
}

#[test]
fn following_goes_on_over_restarts_and_ends_with_the_last_container() {
    for stage in writers("logs-follow") {
        let mut running = stage.start("logs -f --index 1 web");
        running.until("two");
        let web = stage.container("web");
        stage.place.ask(stage.place.runtime.restart_container(&web, Some(0))).unwrap();
        let lines = running.until("two");
        assert!(lines.iter().any(|line| line == "web-1  | one"), "{lines:?}");
        let recreated = stage.ketch("up -d --force-recreate -t 0");
        assert_eq!(recreated.code, 0, "{}", recreated.stderr);
        running.until("two");
        stage.kill("web");
        let (code, rest) = running.end();
        assert_eq!(code, Some(0));
        assert!(rest.iter().any(|line| line == "web-1 exited with code 137"), "{rest:?}");
    }
}

#[test]
fn following_ends_at_once_where_nothing_runs() {
    for stage in writers("logs-ended") {
        assert_eq!(sorted(&stage.says("logs -f quiet")), ["quiet-1  | oops", "quiet-1  | psst"]);
    }
}

#[test]
fn following_ends_with_a_signal() {
    for stage in writers("logs-signal") {
        let mut running = stage.start("logs -f");
        running.until("two");
        running.signal("INT");
        assert_eq!(running.end().0, Some(130));
    }
}

#[test]
fn nobody_complains_about_a_reader_that_has_seen_enough() {
    for stage in writers("logs-closed") {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ketch"))
            .arg("logs")
            .current_dir(stage.folder.path())
            .envs(stage.place.environment())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
    }
}
