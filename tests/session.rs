//! The commands that work in containers, with the real program: `run`, `exec`, `attach`, `cp`,
//! `wait`, `commit`, `export`.
//!
//! Each test runs once on every runtime that can be had here, in a project of its own, which is
//! taken down in the end, however it ends.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::binary::{Output, Run, ketch};
use crate::docker::IMAGE;
use crate::place::{Kind, Place};

/// A project on a runtime, in a folder of its own.
struct World {
    place: Place,
    folder: tempfile::TempDir,
    project: String,
}

/// The services that most tests need.
const SERVICES: &str = "
  web:
    image: IMAGE
    command: sleep 1000
    environment: {A: file}
    ports: ['80']
    secrets: [token]
    depends_on: {db: {condition: service_healthy}}
  db:
    image: IMAGE
    command: sh -c 'touch /tmp/up; sleep 1000'
    healthcheck: {test: test -f /tmp/up, interval: 1s}
  tool:
    image: IMAGE
    profiles: [tools]
    command: echo tool
";

impl World {
    /// A project with these services on every runtime in turn.
    fn all(name: &str, services: &str) -> impl Iterator<Item = Self> {
        Place::all(name).map(move |place| Self::new(place, name, services))
    }

    fn new(place: Place, name: &str, services: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let project = format!("ksession{}-{name}", std::process::id());
        let services = services.replace("IMAGE", IMAGE);
        let secrets = "secrets: {token: {environment: TOKEN}}";
        let file = format!("name: {project}\nservices:{services}\n{secrets}\n");
        fs::write(folder.path().join("compose.yaml"), file).unwrap();
        fs::write(folder.path().join(".env"), "TOKEN=secret\nFROM=dotenv\n").unwrap();
        Self { place, folder, project }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn start(&self, arguments: &[&str]) -> Run {
        let run = ketch(self.folder.path(), "").arguments(arguments);
        let environment = self.place.environment();
        environment.iter().fold(run, |run, (name, value)| run.env(name, value))
    }

    fn ketch(&self, arguments: &[&str]) -> Output {
        self.start(arguments).output()
    }

    /// What a command writes that must succeed.
    fn done(&self, arguments: &[&str]) -> String {
        let output = self.ketch(arguments);
        assert_eq!(output.code, 0, "{arguments:?}: {output:?}");
        output.stdout
    }

    /// What a command says that must fail with this code.
    fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.ketch(arguments);
        assert_eq!(output.code, code, "{arguments:?}: {output:?}");
        output.stderr
    }

    /// The same program, not run yet.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ketch"));
        command.args(arguments).current_dir(self.folder.path()).envs(self.place.environment());
        command
    }

    /// A shell line with `ketch` in a terminal of 111 columns and 33 rows.
    fn in_terminal(&self, line: &str) -> Option<(String, i32)> {
        let line = line.replace("ketch", env!("CARGO_BIN_EXE_ketch"));
        let line = format!("stty rows 33 cols 111; {line}");
        let mut script = Command::new("script");
        script.args(["-qec", &line, "/dev/null"]).current_dir(self.folder.path());
        script.envs(self.place.environment());
        script.stdin(Stdio::piped()).stdout(Stdio::piped());
        let Ok(mut child) = script.spawn() else {
            println!("skipped: there is no `script` here, which makes terminals");
            return None;
        };
        // As long as it is open, `script` types nothing: at its end, that would be a character.
        let _input = child.stdin.take();
        let output = child.wait_with_output().unwrap();
        Some((text(&output.stdout), output.status.code().unwrap()))
    }

    /// Names and labels of all containers of the project.
    fn containers(&self) -> Vec<ketch::model::observed::ObservedContainer> {
        self.place.observe(&self.project).containers
    }

    fn id(&self, name: &str) -> String {
        let name = format!("{}-{name}", self.project);
        self.containers().into_iter().find(|it| it.name == name).unwrap().id
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.place.clear(&self.project);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn run_brings_up_what_the_service_depends_on_and_passes_streams_and_code() {
    for world in World::all("run", SERVICES) {
        let script = "cat; echo err >&2; cat /run/secrets/token; echo \" $A $B $FROM\"; exit 3";
        let words = ["run", "--rm", "-e", "B=flag", "-e", "FROM", "web", "sh", "-c", script];
        let output = world.start(&words).stdin("in\n").output();
        assert_eq!((output.stdout.as_str(), output.code), ("in\nsecret file flag dotenv\n", 3));
        assert!(output.stderr.contains("err\n"), "{output:?}");
        let left = world.containers();
        let names: Vec<&str> = left.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, [format!("{}-db-1", world.project)], "--rm, and nothing else of `web`");
        assert!(left[0].is_up(), "{left:?}");
        let output = world.ketch(&["run", "--rm", "web", "true"]);
        assert_eq!((output.stdout.as_str(), output.code), ("", 0));
        assert!(!output.stderr.contains("orphan"), "{output:?}");
    }
}

#[test]
fn run_stands_beside_the_containers_of_up() {
    for world in World::all("run-beside", SERVICES) {
        let words = ["run", "-d", "--no-deps", "--name", &format!("{}-own", world.project), "web"];
        let id = world.done(&words);
        let all = world.containers();
        assert_eq!(all.len(), 1, "{all:?}");
        let own = &all[0];
        assert_eq!((id.trim(), own.number(), own.is_one_off()), (own.id.as_str(), None, true));
        assert!(own.ports.iter().all(|port| port.published.is_none()), "{own:?}");
        assert_eq!(
            world.done(&["run", "--rm", "--no-deps", "tool"]),
            "tool\n",
            "its profile is on"
        );
        let error = world.fails(1, &["run", "-P", "-p", "80", "web"]);
        assert!(error.contains("--service-ports and --publish are incompatible"), "{error}");
        let published = ["run", "-d", "--no-deps", "-P", "web"];
        let id = world.done(&published);
        let found = world.containers().into_iter().find(|it| it.id == id.trim()).unwrap();
        assert!(found.ports.iter().any(|port| port.published.is_some()), "{found:?}");
    }
}

#[test]
fn run_has_the_exit_codes_of_a_shell() {
    for world in World::all("run-code", SERVICES) {
        let run = ["run", "--rm", "--no-deps", "web"];
        let with = |word| run.iter().copied().chain([word]).collect::<Vec<_>>();
        assert!(world.fails(127, &with("nosuch")).contains("executable file not found"));
        assert!(world.fails(126, &with("/etc")).to_lowercase().contains("permission denied"));
        assert!(world.containers().is_empty());
        assert!(world.fails(1, &["run", "nosuch"]).contains("no such service"));
        assert!(world.fails(1, &["run", "--nosuch", "web"]).contains("unknown flag `--nosuch`"));
    }
}

#[test]
fn run_passes_ctrl_c_on_and_ends_with_130() {
    for world in World::all("run-int", SERVICES) {
        let script = "trap 'echo bye; exit 0' INT; echo up; while :; do sleep 0.1; done";
        let words = ["run", "--rm", "--no-deps", "web", "sh", "-c", script];
        let mut child = world
            .command(&words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "up");
        let id = child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        assert_eq!(lines.next().unwrap().unwrap(), "bye");
        assert_eq!(child.wait().unwrap().code(), Some(130));
        assert!(world.containers().is_empty());
    }
}

#[test]
fn exec_passes_streams_code_and_settings() {
    for world in World::all("exec", SERVICES) {
        world.done(&["up", "-d", "--no-deps", "web"]);
        let script = "cat; echo \"$A $B $PWD $(id -u)\"; exit 7";
        let words = ["exec", "-T", "-e", "B=c", "-w", "/etc", "-u", "5", "web", "sh", "-c", script];
        let output = world.start(&words).stdin("in\n").output();
        assert_eq!((output.stdout.as_str(), output.code), ("in\nfile c /etc 5\n", 7));
        let code = world.ketch(&["exec", "web", "nosuch"]).code;
        if world.place.kind == Kind::Docker {
            // 126 up to Docker 27, 127 since.
            let engine =
                Command::new("docker").args(["exec", &world.id("web-1"), "nosuch"]).output();
            assert_eq!(Some(code), engine.unwrap().status.code());
        } else {
            assert_eq!(code, 127);
        }
        assert_eq!(world.ketch(&["exec", "-d", "web", "sleep", "5"]).code, 0);
        let error = world.fails(1, &["exec", "--index", "5", "web", "true"]);
        assert!(error.contains("service \"web\" is not running container #5"), "{error}");
        let error = world.fails(1, &["exec", "db", "true"]);
        assert!(error.contains("service \"db\" is not running"), "{error}");
        assert!(world.fails(1, &["exec", "web"]).contains("needs a service and a command"));
    }
}

#[test]
fn a_terminal_has_the_size_of_the_users_and_is_given_back() {
    for world in World::all("tty", SERVICES) {
        world.done(&["up", "-d", "--no-deps", "web"]);
        // The size comes a moment after the start.
        let script =
            "until test \"$(stty size)\" = \"33 111\"; do sleep 0.1; done; echo fits; exit 5";
        let line = format!("ketch exec -t web sh -c '{script}'; echo code $?; stty -a");
        let Some((output, _)) = world.in_terminal(&line) else { continue };
        assert!(output.contains("fits\r\ncode 5\r\n"), "{output}");
        assert!(output.contains(" icanon ") && output.contains(" echo "), "{output}");
        let line = format!("ketch run --rm -t --no-deps web sh -c '{script}'");
        let (output, code) = world.in_terminal(&line).unwrap();
        assert!(output.contains("fits") && code == 5, "{output}");
    }
}

#[test]
fn a_terminal_is_told_when_its_size_changes() {
    let services = "
  web: {image: IMAGE, command: sleep 1000, stop_signal: SIGKILL, volumes: ['.:/here']}
";
    for world in World::all("resize", services) {
        world.done(&["up", "-d"]);
        for command in ["exec -t", "run --rm -t"] {
            // It changes when the command has seen the first size.
            let waits = |size: &str| {
                format!("until test \"$(stty size)\" = \"{size}\"; do sleep 0.1; done")
            };
            let (first, second) = (waits("33 111"), waits("20 99"));
            let script = format!("{first}; touch /here/seen; {second}; echo fits; rm /here/seen");
            let change =
                "(until test -e seen; do sleep 0.1; done; stty rows 20 cols 99 < /dev/tty) &";
            let line = format!("{change} ketch {command} web sh -c '{script}'");
            let Some((output, code)) = world.in_terminal(&line) else { continue };
            assert!(output.contains("fits") && code == 0, "{command}: {output}");
        }
    }
}

#[test]
fn attach_shows_what_comes_and_ends_with_the_containers_code() {
    let services = "
  web:
    image: IMAGE
    command: sh -c 'read -r line; echo got $$line; exit 4'
    stdin_open: true
";
    for world in World::all("attach", services) {
        world.done(&["up", "-d"]);
        let output = world.start(&["attach", "web"]).stdin("hello\n").output();
        assert_eq!((output.stdout.as_str(), output.code), ("got hello\n", 4), "{output:?}");
        assert!(world.fails(1, &["attach", "web"]).contains("service \"web\" is not running"));
        assert!(world.fails(1, &["attach", "--detach-keys", "no", "web"]).contains("detach keys"));
    }
}

#[test]
fn cp_follows_the_rules_of_docker_cp() {
    let services = "
  web: {image: IMAGE, command: sleep 1000, scale: 2}
";
    for world in World::all("cp", services) {
        world.done(&["up", "-d"]);
        fs::create_dir_all(world.path("d/s")).unwrap();
        fs::write(world.path("d/s/f"), "text").unwrap();
        symlink("s/f", world.path("d/l")).unwrap();
        let cat =
            |index: &str, path: &str| world.done(&["exec", "--index", index, "web", "cat", path]);
        world.done(&["cp", "d", "web:/tmp"]);
        assert_eq!((cat("1", "/tmp/d/l"), cat("2", "/tmp/d/s/f")), ("text".into(), "text".into()));
        world.done(&["cp", "d/.", "web:/tmp/new"]);
        assert_eq!(cat("1", "/tmp/new/s/f"), "text");
        world.done(&["cp", "-L", "--index", "2", "d/l", "web:/tmp"]);
        assert_eq!(cat("2", "/tmp/l"), "text");
        assert_eq!(world.ketch(&["exec", "--index", "1", "web", "cat", "/tmp/l"]).code, 1);
        world.done(&["cp", "web:/tmp/d", "back"]);
        assert_eq!(fs::read_to_string(world.path("back/l")).unwrap(), "text");
        assert!(fs::symlink_metadata(world.path("back/l")).unwrap().is_symlink());
        world.done(&["cp", "web:/tmp/d/.", "d"]);
        world.done(&["cp", "web:/tmp/d/s/f", "d/renamed"]);
        assert_eq!(fs::read_to_string(world.path("d/renamed")).unwrap(), "text");
        for (from, to, said) in [
            ("d", "web:/tmp/d/s/f", "cannot copy directory"),
            ("d/renamed", "web:/tmp/no/", "no such directory"),
            ("d/renamed", "web:/no/dir", "Could not find the file /no"),
            ("web:/nosuch", "x", "Could not find the file /nosuch"),
            ("web:/etc", "no/x", "does not exist"),
            ("nosuch", "web:/tmp", "there is no such file"),
            ("web:/a", "web:/b", "copying between services is not supported"),
            ("a", "b", "unknown copy direction"),
        ] {
            let error = world.fails(1, &["cp", from, to]);
            assert!(error.contains(said), "{from} {to}: {error}");
        }
    }
}

#[test]
fn cp_takes_and_gives_archives() {
    let services = "
  web: {image: IMAGE, command: sleep 1000, scale: 2}
";
    for world in World::all("cp-tar", services) {
        world.done(&["create"]);
        // More than pipes and sockets hold: while the one side packs, the engine locks the container.
        let pack = "
            ketch cp web:/bin/busybox - | ketch cp - web:/tmp && ketch cp web:/etc/passwd - > a.tar &&
            ketch cp - web:/tmp < a.tar
        ";
        let pack = pack.replace("ketch", env!("CARGO_BIN_EXE_ketch"));
        let words = ["30", "sh", "-c", &pack];
        let done = Command::new("timeout")
            .args(words)
            .current_dir(world.folder.path())
            .envs(world.place.environment())
            .output();
        assert!(done.as_ref().unwrap().status.success(), "{done:?}");
        world.done(&["cp", "--index", "2", "web:/tmp/busybox", "whole"]);
        world.done(&["cp", "web:/bin/busybox", "original"]);
        assert!(
            fs::read(world.path("whole")).unwrap() == fs::read(world.path("original")).unwrap()
        );
        for index in ["1", "2"] {
            world.done(&["cp", "--index", index, "web:/tmp/passwd", "here"]);
            assert!(fs::metadata(world.path("here")).unwrap().len() > 0);
            fs::remove_file(world.path("here")).unwrap();
        }
        let error = world.fails(1, &["cp", "-", "web:/etc/passwd"]);
        assert!(error.contains("must be a directory"), "{error}");
    }
}

#[test]
fn cp_keeps_owners_where_it_is_asked_to() {
    let services = "\n  web: {image: IMAGE, command: 'sh -c \"busybox mkdir /tmp/d; busybox touch /tmp/d/f; \
                    busybox ln -s f /tmp/d/l; busybox chown -hR 77:78 /tmp/d; sleep 1000\"', stop_signal: SIGKILL}\n";
    for world in World::all("cp-owner", services) {
        world.done(&["up", "-d"]);
        world.done(&[
            "exec",
            "-T",
            "web",
            "sh",
            "-c",
            "until [ x$(busybox stat -c %u /tmp/d/l) = x77 ]; do :; done",
        ]);
        world.done(&["cp", "web:/tmp/d", "mine"]);
        assert_eq!(
            fs::metadata(world.path("mine")).unwrap().uid(),
            fs::metadata(world.path("compose.yaml")).unwrap().uid()
        );
        let kept = world.ketch(&["cp", "-a", "web:/tmp/d", "kept"]);
        let is_root = fs::metadata(world.path("mine")).unwrap().uid() == 0;
        if is_root {
            for path in ["kept", "kept/f", "kept/l"] {
                let found = fs::symlink_metadata(world.path(path)).unwrap();
                assert_eq!((found.uid(), found.gid()), (77, 78), "{path}");
            }
        } else {
            assert!(kept.stderr.contains("cannot give it to its owner"), "{kept:?}");
        }
    }
}

#[test]
fn cp_never_writes_through_a_link_of_the_container() {
    let services = "
  web: {image: IMAGE, command: sleep 1000}
";
    for world in World::all("cp-link", services) {
        world.done(&["up", "-d"]);
        fs::create_dir_all(world.path("out")).unwrap();
        let out = world.path("out").display().to_string();
        // First a link, then, under the same name, a directory with a file.
        world.done(&["exec", "web", "busybox", "ln", "-s", &out, "/tmp/x"]);
        world.done(&["cp", "web:/tmp/x", "."]);
        let remake = "busybox rm /tmp/x; busybox mkdir /tmp/x; echo bad >/tmp/x/new";
        world.done(&["exec", "web", "sh", "-c", remake]);
        let error = world.fails(1, &["cp", "web:/tmp/x", "."]);
        assert!(error.contains("a link is in the way"), "{error}");
        assert_eq!(fs::read_dir(world.path("out")).unwrap().count(), 0);
    }
}

#[test]
fn wait_tells_the_end_of_each_container() {
    // It ends long after `wait` has begun.
    let services = "
  web: {image: IMAGE, command: sh -c 'sleep 4; exit 3'}
";
    for world in World::all("wait", services) {
        world.done(&["up", "-d"]);
        let id = world.id("web-1");
        let output = world.ketch(&["wait", "--down-project", "web"]);
        assert_eq!(output.stdout, format!("container \"{id}\" exited with status code 3\n"));
        assert_eq!(output.code, 3, "{output:?}");
        assert!(world.containers().is_empty(), "--down-project");
        let error = world.fails(1, &["wait", "web"]);
        assert!(error.contains("no containers for project"), "{error}");
    }
}

#[test]
fn commit_makes_an_image() {
    for world in World::all("commit", SERVICES) {
        world.done(&["up", "-d", "--no-deps", "web"]);
        let image = format!("{}:1", world.project);
        world.done(&["commit", "-m", "why", "-c", "LABEL a=b", "web", &image]);
        let runtime = &world.place.runtime;
        let found = world.place.ask(runtime.find_image(&image)).unwrap().unwrap();
        world.place.ask(runtime.remove_image(&image)).unwrap();
        assert_eq!(found.labels["a"], "b");
        assert!(world.fails(1, &["commit", "db"]).contains("service \"db\" is not running"));
    }
}

#[test]
fn export_writes_a_whole_archive_or_nothing() {
    for world in World::all("export", SERVICES) {
        world.done(&["up", "-d", "--no-deps", "web"]);
        world.done(&["export", "-o", "a.tar", "web"]);
        let file = fs::File::open(world.path("a.tar")).unwrap();
        assert!(file.metadata().unwrap().size() > 100_000);
        let mut archive = tar::Archive::new(file);
        let is_it = |entry: std::io::Result<tar::Entry<'_, fs::File>>| {
            entry.unwrap().path().unwrap() == Path::new("etc/passwd")
        };
        assert!(archive.entries().unwrap().any(is_it));
        let error = world.fails(1, &["export", "-o", "no/a.tar", "web"]);
        assert!(error.contains("directory \"no\" does not exist"), "{error}");
        assert!(world.fails(1, &["export", "-o", "b.tar", "db"]).contains("is not running"));
        assert!(!world.path("b.tar").exists());
        if let Some((output, code)) = world.in_terminal("ketch export web") {
            assert!(output.contains("output option is required when exporting to terminal"));
            assert_eq!(code, 1);
        }
    }
}
