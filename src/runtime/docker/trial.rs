//! An engine to test with.

#![expect(clippy::print_stdout, reason = "tests tell what they skipped")]

use std::path::Path;
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use indexmap::IndexMap;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::{Docker, Settings};

/// The image that tests make containers of.
pub(super) const IMAGE: &str = "corpus/busybox:1";

/// The engine at the default socket, if one answers and has the image.
pub(super) async fn engine() -> Option<Docker> {
    let path = "/usr/local/bin:/usr/bin:/bin";
    let environment = IndexMap::from([("PATH".to_owned(), path.to_owned())]);
    let settings = Settings { environment, ..Settings::default() };
    if let Ok(engine) = Docker::connect(settings).await
        && let Ok(Some(_)) = engine.image_named(IMAGE).await
    {
        return Some(engine);
    }
    println!("skipped: no engine with the image {IMAGE} answers");
    None
}

impl Docker {
    /// The same engine as seen from another environment.
    pub(super) fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.settings.environment.insert(name.to_owned(), value.to_owned());
        self
    }
}

/// A container of its own for a test, which is removed when the test ends, however it ends.
pub(super) struct Trial {
    pub(super) name: String,
}

impl Trial {
    /// Makes and starts a container with `docker run` and these flags and words.
    pub(super) fn run(name: &str, words: &[&str]) -> Self {
        Self::with("run", name, &[&["-d"], words].concat())
    }

    /// Makes a container with `docker create`.
    pub(super) fn create(name: &str, words: &[&str]) -> Self {
        Self::with("create", name, words)
    }

    fn with(verb: &str, name: &str, words: &[&str]) -> Self {
        let trial = Self { name: format!("hstreams-{name}-{}", std::process::id()) };
        docker(&["rm", "-f", &trial.name]);
        let output = docker(&[&[verb, "--name", &trial.name], words].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        trial
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        docker(&["rm", "-f", "-v", &self.name]);
    }
}

/// A registry of Debian's package `docker-registry`. Its password is one whose encoding differs
/// between the alphabets of base64.
pub(super) struct Registry {
    /// Host and port.
    pub(super) address: String,
    _directory: tempfile::TempDir,
    _child: tokio::process::Child,
}

impl Registry {
    pub(super) const PASSWORD: &str = "~~~???>>>";
    /// That password, hashed as `htpasswd` does.
    const ALICE: &str = "alice:$2b$04$EJQ97n5HLLNBLdFq0mzX0eDrG3u9JZbo8faOjI4V9eNZzejL1XyDa";

    /// Starts one on a port that is free, if the program is installed.
    pub(super) async fn start() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        let config = serde_json::json!({
            "version": 0.1,
            "storage": { "filesystem": { "rootdirectory": path("data") } },
            "http": { "addr": "127.0.0.1:0" },
            "auth": { "htpasswd": { "realm": "trial", "path": path("users") } }
        });
        std::fs::write(path("users"), Self::ALICE).unwrap();
        std::fs::write(path("config.yml"), config.to_string()).unwrap();
        let child = tokio::process::Command::new("docker-registry")
            .args(["serve", &path("config.yml")])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let Ok(mut child) = child else {
            println!("skipped: docker-registry is not installed");
            return None;
        };
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = loop {
            let line = limited(lines.next_line()).await.unwrap().unwrap();
            if let Some((_, rest)) = line.split_once("listening on ") {
                break rest.split('"').next().unwrap().to_owned();
            }
        };
        // Who writes to a closed pipe ends.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Some(Self { address, _directory: directory, _child: child })
    }

    /// Writes a `config.json` with a password for this registry.
    pub(super) fn login(&self, directory: &Path, password: &str) {
        let auth = STANDARD.encode(format!("alice:{password}"));
        let config = serde_json::json!({ "auths": { &self.address: { "auth": auth } } });
        std::fs::write(directory.join("config.json"), config.to_string()).unwrap();
    }
}

/// What a future gives, within a minute.
pub(super) async fn limited<T>(future: impl Future<Output = T>) -> T {
    const LIMIT: std::time::Duration = std::time::Duration::from_mins(1);
    tokio::time::timeout(LIMIT, future).await.expect("an engine answers within a minute")
}

/// Runs the `docker` program.
pub(super) fn docker(words: &[&str]) -> std::process::Output {
    std::process::Command::new("docker").args(words).output().unwrap()
}
