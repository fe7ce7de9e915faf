//! BuildKit through the program `docker-buildx`.
//!
//! In: a [`BuildSpec`]. Out: an image, made by `docker-buildx build`, whose progress is read as JSON.
//! One build is one call, so `bake` and its file are not needed.
//!
//! # Invariants
//!
//! - Secrets go through the environment or as paths, never as words of the command.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};

use super::classic::limits;
use super::{Docker, Source, failed, line};
use crate::model::spec::BuildSpec;
use crate::runtime::{OnProgress, Progress, Result, RuntimeError};

impl Docker {
    pub(super) async fn build_with_buildx(
        &self,
        program: &Path,
        spec: &BuildSpec,
        progress: OnProgress<'_>,
    ) -> Result<()> {
        refuse(spec)?;
        let io =
            |source| RuntimeError::Io { action: format!("run `{}`", program.display()), source };
        let mut child = self.command(program, spec).spawn().map_err(io)?;
        if let Some(mut input) = child.stdin.take() {
            let dockerfile = spec.build.dockerfile_inline.clone();
            // Beside reading, so that neither waits for the other. A program that fails at once
            // does not read; what it says tells more.
            tokio::spawn(async move { input.write_all(dockerfile.as_bytes()).await });
        }
        let mut told = Told::default();
        told.listen(&mut child, progress).await.map_err(io)?;
        let status = child.wait().await.map_err(io)?;
        if status.success() { Ok(()) } else { Err(told.failure()) }
    }

    fn command(&self, program: &Path, spec: &BuildSpec) -> Command {
        let input =
            if spec.build.dockerfile_inline.is_empty() { Stdio::null() } else { Stdio::piped() };
        let mut command = Command::new(program);
        command
            .args(arguments(spec))
            .env_clear()
            .envs(&self.settings.environment)
            .envs(secrets(spec).map(|(variable, content)| (variable, content.to_owned())))
            // The engine that Ketch speaks to, whatever the context is.
            .env_remove("DOCKER_CONTEXT")
            .envs(self.engine_variables())
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }
}

fn refuse(spec: &BuildSpec) -> Result<()> {
    match spec.build.isolation.as_str() {
        "" | "default" => Ok(()),
        other => Err(RuntimeError::Unsupported(format!(
            "`build.isolation` of service `{}` is `{other}`, which BuildKit does not know",
            spec.service_name
        ))),
    }
}

/// Variables with the secrets that are no files.
fn secrets(spec: &BuildSpec) -> impl Iterator<Item = (String, &str)> {
    let secrets = spec.secrets.iter().enumerate().filter(|(_, secret)| secret.file.is_empty());
    secrets.map(|(index, secret)| (variable(index), secret.content.as_str()))
}

fn variable(index: usize) -> String {
    format!("KETCH_BUILD_SECRET_{index}")
}

/// The words of the command, in the order of `docker-buildx build --help`.
fn arguments(spec: &BuildSpec) -> Vec<String> {
    let mut words: Vec<String> = ["build", "--progress", "rawjson"].map(str::to_owned).to_vec();
    let mut say = |flag: &str, value: String| words.push(format!("--{flag}={value}"));
    what(spec, &mut say);
    how(spec, &mut say);
    for (index, secret) in spec.secrets.iter().enumerate() {
        let value = if secret.file.is_empty() {
            format!("env={}", variable(index))
        } else {
            format!("src={}", secret.file)
        };
        say("secret", fields(&[format!("id={}", secret.id), value]));
    }
    for key in &spec.build.ssh {
        let path = if key.path.is_empty() { String::new() } else { format!("={}", key.path) };
        say("ssh", format!("{}{path}", key.id));
    }
    let (dockerfile, context) = place(spec);
    say("file", dockerfile);
    words.push("--".to_owned());
    words.push(context);
    words
}

/// Which image: its names, labels, platforms, and where it goes.
fn what(spec: &BuildSpec, say: &mut impl FnMut(&str, String)) {
    let (build, options) = (&spec.build, &spec.options);
    let mut labels = build.labels.clone();
    labels.extend(spec.labels.clone());
    for tag in &spec.tags {
        say("tag", tag.clone());
    }
    for (name, value) in labels {
        say("label", format!("{name}={value}"));
    }
    let platforms = if spec.platform.is_empty() {
        build.platforms.as_slice()
    } else {
        std::slice::from_ref(&spec.platform)
    };
    if !platforms.is_empty() {
        say("platform", platforms.join(","));
    }
    if options.check {
        say("call", "check".to_owned());
    } else if options.push {
        say("output", "type=registry".to_owned());
    } else if platforms.len() > 1 {
        say("output", "type=image,push=false".to_owned());
    } else {
        say("output", "type=docker".to_owned());
    }
    for (flag, value, attribute) in [
        ("provenance", &options.provenance, &build.provenance),
        ("sbom", &options.sbom, &build.sbom),
    ] {
        let value = value.as_ref().unwrap_or(attribute);
        if !value.is_empty() {
            say(flag, value.clone());
        }
    }
}

/// How it is built.
fn how(spec: &BuildSpec, say: &mut impl FnMut(&str, String)) {
    let (build, options) = (&spec.build, &spec.options);
    for (name, value) in &build.args {
        say("build-arg", value.as_ref().map_or_else(|| name.clone(), |v| format!("{name}={v}")));
    }
    for (name, value) in &build.additional_contexts {
        say("build-context", format!("{name}={value}"));
    }
    for (flag, caches) in [("cache-from", &build.cache_from), ("cache-to", &build.cache_to)] {
        for cache in caches {
            say(flag, cache.clone());
        }
    }
    for (host, addresses) in &build.extra_hosts {
        for address in addresses {
            say("add-host", format!("{host}:{address}"));
        }
    }
    for (name, limit) in &build.ulimits {
        let (soft, hard) = limits(*limit);
        say("ulimit", format!("{name}={soft}:{hard}"));
    }
    for (flag, value) in [("target", &build.target), ("network", &build.network)] {
        if !value.is_empty() {
            say(flag, value.clone());
        }
    }
    if build.shm_size.0 > 0 {
        say("shm-size", build.shm_size.0.to_string());
    }
    for (flag, set) in
        [("no-cache", build.no_cache || options.no_cache), ("pull", build.pull || options.pull)]
    {
        if set {
            say(flag, "true".to_owned());
        }
    }
    let mut allowed: BTreeSet<&str> = build.entitlements.iter().map(String::as_str).collect();
    if build.privileged {
        allowed.insert("security.insecure");
    }
    if build.network == "host" {
        allowed.insert("network.host");
    }
    for entitlement in allowed {
        say("allow", entitlement.to_owned());
    }
    if let Some(builder) = options.builder.as_ref().filter(|builder| !builder.is_empty()) {
        say("builder", builder.clone());
    }
}

/// Dockerfile and context.
fn place(spec: &BuildSpec) -> (String, String) {
    let build = &spec.build;
    let name = if build.dockerfile.is_empty() { "Dockerfile" } else { &build.dockerfile };
    let (file, context) = match Source::of(&build.context) {
        Source::Directory(root) => {
            (root.join(name).display().to_string(), root.display().to_string())
        }
        Source::Remote(address) => (name.to_owned(), address.to_owned()),
    };
    // A dash is standard input.
    (if build.dockerfile_inline.is_empty() { file } else { "-".to_owned() }, context)
}

/// Fields as one line of CSV.
fn fields(fields: &[String]) -> String {
    let quoted = |field: &String| {
        if field.contains([',', '"', '\n']) {
            format!("\"{}\"", field.replace('"', "\"\""))
        } else {
            field.clone()
        }
    };
    fields.iter().map(quoted).collect::<Vec<_>>().join(",")
}

/// A line of progress.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Status {
    vertexes: Vec<Vertex>,
    statuses: Vec<Transfer>,
    logs: Vec<Log>,
}

/// A step.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Vertex {
    digest: String,
    name: String,
    started: Option<String>,
    completed: Option<String>,
    cached: bool,
    error: String,
}

/// Bytes on their way.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Transfer {
    id: String,
    vertex: String,
    current: u64,
    total: u64,
}

/// Output of a step.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Log {
    vertex: String,
    data: String,
}

/// What the program has told.
#[derive(Default)]
struct Told {
    /// Names of the steps by digest, and which of them were told to have begun and ended.
    names: std::collections::HashMap<String, String>,
    begun: BTreeSet<String>,
    ended: BTreeSet<String>,
    /// The step that failed, and why.
    broken: Option<(String, String)>,
    /// What is no progress: the program's own words.
    words: Vec<String>,
}

impl Told {
    /// Reads both streams to their end.
    async fn listen(&mut self, child: &mut Child, progress: OnProgress<'_>) -> std::io::Result<()> {
        let output = lines_of(child.stdout.take());
        let errors = lines_of(child.stderr.take());
        let (mut output, mut errors) = (std::pin::pin!(output), std::pin::pin!(errors));
        let mut lines = futures_util::stream::select(output.as_mut(), errors.as_mut());
        while let Some(text) = futures_util::TryStreamExt::try_next(&mut lines).await? {
            match serde_json::from_str::<Status>(&text) {
                Ok(status) => self.take(status, progress),
                Err(_) if text.trim().is_empty() => {}
                Err(_) => {
                    progress(line("", &text));
                    self.words.push(text);
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, status: Status, progress: OnProgress<'_>) {
        for vertex in status.vertexes {
            self.step(vertex, progress);
        }
        for transfer in status.statuses {
            progress(Progress {
                part: self.name(&transfer.vertex),
                status: transfer.id,
                current: transfer.current,
                total: transfer.total,
            });
        }
        for log in status.logs {
            let data = STANDARD.decode(log.data).unwrap_or_default();
            let name = self.name(&log.vertex);
            for text in String::from_utf8_lossy(&data).lines() {
                progress(line(&name, text));
            }
        }
    }

    fn step(&mut self, vertex: Vertex, progress: OnProgress<'_>) {
        self.names.insert(vertex.digest.clone(), vertex.name.clone());
        // A step without words has begun.
        if vertex.started.is_some() && self.begun.insert(vertex.digest.clone()) {
            progress(line(&vertex.name, ""));
        }
        if vertex.completed.is_none() {
            return;
        }
        if !vertex.error.is_empty() {
            // Steps that were stopped because of another one say so too.
            if self.broken.is_none() && !vertex.error.contains("context canceled") {
                self.broken = Some((vertex.name.clone(), vertex.error));
            }
        } else if self.ended.insert(vertex.digest) {
            progress(line(&vertex.name, if vertex.cached { "CACHED" } else { "DONE" }));
        }
    }

    fn name(&self, digest: &str) -> String {
        self.names.get(digest).cloned().unwrap_or_default()
    }

    fn failure(self) -> RuntimeError {
        if let Some((step, why)) = self.broken {
            return failed(&step, &why);
        }
        let error = self.words.iter().rev().find_map(|text| text.strip_prefix("ERROR: "));
        let last = self.words.last().map(String::as_str);
        let why = error.or(last).unwrap_or("docker-buildx failed without a word");
        failed("", &format!("{why}{}", remedy(why)))
    }
}

/// What to do about words that only developers of BuildKit understand.
fn remedy(why: &str) -> &'static str {
    if why.contains("moby.buildkit.frontend.contexts") {
        "; the engine is too old for `additional_contexts` of its own: begin the Dockerfile with \
         `# syntax=docker/dockerfile:1`, or use Docker Engine 23 or later"
    } else {
        ""
    }
}

/// The lines of a stream.
fn lines_of(
    stream: Option<impl AsyncRead + Unpin>,
) -> impl futures_util::Stream<Item = std::io::Result<String>> {
    let lines = stream.map(|stream| BufReader::new(stream).lines());
    futures_util::stream::try_unfold(lines, |lines| async move {
        let Some(mut lines) = lines else { return Ok(None) };
        Ok(lines.next_line().await?.map(|text| (text, Some(lines))))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::model::spec::{BuildOptions, BuildSecret};
    use crate::model::{Build, Bytes, SshKey, Ulimit};

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn every_attribute_is_passed_on() {
        let build = Build {
            context: "/app".into(),
            dockerfile: "ci/D".into(),
            args: [("A".into(), Some("1 2".into())), ("B".into(), None)].into(),
            labels: [pair("l", "1")].into(),
            cache_from: vec!["a".into()],
            cache_to: vec!["type=inline".into()],
            additional_contexts: [pair("base", "docker-image://x")].into(),
            extra_hosts: [("h".into(), vec!["::1".into()])].into(),
            network: "host".into(),
            target: "t".into(),
            shm_size: Bytes(64),
            ulimits: [("nofile".into(), Ulimit { single: 0, soft: 1, hard: 2 })].into(),
            platforms: vec!["linux/amd64".into(), "linux/arm64".into()],
            privileged: true,
            ssh: vec![SshKey { id: "k".into(), path: "/k".into() }],
            provenance: "mode=max".into(),
            sbom: "true".into(),
            pull: true,
            no_cache: true,
            ..Build::default()
        };
        let secret = |id: &str, file: &str, content: &str| BuildSecret {
            id: id.into(),
            file: file.into(),
            content: content.into(),
        };
        let spec = BuildSpec {
            build,
            tags: vec!["a:1".into(), "a:2".into()],
            labels: [pair("m", "2")].into(),
            secrets: vec![secret("f", "/a,b", ""), secret("e", "", "hunter2")],
            options: BuildOptions { sbom: Some("false".into()), ..BuildOptions::default() },
            ..BuildSpec::default()
        };
        let expected = "build --progress rawjson --tag=a:1 --tag=a:2 --label=l=1 --label=m=2 \
            --platform=linux/amd64,linux/arm64 --output=type=image,push=false \
            --provenance=mode=max --sbom=false --build-arg=A=1 2 --build-arg=B \
            --build-context=base=docker-image://x --cache-from=a --cache-to=type=inline \
            --add-host=h:::1 --ulimit=nofile=1:2 --target=t --network=host --shm-size=64 \
            --no-cache=true --pull=true --allow=network.host --allow=security.insecure \
            --secret=id=f,\"src=/a,b\" --secret=id=e,env=KETCH_BUILD_SECRET_1 --ssh=k=/k \
            --file=/app/ci/D -- /app";
        assert_eq!(arguments(&spec).join(" "), expected);
        let found: Vec<_> = secrets(&spec).collect();
        assert_eq!(found, [("KETCH_BUILD_SECRET_1".to_owned(), "hunter2")]);
    }

    #[test]
    fn what_old_engines_cannot_do_has_a_remedy() {
        let words = "ERROR: unsupported frontend capability moby.buildkit.frontend.contexts";
        let told = Told { words: vec![words.to_owned()], ..Told::default() };
        assert!(told.failure().to_string().contains("`# syntax=docker/dockerfile:1`"));
    }

    #[test]
    fn inline_and_remote_contexts() {
        let mut spec = BuildSpec::default();
        spec.build.context = "https://box/a.git#main:web".into();
        assert_eq!(place(&spec), pair("Dockerfile", "https://box/a.git#main:web"));
        spec.build.dockerfile_inline = "FROM scratch".into();
        assert_eq!(place(&spec), pair("-", "https://box/a.git#main:web"));
    }

    #[test]
    fn progress_and_the_failing_step_are_told() {
        let seen = Mutex::new(Vec::new());
        let progress = |told: Progress| {
            seen.lock().unwrap().push(format!("{}: {} {}", told.part, told.status, told.current));
        };
        let mut told = Told::default();
        for text in [
            r#"{"vertexes":[{"digest":"a","name":"[1/2] COPY a"},{"digest":"b","name":"[2/2] RUN"}]}"#,
            r#"{"vertexes":[{"digest":"a","name":"[1/2] COPY a","started":"x"}]}"#,
            r#"{"statuses":[{"id":"transferring","vertex":"a","current":5}]}"#,
            r#"{"vertexes":[{"digest":"a","name":"[1/2] COPY a","started":"x","completed":"y","cached":true}]}"#,
            r#"{"logs":[{"vertex":"b","stream":1,"data":"b25lCnR3bwo="}]}"#,
            r#"{"vertexes":[{"digest":"c","name":"c","completed":"y","error":"x: context canceled"}]}"#,
            r#"{"vertexes":[{"digest":"b","name":"[2/2] RUN","completed":"y","error":"exit code: 1"}]}"#,
        ] {
            told.take(serde_json::from_str(text).unwrap(), &progress);
        }
        let expected = [
            "[1/2] COPY a:  0",
            "[1/2] COPY a: transferring 5",
            "[1/2] COPY a: CACHED 0",
            "[2/2] RUN: one 0",
            "[2/2] RUN: two 0",
        ];
        assert_eq!(*seen.lock().unwrap(), expected);
        assert_eq!(told.failure().to_string(), "step `[2/2] RUN` failed: exit code: 1");
        let words = ["ERROR: no builder \"x\" found".to_owned(), "see logs".to_owned()].to_vec();
        let told = Told { words, ..Told::default() };
        assert_eq!(told.failure().to_string(), "no builder \"x\" found");
    }
}
