//! Snapshots: all comes back at once, and nobody who is killed leaves half of it.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::stage::{Stage, until};

const FILE: &str = "
services:
  db:
    image: corpus/busybox:1
    command: [sh, -c, 'while :; do sleep 1; done']
    stop_grace_period: 0s
    volumes: ['data:/data', '/scratch', './mine:/mine']
  web:
    image: corpus/busybox:1
    command: [sleep, '1000']
    stop_grace_period: 0s
    volumes: ['data:/shared']
volumes: {data: {}}
";

impl Stage {
    fn in_db(&self, script: &str) -> String {
        std::fs::write(self.home.directory.path().join("mine/script"), script).unwrap();
        self.ok("exec -T db sh /mine/script")
    }
}

fn stage(test: &str) -> Option<Stage> {
    let stage = Stage::new(test, FILE)?;
    std::fs::create_dir(stage.home.directory.path().join("mine")).unwrap();
    Some(stage)
}

const SEED: &str = "echo one > /data/a; echo one > /scratch/b; echo one > /root-file; \
                    rm /bin/tail; ln /data/a /data/same; mknod /data/null c 1 3; chown 7:8 /data/a";
const SPOIL: &str = "echo two > /data/a; rm -r /data/same /data/null; echo two > /scratch/b; \
                     echo two > /root-file; rm /bin/head; mkdir /data/more";
const LOOK: &str = "cat /data/a /data/same /scratch/b /root-file; stat -c %u:%g /data/a; \
                    ls /bin/tail /bin/head /data 2>&1 | grep -v 'No such' | tr '\\n' ' '";

#[test]
fn a_project_is_back_as_it_was() {
    let Some(stage) = stage("snap") else { return };
    stage.ok("up -d");
    stage.in_db(SEED);
    let before = stage.in_db(LOOK);
    let saved = stage.ketch("snapshot save seeded");
    assert_eq!(saved.code, 0, "{}", saved.stderr);
    assert!(saved.stderr.contains("not kept: `<DIR>/mine`"), "{}", saved.stderr);
    assert_eq!(stage.states(), ["db=running", "web=running"]);
    for round in 0..3 {
        stage.in_db(SPOIL);
        assert_ne!(stage.in_db(LOOK), before);
        stage.ok("snapshot restore seeded");
        assert_eq!(stage.in_db(LOOK), before, "round {round}");
        assert_eq!(stage.ok("exec -T web cat /shared/a"), "one\n");
    }
    let listed = stage.ok("snapshot ls --format {{.Name}}={{.Services}}={{.Volumes}}");
    assert_eq!(listed, format!("seeded=db,web={}_data\n", stage.name));
    assert!(stage.ketch("snapshot save seeded").stderr.contains("--replace"));
    stage.ok("snapshot save --replace --stop seeded");
    assert_eq!(stage.states(), ["db=running", "web=running"]);
    stage.ok("up -d --force-recreate");
    stage.ok("snapshot restore seeded");
    assert_eq!(stage.in_db(LOOK), before, "also in new containers");
    assert!(stage.ok("system df").contains("Snapshots       1         1"));
    stage.ok("down -v -t 0");
    assert_eq!(stage.ok("snapshot ls -q"), "");
    let left = std::fs::read_dir(stage.home.state().join("snapshots")).unwrap().count();
    assert_eq!(left, 0, "the data of a project goes with it");
}

#[test]
fn a_snapshot_of_another_project_is_refused_by_name() {
    let Some(stage) = stage("snapno") else { return };
    stage.ok("up -d");
    stage.ok("snapshot save a");
    let file = stage.home.directory.path().join("compose.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let changed = text.replace("'1000'", "'2000'").replace("volumes: {data: {}}", "")
        + "  more: {image: 'corpus/busybox:1'}\nvolumes: {data: {}, extra: {}}\n";
    std::fs::write(&file, changed).unwrap();
    stage.ok("up -d --no-deps web more");
    let refused = stage.ketch("snapshot restore a");
    assert_eq!(refused.code, 1);
    let said = refused.stderr;
    assert!(said.contains("settings of service `web` have changed"), "{said}");
    assert!(said.contains(&format!("container {}-more-1 was not there", stage.name)), "{said}");
    assert!(stage.states().contains(&"web=running".to_owned()), "nothing was touched");
    let none = stage.ketch("snapshot restore b").stderr;
    assert!(none.contains("no snapshot `b`") && none.contains("there is: a"), "{none}");
    stage.ok("snapshot rm a");
    assert_eq!(stage.ok("snapshot ls -q"), "");
}

/// Runs a command and kills it after a while; whether it was killed.
fn killed(stage: &Stage, arguments: &str, moment: Duration) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ketch"));
    command.args(arguments.split(' ')).current_dir(stage.home.directory.path());
    command.envs(stage.home.environment()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let began = Instant::now();
    while began.elapsed() < moment && child.try_wait().unwrap().is_none() {
        std::thread::park_timeout(Duration::from_millis(1));
    }
    // It may have ended.
    let _ = child.kill();
    child.wait().unwrap();
}

#[test]
fn a_restore_that_is_killed_anywhere_is_whole_or_has_not_begun() {
    let Some(stage) = stage("snapcut") else { return };
    stage.ok("up -d");
    stage.in_db(SEED);
    let before = stage.in_db(LOOK);
    stage.ok("snapshot save seeded");
    for round in 0..10_u64 {
        stage.in_db(SPOIL);
        let spoiled = stage.in_db(LOOK);
        killed(
            &stage,
            "snapshot restore --no-start seeded",
            Duration::from_millis(10 + round * 19),
        );
        stage.ok("up -d");
        let now = stage.in_db(LOOK);
        assert!(now == before || now == spoiled, "round {round}: {now}");
        stage.ok("snapshot restore seeded");
        assert_eq!(stage.in_db(LOOK), before);
    }
}

#[test]
fn a_restore_that_was_cut_off_is_ended_by_the_next_command() {
    let Some(stage) = stage("snapjournal") else { return };
    stage.ok("up -d");
    stage.in_db(SEED);
    let before = stage.in_db(LOOK);
    stage.ok("snapshot save seeded");
    stage.in_db(SPOIL);
    stage.ok("stop");
    // What a command leaves that was killed when it had just begun to change the volume.
    let live = stage.home.state().join("volumes").join(format!("{}_data/_data", stage.name));
    let swap = |what: &str, live: &std::path::Path, work: Option<&str>| {
        let beside = |end: &str| format!("{}{end}", live.display());
        serde_json::json!({
            "what": what, "live": live, "new": beside(".restored"), "old": beside(".replaced"),
            "work": work.map(|name| live.with_file_name(name)),
        })
    };
    let shelf = stage.home.state().join("snapshots").join(&stage.name);
    let manifest = std::fs::read_to_string(shelf.join("seeded/snapshot.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let trees = manifest["trees"].as_array().unwrap();
    let containers =
        |name: &str| stage.home.state().join("names").join(name).canonicalize().unwrap();
    let swaps: Vec<serde_json::Value> = trees
        .iter()
        .filter_map(|tree| {
            if tree.get("volume").is_some() {
                return Some(swap("the volume", &live, None));
            }
            let name = tree.get("changes")?["container"].as_str()?;
            Some(swap(name, &containers(name).join("upper"), Some("work")))
        })
        .collect();
    // The trees come in this order, and the volume without a name is the first.
    let anonymous = trees.iter().position(|tree| tree.get("anonymous").is_some()).unwrap();
    let id = std::fs::read_dir(stage.home.state().join("volumes")).unwrap().flatten();
    let id =
        id.map(|it| it.path()).find(|it| !it.ends_with(format!("{}_data", stage.name))).unwrap();
    let mut all = swaps;
    all.insert(anonymous, swap("the other volume", &id.join("_data"), None));
    let journal =
        serde_json::json!({ "snapshot": "seeded", "is_whole": false, "swaps": all }).to_string();
    std::fs::write(shelf.join(".restore.json"), journal).unwrap();
    std::fs::write(live.join("a"), "half").unwrap();
    stage.ok("ps");
    assert!(!shelf.join(".restore.json").exists(), "it was ended");
    stage.ok("start");
    assert_eq!(stage.in_db(LOOK), before);
    // One that cannot be ended keeps the project from starting.
    stage.ok("stop");
    std::fs::write(
        shelf.join(".restore.json"),
        serde_json::json!({ "snapshot": "lost", "is_whole": false, "swaps": all }).to_string(),
    )
    .unwrap();
    let refused = stage.ketch("start");
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("only half restored"), "{}", refused.stderr);
    stage.ok("snapshot restore seeded");
    assert_eq!(stage.in_db(LOOK), before);
}

#[test]
fn a_save_that_is_killed_lets_all_go_on_and_leaves_nothing() {
    let Some(stage) = stage("snapfrozen") else { return };
    stage.ok("up -d");
    stage.in_db("dd if=/dev/zero of=/data/large bs=1M count=30 2>/dev/null");
    for round in 0..6_u64 {
        killed(&stage, "snapshot save --replace cut", Duration::from_millis(10 + round * 23));
        until("nobody stands still", || stage.states() == ["db=running", "web=running"]);
        stage.ok("exec -T db true");
        let shelf = stage.home.state().join("snapshots").join(&stage.name);
        let names = std::fs::read_dir(shelf).into_iter().flatten().flatten();
        let names: Vec<_> = names.map(|it| it.file_name().into_string().unwrap()).collect();
        assert!(!names.iter().any(|name| name.starts_with(".new")), "{names:?}");
    }
}
