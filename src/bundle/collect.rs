//! Asks a runtime for all that it knows of the containers of a project.
//!
//! # Invariants
//!
//! - What cannot be had is said in its place; nothing here fails, and nothing waits for long.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use futures_util::future::join_all;
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{PATIENCE, mask};
use crate::model::Output;
use crate::model::observed::ObservedContainer;
use crate::runtime::{Chunk, LogOptions, Runtime};

/// How many last lines are taken of each container.
const LINES: u64 = 5000;
/// How many bytes.
const BYTES: usize = 2 << 20;
/// How many events.
const EVENTS: usize = 10_000;

/// A line that a container wrote.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Line {
    /// When, as the runtime writes it.
    pub(super) time: String,
    /// What.
    pub(super) text: String,
}

/// The lines of each container, in order.
pub(super) type Logs = BTreeMap<String, Vec<Line>>;

/// The containers of a project.
pub(super) async fn containers(runtime: &dyn Runtime, project: &str) -> Vec<ObservedContainer> {
    let found = timeout(PATIENCE, runtime.containers(Some(project))).await;
    found.ok().and_then(Result::ok).unwrap_or_default()
}

/// What containers have written last.
pub(super) async fn logs(runtime: &dyn Runtime, containers: &[ObservedContainer]) -> Logs {
    let read = containers.iter().map(async |container| {
        let read = timeout(PATIENCE, lines(runtime, &container.name)).await;
        let said = |text: &str| vec![Line { time: String::new(), text: format!("[{text}]") }];
        let lines = match read {
            Err(_) => said("the log could not be read in time"),
            Ok(Err(error)) => said(&format!("the log cannot be read: {error}")),
            Ok(Ok(lines)) => lines,
        };
        (container.name.clone(), lines)
    });
    join_all(read).await.into_iter().collect()
}

async fn lines(
    runtime: &dyn Runtime,
    name: &str,
) -> Result<Vec<Line>, crate::runtime::RuntimeError> {
    let options = LogOptions { tail: Some(LINES), timestamps: true, ..LogOptions::default() };
    let mut logs = runtime.logs(name, &options);
    // What is written to both streams may be cut anywhere.
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut read = 0;
    while let Some(Chunk { output, bytes }) = logs.try_next().await? {
        read += bytes.len();
        let stream = if output == Output::Stderr { &mut err } else { &mut out };
        stream.extend_from_slice(&bytes);
        if read > BYTES {
            out.extend_from_slice(b"\n[cut: this container wrote more]\n");
            break;
        }
    }
    let mut lines = parse(&out);
    lines.extend(parse(&err));
    lines.sort_by(|one, other| one.time.cmp(&other.time));
    Ok(lines)
}

/// `TIME TEXT`, line by line.
fn parse(bytes: &[u8]) -> Vec<Line> {
    let text = String::from_utf8_lossy(bytes);
    let mut time = String::new();
    let mut lines = Vec::new();
    for line in text.lines() {
        let is_time = |word: &str| word.len() > 18 && word.as_bytes()[10] == b'T';
        match line.split_once(' ') {
            Some((word, rest)) if is_time(word) => {
                word.clone_into(&mut time);
                lines.push(Line { time: time.clone(), text: rest.to_owned() });
            }
            // It goes with the line before.
            _ => lines.push(Line { time: time.clone(), text: line.to_owned() }),
        }
    }
    lines
}

/// The lines of all containers in the order of time.
pub(super) fn merged(logs: &Logs) -> String {
    let mut all: Vec<(&str, &String, usize, &str)> = Vec::new();
    for (name, lines) in logs {
        let lines = lines.iter().enumerate();
        all.extend(lines.map(|(at, line)| (line.time.as_str(), name, at, line.text.as_str())));
    }
    all.sort_unstable();
    let mut text = String::new();
    for (time, name, _, line) in all {
        let _ = writeln!(text, "{time} {name} | {line}");
    }
    text
}

/// What happened to containers since a moment, one object a line.
pub(super) async fn happenings(runtime: &dyn Runtime, (project, since): (&str, &str)) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let until = now.unwrap_or_default().as_secs() + 1;
    let options =
        LogOptions { since: since.to_owned(), until: until.to_string(), ..LogOptions::default() };
    let mut text = String::new();
    let mut events = runtime.events(project, &options).take(EVENTS);
    let read = async {
        while let Some(event) = events.next().await {
            let line = match event {
                Err(error) => json!({ "error": error.to_string() }),
                Ok(event) => json!({
                    "time": event.time,
                    "container": event.container,
                    "action": event.action,
                    "name": event.attributes.get("name"),
                    "exitCode": event.attributes.get("exitCode"),
                }),
            };
            let _ = writeln!(text, "{line}");
        }
    };
    if timeout(PATIENCE, read).await.is_err() {
        text.push_str("{\"error\":\"there may be more: it took too long\"}\n");
    }
    text
}

/// What the runtime knows of each container, without the values of variables.
pub(super) async fn inspect(
    runtime: &dyn Runtime,
    containers: &[ObservedContainer],
) -> BTreeMap<String, Value> {
    let ask = containers.iter().map(async |container| {
        let found = timeout(PATIENCE, runtime.inspect(&container.name)).await;
        let mut value = match found {
            Err(_) => json!({ "error": "the runtime did not answer in time" }),
            Ok(Err(error)) => json!({ "error": error.to_string() }),
            Ok(Ok(value)) => value,
        };
        mask::inspected(&mut value);
        (container.name.clone(), value)
    });
    join_all(ask).await.into_iter().collect()
}

/// What health checks said, as the runtime remembers it.
pub(super) fn probes(inspected: &BTreeMap<String, Value>) -> String {
    let mut text = String::new();
    for (name, value) in inspected {
        let health = [&value["State"]["Health"], &value["state"]["health"]];
        let Some(health) = health.into_iter().find(|health| health.is_object()) else { continue };
        let verdict = health["Status"].as_str().or(health["verdict"].as_str()).unwrap_or("?");
        let failures = health["FailingStreak"].as_i64().or(health["failures"].as_i64());
        let _ = writeln!(text, "{name}: {verdict}, {} failed in a row", failures.unwrap_or(0));
        let history = health["Log"].as_array().or(health["history"].as_array());
        for check in history.into_iter().flatten() {
            let words = |value: &Value| value.as_str().unwrap_or_default().trim().to_owned();
            let _ = match check["End"].as_str() {
                Some(end) => {
                    writeln!(text, "  {end} ({}) {}", check["ExitCode"], words(&check["Output"]))
                }
                None => writeln!(text, "  {} ms: {}", check["ended"], words(&check["output"])),
            };
        }
        if let Some(output) = health["output"].as_str().filter(|it| !it.is_empty()) {
            let _ = writeln!(text, "  last: {}", output.trim());
        }
    }
    text
}

/// The last words of a container, in short.
pub(super) fn last_words(logs: &Logs, container: &str, lines: usize) -> Vec<String> {
    let all = logs.get(container).map_or(&[][..], Vec::as_slice);
    let begin = all.len().saturating_sub(lines);
    all[begin..].iter().map(|line| line.text.clone()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Logs, merged, parse, probes};

    #[test]
    fn lines_of_all_containers_come_in_the_order_of_time() {
        let a = b"2026-11-24T03:00:00.000000001Z one\n2026-11-24T03:00:02.000000000Z three\nmore\n";
        let b = b"2026-11-24T03:00:01.000000000Z two\n";
        let logs: Logs = [("a".to_owned(), parse(a)), ("b".to_owned(), parse(b))].into();
        let text = merged(&logs);
        let said: Vec<&str> =
            text.lines().filter_map(|line| line.split_once(" | ")).map(|it| it.1).collect();
        assert_eq!(said, ["one", "two", "three", "more"]);
        assert!(text.contains("Z b | two"), "{text}");
    }

    #[test]
    fn checks_of_both_runtimes_are_told() {
        let docker = json!({"State": {"Health": {"Status": "unhealthy", "FailingStreak": 3,
            "Log": [{"End": "12:00", "ExitCode": 1, "Output": "refused\n"}]}}});
        let native = json!({"state": {"health": {"verdict": "starting", "failures": 1,
            "output": "no route", "history": [{"ended": 40, "output": "no"}]}}});
        let all = [("d".to_owned(), docker), ("n".to_owned(), native), ("x".to_owned(), json!({}))];
        let text = probes(&all.into());
        assert_eq!(
            text,
            "d: unhealthy, 3 failed in a row\n  12:00 (1) refused\n\
             n: starting, 1 failed in a row\n  40 ms: no\n  last: no route\n"
        );
    }
}
