//! Services and AI models that external programs run.

use std::os::unix::fs::PermissionsExt as _;

use super::{Scenario, scenario};
use crate::binary::Run;
use crate::place::Kind;

const CLOUD: &str = "
services:
  cloud: {provider: {type: ./sky, options: {size: 3, tag: [a, b]}}}
  web: {<<: *app, environment: {A: b}, depends_on: [cloud]}
  other: *app
";

/// Writes what it is called with to a file, and hands over what stands in another one.
const SKY: &str = r#"#!/bin/sh
echo "$DOCKER_HOST $*" >> calls
case "$2" in metadata) echo '{"description":"a sky","stop":{},"up":{"parameters":[{"name":"size"}]}}'; exit;; esac
echo '{"type":"info","message":"thinking"}'
[ "$3" = up ] && cat handed
[ -e broken ] && echo '{"type":"error","message":"the sky falls"}'
exit 0
"#;

/// Pretends to run models.
const MODEL: &str = r#"#!/bin/sh
echo "$*" >> calls
case "$1" in
ls) echo '[{"id":"1","tags":["ai/here"],"created":1}]';;
status) echo '{"endpoint":"http://models/v1"}';;
docker-cli-plugin-metadata) echo '{"Version":"v1.0.6"}';;
pull) echo 'Downloading';;
esac
"#;

impl Scenario {
    fn program(&self, name: &str, text: &str) {
        let path = self.dir().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn file(&self, name: &str, text: &str) {
        std::fs::write(self.dir().join(name), text).unwrap();
    }

    /// What programs were called with, and forgets it.
    fn calls(&self) -> Vec<String> {
        let path = self.dir().join("calls");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let _ = std::fs::remove_file(path);
        text.replace(&self.project, "<P>").lines().map(str::to_owned).collect()
    }

    fn with_plugins(&self, arguments: &str) -> Run {
        self.ketch(arguments).env("DOCKER_CONFIG", &self.dir().join("docker").display().to_string())
    }
}

#[test]
fn a_provider_hands_variables_to_dependents() {
    scenario("provider", CLOUD, |it| {
        it.program("sky", SKY);
        it.file("handed", r#"{"type":"setenv","message":"URL=http://one"}{"type":"rawsetenv","message":"A=theirs"}"#);
        let up = it.ok("--progress plain up -d");
        assert!(up.stderr.contains("Service cloud  Created"), "{up:?}");
        assert!(up.stderr.contains("overwrites the variable `A` of service `web`"), "{up:?}");
        let calls = it.calls();
        let has_engine = it.place.kind == Kind::Docker;
        assert!(calls[0].starts_with("unix://") == has_engine, "{calls:?}");
        assert!(calls[0].ends_with(" compose metadata"), "{calls:?}");
        assert!(calls[1].ends_with(" compose --project-name=<P> up --size=3 cloud"), "{calls:?}");
        let variables = it.exec("web-1", &["env"]);
        assert!(variables.contains("CLOUD_URL=http://one") && variables.contains("A=theirs"));
        assert!(!it.exec("other-1", &["env"]).contains("CLOUD_URL"));

        let id = it.id("web-1");
        it.file("handed", r#"{"type":"setenv","message":"URL=http://one"}"#);
        let forecast = it.ok("plan");
        assert!(!forecast.stdout.contains("CLOUD_URL"), "taken to be as it was: {forecast:?}");
        assert!(forecast.stdout.contains("create service cloud with sky"), "{forecast:?}");
        assert!(it.calls().iter().all(|call| call.ends_with("metadata")), "nothing ran");
        it.ok("--dry-run up -d");
        assert!(it.calls().iter().all(|call| call.ends_with("metadata")), "nothing ran");
        it.ok("up -d");
        assert_ne!(it.id("web-1"), id, "`A` is what the file says again");
        let id = it.id("web-1");
        it.ok("up -d");
        assert_eq!(it.id("web-1"), id, "nothing changed");
        let drift = it.run("plan --detailed-exitcode");
        assert_eq!(drift.code, 0, "a call alone is no change: {drift:?}");
        let run = it.ok("run --rm -T other env");
        assert!(!run.stdout.contains("CLOUD_URL"));
        it.calls();
        let run = it.ok("run --rm -T web env");
        assert!(run.stdout.contains("CLOUD_URL=http://one"), "{run:?}");
        let run = it.ends(1, "run cloud true");
        assert!(run.stderr.contains("`./sky` runs it"), "{run:?}");
        it.calls();
        it.ok("stop");
        assert!(it.calls()[1].ends_with(" compose --project-name=<P> stop cloud"));
        it.ok("start");
        assert_eq!(it.calls(), Vec::<String>::new(), "start calls no provider");
        it.ok("down");
        assert!(it.calls()[1].ends_with(" compose --project-name=<P> down cloud"));
        assert_eq!(it.left(), Vec::<String>::new());
    });
}

#[test]
fn a_provider_that_fails_is_told() {
    scenario("provider-bad", CLOUD, |it| {
        let up = it.ends(1, "up -d");
        assert!(up.stderr.contains("compose.yaml:"), "at its place: {up:?}");
        assert!(up.stderr.contains("install"), "with a remedy: {up:?}");
        assert_eq!(it.left(), Vec::<String>::new(), "nothing was begun");
        it.program("sky", SKY);
        it.file("broken", "");
        it.file("handed", "");
        let up = it.ends(1, "up -d");
        assert!(up.stderr.contains("cannot create service cloud with sky"), "{up:?}");
        assert!(up.stderr.contains("the sky falls"), "{up:?}");
        assert_eq!(it.left(), Vec::<String>::new(), "containers come after it");
        std::fs::remove_file(it.dir().join("broken")).unwrap();
        it.ok("up -d");
        std::fs::remove_file(it.dir().join("sky")).unwrap();
        let down = it.ends(1, "down");
        assert!(down.stderr.contains("install"), "{down:?}");
        assert_eq!(it.left(), Vec::<String>::new(), "the rest went down");
    });
}

#[test]
fn models_run_and_services_know_where() {
    let file = "
services:
  web: {<<: *app, models: {chat: {endpoint_var: AT}, here: {}}}
models:
  chat: {model: ai/chat, context_size: 9, runtime_flags: [--fast]}
  here: {model: ai/here}
";
    scenario("models", file, |it| {
        let up = it.ends(1, "up -d");
        assert!(up.stderr.contains("docker-model") && up.stderr.contains("compose.yaml:"));
        it.program("docker/cli-plugins/docker-model", MODEL);
        let up = it.with_plugins("--progress plain up -d").output();
        if it.place.kind == Kind::Native {
            assert_eq!(up.code, 1, "plug-ins of docker need its engine");
            return assert!(up.stderr.contains("need a Docker engine"), "{up:?}");
        }
        assert_eq!(up.code, 0, "{up:?}");
        assert!(up.stderr.contains("Model chat  Pulled"), "{up:?}");
        let mut calls = it.calls();
        calls.sort();
        assert_eq!(
            calls,
            [
                "configure --context-size 9 ai/chat -- --fast",
                "configure ai/here",
                "docker-cli-plugin-metadata",
                "ls --json",
                "pull ai/chat",
                "status --json",
            ]
        );
        let variables = it.exec("web-1", &["env"]);
        for expected in ["AT=http://models/v1", "CHAT_MODEL=ai/chat", "HERE_URL=http://models/v1"] {
            assert!(variables.contains(expected), "{variables}");
        }
        let plan = it.with_plugins("plan --detailed-exitcode").output();
        assert_eq!(plan.code, 2, "chat is still missing: {plan:?}");
        let id = it.id("web-1");
        it.with_plugins("up -d").output();
        assert_eq!(it.id("web-1"), id, "nothing changed");
    });
}
