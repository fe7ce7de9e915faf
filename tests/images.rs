//! `plan`, `build`, `push` and `pull` against a real engine. Skipped where none answers.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::binary::{Output, ketch};

/// An image with a shell that is there.
const IMAGE: &str = "corpus/busybox:1";

/// A project of its own, which leaves nothing behind.
struct Site {
    dir: TempDir,
    name: String,
    images: Vec<String>,
}

impl Site {
    /// A folder with a project file, in which `BASE` and `NAME` are replaced.
    fn new(name: &str, file: &str) -> Option<Self> {
        if !docker(&["image", "inspect", IMAGE]) {
            println!("skipped: no engine with the image {IMAGE} answers");
            return None;
        }
        let name = format!("himg{}-{name}", std::process::id());
        let site = Self { dir: TempDir::new().unwrap(), name, images: Vec::new() };
        site.write("compose.yaml", file);
        Some(site)
    }

    fn write(&self, file: &str, text: &str) {
        let text = text.replace("BASE", IMAGE).replace("NAME", &self.name);
        std::fs::write(self.dir.path().join(file), text).unwrap();
    }

    fn ketch(&self, arguments: &str) -> Output {
        let run = ketch(self.dir.path(), &format!("-p {} {arguments}", self.name));
        // No plug-in, so that the classic builder of every engine is used.
        run.env("DOCKER_CONFIG", &self.dir.path().display().to_string()).output()
    }

    /// The same, without the name of the project in what it says.
    fn says(&self, arguments: &str) -> String {
        let output = self.ketch(arguments);
        let text = format!("{}{}rc {}", output.stdout, output.stderr, output.code);
        text.replace(&self.name, "NAME")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.ketch("down -v -t 0 --rmi local");
        for image in &self.images {
            docker(&["rmi", "-f", image]);
        }
    }
}

/// Whether a command of the `docker` program succeeds.
fn docker(words: &[&str]) -> bool {
    let mut command = Command::new("docker");
    command.args(words).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Debian's `docker-registry` on a free port.
struct Registry {
    address: String,
    child: Child,
    _dir: TempDir,
}

impl Registry {
    fn start() -> Option<Self> {
        let dir = TempDir::new().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let config = serde_json::json!({
            "version": 0.1,
            "storage": { "filesystem": { "rootdirectory": path("data") } },
            "http": { "addr": "127.0.0.1:0" }
        });
        std::fs::write(path("config.yml"), config.to_string()).unwrap();
        let mut command = Command::new("docker-registry");
        command.args(["serve", &path("config.yml")]).stdout(Stdio::null()).stderr(Stdio::piped());
        let Ok(mut child) = command.spawn() else {
            println!("skipped: docker-registry is not installed");
            return None;
        };
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines.find_map(|line| {
            let line = line.unwrap();
            let (_, rest) = line.split_once("listening on ")?;
            Some(rest.split('"').next().unwrap().to_owned())
        });
        // Who writes to a closed pipe ends.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { address: address.unwrap(), child, _dir: dir })
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

const WEB: &str = "\
services:
  web:
    image: BASE
    command: sleep 100
    init: true
    environment: {A: one}
    volumes: ['data:/d']
volumes: {data: {}}
";

#[test]
fn a_plan_tells_what_would_be_done_and_why() {
    let Some(site) = Site::new("plan", WEB) else { return };
    insta::assert_snapshot!(site.says("plan --detailed-exitcode"), @"
    + create network NAME_default (missing)
    + create volume NAME_data (missing)
    + create container NAME-web-1 (missing)
    > start container NAME-web-1 (not running)

    3 to create, 1 to start
    rc 2
    ");
    assert_eq!(site.says("--dry-run up -d").lines().count(), 9);
    assert_eq!(site.says("plan --down --detailed-exitcode"), "nothing to do\nrc 0");
    assert_eq!(site.ketch("up -d").code, 0);
    let idle = "nothing to do; 1 container unchanged\nrc 0";
    assert_eq!(site.says("plan --detailed-exitcode"), idle);
    site.write("compose.yaml", &WEB.replace("one", "two"));
    insta::assert_snapshot!(site.says("plan"), @"
    ~ replace container NAME-web-1 (environment.A changed, compose.yaml:6:22)
    > start container NAME-web-1 (not running)

    restarts: NAME-web-1
    1 to replace, 1 to start
    rc 0
    ");
    site.write("compose.yaml", &WEB.replace("{data: {}}", "{data: {labels: {a: b}}}"));
    let plan = site.says("plan");
    assert!(plan.contains("\nloses: all data of volume NAME_data\n"), "{plan}");
    let json = site.ketch("plan --down -v --format json").stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["lost_volumes"][0], format!("{}_data", site.name));
}

#[test]
fn a_plan_shows_containers_whose_images_are_still_missing() {
    let file = "services:\n  a: {image: himg/nowhere, init: true}\n  b: {build: .}\n";
    let Some(site) = Site::new("missing", file) else { return };
    let plan = site.says("plan");
    insta::assert_snapshot!(plan, @"
    + pull image himg/nowhere (missing)
    + build image NAME-b (missing)
    + create network NAME_default (missing)
    + create container NAME-a-1 (missing)
    > start container NAME-a-1 (not running)
    + create container NAME-b-1 (missing)
    > start container NAME-b-1 (not running)

    5 to create, 2 to start
    rc 0
    ");
    assert!(site.says("--dry-run up -d").contains("Image NAME-b  Built\n"));
    assert!(!docker(&["image", "inspect", &format!("{}-b", site.name)]), "nothing runs");
}

#[test]
fn a_failed_build_shows_its_step_and_last_lines() {
    let file = "services:\n  a: {build: .}\n  off: {build: ./off, profiles: [off]}\n";
    let Some(site) = Site::new("build", file) else { return };
    site.write("Dockerfile", "FROM BASE\nARG WORD\nRUN echo word-$WORD\nRUN echo oh; false\n");
    // A word that no build before has cached.
    let output = site.ketch(&format!("build --build-arg WORD={} a", site.name));
    let (progress, failure) = output.stderr.split_once("error: ").unwrap();
    assert!(progress.contains(&format!("word-{}\n", site.name)), "{progress}");
    assert!(output.code == 1 && failure.contains("  cause: step `"), "{failure}");
    assert!(failure.contains("RUN echo oh; false` failed"), "{failure}");
    assert!(failure.contains("  last output:\n") && failure.contains("    oh\n"), "{failure}");
    // A service that is named needs no profile.
    let off = site.ketch("build -q off").stderr;
    assert!(off.contains("cannot build image") && !off.contains("Building"), "{off}");
}

#[test]
fn what_is_built_is_pushed_and_pulled() {
    let Some(registry) = Registry::start() else { return };
    let image = format!("{}/himg/app:1", registry.address);
    let file =
        "services:\n  app: {image: IMAGE, build: .}\n  same: {image: IMAGE}\n  own: {build: .}\n";
    let Some(mut site) = Site::new("push", &file.replace("IMAGE", &image)) else { return };
    site.images.push(image.clone());
    site.write("Dockerfile", "FROM BASE\nENV X=1\n");
    assert_eq!(site.ketch("build --push app").code, 0);
    assert!(docker(&["rmi", "-f", &image]));
    let built = site.ketch("build --progress quiet app");
    assert_eq!((built.code, built.stderr.as_str()), (0, ""), "an old place for the flag");
    let pulled = site.says("--progress quiet pull");
    assert_eq!(pulled, "rc 0");
    assert!(docker(&["image", "inspect", &image]));
    let text = site.says("pull").replace(&registry.address, "REGISTRY");
    assert!(text.contains(" Service own  Skipped - No image to be pulled\n"), "{text}");
    assert!(
        text.contains(" Service same  Skipped - Image is already being pulled by app\n"),
        "{text}"
    );
    assert!(text.contains(" Image REGISTRY/himg/app:1  Pulled\n"), "{text}");
    let digests = site.says("config --lock-image-digests app");
    let pinned = format!("services:\n  app:\n    image: {image}@sha256:");
    assert!(digests.starts_with(&pinned) && digests.ends_with("rc 0"), "{digests}");
    for flags in ["--resolve-image-digests", "--resolve-image-digests --no-interpolate"] {
        let text = site.says(&format!("config {flags}"));
        assert_eq!(text.matches(&format!("image: {image}@sha256:")).count(), 2, "{text}");
    }
    let text = site.says("push");
    assert!(text.contains(" Service own  Skipped\n") && text.ends_with("rc 0"), "{text}");
    drop(registry);
    let text = site.says("config --resolve-image-digests");
    assert!(text.contains(&format!("cannot resolve the digest of `{image}`")), "{text}");
    assert!(text.contains("hint: ") && text.ends_with("rc 1"), "{text}");
    let text = site.says("pull app");
    assert!(text.contains("must be built from source: `ketch build app`"), "{text}");
    assert!(text.ends_with("rc 0"), "{text}");
    let text = site.says("pull same");
    assert!(text.contains("cannot pull image") && text.ends_with("rc 1"), "{text}");
    assert!(site.says("pull --ignore-pull-failures same").ends_with("rc 0"));
    assert_eq!(site.ketch("push app").code, 1);
    assert_eq!(site.ketch("push --ignore-push-failures app").code, 0);
}

#[test]
fn what_would_be_built_can_be_printed() {
    let dir = TempDir::new().unwrap();
    let file = "name: p\nservices:\n  a: {build: .}\n  b: {image: b}\n";
    std::fs::write(dir.path().join("compose.yaml"), file).unwrap();
    let output = ketch(dir.path(), "build --print --no-cache").output();
    let bake: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(bake["group"]["default"]["targets"], serde_json::json!(["a"]));
    assert_eq!(bake["target"]["a"]["no-cache"], true);
    assert_eq!(bake["target"]["a"]["tags"], serde_json::json!(["p-a"]));
    let wrong = ketch(dir.path(), "build --ssh x").output();
    assert_eq!((wrong.code, wrong.stderr.as_str()), (1, "error: invalid ssh key \"x\"\n"));
}

#[test]
fn a_graph_needs_no_engine() {
    let dir = TempDir::new().unwrap();
    let file = "name: p\nservices:\n  a: {image: x, depends_on: [b]}\n  b: {build: .}\n";
    std::fs::write(dir.path().join("compose.yaml"), file).unwrap();
    let text = ketch(dir.path(), "-H tcp://nowhere graph").output().stdout;
    insta::assert_snapshot!(text, @"
    a
    ├── b (when started)
    │   ├── image p-b (built here)
    │   └── network default
    ├── image x
    └── network default
    ");
    let only = ketch(dir.path(), "graph b --format mermaid").output().stdout;
    assert!(only.starts_with("flowchart") && !only.contains("\"a\""), "{only}");
    assert_eq!(ketch(dir.path(), "graph --format svg").output().code, 1);
}
