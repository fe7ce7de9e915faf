//! `down` and its variants.

use super::scenario;
use crate::binary::ketch;

const FILE: &str = "
services:
  web: {<<: *app, depends_on: [db], networks: [front]}
  db: {<<: *app, volumes: ['data:/data', /scratch], networks: [back]}
networks: {front: {}, back: {}}
volumes: {data: {}}
";

#[test]
fn volumes_stay_unless_they_are_asked_for() {
    scenario("down-v", FILE, |it| {
        it.ok("up -d");
        let mounted = it.mounted("db-1");
        let data = format!("{}_data", it.project);
        let anonymous = mounted.iter().find(|name| **name != data).unwrap();
        it.ok("down");
        assert_eq!(it.left(), [data.as_str()]);
        it.place.ask(it.place.runtime.remove_volume(anonymous)).unwrap();
        it.ok("up -d");
        it.ok("down -v");
        assert_eq!(it.left(), Vec::<String>::new());
        let output = it.ok("down -v");
        assert!(output.stderr.contains("No resource found to remove"), "{output:?}");
    });
}

#[test]
fn services_go_with_what_depends_on_them_and_what_only_they_use() {
    scenario("down-services", FILE, |it| {
        it.ok("up -d");
        it.ok("down web");
        assert_eq!(it.states(), ["db-1 running"]);
        let networks: Vec<String> = it.networks().into_keys().collect();
        assert_eq!(networks, [format!("{}_back", it.project)]);
        it.ok("up -d");
        it.ok("down db");
        assert_eq!(it.states(), Vec::<String>::new(), "web depends on it");
    });
}

#[test]
fn a_name_is_enough() {
    scenario("down-name", FILE, |it| {
        it.ok("up -d");
        let empty = tempfile::TempDir::new().unwrap();
        let arguments = format!("-p {} down -v", it.project);
        let environment = it.place.environment();
        let run = ketch(empty.path(), &arguments);
        let run = environment.iter().fold(run, |run, (name, value)| run.env(name, value));
        let output = run.output();
        assert_eq!(output.code, 0, "{output:?}");
        assert_eq!(it.left(), Vec::<String>::new());
    });
}

#[test]
fn orphans_stay_unless_they_are_asked_for() {
    scenario("down-orphans", "services: {web: *app, old: *app}\n", |it| {
        it.ok("up -d");
        it.write("services: {web: *app}\n");
        let output = it.run("down");
        assert_eq!(it.states(), ["old-1 running"], "{output:?}");
        it.ok("down --remove-orphans");
        assert_eq!(it.left(), Vec::<String>::new());
    });
}

#[test]
fn images_go_when_they_are_asked_for() {
    let file = "
services:
  own: {build: ., command: [sleep, '1000'], stop_signal: SIGKILL}
  other: {<<: *app, image: '<P>-other:1'}
";
    scenario("rmi", file, |it| {
        let (own, other) = (it.name("own"), it.name("other:1"));
        it.place.tag(&own);
        it.place.tag(&other);
        let there =
            |image: &str| it.place.ask(it.place.runtime.find_image(image)).unwrap().is_some();
        it.ok("up -d --no-build");
        it.ok("down --rmi local");
        assert!(!there(&own) && there(&other));
        it.ok("up -d other");
        it.ok("down --rmi all");
        assert!(!there(&other));
        let output = it.ends(1, "down --rmi some");
        assert!(output.stderr.contains("invalid value for --rmi: \"some\""), "{output:?}");
    });
}

#[test]
fn plan_says_which_anonymous_volumes_are_lost() {
    let file = "
services:
  own: {<<: *app, volumes: [/data]}
  none: *app
";
    scenario("down-loses", file, |it| {
        it.ok("up -d");
        let plan = it.ok("plan --down -v").stdout;
        let lost = |name: &str| format!("anonymous volumes of container {}", it.name(name));
        assert!(plan.contains(&lost("own-1")) && !plan.contains(&lost("none-1")), "{plan}");
        let mounted = it.mounted("own-1");
        assert!(mounted.len() == 1 && it.has_volume(&mounted[0]), "{mounted:?}");
        it.ok("down -v");
        assert!(!it.has_volume(&mounted[0]));
    });
}
