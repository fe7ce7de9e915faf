//! Rules: which paths they heed, where files go, what is refused.

use std::path::Path;

use super::{Action, Rules};
use crate::model::Project;

fn project(services: &str) -> Project {
    Project {
        working_dir: "/p".into(),
        services: serde_yaml::from_str(services).expect("canonical services"),
        ..Project::default()
    }
}

fn rules(services: &str) -> Rules {
    Rules::of(&project(services)).expect("rules")
}

#[test]
fn includes_ignores_and_editors_decide_together() {
    let rules = rules(
        "{a: {image: x, develop: {watch: [{path: /p/src, action: sync, target: /app,
            include: ['**/*.js', lib], ignore: ['vendor', '**/*.test.js']}]}}}",
    );
    let rule = &rules.all[0];
    let heeds = |path: &str| rule.heeds(Path::new(path));
    assert!(heeds("/p/src") && heeds("/p/src/a.js") && heeds("/p/src/x/y.js"));
    assert!(heeds("/p/src/lib/any"));
    assert!(!heeds("/p/src/a.css") && !heeds("/p/src/vendor/a.js") && !heeds("/p/src/a.test.js"));
    assert!(!heeds("/p/src/.git/a.js") && !heeds("/p/other.js") && !heeds("/p/srcs"));
    let enters = |path: &str| rule.enters(Path::new(path));
    assert!(enters("/p/src") && enters("/p/src/x") && !enters("/p/src/vendor"));
    assert!(!enters("/p/src/.git"));
    assert_eq!(rule.place_of(Path::new("/p/src/x/y.js")).unwrap(), Path::new("/app/x/y.js"));
    assert_eq!(rule.place_of(Path::new("/p/src")).unwrap(), Path::new("/app"));
    assert_eq!(rule.source_of(Path::new("/app/x")).unwrap(), Path::new("/p/src/x"));
}

#[test]
fn the_patterns_of_the_build_count_too() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at(".dockerignore"), "*\n!src\nsrc/out\n").unwrap();
    let services = format!(
        "{{a: {{build: {{context: {0}}}, develop: {{watch: [{{path: {0}, action: rebuild}}]}}}},
           b: {{build: {{context: {0}, dockerfile: D}},
                develop: {{watch: [{{path: {0}, action: rebuild}}]}}}}}}",
        folder.path().display()
    );
    std::fs::write(at("D.dockerignore"), "src").unwrap();
    let rules = rules(&services);
    let heeds = |rule: usize, name: &str| rules.all[rule].heeds(&at(name));
    assert!(heeds(0, "src/a") && !heeds(0, "src/out/a") && !heeds(0, "README"));
    assert!(!rules.all[0].enters(&at("node_modules")) && rules.all[0].enters(&at("src")));
    assert!(!heeds(1, "src/a") && heeds(1, "README"));
}

#[test]
fn what_is_mounted_needs_no_sync_but_may_want_a_restart() {
    let rules = rules(
        "{a: {image: x, volumes: [{type: bind, source: /p, target: /app}], develop: {watch: [
            {path: /p/src, action: sync, target: /app/src},
            {path: /p/src, action: sync+restart, target: /app/src},
            {path: /p/src, action: restart},
            {path: /p/src, action: sync, target: /app/src/deep},
            {path: /p/src, action: sync, target: /elsewhere}]}}}",
    );
    let kept: Vec<(Action, bool)> =
        rules.all.iter().map(|it| (it.action, it.target.is_some())).collect();
    let expected = [(Action::SyncRestart, false), (Action::Restart, false), (Action::Sync, true)];
    assert_eq!(kept, expected);
    assert_eq!(rules.warnings.len(), 2, "{:?}", rules.warnings);
}

#[test]
fn what_cannot_be_followed_is_refused() {
    let refused = |service: &str| {
        let all = format!("{{a: {{image: x, {service}}}}}");
        Rules::of(&project(&all)).unwrap_err().to_string()
    };
    let text = refused("develop: {watch: [{path: /p, action: rebuild}]}");
    assert_eq!(text, "service `a` cannot be watched with `rebuild`: it has no `build`");
    let text = refused("develop: {watch: [{path: /p, action: sync+exec, target: /t}]}");
    assert_eq!(text, "service `a` cannot be watched with `sync+exec`: it has no `exec.command`");
    refused("develop: {watch: [{path: /p, action: sync, target: /t, ignore: ['[a']}]}");
}

#[test]
fn the_old_attribute_still_counts() {
    let rules = rules(
        "{a: {image: x, '#extensions': {x-develop: {watch: [{path: ./src, action: sync,
            target: /app}]}}}}",
    );
    assert_eq!(rules.all[0].path, Path::new("/p/src"));
    assert_eq!(rules.warnings.len(), 1);
}
