//! Requests against what Docker Compose made of the same files, for the cases of the corpus that
//! lies beside the project. Skipped where it is not there.

use std::path::{Path, PathBuf};

use bollard::ClientVersion;
use serde_json::Value;

use super::request::{Engine, Found, assemble};
use super::security;
use crate::model::label;
use crate::model::spec::ContainerSpec;
use crate::project::{self, Disk, Request};
use crate::runtime::docker::connect::Proxies;

/// Cases whose one service needs nothing but itself; the first has no attribute of interest.
const CASES: &[&str] = &[
    "user",
    "caps",
    "cgroup-host",
    "cgroup-parent",
    "command-list",
    "deploy-gpu",
    "deploy-resources",
    "device-cgroup-rules",
    "entrypoint-empty",
    "entrypoint-list-cmd",
    "expose",
    "extra-hosts",
    "gpus-list",
    "group-add",
    "healthcheck-cmd",
    "healthcheck-disable",
    "healthcheck-shell",
    "hostname",
    "init-false",
    "ipc-shareable",
    "logging",
    "oom",
    "ports-long",
    "ports-range",
    "restart-policy-deploy",
    "seccomp-file",
    "security-opt",
    "shm-size",
    "stop-subsecond",
    "sysctls",
    "tmpfs",
    "tty",
    "uts-host",
    "volume-anonymous",
    "volume-bind-long-ro",
    "volume-bind-propagation",
    "volume-bind-selinux",
    "volume-bind-short",
];

/// What the engine, the image or the name of the project decides.
const NOT_OURS: &[&str] = &["Labels", "NetworkMode", "Hostname", "Image", "Env", "MemorySwap"];

fn corpus() -> Option<PathBuf> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    corpus.join("engine").canonicalize().ok()
}

fn expected(corpus: &Path, case: &str) -> Value {
    let file = std::fs::File::open(corpus.join(case).join("expected/inspect.json")).unwrap();
    let all: Value = serde_json::from_reader(std::io::BufReader::new(file)).unwrap();
    let root = corpus.parent().unwrap().to_str().unwrap();
    let text = all["state"]["containers"][0].to_string().replace("${CORPUS}", root);
    serde_json::from_str(&text).unwrap()
}

async fn requested(corpus: &Path, case: &str) -> Value {
    let cwd = corpus.join(case);
    let request = Request { cwd: cwd.clone(), ..Request::default() };
    let (loaded, report) = project::load(&Disk, &request);
    let mut project = loaded.unwrap_or_else(|| panic!("{case}: {:?}", report.diagnostics)).project;
    let service = project.services.remove("app").expect("the service of every case");
    let folder = cwd.to_str().unwrap().to_owned();
    let spec = ContainerSpec {
        mounts: service.volumes.clone(),
        service: service.into(),
        labels: [(label::WORKING_DIR.to_owned(), folder)].into(),
        ..ContainerSpec::default()
    };
    let found = Found { hash: String::new(), security: security::read(&spec).await.unwrap() };
    let api = ClientVersion { major_version: 1, minor_version: 41 };
    assemble(&spec, Engine { api, proxies: &Proxies::new() }, found).unwrap().body
}

/// A value without what means nothing: null, zero, false, empty text and lists.
fn bare(value: &Value) -> Option<Value> {
    match value {
        Value::Null | Value::Bool(false) => None,
        Value::Number(number) if number.as_f64() == Some(0.0) => None,
        Value::String(text) if text.is_empty() => None,
        Value::Array(items) => {
            let items: Vec<Value> =
                items.iter().map(|item| bare(item).unwrap_or_default()).collect();
            (!items.is_empty()).then_some(Value::Array(items))
        }
        Value::Object(fields) => {
            let fields: serde_json::Map<_, _> = fields
                .iter()
                .filter_map(|(name, field)| Some((name.clone(), bare(field)?)))
                .collect();
            (!fields.is_empty()).then_some(Value::Object(fields))
        }
        other => Some(other.clone()),
    }
}

/// Where a part of a request is not what it should be. Only what differs from a plain container's
/// counts: the rest is the engine's doing.
fn differences(requested: &Value, expected: &Value, plain: &Value) -> Vec<String> {
    let empty = serde_json::Map::new();
    let fields = expected.as_object().unwrap_or(&empty);
    let differs = |name: &str| {
        let wanted = bare(&expected[name]);
        let asked = bare(&requested[name]);
        let matters = wanted != bare(&plain[name]) || asked.is_some();
        !NOT_OURS.contains(&name) && matters && asked != wanted
    };
    let of = |name: &String| format!("{name}: {}, want {}", requested[name], expected[name]);
    fields.keys().filter(|name| differs(name)).map(of).collect()
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "a skipped test says so")]
async fn requests_say_what_compose_says() {
    let Some(corpus) = corpus() else {
        return println!("skipped: ../shared/corpus is not there");
    };
    let plain = expected(&corpus, CASES[0]);
    let mut wrong = Vec::new();
    for case in CASES {
        let requested = requested(&corpus, case).await;
        let expected = expected(&corpus, case);
        let host =
            differences(&requested["HostConfig"], &expected["HostConfig"], &plain["HostConfig"]);
        let config = differences(&requested, &expected["Config"], &plain["Config"]);
        wrong.extend(host.into_iter().chain(config).map(|text| format!("{case}: {text}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
