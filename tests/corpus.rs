//! The conformance corpus that lies beside the project: what Docker Compose 2.40.3 said to 2,897
//! projects. Skipped where it is not there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::binary::{ketch, root, updating};

/// The kinds of problems that stand in no file: flags, the environment, files that are not there.
/// The last one is a service that the command line names.
const PLACELESS: &[&str] = &[
    "error[no-project-file]: ",
    "error[unreadable-file]: ",
    "error[project-name]: ",
    "error[environment-setting]: ",
    "error[undefined-service]: no such service: ",
];

/// The corpus, if it is there and can be run.
fn corpus() -> Option<PathBuf> {
    let corpus = root().join("../shared/corpus");
    let missing = if !corpus.join("check.py").exists() {
        "../shared/corpus"
    } else if Command::new("python3").arg("--version").output().is_err() {
        "python3"
    } else {
        return corpus.canonicalize().ok();
    };
    println!("skipped: {missing} is not there");
    None
}

#[test]
fn as_many_cases_pass_as_ever_did() {
    let Some(corpus) = corpus() else { return };
    let mut checker = Command::new("python3");
    checker
        .arg(corpus.join("check.py"))
        .arg("--json")
        .arg("--list")
        .arg(corpus.join("public.list"));
    let output = checker.args(["--bin", env!("CARGO_BIN_EXE_ketch")]).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    for failure in report["failures"].as_array().unwrap() {
        println!("fails: {failure}");
    }
    let passed = report["passed"].as_u64().unwrap();
    println!("{passed} cases pass, {} fail", report["failed"]);
    let file = root().join("tests/corpus/passing");
    if updating() {
        std::fs::write(&file, format!("{passed}\n")).unwrap();
    }
    let kept: u64 = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
    assert!(passed >= kept, "{passed} cases pass; it was {kept} (tests/corpus/passing)");
    if passed > kept {
        println!("more than {kept}: raise tests/corpus/passing");
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn words(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// What Ketch says to a project that Docker Compose refuses; `None` for any other case.
fn refusal(corpus: &Path, name: &str) -> Option<String> {
    let folder = corpus.join(name);
    let case = json(&folder.join("case.json"));
    let results = json(&folder.join("expected/results.json"));
    if results["exit"].as_i64() == Some(0) || !case["config_args"].is_null() {
        return None;
    }
    let mut flags = Vec::new();
    if let Some(directory) = case["project_directory"].as_str().filter(|path| *path != ".") {
        flags.extend(["--project-directory", directory]);
    }
    words(&case["files"]).for_each(|file| flags.extend(["-f", file]));
    words(&case["profiles"]).for_each(|profile| flags.extend(["--profile", profile]));
    flags.extend(words(&case["args"]));
    flags.push("config");
    let dir = folder.join(case["cwd"].as_str().unwrap_or("."));
    let mut run = ketch(&dir, "");
    for (variable, value) in case["env"].as_object().into_iter().flatten() {
        run = run.env(variable, value.as_str().unwrap());
    }
    let output = run.arguments(&flags).output();
    (output.code != 0).then_some(output.stderr)
}

/// Whether a text has a line such as `  --> compose.yaml:3:5`.
fn has_place(text: &str) -> bool {
    text.lines().filter_map(|line| line.trim_start().strip_prefix("--> ")).any(|place| {
        let mut parts = place.rsplitn(3, ':');
        let mut number = || parts.next().is_some_and(|part| part.parse::<u32>().is_ok());
        number() && number()
    })
}

#[test]
fn every_refusal_shows_a_place() {
    let Some(corpus) = corpus() else { return };
    let list = std::fs::read_to_string(corpus.join("public.list")).unwrap();
    let mut without = BTreeMap::new();
    let mut refused = 0;
    for name in list.lines().filter(|line| !line.is_empty()) {
        let Some(said) = refusal(&corpus, name) else { continue };
        refused += 1;
        if !has_place(&said) {
            without.insert(name, said.lines().next().unwrap_or_default().to_owned());
        }
    }
    let (excused, wrong): (Vec<_>, Vec<_>) = without
        .into_iter()
        .partition(|(_, said)| PLACELESS.iter().any(|kind| said.starts_with(kind)));
    println!("{refused} refused, {} of them need no place:", excused.len());
    for (name, said) in &excused {
        println!("  {name}: {said}");
    }
    assert!(wrong.is_empty(), "without a place: {wrong:#?}");
}

#[test]
fn a_place_is_told_from_other_text() {
    assert!(has_place("error: no\n --> compose.yaml:3:5\n"));
    assert!(has_place("    --> C:/a.yaml:3:15"));
    assert!(!has_place("error: no --> compose.yaml:3:5"));
    assert!(!has_place("  --> compose.yaml:3"));
}
