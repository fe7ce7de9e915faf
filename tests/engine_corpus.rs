//! The recorded part of the corpus that needs an engine: what Docker Compose 2.40.3 made of 89
//! projects, compared with what Ketch makes of them. Skipped where no engine answers.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::binary::{root, updating};

/// The label that only Ketch writes.
const OUR_LABEL: &str = ".Labels.ketch.spec: ";

/// The checker, if it and all that it needs are there.
fn checker() -> Result<PathBuf, &'static str> {
    let succeeds = |program: &str, argument: &str| {
        let output = Command::new(program).arg(argument).output();
        output.is_ok_and(|output| output.status.success())
    };
    let checker = root().join("../shared/corpus/check_engine.py");
    match checker.canonicalize() {
        Err(_) => Err("../shared/corpus is not there"),
        Ok(_) if !succeeds("python3", "--version") => Err("python3 is not there"),
        Ok(_) if !succeeds("docker", "version") => Err("no engine answers"),
        Ok(checker) => Ok(checker),
    }
}

/// Whether a case differs in nothing but our label.
fn passes(case: &Value) -> bool {
    let lines = case["diff"].as_array().into_iter().flatten().filter_map(Value::as_str);
    lines.into_iter().all(|line| line.contains(OUR_LABEL))
}

#[test]
fn as_many_engine_cases_pass_as_ever_did() {
    let checker = match checker() {
        Ok(checker) => checker,
        Err(reason) => return println!("skipped: {reason}"),
    };
    let output = Command::new("python3")
        .arg(checker)
        .args(["--json", "--bin", env!("CARGO_BIN_EXE_ketch")])
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let cases = report["cases"].as_array().unwrap();
    for case in cases.iter().filter(|case| !passes(case)) {
        println!("fails: {case}");
    }
    let passed = cases.iter().filter(|case| passes(case)).count();
    println!("{passed} of {} engine cases pass", cases.len());
    let file = root().join("tests/corpus/passing-engine");
    if updating() {
        std::fs::write(&file, format!("{passed}\n")).unwrap();
    }
    let kept: usize = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
    assert!(passed >= kept, "{passed} cases pass; it was {kept} (tests/corpus/passing-engine)");
    if passed > kept {
        println!("more than {kept}: raise tests/corpus/passing-engine");
    }
}

#[test]
fn a_difference_in_anything_else_counts() {
    let ours = "$.containers[0].Config.Labels.ketch.spec: unexpected '{}'";
    let other = "$.containers[0].Config.Image: 'a', want 'b'";
    let case = |lines: &[&str]| serde_json::json!({ "diff": lines });
    assert!(passes(&case(&[])) && passes(&case(&[ours, ours])));
    assert!(!passes(&case(&[ours, other])));
}
