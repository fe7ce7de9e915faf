//! Builds on a real engine, by either builder.

use std::sync::Mutex;

use super::super::trial::{IMAGE, Registry, docker, engine};
use super::*;
use crate::model::spec::BuildSecret;
use crate::model::{Build, FileReference};

/// A directory to build, and the name of the image, which is removed in the end.
struct Site {
    directory: tempfile::TempDir,
    image: String,
}

impl Site {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text.replace("BASE", IMAGE)).unwrap();
        }
        Self { directory, image: format!("hstreams-{name}-{}:1", std::process::id()) }
    }

    fn spec(&self, build: Build) -> BuildSpec {
        let context = self.directory.path().display().to_string();
        BuildSpec {
            service_name: "web".into(),
            build: Build { context, ..build },
            tags: vec![self.image.clone()],
            ..BuildSpec::default()
        }
    }

    /// What a command in a container of the image prints.
    fn run(&self, words: &[&str]) -> String {
        let output = docker(&[&["run", "--rm", &self.image], words].concat());
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned()
    }

    fn inspect(&self, format: &str) -> String {
        let output = docker(&["image", "inspect", "-f", format, &self.image]);
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        docker(&["rmi", "-f", &self.image]);
    }
}

/// An engine whose classic builder is used.
async fn classic() -> Option<Docker> {
    Some(engine().await?.with_variable("DOCKER_BUILDKIT", "0"))
}

/// An engine and `docker-buildx`, from where `docker` has it or from the variable `BUILDX`.
#[expect(clippy::print_stdout, reason = "tests tell what they skipped")]
#[expect(clippy::disallowed_methods, reason = "where the program is depends on the machine")]
async fn buildx() -> Option<(Docker, tempfile::TempDir)> {
    let home = tempfile::tempdir().unwrap();
    if let Ok(program) = std::env::var("BUILDX") {
        std::fs::create_dir(home.path().join("cli-plugins")).unwrap();
        let link = home.path().join("cli-plugins/docker-buildx");
        std::os::unix::fs::symlink(program, link).unwrap();
    }
    let path = home.path().display().to_string();
    let engine = engine().await?.with_variable("DOCKER_CONFIG", &path).with_variable("HOME", &path);
    if matches!(engine.builder(), Builder::Buildx(_)) {
        return Some((engine, home));
    }
    println!("skipped: docker-buildx is not installed");
    None
}

/// Builds, and gives the lines of progress.
async fn build(engine: &Docker, spec: &BuildSpec) -> Result<Vec<String>> {
    let seen = Mutex::new(Vec::new());
    let progress = |told: Progress| {
        seen.lock().unwrap().push(format!("{}|{}", told.part, told.status));
    };
    engine.build_image(spec, &progress).await?;
    Ok(seen.into_inner().unwrap())
}

const DOCKERFILE: &str = "FROM BASE AS one\nARG WORD\nCOPY . /src\nRUN echo $WORD > /word\n\
    FROM one AS two\nRUN false\n";

async fn check_context_args_target_and_labels(engine: &Docker, name: &str) {
    let files = [("D", DOCKERFILE), (".dockerignore", "*.log\nD"), ("a", "A"), ("b.log", "")];
    let site = Site::new(name, &files);
    let mut spec = site.spec(Build {
        dockerfile: "D".into(),
        target: "one".into(),
        args: [("WORD".to_owned(), Some("two words".to_owned()))].into(),
        labels: [("l".to_owned(), "1".to_owned())].into(),
        ..Build::default()
    });
    spec.labels.insert("m".into(), "2".into());
    let lines = build(engine, &spec).await.unwrap();
    assert!(lines.iter().any(|line| line.contains("RUN echo")), "{lines:?}");
    assert_eq!(site.run(&["ls", "-A", "/src"]), ".dockerignore\na");
    assert_eq!(site.run(&["cat", "/word"]), "two words");
    assert_eq!(site.inspect("{{.Config.Labels.l}}{{.Config.Labels.m}}"), "12");
    // The same again comes from the cache.
    let id = site.inspect("{{.Id}}");
    build(engine, &spec).await.unwrap();
    assert_eq!(site.inspect("{{.Id}}"), id);
    spec.build.target.clear();
    let error = build(engine, &spec).await.unwrap_err().to_string();
    assert!(error.starts_with("step `") && error.contains("RUN false"), "{error}");
}

async fn check_inline(engine: &Docker, name: &str) {
    let site = Site::new(name, &[("a", "A"), ("Dockerfile", "FROM nowhere")]);
    let text = format!("FROM {IMAGE}\nCOPY . /src/\nENV X=${{Y:-z}}\n");
    let spec = site.spec(Build { dockerfile_inline: text, ..Build::default() });
    build(engine, &spec).await.unwrap();
    assert_eq!(site.run(&["ls", "/src"]), "Dockerfile\na");
    assert_eq!(site.run(&["sh", "-c", "echo $X"]), "z");
}

#[tokio::test]
async fn the_classic_builder_honours_context_args_target_and_labels() {
    let Some(engine) = classic().await else { return };
    check_context_args_target_and_labels(&engine, "classic").await;
}

#[tokio::test]
async fn the_classic_builder_takes_inline_dockerfiles() {
    let Some(engine) = classic().await else { return };
    check_inline(&engine, "classic-inline").await;
}

#[tokio::test]
async fn the_classic_builder_refuses_what_it_cannot_do() {
    let Some(engine) = classic().await else { return };
    let site = Site::new("refused", &[("Dockerfile", "FROM BASE")]);
    let secrets = vec![FileReference::default()];
    let spec = site.spec(Build { secrets, ..Build::default() });
    let error = build(&engine, &spec).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "`build.secrets` of service `web` needs BuildKit: DOCKER_BUILDKIT turns it off"
    );
    let spec = site.spec(Build { dockerfile: "none".into(), ..Build::default() });
    let error = build(&engine, &spec).await.unwrap_err().to_string();
    assert!(error.contains("none"), "{error}");
}

#[tokio::test]
async fn buildx_honours_context_args_target_and_labels() {
    let Some((engine, _home)) = buildx().await else { return };
    check_context_args_target_and_labels(&engine, "buildx").await;
}

#[tokio::test]
async fn buildx_takes_inline_dockerfiles() {
    let Some((engine, _home)) = buildx().await else { return };
    check_inline(&engine, "buildx-inline").await;
}

#[tokio::test]
async fn secrets_reach_the_steps_that_ask() {
    let Some((engine, _home)) = buildx().await else { return };
    let text = "FROM BASE\nRUN --mount=type=secret,id=a --mount=type=secret,id=b \
                cat /run/secrets/a /run/secrets/b > /found\n";
    let site = Site::new("secret", &[("Dockerfile", text), ("b.txt", "from file")]);
    let mut spec = site.spec(Build::default());
    let file = site.directory.path().join("b.txt").display().to_string();
    spec.secrets = vec![
        BuildSecret { id: "a".into(), file: String::new(), content: "from content, ".into() },
        BuildSecret { id: "b".into(), file, content: String::new() },
    ];
    build(&engine, &spec).await.unwrap();
    assert_eq!(site.run(&["cat", "/found"]), "from content, from file");
}

/// Builds from an image that only a registry has, which wants a password, and pushes the result.
async fn check_registry(engine: &Docker, home: &Path, registry: &Registry) {
    registry.login(home, Registry::PASSWORD);
    let base = format!("{}/hstreams/base:1", registry.address);
    docker(&["tag", IMAGE, &base]);
    let pushed = engine.push_image(&base, &|_| {}).await;
    docker(&["rmi", &base]);
    pushed.unwrap();
    let mut site = Site::new("registry", &[("Dockerfile", &format!("FROM {base}\nENV A=b"))]);
    site.image = format!("{}/hstreams/out:1", registry.address);
    let mut spec = site.spec(Build::default());
    spec.options.push = true;
    let built = build(engine, &spec).await;
    docker(&["rmi", "-f", &base, &site.image]);
    built.unwrap();
    let pull = crate::model::spec::PullSpec { image: site.image.clone(), platform: String::new() };
    engine.pull_image(&pull, &|_| {}).await.unwrap();
    assert_eq!(site.run(&["sh", "-c", "echo $A"]), "b");
}

#[tokio::test]
async fn the_classic_builder_pulls_and_pushes_with_a_password() {
    let Some(engine) = classic().await else { return };
    let Some(registry) = Registry::start().await else { return };
    let home = tempfile::tempdir().unwrap();
    let engine = engine.with_variable("DOCKER_CONFIG", &home.path().display().to_string());
    check_registry(&engine, home.path(), &registry).await;
}

#[tokio::test]
async fn buildx_pulls_and_pushes_with_a_password() {
    let Some((engine, home)) = buildx().await else { return };
    let Some(registry) = Registry::start().await else { return };
    check_registry(&engine, home.path(), &registry).await;
}

#[test]
fn contexts_are_directories_or_addresses() {
    for remote in ["https://a/b.git#main:x", "git@a:b", "github.com/a/b", "ssh://a/b", "http://a"] {
        assert_eq!(Source::of(remote), Source::Remote(remote));
    }
    assert_eq!(Source::of("/a"), Source::Directory(Path::new("/a")));
    assert_eq!(Source::of(""), Source::Directory(Path::new(".")));
}

#[test]
fn a_context_that_is_a_service_has_to_be_resolved() {
    let mut spec = BuildSpec { service_name: "web".into(), ..BuildSpec::default() };
    spec.build.additional_contexts.insert("base".into(), "service:db".into());
    let error = check_contexts(&spec).unwrap_err().to_string();
    assert_eq!(
        error,
        "`additional_contexts.base` of service `web` is `service:db`, which has no image"
    );
}

#[test]
fn proxies_are_arguments_unless_the_file_has_them() {
    let mut spec = BuildSpec::default();
    spec.build.args.insert("http_proxy".into(), Some("own".into()));
    let pair = |name: &str| (name.to_owned(), "proxy".to_owned());
    let proxies = [pair("http_proxy"), pair("no_proxy")].into();
    let args = with_proxies(&spec, &proxies).build.args;
    assert_eq!(args["http_proxy"].as_deref(), Some("own"));
    assert_eq!(args["no_proxy"].as_deref(), Some("proxy"));
}
