//! Docker Compose and Ketch on the same project, in turn: only on Docker, which both share. Skipped
//! where `dc2` is not there.

use std::process::Command;

use super::{Scenario, scenario_in};
use crate::place::{Kind, Place};

const FILE: &str = "
services:
  web: {<<: *app, depends_on: [db], environment: {LEVEL: info}, ports: ['80'], networks: [a, b]}
  db:
    <<: *app
    volumes: ['data:/data', /scratch]
    healthcheck: {test: [CMD, 'true'], interval: 1s}
    networks: [a]
  side: {<<: *app, network_mode: 'service:db', volumes_from: [db], scale: 2}
networks: {a: {}, b: {labels: {x: y}}}
volumes: {data: {labels: {x: y}}}
";

/// Runs Docker Compose on the project; gives what it says.
fn peer(it: &Scenario, arguments: &str) -> String {
    let mut command = Command::new("dc2");
    let words = command.args(["-p", &it.project]).args(arguments.split(' '));
    let output = words.current_dir(it.dir()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "dc2 {arguments}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

fn with_peer(name: &str, body: impl Fn(&Scenario)) {
    match Command::new("dc2").arg("version").output() {
        Ok(output) if output.status.success() => {
            if let Some(place) = Place::on(Kind::Docker, name) {
                scenario_in(place, name, FILE, body);
            }
        }
        _ => println!("skipped: dc2 is not there"),
    }
}

#[test]
fn each_takes_over_what_the_other_made() {
    with_peer("adopt", |it| {
        peer(it, "up -d");
        let before = it.containers();
        it.ok("up -d");
        assert_eq!(it.containers(), before, "ketch keeps what Docker Compose made");
        it.ok("down -v");
        assert_eq!(it.left(), Vec::<String>::new());
        it.ok("up -d");
        let before = it.containers();
        peer(it, "up -d");
        assert_eq!(it.containers(), before, "Docker Compose keeps what ketch made");
    });
}

#[test]
fn the_peer_finds_what_ketch_made() {
    with_peer("found", |it| {
        it.write(&FILE.replace("web: {<<: *app,", "web: {<<: *app, command: [echo, hello],"));
        it.ok("up -d");
        let names = it.containers();
        let listed = peer(it, "ps -a --format {{.Name}}");
        let mut listed: Vec<&str> = listed.lines().collect();
        listed.sort_unstable();
        let expected: Vec<String> = names.keys().map(|short| it.name(short)).collect();
        assert_eq!(listed, expected);
        assert!(peer(it, "logs web").contains("hello"));
        assert!(it.ok("logs web").stdout.contains("hello"));
        peer(it, "down -v");
        assert_eq!(it.left(), Vec::<String>::new());
    });
}

#[test]
fn a_change_replaces_what_the_other_made() {
    with_peer("change", |it| {
        peer(it, "up -d");
        let before = it.containers();
        it.write(&FILE.replace("info", "debug"));
        it.ok("up -d");
        let after = it.containers();
        assert_ne!(after["web-1"].id, before["web-1"].id);
        assert_eq!(after["db-1"].id, before["db-1"].id);
        it.write(FILE);
        peer(it, "up -d");
        let again = it.containers();
        assert_ne!(again["web-1"].id, after["web-1"].id);
        assert_eq!(again["db-1"].id, after["db-1"].id);
    });
}
