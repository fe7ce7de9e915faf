//! What registries ask for: user names, passwords and tokens, from where the `docker` program keeps
//! them.
//!
//! In: `config.json` and the credential helpers that it names. Out: a credential for a registry.
//! The crate `docker_credential` is not used: it reads the process's own environment, does not say
//! which helper is missing, and prints what a failing helper printed, which may be a secret.
//!
//! # Invariants
//!
//! - No secret is in an error, in `Debug` or in a log.
//! - A registry without credentials is asked anonymously; a helper that is broken is an error.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::{Result, RuntimeError};

/// What `config.json` calls Docker Hub.
const HUB: &str = "https://index.docker.io/v1/";
/// What helpers print about a registry that they do not know.
const NOT_FOUND: &str = "credentials not found in native keychain";
/// The user name by which helpers mark a token.
const TOKEN_USER: &str = "<token>";

/// Base64 as it stands in `config.json`, with or without its end.
const STORED: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Where credentials are kept.
pub struct Credentials {
    config: Config,
    /// The environment of helpers.
    environment: IndexMap<String, String>,
}

/// The part of `config.json` that is about credentials.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Config {
    auths: BTreeMap<String, Stored>,
    creds_store: String,
    cred_helpers: BTreeMap<String, String>,
}

/// Credentials as they are stored.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Stored {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

/// What a helper answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// Credentials as engines take them; all empty: none.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Credential {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) username: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) password: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) identitytoken: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) registrytoken: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) serveraddress: String,
}

/// The directory of `config.json` and of the plug-ins of the `docker` program; `None` without a
/// home.
pub(in crate::runtime) fn directory(environment: &IndexMap<String, String>) -> Option<PathBuf> {
    let variable =
        |name: &str| environment.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("DOCKER_CONFIG").or_else(|| variable("HOME").map(|home| home.join(".docker")))
}

impl Credentials {
    /// Reads where credentials are kept.
    ///
    /// # Errors
    ///
    /// `config.json` cannot be read or understood.
    pub async fn read(environment: &IndexMap<String, String>) -> Result<Self> {
        let own = |config| Self { config, environment: environment.clone() };
        let Some(directory) = directory(environment) else {
            return Ok(own(Config::default()));
        };
        let path = directory.join("config.json");
        let failed =
            |source| RuntimeError::Io { action: format!("read `{}`", path.display()), source };
        match tokio::fs::read(&path).await {
            Ok(text) => parse(&text).map(own).map_err(failed),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(own(Config::default())),
            Err(error) => Err(failed(error)),
        }
    }
}

/// The words of the parser may quote a secret: only its place is told.
fn parse(text: &[u8]) -> io::Result<Config> {
    serde_json::from_slice(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("line {line}, column {column} is not what Docker writes there"),
        )
    })
}

impl Credential {
    /// As it stands below `auths` in a `config.json`.
    fn stored(&self) -> serde_json::Value {
        let user = format!("{}:{}", self.username, self.password);
        let auth = if self.username.is_empty() { String::new() } else { STORED.encode(user) };
        serde_json::json!({ "auth": auth, "identitytoken": self.identitytoken })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

impl Credentials {
    /// The credentials for the registry of an image.
    pub(super) async fn for_image(&self, image: &str) -> Result<Credential> {
        self.for_registry(registry(image)).await
    }

    /// The environment of helpers, which has proxies too.
    pub(super) fn environment(&self) -> &IndexMap<String, String> {
        &self.environment
    }

    /// All credentials as a `config.json` that needs no helpers.
    pub(super) async fn config_of_all(&self) -> String {
        let all = self.all().await;
        let auths: BTreeMap<&str, serde_json::Value> =
            all.iter().map(|(registry, credential)| (*registry, credential.stored())).collect();
        serde_json::json!({ "auths": auths }).to_string()
    }

    /// The credentials for all registries. What a broken helper keeps is left out: it may not be
    /// needed.
    pub(super) async fn all(&self) -> BTreeMap<&str, Credential> {
        let known = self.config.auths.keys().chain(self.config.cred_helpers.keys());
        let mut all = BTreeMap::new();
        for registry in known {
            match self.for_registry(registry).await {
                Ok(credential) => drop(all.insert(registry.as_str(), credential)),
                Err(error) => tracing::warn!(%registry, %error, "no credentials"),
            }
        }
        all
    }

    async fn for_registry(&self, registry: &str) -> Result<Credential> {
        let config = &self.config;
        let helper = find(&config.cred_helpers, registry).filter(|helper| !helper.is_empty());
        let store = Some(&config.creds_store).filter(|store| !store.is_empty());
        match helper.or(store) {
            Some(helper) => self.ask(helper, registry).await,
            None => match find(&config.auths, registry) {
                Some(stored) => stored.credential(registry),
                None => Ok(Credential::default()),
            },
        }
    }

    /// Asks a helper program.
    async fn ask(&self, helper: &str, registry: &str) -> Result<Credential> {
        let program = format!("docker-credential-{helper}");
        let output = self.run(&program, registry).await.map_err(|source| RuntimeError::Io {
            action: format!("run the credential helper `{program}` for `{registry}`"),
            source,
        })?;
        let said = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            if said.trim() == NOT_FOUND {
                return Ok(Credential::default());
            }
            return Err(broken(&program, registry, reason(&said)));
        }
        let Ok(Answer { username, secret }) = serde_json::from_str(&said) else {
            return Err(broken(&program, registry, "its answer is not understood"));
        };
        let serveraddress = registry.to_owned();
        Ok(if username == TOKEN_USER {
            Credential { identitytoken: secret, serveraddress, ..Credential::default() }
        } else {
            Credential { username, password: secret, serveraddress, ..Credential::default() }
        })
    }

    async fn run(&self, program: &str, registry: &str) -> io::Result<std::process::Output> {
        let mut child = Command::new(program)
            .arg("get")
            .env_clear()
            .envs(&self.environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut input) = child.stdin.take() {
            // A helper that fails at once does not read; its exit code tells more.
            let _ = input.write_all(registry.as_bytes()).await;
        }
        child.wait_with_output().await
    }
}

fn broken(program: &str, registry: &str, why: &str) -> RuntimeError {
    RuntimeError::Refused(format!(
        "the credential helper `{program}` gave nothing for `{registry}`: {why}"
    ))
}

/// What a failing helper says, unless that may hold a secret.
fn reason(said: &str) -> &str {
    match said.trim() {
        "" => "it failed without a word",
        said if said.contains('{') => "it failed",
        said => said.lines().next().unwrap_or_default(),
    }
}

impl Stored {
    fn credential(&self, registry: &str) -> Result<Credential> {
        let (mut username, mut password) = (self.username.clone(), self.password.clone());
        if !self.auth.is_empty() {
            let unreadable = || {
                let said = format!("the credentials for `{registry}` in `config.json` are damaged");
                RuntimeError::Refused(said)
            };
            let decoded = STORED.decode(&self.auth).map_err(|_| unreadable())?;
            let decoded = String::from_utf8(decoded).map_err(|_| unreadable())?;
            let (user, secret) = decoded.split_once(':').ok_or_else(unreadable)?;
            user.clone_into(&mut username);
            secret.trim_end_matches('\0').clone_into(&mut password);
        }
        Ok(Credential {
            username,
            password,
            identitytoken: self.identitytoken.clone(),
            registrytoken: self.registrytoken.clone(),
            serveraddress: registry.to_owned(),
        })
    }
}

/// The registry of an image as `config.json` calls it.
fn registry(image: &str) -> &str {
    match image.split_once('/') {
        Some(("docker.io" | "index.docker.io", _)) => HUB,
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => first,
        _ => HUB,
    }
}

/// The entry of a registry: by its very name, else by its host.
fn find<'a, T>(entries: &'a BTreeMap<String, T>, registry: &str) -> Option<&'a T> {
    let of_host = || entries.iter().find(|(key, _)| host(key) == host(registry));
    entries.get(registry).or_else(|| of_host().map(|(_, entry)| entry))
}

fn host(registry: &str) -> &str {
    let bare = registry
        .strip_prefix("https://")
        .or_else(|| registry.strip_prefix("http://"))
        .unwrap_or(registry);
    match bare.split_once('/').map_or(bare, |(host, _)| host) {
        "docker.io" => "index.docker.io",
        host => host,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::*;

    fn stored(config: &str, environment: IndexMap<String, String>) -> Credentials {
        Credentials { config: parse(config.as_bytes()).unwrap(), environment }
    }

    async fn found(config: &str, image: &str) -> Credential {
        stored(config, IndexMap::new()).for_image(image).await.unwrap()
    }

    /// A directory with helpers of these names and texts, and the environment to find them.
    fn helpers(scripts: &[(&str, &str)]) -> (tempfile::TempDir, IndexMap<String, String>) {
        let directory = tempfile::tempdir().unwrap();
        for (name, script) in scripts {
            let path = directory.path().join(format!("docker-credential-{name}"));
            std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        }
        let path = format!("{}:/usr/bin:/bin", Path::new(directory.path()).display());
        (directory, IndexMap::from([("PATH".to_owned(), path)]))
    }

    #[test]
    fn an_image_without_a_host_is_from_docker_hub() {
        for (image, expected) in [
            ("busybox", HUB),
            ("library/busybox:1", HUB),
            ("docker.io/library/busybox", HUB),
            ("ghcr.io/a/b", "ghcr.io"),
            ("localhost/a", "localhost"),
            ("box:5000/a", "box:5000"),
        ] {
            assert_eq!(registry(image), expected, "{image}");
        }
    }

    #[tokio::test]
    async fn stored_credentials_are_found_by_host() {
        // alice:secret
        let config = r#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "YWxpY2U6c2VjcmV0"},
            "https://box:5000/v2/": {"username": "bob", "password": "p:w"},
            "ghcr.io": {"identitytoken": "t0ken"}
        }, "unknown": [1]}"#;
        let hub = found(config, "busybox").await;
        assert_eq!((hub.username.as_str(), hub.password.as_str()), ("alice", "secret"));
        assert_eq!(hub.serveraddress, HUB);
        assert_eq!(found(config, "box:5000/a:1").await.password, "p:w");
        assert_eq!(found(config, "ghcr.io/a").await.identitytoken, "t0ken");
        assert!(found(config, "quay.io/a").await == Credential::default());
    }

    #[tokio::test]
    async fn a_helper_is_asked_with_the_name_of_the_registry() {
        let (_directory, environment) = helpers(&[
            ("own", r#"read -r who; echo "{\"Username\":\"u-$who\",\"Secret\":\"s\"}""#),
            ("all", r#"echo '{"ServerURL":"x","Username":"<token>","Secret":"tt"}'"#),
        ]);
        let config = r#"{"credsStore": "all", "credHelpers": {"box:5000": "own"}}"#;
        let credentials = stored(config, environment);
        let own = credentials.for_image("box:5000/a").await.unwrap();
        assert_eq!((own.username.as_str(), own.password.as_str()), ("u-box:5000", "s"));
        let hub = credentials.for_image("busybox").await.unwrap();
        assert_eq!((hub.username.as_str(), hub.identitytoken.as_str()), ("", "tt"));
    }

    #[tokio::test]
    async fn a_broken_helper_is_named_and_tells_no_secret() {
        let (_directory, environment) = helpers(&[
            ("locked", "echo the keychain is locked; exit 1"),
            ("leaky", r#"echo '{"Secret":"hunter2"}'; exit 1"#),
            ("odd", "echo hunter2"),
            ("empty", "echo credentials not found in native keychain; exit 1"),
        ]);
        let ask = async |helper: &str| {
            let config = format!(r#"{{"credsStore": "{helper}"}}"#);
            stored(&config, environment.clone()).for_image("box:1/a").await
        };
        let told = async |helper: &str| match ask(helper).await {
            Ok(_) => panic!("{helper} gave credentials"),
            Err(error) => error.to_string(),
        };
        assert_eq!(
            told("locked").await,
            "the credential helper `docker-credential-locked` gave nothing for `box:1`: \
             the keychain is locked"
        );
        for helper in ["leaky", "odd"] {
            let said = told(helper).await;
            assert!(said.contains(helper) && !said.contains("hunter2"), "{said}");
        }
        let missing = told("missing").await;
        assert!(missing.contains("`docker-credential-missing`"), "{missing}");
        assert!(ask("empty").await.is_ok_and(|none| none == Credential::default()));
    }

    #[test]
    fn a_damaged_file_is_told_by_place_only() {
        let error = parse(br#"{"auths": {"a": {"auth": ["hunter2"]}}}"#).err().unwrap();
        assert!(error.to_string().starts_with("line 1, column"), "{error}");
        let error = parse(br#"{"auths": "hunter2"}"#).err().unwrap();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
