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
fn a_file_that_cannot_be_written_is_told_in_words() {
    let dir = folder(&[("compose.yaml", WEB)]);
    for (path, reason) in [
        ("gone/out", "there is no such folder\nhint: create the folder first\n"),
        (".", "it is a directory\n"),
        ("/dev/full", "no space left on device\n"),
    ] {
        let output = ketch(dir.path(), &format!("config -o {path}")).output();
        let (_, said) = output.stderr.split_once("`: ").unwrap();
        assert_eq!((output.code, said), (1, reason), "{path}");
    }
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
fn the_schemas_in_the_repository_are_those_printed() {
    for name in ["compose", "events", "plan"] {
        let schema = shop_says(&format!("schema {name}"));
        serde_json::from_str::<Value>(&schema).unwrap();
        let file = root().join(format!("schemas/{name}.schema.json"));
        compare(&file, Some(&schema)).unwrap();
    }
    assert_eq!(shop_says("schema"), shop_says("schema compose"));
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

/// What `explain` says to paths of a project that uses every way to compose one.
fn explained(paths: &[&str]) -> String {
    let dir = folder(&[
        (
            "compose.yaml",
            "include: [{path: sub/compose.yaml, env_file: sub/vars.env}]\n\
             services:\n  web:\n    extends: {file: base.yaml, service: base}\n    \
             image: nginx:${TAG:-1}\n    env_file: [web.env]\n    \
             environment: {LEVEL: \"${LEVEL}\"}\n    ports: [\"${PORT}:80\"]\n  tool: &tool {image: t, labels: {a: b}}\n  \
             job:\n    <<: *tool\n    image: j\n",
        ),
        ("compose.override.yaml", "services:\n  web:\n    environment: [LEVEL=x]\n"),
        (
            "base.yaml",
            "services:\n  base:\n    extends: root\n    image: base\n  root:\n    \
             environment: {ROOT: \"${LEVEL}\"}\n",
        ),
        ("sub/compose.yaml", "services:\n  api:\n    image: api:${APIV}\n"),
        ("sub/vars.env", "APIV=7\n"),
        (".env", "LEVEL=debug\nPORT=8080\n"),
        ("web.env", "A=1\nLEVEL=z\nB=${A}-${LEVEL}-${NO-}\n"),
    ]);
    let said = |path: &&str| {
        let output = ketch(dir.path(), "explain").arguments(&[path]).output();
        output.stdout + &output.stderr
    };
    paths.iter().map(said).collect::<Vec<_>>().join("\n")
}

#[test]
fn explain_tells_every_way_that_a_value_went() {
    insta::assert_snapshot!(explained(&[
        "services.web.image",
        "services.web.environment.LEVEL",
        "services.web.environment.ROOT",
        "services.web.ports[0].published",
        "services.api.image",
        "services.api.networks",
        "services.web.environment.B",
        "services.job.labels.a",
    ]), @r##"
    services.web.image = "nginx:1"

      compose.yaml:5:12   image: nginx:${TAG:-1}
        ${TAG} is not set, so the default in the expression counts
      replaces "base", from base.yaml:4   image: base
        comes in through `extends`, from compose.yaml:4   extends: {file: base.yaml, service: base}

    services.web.environment.LEVEL = "x"

      compose.override.yaml:3:19   environment: [LEVEL=x]
      replaces "debug", from compose.yaml:7   environment: {LEVEL: "${LEVEL}"}
        ${LEVEL} is "debug", from .env:1   LEVEL=debug
      replaces "z", from web.env:2   LEVEL=z
        comes in through `env_file`, from compose.yaml:6   env_file: [web.env]

    services.web.environment.ROOT = "debug"

      base.yaml:6:19   environment: {ROOT: "${LEVEL}"}
        ${LEVEL} is "debug", from .env:1   LEVEL=debug
        comes in through `extends`, from base.yaml:3   extends: root
        comes in through `extends`, from compose.yaml:4   extends: {file: base.yaml, service: base}

    services.web.ports.0.published = "8080"

      compose.yaml:8:13   ports: ["${PORT}:80"]
        ${PORT} is "8080", from .env:2   PORT=8080

    services.api.image = "api:7"

      sub/compose.yaml:3:12   image: api:${APIV}
        ${APIV} is set, from sub/vars.env:1   APIV=7
        comes in through `include`, from compose.yaml:1   include: [{path: sub/compose.yaml, env_file: sub/vars.env}]

    services.api.networks =
      default: null   # services without networks use the default one

      is not written in any file: services without networks use the default one

    services.web.environment.B = "1-debug-"

      web.env:3:1   B=${A}-${LEVEL}-${NO-}
        ${A} is set, from web.env:1   A=1
        ${LEVEL} is "debug", from .env:1   LEVEL=debug
        ${NO} is not set, so the default in the expression counts
        comes in through `env_file`, from compose.yaml:6   env_file: [web.env]

    services.job.labels.a = "b"

      compose.yaml:9:38   tool: &tool {image: t, labels: {a: b}}
        comes in through `<<`, from compose.yaml:11   <<: *tool
    "##);
}

#[test]
fn explain_leads_to_what_was_meant() {
    insta::assert_snapshot!(explained(&[
        "web.image", "services.wbe", "services.web.env_file", ".services.web.restart",
    ]), @r##"
    error: the project has no `web`
    hint: write `services.web.image`

    error: `services` has no `wbe`
    hint: `services.web` exists

    error: `services.web` has no `env_file`
    hint: what it brings is in `environment`, and that says so

    error: `services.web` has no `restart`
    hint: it has `environment`, `image`, `ports`, `networks`
    "##);
}

#[test]
fn standard_input_has_a_name() {
    let said = ketch(folder(&[]).path(), "-f - config").stdin("# nothing\n").output().stderr;
    assert!(said.contains("`<stdin>` defines nothing\n --> <stdin>:1:1\n"), "{said}");
}

#[test]
fn explain_answers_without_warnings_and_names_files_as_seen_from_here() {
    let web = "services:\n  web:\n    image: a:${NO}${NO}\n";
    let dir = folder(&[("compose.yaml", web), ("sub/x", "")]);
    let run = ketch(&dir.path().join("sub"), "-f ../compose.yaml explain services.web.image");
    let expected = "services.web.image = \"a:\"\n\n  ../compose.yaml:3:12   image: a:${NO}${NO}\n    \
                    ${NO} is not set, which leaves a blank\n";
    assert_eq!(run.output(), said(0, expected, ""));
}
