//! What goes wrong around the native runtime: commands at once, full disks, restarts of the host,
//! memory that runs out, logs that are rotated away under their readers.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::channel;

use super::life::FILE;
use super::stage::{Stage, read, traces, until};
use super::{Home, MISSING};

const UP: [&str; 3] = ["again=running", "db=running", "web=running"];

#[test]
fn commands_at_once_leave_what_one_of_them_wants() {
    let Some(stage) = Stage::new("twins", FILE) else { return };
    let before = traces(&stage);
    for _ in 0..3 {
        let mut all = [stage.start("up -d"), stage.start("up -d"), stage.start("up -d")];
        for child in &mut all {
            assert_eq!(child.wait().unwrap().code(), Some(0));
        }
        assert_eq!(stage.states(), UP);
        assert_eq!(stage.shims().len(), 3);
        for order in [["up -d", "down -v -t 0"], ["down -v -t 0", "up -d"]] {
            let mut all = order.map(|arguments| stage.start(arguments));
            for child in &mut all {
                assert_eq!(child.wait().unwrap().code(), Some(0), "{order:?}");
            }
            let states = stage.states();
            assert!(states.is_empty() || states == UP, "{order:?}: {states:?}");
            assert_eq!(stage.shims().len(), states.len(), "{order:?}");
            if states.is_empty() {
                assert_eq!(traces(&stage), before, "{order:?}");
            }
        }
    }
    stage.ok("down -v -t 0");
    assert_eq!(traces(&stage), before);
}

/// A small file system that goes with it.
struct Small(PathBuf);

impl Small {
    fn mount(path: PathBuf) -> Self {
        std::fs::create_dir_all(&path).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"]).arg(&path);
        assert!(mount.status().unwrap().success());
        Self(path)
    }

    /// Takes all room that there is.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.0.join("filler")).unwrap();
        while file.write(&[0; 4096]).is_ok() {}
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Whoever still uses it keeps it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_told_and_breaks_nothing() {
    let file = "
x-app: &app {image: 'corpus/busybox:1', stop_signal: SIGKILL}
services:
  web: {<<: *app, command: [sleep, '1000']}
  job: {<<: *app, command: [sh, -c, 'trap \"echo bye; exit 7\" USR1; while :; do sleep 0.1; done']}
  late: {<<: *app, command: [sleep, '1000'], depends_on: [web]}
";
    if let Some(reason) = &*MISSING {
        return println!("skipped: {reason}");
    }
    let directory = tempfile::tempdir().unwrap();
    let small = Small::mount(directory.path().join("state"));
    let stage = Stage::of(Home::at(directory), "full", file);
    stage.ok("ps -a");
    let before = traces(&stage);
    small.fill();
    let output = stage.ketch("up -d");
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("No space left on device"), "{output:?}");
    assert!(stage.states().iter().all(|state| state.ends_with("=created")), "{output:?}");
    small.make_room();
    stage.ok("up -d");
    assert_eq!(stage.states(), ["job=running", "late=running", "web=running"]);

    small.fill();
    stage.ok("kill -s USR1 job");
    let ended = "job=7".to_owned();
    let codes = || stage.ok("ps -a --format {{.Service}}={{.ExitCode}}");
    until("job has ended", || stage.states().contains(&"job=exited".to_owned()));
    assert!(codes().lines().any(|line| line == ended), "{}", codes());
    let output = stage.ketch("up -d");
    assert!(output.stderr.contains("No space left on device"), "{output:?}");
    assert!(stage.states().contains(&"web=running".to_owned()));
    small.make_room();
    assert!(codes().lines().any(|line| line == ended), "{}", codes());
    stage.ok("up -d");
    assert_eq!(stage.states(), ["job=running", "late=running", "web=running"]);

    small.fill();
    stage.ok("stop web");
    stage.ok("down -v -t 0");
    small.make_room();
    assert_eq!(traces(&stage), before);
}

/// Does to a stage what a restart of the host does: no process, no mount, nothing volatile is left,
/// and the boot is another one.
fn reboot(stage: &Stage) {
    Stage::kill(&stage.shims().into_values().collect::<Vec<_>>());
    let run = stage.home.run();
    let mounts = read("/proc/self/mountinfo");
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    for point in points.filter(|point| Path::new(point).starts_with(&run)) {
        assert!(Command::new("umount").args(["-l", point]).status().unwrap().success());
    }
    std::fs::remove_dir_all(run).unwrap();
    for entry in std::fs::read_dir(stage.home.state().join("containers")).unwrap() {
        let path = entry.unwrap().path().join("state.json");
        let text = std::fs::read_to_string(&path).unwrap();
        let mut written: serde_json::Value = serde_json::from_str(&text).unwrap();
        written["boot"] = "before".into();
        std::fs::write(path, written.to_string()).unwrap();
    }
}

const POLICIES: &str = "
x-app: &app {image: 'corpus/busybox:1', command: [sleep, '1000'], stop_signal: SIGKILL}
services:
  plain: *app
  failing: {<<: *app, restart: on-failure}
  always: {<<: *app, restart: always, ports: ['127.0.0.1::80']}
  stopped: {<<: *app, restart: always}
  shares: {<<: *app, restart: unless-stopped, network_mode: 'service:always', depends_on: [always]}
  unless: {<<: *app, restart: unless-stopped}
";

#[test]
fn after_a_restart_of_the_host_what_wants_to_run_does() {
    let Some(stage) = Stage::new("boot", POLICIES) else { return };
    let before = traces(&stage);
    stage.ok("up -d");
    stage.ok("stop stopped unless");
    reboot(&stage);
    let exited = |service: &str| format!("{service}=exited");
    let all = ["always", "failing", "plain", "shares", "stopped", "unless"];
    assert_eq!(stage.states(), all.map(exited), "until somebody starts them");
    stage.ok("autostart run");
    let now = ["always=running", "failing=exited", "plain=exited", "shares=running"];
    assert_eq!(stage.states(), [&now[..], &["stopped=running", "unless=exited"]].concat());
    reboot(&stage);
    stage.ok("up -d");
    assert_eq!(stage.states(), all.map(|service| format!("{service}=running")));
    stage.ok("exec -T plain nslookup always");
    stage.ok("down -v -t 0");
    assert_eq!(traces(&stage), before);
}

#[test]
fn who_takes_too_much_memory_is_told_so_and_started_again() {
    // It fills a block that is larger than its memory.
    let file = "
services:
  greedy:
    image: corpus/busybox:1
    command: [dd, if=/dev/zero, of=/dev/null, bs=200M, count=1]
    mem_limit: 16m
    memswap_limit: 16m
    restart: on-failure:1
  parent:
    image: corpus/busybox:1
    command: [sh, -c, 'dd if=/dev/zero of=/dev/null bs=200M count=1; exec sleep 1000']
    mem_limit: 16m
    memswap_limit: 16m
";
    let Some(stage) = Stage::new("memory", file) else { return };
    stage.ok("up -d");
    until("it has ended twice", || {
        stage.ok("events --json --since 10m --until 0s greedy").matches("\"die\"").count() == 2
    });
    until("it is not started again", || stage.states() == ["greedy=exited", "parent=running"]);
    let status = stage.ok("ps -a greedy --format {{.Status}}");
    assert!(status.starts_with("Exited (137) "), "{status}");
    assert!(status.trim_end().ends_with(" ago (memory ran out)"), "{status}");
    let events = stage.ok("events --json --since 10m --until 0s greedy");
    let actions: Vec<String> = events
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|event| event["action"].as_str().unwrap().to_owned())
        .collect();
    let first = ["create", "start", "oom", "die"];
    assert_eq!(actions, [&first[..], &["start", "restart", "oom", "die"]].concat());
}

#[test]
fn followers_of_a_log_miss_nothing_when_it_is_rotated() {
    const ROUNDS: usize = 12;
    const LINES: usize = 300;
    let file = "
services:
  web:
    image: corpus/busybox:1
    command: [sleep, '1000']
    stop_signal: SIGKILL
    logging: {driver: json-file, options: {max-size: 10k, max-file: '3'}}
";
    let Some(stage) = Stage::new("rotate", file) else { return };
    stage.ok("up -d");
    let mut follower = stage.start("logs -f --no-log-prefix web");
    let (sender, lines) = channel();
    let stdout = BufReader::new(follower.stdout.take().unwrap());
    std::thread::spawn(move || {
        stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    let mut seen = Vec::new();
    for round in 0..ROUNDS {
        let (first, last) = (round * LINES + 1, (round + 1) * LINES);
        let script = format!("seq {first} {last} | sed s/^/line-/ > /proc/1/fd/1");
        let run = crate::binary::ketch(stage.home.directory.path(), "exec -T web sh -c");
        let environment = stage.home.environment();
        let run = environment.iter().fold(run, |run, (name, value)| run.env(name, value));
        let output = run.arguments(&[&script]).output();
        assert_eq!(output.code, 0, "{output:?}");
        // It has not been outrun: more than one round is kept.
        while seen.last() != Some(&format!("line-{last}")) {
            match lines.recv_timeout(std::time::Duration::from_secs(30)) {
                Ok(line) => seen.push(line),
                Err(error) => panic!("{error} after {} lines, {:?}", seen.len(), seen.last()),
            }
        }
    }
    let expected: Vec<String> = (1..=ROUNDS * LINES).map(|line| format!("line-{line}")).collect();
    assert!(seen == expected, "{} lines instead of {}", seen.len(), expected.len());
    let kept = stage.ok("logs --no-log-prefix web");
    let kept: Vec<&str> = kept.lines().collect();
    assert!(
        kept.len() > LINES
            && expected.ends_with(&kept.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>())
    );
    let id = stage.ok("ps -q --no-trunc web");
    let directory = stage.home.state().join("containers").join(id.trim()).join("log");
    let files: Vec<u64> = std::fs::read_dir(directory)
        .unwrap()
        .map(|it| it.unwrap().metadata().unwrap().len())
        .collect();
    assert!(files.len() == 3 && files.iter().all(|length| *length <= 10_240), "{files:?}");
    stage.ok("down -t 0");
    assert_eq!(follower.wait().unwrap().code(), Some(0));
}
