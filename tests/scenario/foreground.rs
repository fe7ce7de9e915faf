//! `up` in the foreground.

use super::{scenario, until};

/// Says what it does, and ends gracefully.
const POLITE: &str =
    "[sh, -c, 'trap \"echo bye; exit 0\" TERM; echo hello; while :; do sleep 0.1; done']";
/// Does not end unless it is killed.
const STUBBORN: &str = "[sh, -c, 'trap \"echo no\" TERM; echo hello; while :; do sleep 0.1; done']";

fn service(name: &str, command: &str) -> String {
    format!("  {name}: {{image: 'corpus/busybox:1', command: {command}}}\n")
}

fn services(all: &[(&str, &str)]) -> String {
    let all: String = all.iter().map(|(name, command)| service(name, command)).collect();
    format!("services:\n{all}")
}

#[test]
fn output_is_shown_until_all_have_ended() {
    let file = services(&[("a", "[echo, one]"), ("bc", "[sh, -c, 'echo two >&2; exit 3']")]);
    scenario("logs", &file, |it| {
        let output = it.ok("up");
        assert!(output.stdout.contains("Attaching to a-1, bc-1\n"), "{output:?}");
        assert!(output.stdout.contains("a-1   | one\n"), "{output:?}");
        assert!(output.stderr.contains("bc-1  | two\n"), "{output:?}");
        assert!(output.stdout.contains("bc-1 exited with code 3"), "{output:?}");
    });
}

#[test]
fn the_first_end_can_end_all() {
    let file = services(&[("job", "[sh, -c, 'sleep 0.3; exit 3']"), ("web", POLITE)]);
    scenario("abort", &file, |it| {
        let output = it.ends(3, "up --abort-on-container-exit");
        assert_eq!(it.states(), ["job-1 exited", "web-1 exited"], "{output:?}");
        assert!(output.stdout.contains("web-1  | bye"), "{output:?}");
        it.ends(0, "up --exit-code-from web");
        it.ends(3, "up --exit-code-from job");
        it.ends(3, "up --abort-on-container-failure");
        let output = it.ends(1, "up --exit-code-from nobody");
        assert!(output.stderr.contains("no such service: nobody"), "{output:?}");
    });
}

#[test]
fn an_end_without_failure_does_not_end_what_waits_for_a_failure() {
    let file = services(&[("job", "['true']"), ("bad", "[sh, -c, 'sleep 0.5; exit 4']")]);
    scenario("abort-failure", &file, |it| {
        it.ends(4, "up --abort-on-container-failure");
    });
}

#[test]
fn one_interrupt_stops_gracefully() {
    for signal in ["INT", "TERM"] {
        scenario("interrupt", &services(&[("web", POLITE)]), |it| {
            let mut up = it.start("up");
            until("it says hello", || up.stdout().contains("| hello"));
            up.signal(signal);
            assert_eq!(up.end(), Some(130), "{}", up.stderr());
            assert_eq!(it.states(), ["web-1 exited"]);
            assert_eq!(it.code("web-1"), 0);
            let stdout = up.stdout();
            assert!(
                stdout.contains("Gracefully Stopping... press Ctrl+C again to force"),
                "{stdout}"
            );
            assert!(stdout.contains("web-1  | bye"), "{stdout}");
        });
    }
}

#[test]
fn a_second_interrupt_kills() {
    scenario("interrupt-twice", &services(&[("web", STUBBORN)]), |it| {
        let mut up = it.start("up");
        until("it says hello", || up.stdout().contains("| hello"));
        up.signal("INT");
        until("it is asked to stop", || up.stdout().contains("| no"));
        up.signal("INT");
        assert_eq!(up.end(), Some(130), "{}", up.stderr());
        assert_eq!(it.states(), ["web-1 exited"]);
        assert_eq!(it.code("web-1"), 137);
    });
}

#[test]
fn containers_that_come_back_are_followed() {
    let restarting = "services: {web: {<<: *app, command: [sh, -c, 'echo begin; sleep 0.3; exit 2'], restart: 'on-failure:2'}}
";
    scenario("restarts", restarting, |it| {
        let output = it.ok("up");
        assert!(output.stdout.matches("| begin").count() >= 2, "{output:?}");
        assert!(output.stdout.contains("exited with code 2 (restarting)"), "{output:?}");
    });
}

#[test]
fn what_is_shown_can_be_chosen() {
    let file = services(&[("a", "[echo, one]"), ("b", "[echo, two]")]);
    scenario("attach", &file, |it| {
        let output = it.ok("up --attach a");
        assert!(output.stdout.contains("one") && !output.stdout.contains("two"), "{output:?}");
        // It was not waited for: nobody looked at it.
        until("b has ended", || it.states() == ["a-1 exited", "b-1 exited"]);
        let output = it.ok("up --no-attach a --no-log-prefix");
        assert!(output.stdout.contains("\ntwo\n") && !output.stdout.contains("one"), "{output:?}");
        let output = it.ends(1, "up --attach c");
        let text = "cannot attach to services not included in up: c";
        assert!(output.stderr.contains(text), "{output:?}");
    });
}
