//! A folder per case in `tests/load`: files, and what Ketch makes of them.
//!
//! - `expected.yaml` is the output of `ketch config`; not there if it fails.
//! - `expected.txt` is what `ketch check` says on stderr; not there if it says nothing.
//! - `flags` and `environment` (`NAME=value` lines), where there, are given to both.

use std::path::{Path, PathBuf};

use crate::binary::{Output, Run, compare, ketch, root, updating};

fn cases() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("tests/load")).unwrap();
    let mut cases: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

fn run(case: &Path, command: &str) -> Output {
    let flags = std::fs::read_to_string(case.join("flags")).unwrap_or_default();
    let environment = std::fs::read_to_string(case.join("environment")).unwrap_or_default();
    let set = |run: Run, line: &str| {
        let (name, value) = line.split_once('=').unwrap();
        run.env(name, value)
    };
    let run = ketch(case, &format!("{flags} {command}"));
    environment.lines().fold(run, set).output()
}

fn check(case: &Path) -> Result<(), String> {
    let config = run(case, "config");
    let check = run(case, "check");
    if config.code != check.code {
        let name = case.display();
        return Err(format!("{name}: config exits {}, check {}", config.code, check.code));
    }
    let said = Some(check.stderr.as_str()).filter(|text| !text.is_empty());
    let tree = Some(config.stdout.as_str()).filter(|_| config.code == 0);
    compare(&case.join("expected.txt"), said)?;
    compare(&case.join("expected.yaml"), tree)
}

#[test]
fn every_case_gives_what_its_folder_says() {
    let cases = cases();
    assert!(cases.len() >= 40, "only {} cases", cases.len());
    let failures: Vec<String> = cases.iter().filter_map(|case| check(case).err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_failing_case_shows_at_least_one_error() {
    for case in cases() {
        let said = std::fs::read_to_string(case.join("expected.txt")).unwrap_or_default();
        let fails = !case.join("expected.yaml").exists();
        assert_eq!(said.contains("error["), fails, "{}", case.display());
    }
}

#[test]
fn a_difference_is_seen() {
    if updating() {
        return;
    }
    let path = root().join("LICENSE");
    assert!(compare(&path, Some("another text")).is_err());
    assert!(compare(&path, None).is_err());
    assert!(compare(&path.join("nothing"), None).is_ok());
}
