//! What changes in a project, and what becomes of its containers, networks and volumes.

use super::{now, position, scenario};

#[test]
fn a_container_stays_until_the_new_one_is_there_and_leaves_its_volume_to_it() {
    let file = "services: {web: {<<: *app, volumes: [/scratch]}, db: *app}\n";
    scenario("recreate", file, |it| {
        it.ok("up -d");
        let (web, db) = (it.id("web-1"), it.id("db-1"));
        it.exec("web-1", &["touch", "/scratch/kept"]);
        it.write(&file.replace("web: {<<: *app,", "web: {<<: *app, user: '0',"));
        let since = now();
        it.ok("up -d");
        let temporary = format!("create {}_web-1", &web[..12]);
        let events = it.events(&since);
        assert!(position(&events, &temporary) < position(&events, "destroy web-1"), "{events:?}");
        assert_ne!(it.id("web-1"), web);
        assert_eq!(it.id("db-1"), db, "what did not change stays");
        it.exec("web-1", &["ls", "/scratch/kept"]);
        it.ok("up -d -V web");
        assert_eq!(it.exec("web-1", &["ls", "/scratch"]), "", "-V: a new volume");
    });
}

#[test]
fn recreation_can_be_forced_and_forbidden() {
    scenario("force", "services: {web: *app}\n", |it| {
        it.ok("up -d");
        let first = it.id("web-1");
        it.ok("up -d --force-recreate");
        let second = it.id("web-1");
        assert_ne!(first, second);
        it.write("services: {web: {<<: *app, user: '0'}}\n");
        it.ok("up -d --no-recreate");
        assert_eq!(it.id("web-1"), second);
    });
}

#[test]
fn dependents_with_restart_follow_a_replacement() {
    let file = "
services:
  db: *app
  web: {<<: *app, depends_on: {db: {condition: service_started, restart: true}}}
  other: {<<: *app, depends_on: [db]}
";
    scenario("follow", file, |it| {
        it.ok("up -d");
        let before = it.containers();
        let (web, other) = (it.began("web-1"), it.began("other-1"));
        it.write(&file.replace("db: *app", "db: {<<: *app, user: '0'}"));
        it.ok("up -d");
        assert_ne!(it.id("db-1"), before["db-1"].id);
        assert_eq!(it.id("web-1"), before["web-1"].id);
        assert_ne!(it.began("web-1"), web);
        assert_eq!(it.began("other-1"), other);
        let again = it.began("web-1");
        it.ok("restart db");
        assert_ne!(it.began("web-1"), again);
        let again = it.began("web-1");
        it.ok("restart --no-deps db");
        assert_eq!(it.began("web-1"), again);
    });
}

#[test]
fn what_shares_a_namespace_or_volumes_goes_with_its_owner() {
    let file = "
services:
  db: {<<: *app, volumes: [/data]}
  probe: {<<: *app, network_mode: 'service:db'}
  copy: {<<: *app, volumes_from: [db]}
";
    scenario("share", file, |it| {
        it.ok("up -d");
        let before = it.containers();
        it.ok("up -d");
        assert_eq!(it.containers(), before);
        it.write(&file.replace("db: {<<: *app,", "db: {<<: *app, user: '0',"));
        it.ok("up -d");
        let after = it.containers();
        assert!(before.iter().all(|(name, seen)| after[name].id != seen.id), "{after:?}");
        let network = |short| it.exec(short, &["busybox", "readlink", "/proc/1/ns/net"]);
        assert_eq!(network("probe-1"), network("db-1"));
        assert_ne!(network("copy-1"), network("db-1"));
    });
}

#[test]
fn a_network_that_changed_is_made_anew_around_its_containers() {
    let file = "services: {web: *app, db: *app}\n";
    scenario("net-drift", file, |it| {
        it.ok("up -d");
        let network = it.networks();
        it.write(&format!("{file}networks: {{default: {{internal: true}}}}\n"));
        it.ok("up -d");
        assert_ne!(it.networks(), network);
        assert_eq!(it.states(), ["db-1 running", "web-1 running"]);
        it.exec("web-1", &["busybox", "nslookup", "db"]);
        let before = it.containers();
        it.ok("up -d");
        assert_eq!(it.containers(), before);
    });
}

#[test]
fn a_volume_that_changed_is_made_anew_only_with_consent() {
    let file = "
services: {web: {<<: *app, volumes: ['data:/data']}}
volumes: {data: {labels: {mark: <M>}}}
";
    let marked = |mark: &str| file.replace("<M>", mark);
    scenario("volume-drift", &marked("a"), |it| {
        it.ok("up -d");
        it.exec("web-1", &["touch", "/data/kept"]);
        let files = || it.exec("web-1", &["ls", "/data"]);
        it.write(&marked("b"));
        for answer in ["", "n\n", "what\n"] {
            let before = it.containers();
            let output = it.ketch("up -d").stdin(answer).output();
            assert!(output.stdout.contains("data will be lost"), "{output:?}");
            assert_eq!((output.code, files().as_str()), (0, "kept\n"), "{answer:?}");
            assert_eq!(it.containers(), before, "{answer:?}");
        }
        let output = it.ketch("up -d").stdin("y\n").output();
        assert_eq!((output.code, files().as_str()), (0, ""), "{output:?}");
        it.exec("web-1", &["touch", "/data/kept"]);
        it.write(&marked("c"));
        let output = it.ok("up -d -y");
        assert!(!output.stdout.contains("lost"), "{output:?}");
        assert_eq!(files(), "");
    });
}
