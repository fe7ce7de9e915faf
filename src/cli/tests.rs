//! Whole command lines on files in memory.

use std::path::PathBuf;

use insta::assert_snapshot;

use super::session::Session;
use super::{Process, parse, run_on};
use crate::project::{Memory, Request};
use crate::ui::Screen;

const FILE: &str = "\
name: shop
services:
  web:
    image: shop/web
    depends_on: [db]
  db:
    build: .
  debug:
    image: debug
    profiles: [dev]
volumes:
  data: {}
x-note: '${TAG:-latest} ${NEEDED:?} ${ALT:+alt}'
";

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

/// Runs `ketch ARGUMENTS` in a directory with one file; shows code, standard output and error.
fn ketch_with(file: &str, environment: &[(&str, &str)], arguments: &str) -> String {
    let source = Memory::default().with("/p/compose.yaml", file);
    let words = std::iter::once("ketch").chain(arguments.split_whitespace());
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let process = Process {
        arguments: words.map(Into::into).collect(),
        environment: environment.iter().map(pair).collect(),
        cwd: Some(PathBuf::from("/p")),
    };
    let mut screen = Screen::captured();
    let code = block_on(run_on(&process, &source, &mut screen));
    let captured = screen.take();
    let (out, err) =
        (String::from_utf8_lossy(&captured.out), String::from_utf8_lossy(&captured.err));
    format!("{code}\n{out}---\n{err}")
}

fn ketch(arguments: &str) -> String {
    ketch_with(FILE, &[("NEEDED", "1")], arguments)
}

/// The code and the messages of a command line that prints nothing.
fn refused(arguments: &str) -> String {
    let all = ketch(arguments);
    let (code, message) = all.split_once("\n---\n").expect("nothing on standard output");
    assert_eq!(code, "1", "{all}");
    message.to_owned()
}

#[test]
fn without_a_command_there_is_help() {
    let overview = ketch("");
    assert!(overview.starts_with("0\nRuns Compose projects"), "{overview}");
    assert_eq!(ketch("--help"), overview);
    assert_eq!(ketch("-p name"), overview);
}

#[test]
fn help_shows_examples_and_not_how_switches_are_parsed() {
    let help = ketch("config --help");
    assert!(help.starts_with("0\n") && help.contains("Examples:"), "{help}");
    assert!(help.contains("-q, --quiet  ") && !help.contains("possible values"), "{help}");
}

#[test]
fn wrong_words_are_explained() {
    assert_snapshot!(refused("confg"), @"
    error: unknown command `confg`
    hint: a command with a similar name exists: `config`
    ");
    assert_snapshot!(refused("frobnicate"), @"
    error: unknown command `frobnicate`
    hint: `ketch --help` lists the commands
    ");
    assert_snapshot!(refused("config --servces"), @"
    error: unknown flag `--servces`
    hint: a flag with a similar name exists: `--services`
    ");
    assert_snapshot!(refused("--nope config"), @"
    error: unknown flag `--nope`
    hint: `ketch --help` lists what it takes
    ");
    assert_snapshot!(refused("version x"), @"
    error: unexpected argument `x`
    hint: `ketch version --help` lists what it takes
    ");
    assert_snapshot!(refused("explain"), @"
    error: `explain` needs the path of a value
    hint: for example: `ketch explain services.web.image`
    ");
}

#[test]
fn commands_of_commands_are_explained_too() {
    for command in ["image", "system", "autostart"] {
        let help = ketch(command);
        assert!(help.starts_with("0\n") && help.contains("Commands:"), "{help}");
    }
    assert_snapshot!(refused("image lss"), @"
    error: unknown command `lss`
    hint: a command with a similar name exists: `ls`
    ");
    assert_snapshot!(refused("system frobnicate"), @"
    error: unknown command `frobnicate`
    hint: `ketch system --help` lists the commands
    ");
    assert_snapshot!(refused("image load a.tar"), @"
    error: unexpected argument `a.tar`
    hint: `ketch image load --help` lists what it takes
    ");
    assert_snapshot!(refused("image rm --forse x"), @"
    error: unknown flag `--forse`
    hint: a flag with a similar name exists: `--force`
    ");
}

#[test]
fn global_flags_stand_before_the_command() {
    assert_snapshot!(refused("config -f x"), @"
    error: the flag `-f` must stand before the command
    hint: write `ketch -f … config`
    ");
    assert_snapshot!(refused("config --project-name=x"), @"
    error: the flag `--project-name` must stand before the command
    hint: write `ketch --project-name … config`
    ");
    assert!(ketch("config --services --dry-run").starts_with("0\n"));
    assert!(ketch("--dry-run config --services").starts_with("0\n"));
}

#[test]
fn quiet_still_tells_what_only_json_cannot_say() {
    let file = "services:\n  a:\n    build:\n      context: .\n      ssh: [key=./id]\n";
    assert_eq!(ketch_with(file, &[], "config -q"), "0\n---\n");
    let json = ketch_with(file, &[], "config -q --format json");
    assert!(json.starts_with("1\n") && json.contains("SSH"), "{json}");
}

#[test]
fn values_are_checked() {
    assert_snapshot!(refused("config --format"), @"error: the flag `--format` needs a value");
    assert_snapshot!(refused("config --format xml"), @r#"
    error: unsupported format "xml"
    hint: use `yaml` or `json`
    "#);
    assert_snapshot!(refused("config --variables --format xml"), @r#"
    error: unsupported format "xml"
    hint: use `table`, `json` or `yaml`
    "#);
    assert_snapshot!(refused("check --format foo"), @r#"
    error: invalid value "foo" for the flag `--format`
    hint: it takes `human`, `json`, `sarif` or `github`
    "#);
    assert_snapshot!(refused("--parallel x config"), @r#"error: invalid value "x" for the flag `--parallel`: it takes a whole number"#);
    assert_snapshot!(refused("config --quiet=maybe"), @r#"error: invalid value "maybe" for the flag `--quiet`: it takes `true` or `false`"#);
    assert_snapshot!(refused("--progress x config"), @r#"
    error: unsupported --progress value "x"
    hint: use `auto`, `tty`, `plain`, `json` or `quiet`
    "#);
    assert_snapshot!(refused("--progress tty --ansi never config"), @"
    error: can't use --progress tty while ANSI support is disabled
    hint: leave out `--progress` or `--ansi`
    ");
    let forced = refused("--progress plain --ansi always config");
    assert!(forced.contains("\u{1b}[") && forced.contains("while ANSI support is forced"));
    assert_snapshot!(refused("-f config config -f x"), @"
    error: the flag `-f` must stand before the command
    hint: write `ketch -f … config`
    ");
    assert_snapshot!(refused("--no-ansi --ansi always config"), @r#"
    error: cannot specify DEPRECATED "--no-ansi" and "--ansi"
    hint: use only `--ansi`
    "#);
    assert_snapshot!(refused("--workdir a --project-directory b config"), @r#"
    error: cannot specify DEPRECATED "--workdir" and "--project-directory"
    hint: use only `--project-directory`
    "#);
}

#[test]
fn the_environment_is_checked_too() {
    let with =
        |name, value| ketch_with(FILE, &[(name, value), ("NEEDED", "1")], "config --services");
    assert_snapshot!(with("COMPOSE_PARALLEL_LIMIT", "x"), @r#"
    1
    ---
    error: COMPOSE_PARALLEL_LIMIT must be an integer (found: "x")
    hint: set it to a whole number, or unset it
    "#);
    assert_snapshot!(with("COMPOSE_PROGRESS", "x"), @r#"
    1
    ---
    error: unsupported --progress value "x"
    hint: use `auto`, `tty`, `plain`, `json` or `quiet`
    "#);
    assert_snapshot!(with("COMPOSE_ANSI", "x"), @"
    0
    db
    web
    ---
    warning: `x` is not a value of --ansi (never, always, auto); using auto
    ");
    let version = ketch_with(FILE, &[("COMPOSE_PROGRESS", "x")], "version --short");
    assert_eq!(version, "0\n0.1.0\n---\n");
}

#[test]
fn switches_take_values_and_flags_may_be_repeated() {
    let services = ketch("config --services");
    assert_eq!(
        ketch("config --quiet=false --services=1 --services --format x --format y"),
        services
    );
    assert!(ketch("config --services=false --quiet").starts_with("0\n---\n"));
    assert!(ketch("--parallel -3 config -q").starts_with("0\n"));
}

#[test]
fn versions() {
    assert_eq!(ketch("version"), "0\nKetch version 0.1.0\n---\n");
    assert_eq!(ketch("-v"), "0\nKetch version 0.1.0\n---\n");
    assert_eq!(ketch("--version"), "0\nKetch version 0.1.0\n---\n");
    assert_eq!(ketch("version -f json"), "0\n{\"version\":\"0.1.0\"}\n---\n");
    assert_eq!(ketch("version --short -f json"), "0\n0.1.0\n---\n");
}

#[test]
fn the_schema_is_json() {
    let text = ketch("schema");
    let schema = text.trim_start_matches("0\n").trim_end_matches("---\n");
    serde_json::from_str::<serde_json::Value>(schema).expect("JSON");
}

#[test]
fn lists_are_sorted_and_the_first_one_wins() {
    assert_eq!(ketch("config --services"), "0\ndb\nweb\n---\n");
    assert_eq!(ketch("config --images --services nope"), "0\ndb\nweb\n---\n");
    assert_eq!(ketch("config --images"), "0\nshop-db\nshop/web\n---\n");
    assert_eq!(ketch("--compatibility config --images"), "0\nshop/web\nshop_db\n---\n");
    assert_eq!(ketch("config --profiles"), "0\ndev\n---\n");
    let underscores =
        ketch_with(FILE, &[("COMPOSE_COMPATIBILITY", "T"), ("NEEDED", "1")], "config --images");
    assert_eq!(underscores, "0\nshop/web\nshop_db\n---\n");
}

#[test]
fn hashes_need_enabled_services() {
    assert_snapshot!(refused("config --hash wbe"), @"
    error: no such service: wbe
    hint: a service with a similar name exists: `web`
    ");
    assert_snapshot!(refused("config --hash debug"), @"error: no such service: debug (no active profile enables it)");
    assert_eq!(ketch("config --hash web,db").lines().count(), 4);
    assert_eq!(ketch("config --hash *"), ketch("config --hash web,db"));
}

#[test]
fn variables_of_the_files() {
    assert_snapshot!(ketch("config --variables").replace(" \n", "|\n"), @"
    0
    NAME                REQUIRED            DEFAULT VALUE       ALTERNATE VALUE
    ALT                 false                                   alt
    NEEDED              true                                   |
    TAG                 false               latest             |
    ---
    ");
    assert_snapshot!(ketch("config --variables --format yaml"), @r#"
    0
    ALT:
      name: ALT
      defaultvalue: ""
      presencevalue: alt
      required: false
    NEEDED:
      name: NEEDED
      defaultvalue: ""
      presencevalue: ""
      required: true
    TAG:
      name: TAG
      defaultvalue: latest
      presencevalue: ""
      required: false
    ---
    "#);
    assert!(ketch("config --variables --format JSON").contains(r#""DefaultValue": "latest""#));
}

#[test]
fn named_services_are_ignored_without_interpolation() {
    let all = ketch("config --no-interpolate web");
    let (out, err) = all.split_once("---\n").expect("both");
    assert!(out.starts_with("0\n") && out.contains("${TAG:-latest}"), "{out}");
    assert_snapshot!(err, @"warning: with `--no-interpolate` all services are shown; the names given are ignored");
}

#[test]
fn a_missing_directory_is_told() {
    let process =
        Process { arguments: vec!["ketch".into(), "config".into()], ..Process::default() };
    let mut screen = Screen::captured();
    assert_eq!(block_on(run_on(&process, &Memory::default(), &mut screen)), 1);
    assert_snapshot!(String::from_utf8_lossy(&screen.take().err), @"
    error: the current directory does not exist any more
    hint: change to a directory that exists
    ");
}

#[test]
fn check_says_that_all_is_well() {
    assert_snapshot!(ketch("check"), @"
    0
    compose.yaml: no problems (2 services, 1 network)
    not fully checked: 1 service behind the profile `dev` (`--profile '*'` adds all)
    ---
    ");
    let warned = ketch_with(&format!("version: '3'\n{FILE}"), &[("NEEDED", "1")], "check");
    assert!(
        warned.starts_with("0\ncompose.yaml: no errors, 1 warning (2 services, 1 network)\nnot")
    );
    assert!(warned.contains("warning[obsolete-version]") && warned.contains("1 | version"));
    let strict = ketch_with(&format!("version: '3'\n{FILE}"), &[("NEEDED", "1")], "check -W");
    assert!(strict.starts_with("1\n---\nerror[obsolete-version]"), "{strict}");
}

#[test]
fn check_finds_mistakes_in_any_format() {
    let broken = FILE.replace("[db]", "[bd]");
    let check = |arguments: &str| ketch_with(&broken, &[("NEEDED", "1")], arguments);
    assert!(check("check").starts_with("1\n---\nerror[undefined-service]"));
    let json = check("check --format json");
    assert!(
        json.starts_with("1\n{") && json.contains("undefined-service") && json.ends_with("---\n")
    );
    assert!(check("check --format github").starts_with("1\n::error file=compose.yaml,line=5,"));
    assert!(check("config -q").starts_with("1\n---\nerror[undefined-service]"));
}

#[test]
fn explain_shows_what_could_be_written() {
    let file = "services:\n  web:\n    image: x\n    restart: 'no'\n    stop_grace_period: 90s\n    \
                healthcheck: {test: [NONE], interval: 1h}\n";
    let shown = ketch_with(file, &[], "explain services.web");
    for line in ["restart: \"no\"", "stop_grace_period: 1m30s", "interval: 1h0m0s"] {
        assert!(shown.contains(line), "{shown}");
    }
}

#[test]
fn explain_names_the_value_of_a_list_item_that_was_replaced() {
    let source = Memory::default()
        .with("/p/a.yaml", "services: {web: {image: x, environment: [A=1]}}")
        .with("/p/b.yaml", "services: {web: {environment: {A: 2}}}")
        .with("/p/.env", "COMPOSE_PROJECT_NAME=named\nCOMPOSE_FILE=a.yaml:b.yaml\n");
    let explained = |path: &str| {
        let arguments = ["ketch", "explain", path].map(Into::into).into();
        let process = Process { arguments, cwd: Some("/p".into()), ..Process::default() };
        let mut screen = Screen::captured();
        assert_eq!(block_on(run_on(&process, &source, &mut screen)), 0);
        String::from_utf8_lossy(&screen.take().out).into_owned()
    };
    let shown = explained("services.web.environment.A");
    assert!(shown.contains("replaces \"1\", from a.yaml:1"), "{shown}");
    assert!(explained("name").contains(".env:1:1   COMPOSE_PROJECT_NAME=named"));
}

#[test]
fn explain_tells_where_a_value_stands() {
    assert_snapshot!(ketch("explain services.web.image"), @r#"
    0
    services.web.image = "shop/web"

      compose.yaml:4:12   image: shop/web
    ---
    "#);
    assert_snapshot!(refused("explain services.wbe.image"), @"
    error: `services` has no `wbe`
    hint: `services.web` exists
    ");
}

/// What the loader is asked for.
fn request(environment: &[(&str, &str)], arguments: &str) -> Request {
    let words = std::iter::once("ketch").chain(arguments.split_whitespace());
    let arguments: Vec<_> = words.map(Into::into).collect();
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let environment = environment.iter().map(pair).collect();
    let process = Process { environment, cwd: Some(PathBuf::from("/p")), ..Process::default() };
    let cli = parse(&arguments).expect("a usable command line");
    let (source, mut screen) = (Memory::default(), Screen::captured());
    let session = Session::new(cli.global, &process, &source, &mut screen).expect("usable flags");
    session.request().expect("there is a directory")
}

#[test]
fn global_flags_reach_the_loader() {
    let flags = "-f a -f - --file=b -p n --profile x,y --profile z --project-directory d --all-resources config";
    let request = request(&[("A", "1")], flags);
    assert_eq!(request.files, ["a", "-", "b"]);
    assert_eq!(request.project_name.as_deref(), Some("n"));
    assert_eq!(request.profiles, ["x,y", "z"]);
    assert_eq!(request.project_directory.as_deref(), Some("d"));
    assert!(request.all_resources);
    assert_eq!(request.environment["A"], "1");
}

#[test]
fn env_files_come_from_the_flag_or_the_environment() {
    let variable = [("COMPOSE_ENV_FILES", "a,b")];
    assert_eq!(request(&variable, "config").env_files, ["a", "b"]);
    assert_eq!(request(&variable, "--env-file c config").env_files, ["c"]);
    assert!(request(&[("COMPOSE_ENV_FILES", "")], "config").env_files.is_empty());
    assert_eq!(request(&[], "--workdir w config").project_directory.as_deref(), Some("w"));
}
