//! An engine to test with.

#![expect(clippy::print_stdout, reason = "tests tell what they skipped")]

use std::path::PathBuf;

use indexmap::IndexMap;

use super::{Address, Docker, Settings};

/// The image that tests make containers of.
pub(super) const IMAGE: &str = "corpus/busybox:1";

/// The engine at the default socket, if one answers and has the image.
pub(super) async fn engine() -> Option<Docker> {
    let path = "/var/run/docker.sock";
    let client =
        bollard::Docker::connect_with_socket(path, 30, bollard::API_DEFAULT_VERSION).ok()?;
    let ready = match client.negotiate_version().await {
        Ok(client) => client.inspect_image(IMAGE).await.is_ok().then_some(client),
        Err(_) => None,
    };
    if ready.is_none() {
        println!("skipped: no engine with the image {IMAGE} answers");
    }
    let home = IndexMap::from([("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned())]);
    Some(Docker {
        client: ready?,
        settings: Settings { environment: home, ..Settings::default() },
        address: Address::Unix(PathBuf::from(path)),
    })
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

/// What a future gives, within a minute.
pub(super) async fn limited<T>(future: impl Future<Output = T>) -> T {
    const LIMIT: std::time::Duration = std::time::Duration::from_secs(60);
    tokio::time::timeout(LIMIT, future).await.expect("an engine answers within a minute")
}

/// Runs the `docker` program.
pub(super) fn docker(words: &[&str]) -> std::process::Output {
    std::process::Command::new("docker").args(words).output().unwrap()
}
