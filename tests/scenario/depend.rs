//! `depends_on`: who starts and stops when, and what happens when a dependency fails.

use ketch::model::observed::State;

use super::{now, position, scenario};

#[test]
fn services_start_after_what_they_depend_on_and_stop_before_it() {
    let file = "
services:
  db: {<<: *app, healthcheck: {test: [CMD, 'true'], interval: 200ms}}
  migrate:
    <<: *app
    command: ['true']
    depends_on: {db: {condition: service_healthy}}
  web:
    <<: *app
    depends_on: {migrate: {condition: service_completed_successfully}}
  proxy: {<<: *app, depends_on: [web, db]}
";
    scenario("order", file, |it| {
        let since = now();
        it.ok("up -d");
        let events = it.events(&since);
        let at = |line: &str| position(&events, line);
        assert!(at("start db-1") < at("start migrate-1"), "{events:?}");
        assert!(at("die migrate-1") < at("start web-1"), "{events:?}");
        assert!(at("start web-1") < at("start proxy-1"), "{events:?}");
        let since = now();
        it.ok("stop");
        let events = it.events(&since);
        let at = |line: &str| position(&events, line);
        assert!(at("die proxy-1") < at("kill web-1"), "{events:?}");
        assert!(at("die web-1") < at("kill db-1"), "{events:?}");
        it.ok("start");
        let since = now();
        it.ok("down");
        let events = it.events(&since);
        let at = |line: &str| position(&events, line);
        assert!(at("die proxy-1") < at("kill web-1"), "{events:?}");
        assert!(at("die web-1") < at("kill db-1"), "{events:?}");
    });
}

#[test]
fn an_unhealthy_dependency_fails_the_command() {
    let file = "
services:
  db:
    <<: *app
    healthcheck: {test: [CMD-SHELL, 'echo no disk; exit 1'], interval: 100ms, retries: 1}
  web: {<<: *app, depends_on: {db: {condition: service_healthy}}}
";
    scenario("unhealthy", file, |it| {
        let output = it.ends(1, "up -d");
        let text = format!("container {} is unhealthy", it.name("db-1"));
        assert!(output.stderr.contains(&text), "{output:?}");
        assert!(output.stderr.contains("no disk"), "the last words of the check: {output:?}");
        assert_eq!(it.states(), ["db-1 running", "web-1 created"]);
    });
}

#[test]
fn a_dependency_that_ends_fails_the_command() {
    let file = "
services:
  job: {<<: *app, command: [sh, -c, 'echo out of luck; exit 3']}
  web: {<<: *app, depends_on: {job: {condition: <C>}}}
";
    for condition in ["service_completed_successfully", "service_healthy"] {
        let checked = if condition == "service_healthy" {
            file.replace("job: {<<", "job: {healthcheck: {test: [CMD, 'true']}, <<")
        } else {
            file.to_owned()
        };
        scenario("ends", &checked.replace("<C>", condition), |it| {
            let output = it.ends(1, "up -d");
            let text = format!("container {} exited (3)", it.name("job-1"));
            assert!(output.stderr.contains(&text), "{output:?}");
            assert!(output.stderr.contains("out of luck"), "its last words: {output:?}");
            assert_eq!(it.containers()["web-1"].state, State::Created);
        });
    }
}

#[test]
fn a_dependency_without_a_health_check_never_becomes_healthy() {
    let file = "
services:
  db: *app
  web: {<<: *app, depends_on: {db: {condition: service_healthy}}}
";
    scenario("uncheckable", file, |it| {
        let output = it.ends(1, "up -d");
        let text = format!("container {} has no healthcheck configured", it.name("db-1"));
        assert!(output.stderr.contains(&text), "{output:?}");
    });
}

#[test]
fn an_optional_dependency_that_fails_is_a_warning() {
    let file = "
services:
  job: {<<: *app, command: ['false']}
  web:
    <<: *app
    depends_on: {job: {condition: service_completed_successfully, required: false}}
";
    scenario("optional", file, |it| {
        let output = it.ok("up -d");
        assert!(output.stderr.contains("exited (1)"), "{output:?}");
        assert_eq!(it.containers()["web-1"].state, State::Running);
    });
}

#[test]
fn a_health_check_that_hangs_is_cut_and_shown() {
    let file = "
services:
  web:
    <<: *app
    healthcheck: {test: 'echo I hang; sleep 1000', interval: 1s, timeout: 1s, retries: 2}
";
    scenario("hang", file, |it| {
        let output = it.ends(1, "up -d --wait");
        assert!(output.stderr.contains("web-1 is unhealthy"), "{output:?}");
        assert!(output.stderr.contains("Health check exceeded timeout"), "{output:?}");
    });
}
