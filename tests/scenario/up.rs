//! `up`: from nothing, again, scaled, waited for.

use std::io::Read as _;
use std::net::{TcpListener, TcpStream};

use super::{scenario, until};

#[test]
fn what_is_up_stays_as_it_is() {
    let file = "services: {web: *app, db: *app}\n";
    scenario("noop", file, |it| {
        it.ok("up -d");
        assert_eq!(it.states(), ["db-1 running", "web-1 running"]);
        let networks: Vec<String> = it.networks().into_keys().collect();
        assert_eq!(networks, [format!("{}_default", it.project)]);
        let before = it.containers();
        it.ok("up -d");
        assert_eq!(it.containers(), before);
        it.ok("down");
        assert_eq!(it.left(), Vec::<String>::new());
    });
}

#[test]
fn a_service_is_scaled_up_and_down() {
    scenario("scale", "services: {web: *app}\n", |it| {
        it.ok("up -d --scale web=3");
        assert_eq!(it.states(), ["web-1 running", "web-2 running", "web-3 running"]);
        let first = it.id("web-1");
        it.ok("scale web=1");
        assert_eq!(it.states(), ["web-1 running"]);
        it.ok("scale web=2");
        assert_eq!(it.states(), ["web-1 running", "web-2 running"]);
        assert_eq!(it.id("web-1"), first);
        it.ok("up -d --scale web=0");
        assert_eq!(it.states(), Vec::<String>::new());
    });
}

#[test]
fn what_ends_is_started_again_at_the_same_port() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let file = format!(
        "
services:
  web:
    <<: *app
    command: [nc, -l, -p, '80', -e, echo, hello]
    restart: always
    ports: ['127.0.0.1:{port}:80']
"
    );
    // The server ends with each connection.
    let answers = || {
        let mut said = String::new();
        let web = TcpStream::connect(("127.0.0.1", port));
        web.is_ok_and(|mut web| web.read_to_string(&mut said).is_ok() && said == "hello\n")
    };
    scenario("again", &file, |it| {
        it.ok("up -d");
        for time in ["at first", "again", "and again"] {
            until(&format!("it answers {time}"), answers);
        }
        it.ok("restart -t 0");
        until("it answers after a restart", answers);
    });
}

#[test]
fn orphans_are_told_and_removed_on_demand() {
    scenario("orphans", "services: {web: *app, old: *app}\n", |it| {
        it.ok("up -d");
        it.write("services: {web: *app}\n");
        let output = it.ok("up -d");
        let warning = format!("Found orphan containers ([{}])", it.name("old-1"));
        assert!(output.stderr.contains(&warning), "{output:?}");
        let quiet = it.ketch("up -d").env("COMPOSE_IGNORE_ORPHANS", "1").output();
        assert!(quiet.code == 0 && !quiet.stderr.contains("Found orphan"), "{quiet:?}");
        assert_eq!(it.states(), ["old-1 running", "web-1 running"]);
        it.ok("up -d --remove-orphans");
        assert_eq!(it.states(), ["web-1 running"]);
    });
}

#[test]
fn profiles_turn_services_on() {
    let file = "services: {web: *app, debug: {<<: *app, profiles: [tools]}}\n";
    scenario("profiles", file, |it| {
        it.ok("up -d");
        assert_eq!(it.states(), ["web-1 running"]);
        it.ok("--profile tools up -d");
        assert_eq!(it.states(), ["debug-1 running", "web-1 running"]);
        let stderr = it.ok("up -d").stderr;
        assert!(!stderr.contains("Found orphan"), "{stderr}");
        it.ok("down");
        assert_eq!(it.left(), Vec::<String>::new(), "also what no profile enables");
        it.ok("up -d debug");
        assert_eq!(it.states(), ["debug-1 running"], "naming a service turns it on");
    });
}

#[test]
fn wait_ends_when_all_is_healthy() {
    let file = "
services:
  web:
    <<: *app
    healthcheck: {test: [CMD, ls, /ready], interval: 100ms, retries: 100}
    command: [sh, -c, 'sleep 0.5; touch /ready; exec sleep 1000']
  plain: *app
";
    scenario("wait", file, |it| {
        it.ok("up -d --wait");
        it.exec("web-1", &["ls", "/ready"]);
        it.ok("up -d --wait");
        it.ok("stop");
        it.ok("start");
        assert_eq!(it.states(), ["plain-1 running", "web-1 running"]);
    });
}

#[test]
fn wait_fails_when_its_time_is_up() {
    let file = "
services:
  web: {<<: *app, healthcheck: {test: [CMD, 'false'], interval: 100ms, retries: 100000}}
";
    scenario("wait-timeout", file, |it| {
        let output = it.ends(1, "up -d --wait --wait-timeout 1 --no-eager-probes");
        assert!(output.stderr.contains("application not healthy after 1s"), "{output:?}");
    });
}

#[test]
fn wait_fails_when_a_service_is_unhealthy_or_ends() {
    let sick = "
services: {web: {<<: *app, healthcheck: {test: [CMD, 'false'], interval: 100ms, retries: 1}}}
";
    scenario("wait-sick", sick, |it| {
        let output = it.ends(1, "up -d --wait");
        let text = format!("container {} is unhealthy", it.name("web-1"));
        assert!(output.stderr.contains(&text), "{output:?}");
    });
    // Never healthy, so that only its end can end the wait, however slow the machine is.
    let ending = "
services:
  web:
    <<: *app
    command: [sh, -c, 'exit 3']
    healthcheck: {test: [CMD, 'false'], interval: 1h, start_period: 1h}
";
    scenario("wait-ended", ending, |it| {
        let output = it.ends(1, "up -d --wait");
        let text = format!("container {} exited (3)", it.name("web-1"));
        assert!(output.stderr.contains(&text), "{output:?}");
    });
}

#[test]
fn wait_takes_one_last_look() {
    // `web` is ready as soon as it runs, and has ended before `slow` can be healthy.
    let file = "
services:
  web: {<<: *app, volumes: ['.:/here'], command: [sh, -c, 'until [ -e /here/go ]; do :; done; exit 3']}
  slow:
    <<: *app
    volumes: ['.:/here']
    healthcheck: {test: test -e /here/done, interval: 1s, retries: 1000}
";
    scenario("wait-last", file, |it| {
        let mut up = it.start("--progress plain up -d --wait");
        let ready = format!("{}  Healthy", it.name("web-1"));
        until("web is ready", || up.stderr().contains(&ready));
        std::fs::write(it.dir().join("go"), "").unwrap();
        until("web has ended", || it.states().contains(&"web-1 exited".to_owned()));
        std::fs::write(it.dir().join("done"), "").unwrap();
        assert_eq!(up.end(), Some(1), "{}", up.stderr());
        let text = format!("container {} exited (3)", it.name("web-1"));
        assert!(up.stderr().contains(&text), "{}", up.stderr());
    });
}

#[test]
fn secrets_and_configs_are_files_in_the_container() {
    let file = "
services:
  web:
    <<: *app
    secrets: [{source: token, uid: '7', mode: 0400}]
    configs: [{source: motd, target: /etc/motd}]
secrets: {token: {environment: TOKEN}}
configs: {motd: {content: 'hello <P>'}}
";
    scenario("secrets", file, |it| {
        let output = it.ketch("up -d").env("TOKEN", "s3cret").output();
        assert_eq!(output.code, 0, "{output:?}");
        let read = |words: &[&str]| it.exec("web-1", words);
        assert_eq!(read(&["cat", "/run/secrets/token"]), "s3cret");
        assert_eq!(read(&["cat", "/etc/motd"]), format!("hello {}", it.project));
        assert!(read(&["ls", "-ln", "/run/secrets/token"]).starts_with("-r--------    1 7 "));
        assert!(!format!("{output:?}").contains("s3cret"));
    });
}

#[test]
fn hooks_run_after_the_start_and_before_the_stop() {
    let file = "
services:
  web:
    <<: *app
    volumes: ['log:/log']
    post_start: [{command: [sh, -c, 'echo up >> /log/hooks']}]
    pre_stop: [{command: [sh, -c, 'echo down >> /log/hooks']}]
volumes: {log: {}}
";
    scenario("hooks", file, |it| {
        it.ok("up -d");
        it.ok("restart");
        it.ok("stop");
        it.ok("start");
        let log = it.exec("web-1", &["cat", "/log/hooks"]);
        assert_eq!(log, "up\ndown\nup\ndown\nup\n");
        it.write(&file.replace("echo up", "echo oh; exit 3; echo"));
        let output = it.ends(1, "up -d");
        assert!(output.stderr.contains("web hook exited with status 3"), "{output:?}");
    });
}
