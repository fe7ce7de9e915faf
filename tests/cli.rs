//! Transcripts of the real program: what it prints where, and its exit code.

use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use crate::binary::{Output, compare, ketch, root};

const WEB: &str = "services:\n  web:\n    image: nginx:${TAG:-1}\n";

/// A fresh folder with files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = TempDir::new().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

fn shop() -> PathBuf {
    root().join("examples/shop")
}

fn said(code: i32, stdout: &str, stderr: &str) -> Output {
    Output { stdout: stdout.to_owned(), stderr: stderr.to_owned(), code }
}

/// Standard output of a command on the example that must succeed in silence.
fn shop_says(arguments: &str) -> String {
    let output = ketch(&shop(), arguments).output();
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{arguments}");
    output.stdout
}

#[test]
fn config_lists_one_name_a_line() {
    assert_eq!(shop_says("config --services").lines().count(), 5);
    assert_eq!(shop_says("config --volumes"), "db-data\n");
    assert_eq!(shop_says("config --profiles"), "monitoring\ntools\n");
    assert!(shop_says("config --images").contains("postgres:17-alpine\n"));
    assert!(shop_says("config --hash web").starts_with("web "));
    assert!(shop_says("config --environment").contains("DB_NAME=shop\n"));
    assert!(shop_says("config --variables").starts_with("NAME"));
    assert_eq!(shop_says("config -q"), "");
}

#[test]
fn config_shows_the_services_named_and_what_they_need() {
    let text = shop_says("config cache");
    assert!(text.contains("\n  cache:\n") && !text.contains("\n  web:\n"), "{text}");
    let output = ketch(&shop(), "config cach").output();
    let hint = "error[undefined-service]: no such service: `cach`\n\
                hint: a service with a similar name exists: `cache`\n";
    assert_eq!((output.code, output.stderr.as_str()), (1, hint));
}

#[test]
fn config_prints_json_that_says_the_same_as_yaml() {
    let json: Value = serde_json::from_str(&shop_says("config --format json")).unwrap();
    let yaml: Value = serde_yaml::from_str(&shop_says("config")).unwrap();
    assert_eq!(json["services"]["api"]["environment"], yaml["services"]["api"]["environment"]);
    assert_eq!(json["name"], "shop");
}

#[test]
fn config_keeps_variables_if_asked() {
    assert!(shop_says("config --no-interpolate").contains("${DB_NAME}"));
}

#[test]
fn config_writes_to_a_file() {
    let dir = folder(&[("compose.yaml", WEB)]);
    let output = ketch(dir.path(), "config -o out.yaml").output();
    assert_eq!(output, said(0, "", ""));
    let written = std::fs::read_to_string(dir.path().join("out.yaml")).unwrap();
    assert!(written.contains("image: nginx:1\n"));
}

#[test]
fn config_reads_standard_input() {
    let dir = folder(&[]);
    let output = ketch(dir.path(), "-p demo -f - config --images").stdin(WEB).output();
    assert_eq!(output, said(0, "nginx:1\n", ""));
}

#[test]
fn the_file_is_looked_for_in_parent_directories() {
    let dir = folder(&[("compose.yaml", WEB), ("a/b/file", "")]);
    let output = ketch(&dir.path().join("a/b"), "config --images").output();
    assert_eq!((output.code, output.stdout.as_str()), (0, "nginx:1\n"));
}

#[test]
fn compose_variables_do_what_flags_do() {
    let files = [
        ("a.yaml", WEB),
        ("b.yaml", "services:\n  db:\n    image: db\n    profiles: [data]\n"),
        ("my.env", "TAG=9\n"),
    ];
    let dir = folder(&files);
    let run = |arguments| ketch(dir.path(), arguments).env("COMPOSE_PROJECT_NAME", "demo");
    let run = |arguments| run(arguments).env("COMPOSE_FILE", "a.yaml:b.yaml");
    assert_eq!(run("config --services").output(), said(0, "web\n", ""));
    let profile = run("config --services").env("COMPOSE_PROFILES", "data").output();
    let mut services: Vec<&str> = profile.stdout.lines().collect();
    services.sort_unstable();
    assert_eq!(services, ["db", "web"]);
    let tag = run("config --images").env("COMPOSE_ENV_FILES", "my.env").output();
    assert_eq!(tag, said(0, "nginx:9\n", ""));
    assert!(run("config").output().stdout.starts_with("name: demo\n"));
    assert!(run("-p other config").output().stdout.starts_with("name: other\n"));
}

#[test]
fn a_mistake_is_shown_where_it_stands() {
    let text = "services:\n  web:\n    image: nginx\n    depends_on:\n      - databse\n  database:\n    image: db\n";
    let dir = folder(&[("compose.yaml", text)]);
    let checked = ketch(dir.path(), "check").output();
    let expected = "\
error[undefined-service]: service `web` depends on `databse`, which is not defined
 --> compose.yaml:5:9
  |
5 |       - databse
  |         ^^^^^^^ no such service
  |
hint: a service with a similar name exists: `database`
";
    assert_eq!(checked, said(1, "", expected));
    assert_eq!(ketch(dir.path(), "config").output(), checked);
}

#[test]
fn check_tells_what_it_found_good() {
    let dir = folder(&[("compose.yaml", WEB)]);
    let line = "compose.yaml: no problems (1 service, 1 network)\n";
    assert_eq!(ketch(dir.path(), "check").output(), said(0, line, ""));
}

#[test]
fn strict_takes_warnings_for_errors() {
    let dir = folder(&[("compose.yaml", &format!("version: '3'\n{WEB}"))]);
    assert_eq!(ketch(dir.path(), "check").output().code, 0);
    assert_eq!(ketch(dir.path(), "check -W").output().code, 1);
}

/// A project with one error, checked in a format for machines.
fn checked(format: &str) -> String {
    let dir = folder(&[("compose.yaml", "services:\n  web:\n    imag: nginx\n")]);
    let output = ketch(dir.path(), &format!("check --format {format}")).output();
    assert_eq!((output.code, output.stderr.as_str()), (1, ""));
    output.stdout
}

#[test]
fn check_reports_json() {
    let report = checked("json");
    serde_json::from_str::<Value>(&report).unwrap();
    assert!(report.contains("\"unknown-attribute\""), "{report}");
}

#[test]
fn check_reports_sarif() {
    let report: Value = serde_json::from_str(&checked("sarif")).unwrap();
    assert_eq!(report["version"], "2.1.0");
    let result = &report["runs"][0]["results"][0];
    assert_eq!(result["ruleId"], "unknown-attribute");
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "compose.yaml");
    assert_eq!(place["region"]["startLine"], 3);
}

#[test]
fn check_annotates_for_github() {
    let report = checked("github");
    assert!(report.starts_with("::error file=compose.yaml,line=3,"), "{report}");
}

#[test]
fn explain_tells_where_a_value_comes_from() {
    let text = shop_says("explain services.api.environment.LOG_LEVEL");
    assert!(text.starts_with("services.api.environment.LOG_LEVEL = \"debug\"\n"), "{text}");
    assert!(text.contains("compose.override.yaml:9:7"), "{text}");
    let json = shop_says("explain services.db.environment.POSTGRES_DB --format json");
    serde_json::from_str::<Value>(&json).unwrap();
}

#[test]
fn explain_says_what_there_is_instead() {
    let output = ketch(&shop(), "explain services.api.imag").output();
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("`services.api.image` exists"), "{}", output.stderr);
}

#[test]
fn the_schema_in_the_repository_is_the_one_printed() {
    let schema = shop_says("schema");
    serde_json::from_str::<Value>(&schema).unwrap();
    compare(&root().join("schemas/compose.schema.json"), Some(&schema)).unwrap();
}

#[test]
fn version_needs_no_project() {
    let dir = folder(&[]);
    let number = env!("CARGO_PKG_VERSION");
    let run = |arguments| ketch(dir.path(), arguments).output();
    assert_eq!(run("version"), said(0, &format!("Ketch version {number}\n"), ""));
    assert_eq!(run("version --short"), said(0, &format!("{number}\n"), ""));
    assert_eq!(run("version -f json"), said(0, &format!("{{\"version\":\"{number}\"}}\n"), ""));
}

#[test]
fn a_folder_without_a_project_is_an_error_that_helps() {
    let output = ketch(folder(&[]).path(), "config").output();
    assert_eq!((output.code, output.stdout.as_str()), (1, ""));
    assert!(output.stderr.starts_with("error[no-project-file]: "), "{}", output.stderr);
}

#[test]
fn an_unknown_command_is_an_error_that_helps() {
    let output = ketch(&shop(), "confg").output();
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("`config`"), "{}", output.stderr);
}

#[test]
fn colour_only_where_it_is_asked_for() {
    let dir = folder(&[("compose.yaml", "services: 1\n")]);
    assert!(!ketch(dir.path(), "check").output().stderr.contains('\u{1b}'));
    assert!(ketch(dir.path(), "--ansi always check").output().stderr.contains('\u{1b}'));
}

#[test]
fn drives_stay_as_they_are_on_this_system() {
    // Docker Compose heeds the variable where the system itself knows drives: on Windows only.
    let text = format!("{WEB}    volumes: ['C:\\a:/b']\n");
    let dir = folder(&[("compose.yaml", &text)]);
    let run = ketch(dir.path(), "config").env("COMPOSE_CONVERT_WINDOWS_PATHS", "1").output();
    assert!(run.stdout.contains("source: C:\\a\n"), "{run:?}");
}
