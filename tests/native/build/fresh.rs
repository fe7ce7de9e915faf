//! What `up` builds anew, and how it tells why.

use super::{put, site, site_of};
use crate::native::stage::Stage;

impl Stage {
    /// Why `plan` would build the image of the service `app`; empty: it would not.
    fn cause(&self) -> String {
        let plan = self.ok("plan");
        let line = plan.lines().find_map(|line| line.strip_prefix("+ build image "));
        let cause = line.and_then(|line| line.split_once(" (")).map(|(_, cause)| cause);
        cause.unwrap_or_default().trim_end_matches(')').to_owned()
    }

    fn compose(&self, text: &str) {
        let text = format!("name: {}\n{text}", self.name);
        std::fs::write(self.home.directory.path().join("compose.yaml"), text).unwrap();
    }
}

const SLEEPS: &str = "CMD [\"sleep\", \"1000\"]\n";

#[test]
fn up_builds_exactly_when_inputs_changed_and_says_which() {
    let dockerfile = format!(
        "FROM corpus/busybox:1\nARG A\nCOPY src /src\nRUN --mount=target=/c,source=own cat /c/x > /x\n{SLEEPS}"
    );
    let files = [("Dockerfile", &*dockerfile), ("src/a", "1"), ("own/x", "1"), ("other", "1")];
    let Some(stage) = site("fresh", &files) else { return };
    let place = format!("{SLEEPS}# more");
    assert_eq!(stage.cause(), "missing");
    stage.ok("up -d");
    let first = stage.ok("ps -q");
    stage.write("src/a", "1");
    stage.write("other", "2");
    assert_eq!(stage.cause(), "", "the same content, and a file that nobody takes");
    stage.write("src/a", "2");
    assert_eq!(stage.cause(), "build.context: src/a changed, compose.yaml:2:35");
    let told = stage.ketch("--dry-run --progress json up -d").stderr;
    assert!(told.contains("build.context: src/a changed"), "{told}");
    stage.ok("up -d --no-build");
    assert_eq!(stage.ok("ps -q"), first);
    stage.ok("up -d -t 0");
    assert_ne!(stage.ok("ps -q"), first);
    assert_eq!(stage.ok("exec -T app cat /src/a"), "2");
    assert_eq!(stage.cause(), "");
    for (name, text, cause) in [
        ("src/new", "1", "build.context: src/new is new"),
        ("src/a*", "2", "build.context: src/a changed"),
        ("own/x", "2", "build.context: own/x changed"),
        ("Dockerfile", &dockerfile.replace(SLEEPS, &place), "build.dockerfile: Dockerfile changed"),
        (".dockerignore", "src/new\n", "build.context: src/new is gone"),
    ] {
        stage.write(name, text);
        assert_eq!(stage.cause().split(", compose").next(), Some(cause), "{name}");
        stage.ok("up -d -t 0");
        assert_eq!(stage.cause(), "", "{name}");
    }
}

#[test]
fn attributes_and_bases_are_inputs() {
    let compose = |more: &str| {
        format!(
            "services:\n  app: {{build: {{context: ctx, additional_contexts: {{base: 'service:base', more: more}}{more}}}}}\n\
             \x20 base: {{build: {{context: base}}}}\n"
        )
    };
    let dockerfile = format!("FROM base\nARG A\nCOPY --from=more . /more\n{SLEEPS}");
    let files = [("Dockerfile", &*dockerfile)];
    let Some(stage) = site_of("bases", &compose(""), &files) else { return };
    let place = stage.home.directory.path();
    let base = |text: &str| put(&place.join("base"), &[("x", text)]);
    put(&place.join("base"), &[("Dockerfile", "FROM corpus/busybox:1\nCOPY x /")]);
    put(&place.join("more"), &[("m", "1")]);
    base("1");
    stage.ok("up -d");
    assert_eq!(stage.cause(), "");
    base("2");
    let plan = stage.ok("plan");
    let name = &stage.name;
    assert!(plan.contains(&format!("build image {name}-base (build.context: x changed")), "{plan}");
    let uses = format!("build image {name}-app (uses {name}-base, which is made anew)");
    assert!(plan.contains(&uses), "{plan}");
    stage.ok("up -d -t 0");
    assert_eq!(stage.ok("exec -T app cat /x"), "2");
    assert_eq!(stage.cause(), "");
    put(&place.join("more"), &[("m", "2")]);
    assert_eq!(stage.cause(), "build.additional_contexts.more: m changed, compose.yaml:3:81");
    stage.ok("up -d -t 0");
    for (more, cause) in [
        (", args: {A: '1'}", "build.args.A is new"),
        (", args: {A: '2'}", "build.args.A changed"),
        (", labels: {a: b}", "build.args.A is gone"),
        ("", "build.labels is gone"),
    ] {
        stage.compose(&compose(more));
        assert_eq!(stage.cause().split(", compose").next(), Some(cause), "{more}");
        stage.ok("up -d -t 0");
        assert_eq!(stage.cause(), "", "{more}");
    }
    stage.ok("build --build-arg A=3");
    assert_eq!(stage.cause(), "", "what a flag gave is not undone");
    stage.ok("system prune -f");
    assert_eq!(stage.cause(), "", "the cache is gone, but what is here is known");
    stage.ok(&format!("image tag corpus/busybox:1 {name}-app"));
    assert_eq!(stage.cause(), "", "nothing is known about images that were not built here");
}
