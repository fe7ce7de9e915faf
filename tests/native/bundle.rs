//! What is written down when a project does not come up.

use super::stage::Stage;

const FILE: &str = "
services:
  db:
    image: corpus/busybox:1
    command: [sh, -c, 'echo begun with $$DB_PASSWORD; sleep 0.3; echo gives up >&2; exit 3']
    environment: {DB_PASSWORD: open-sesame, MODE: quiet-mode}
  web:
    image: corpus/busybox:1
    command: [sleep, '1000']
    stop_signal: SIGKILL
    depends_on: {db: {condition: service_completed_successfully}}
";

fn read(stage: &Stage, name: &str) -> String {
    std::fs::read_to_string(stage.home.directory.path().join(name)).unwrap()
}

#[test]
fn a_failure_tells_all_but_secrets() {
    let Some(stage) = Stage::new("bundle", FILE) else { return };
    let failed = stage.ketch("up --wait --bundle out");
    assert_eq!(failed.code, 1);
    let place = "compose.yaml:4";
    let said = &failed.stderr;
    assert!(said.contains("first: cannot wait for container"), "{said}");
    assert!(said.contains(place), "{said}");
    let summary = read(&stage, "out/summary.txt");
    assert!(summary.lines().count() <= 10 && summary.contains("gives up"), "{summary}");
    let logs = read(&stage, "out/logs.txt");
    let at = |text: &str| logs.find(text).unwrap_or_else(|| panic!("{text}: {logs}"));
    assert!(at("begun with ***") < at("gives up"), "{logs}");
    let name = format!("{}-db-1", stage.name);
    let inspected = read(&stage, &format!("out/inspect/{name}.json"));
    assert!(inspected.contains("DB_PASSWORD=***") && inspected.contains("\"exit_code\": 3"));
    assert!(read(&stage, "out/plan.txt").contains(&format!("start container {name}")));
    assert!(read(&stage, "out/steps.jsonl").contains("at_ms"));
    assert!(read(&stage, "out/containers.jsonl").contains("\"die\""));
    assert!(!read(&stage, "out/timings.txt").is_empty());
    assert!(read(&stage, "out/project.yaml").contains("busybox"));
    let mut waiting = vec![stage.home.directory.path().join("out")];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for secret in ["open-sesame", "quiet-mode"] {
            assert!(!text.contains(secret), "{secret} in {}", path.display());
        }
    }
    let again = stage.ketch("up --wait --bundle .");
    assert!(again.stderr.contains("no bundle was written"), "{}", again.stderr);
    assert!(stage.home.directory.path().join("compose.yaml").exists());
}

#[test]
fn whoever_is_waited_for_in_vain_is_named() {
    let file = "
services:
  slow:
    image: corpus/busybox:1
    command: [sleep, '1000']
    stop_signal: SIGKILL
    healthcheck: {test: [CMD-SHELL, 'echo not yet; exit 1'], interval: 200ms, start_period: 60s, start_interval: 200ms}
";
    let Some(stage) = Stage::new("bundlewait", file) else { return };
    let failed = stage.ketch("up --wait --wait-timeout 2 --bundle out");
    assert_eq!(failed.code, 1);
    assert!(failed.stderr.contains("first: still had to wait for"), "{}", failed.stderr);
    assert!(read(&stage, "out/probes.txt").contains("not yet"));
    let quiet = stage.ketch("up --wait --wait-timeout 1");
    assert!(!quiet.stderr.contains("first:"), "nobody has asked for it: {}", quiet.stderr);
}
