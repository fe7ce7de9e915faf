//! Stacks that do not come up, and tests that go wrong.

use std::time::Duration;

use ketch::model::observed::Observed;
use ketch::testing::{Stack, StackError, WaitFor, block_on};

use super::{WEB, blueprint};
use crate::place::Place;

/// A service that never gets healthy, beside a volume.
const SICK: &str = r#"
name: ksick
services:
  sick:
    image: corpus/busybox:1
    init: true
    command: sh -c "echo what a day; exec sleep infinity"
    volumes: ["data:/data"]
    healthcheck: { test: "echo no luck; false", interval: 50ms, retries: 1, start_period: 0s }
volumes:
  data:
"#;

#[test]
fn a_stack_that_does_not_come_up_explains_itself_and_leaves_nothing() {
    for place in Place::all("stack-sick") {
        let folder = tempfile::tempdir().unwrap();
        let error = block_on(blueprint(&place, SICK).bundle(folder.path()).up()).unwrap_err();
        let text = error.to_string();
        for part in ["sick", "no luck", "what a day"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let mut bundles = std::fs::read_dir(folder.path()).unwrap();
        let bundle = bundles.next().unwrap().unwrap();
        let name = bundle.file_name().into_string().unwrap();
        assert!(bundle.path().join("summary.txt").exists() && bundles.next().is_none());
        assert_eq!(place.observe(&name), Observed::default(), "nothing is left");
    }
}

#[test]
fn a_stack_that_nobody_waits_for_goes() {
    for place in Place::all("stack-late") {
        let slow = SICK.replace("retries: 1", "retries: 1000").replace("ksick", "klate");
        let error = block_on(blueprint(&place, &slow).patience(Duration::from_millis(700)).up());
        assert!(error.unwrap_err().to_string().contains("was not ready within 700ms"));
        let cut = async {
            let up = blueprint(&place, &slow).up();
            tokio::time::timeout(Duration::from_millis(700), up).await.unwrap_err();
        };
        block_on(cut);
        let left = place.ask(place.runtime.observe(None)).unwrap();
        let of_these = |name: &String| name.starts_with("klate-");
        assert!(left.containers.iter().all(|it| !of_these(&it.name)), "{:?}", left.containers);
        assert!(left.volumes.iter().all(|it| !of_these(&it.name)), "{:?}", left.volumes);
    }
}

#[test]
fn what_does_not_come_is_told_with_the_log() {
    for place in Place::all("stack-wait") {
        let stack = block_on(blueprint(&place, WEB).up()).unwrap();
        let web = stack.service("web");
        let brief = |what: WaitFor| block_on(web.wait_for(what.within(Duration::from_millis(300))));
        let never = brief(WaitFor::log("no such line")).unwrap_err().to_string();
        assert!(never.starts_with("service `web` did not write `no such line` within 300ms"));
        assert!(never.ends_with("    listening"), "{never}");
        let absent = brief(WaitFor::http(80, "/absent")).unwrap_err().to_string();
        assert!(absent.contains("404 Not Found"), "{absent}");
        let unpublished = brief(WaitFor::tcp(81));
        assert!(matches!(unpublished, Err(StackError::NoPort { .. })), "at once");
        let healthy = brief(WaitFor::healthy()).unwrap_err().to_string();
        assert!(healthy.contains("did not become healthy"), "{healthy}");
    }
}

#[test]
fn a_test_that_panics_leaves_a_bundle_and_nothing_else() {
    for place in Place::all("stack-panic") {
        let folder = tempfile::tempdir().unwrap();
        let blueprint = blueprint(&place, WEB).bundle(folder.path());
        let name = std::thread::spawn(move || {
            let stack: Stack = block_on(blueprint.up()).unwrap();
            std::panic::resume_unwind(Box::new(stack.name().to_owned()));
        });
        let name = name.join().unwrap_err().downcast::<String>().unwrap();
        assert!(folder.path().join(&*name).join("logs.txt").exists());
        assert_eq!(place.observe(&name), Observed::default());
    }
}
