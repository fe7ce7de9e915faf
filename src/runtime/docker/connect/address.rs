//! Where the engine is: flags, then variables, then contexts, then the usual socket.
//!
//! In: [`Settings`] and the context that `config.json` names. Out: a [`Place`]. The order is that of
//! the `docker` program: `--host`, `--context`, `DOCKER_HOST`, `DOCKER_CONTEXT`, the current context.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{Address, Settings, config};
use crate::runtime::{Result, RuntimeError};

/// Where an engine answers when nobody says anything else.
const USUAL_SOCKET: &str = "/var/run/docker.sock";

/// The context that stands for no context.
const NO_CONTEXT: &str = "default";

/// Where an engine answers, and how one gets through to it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// For people.
    pub(super) address: Address,
    /// For dialling.
    pub(super) route: Route,
}

/// How an engine is dialled.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// A socket of this machine.
    Unix(PathBuf),
    /// Another machine, in the clear or with TLS.
    Tcp { host: String, port: u16, base: String, tls: Option<Tls> },
    /// Another machine through `ssh`: its arguments.
    Ssh(Vec<String>),
}

/// Files for TLS; each may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tls {
    /// Certificates of those who may vouch for the engine.
    pub(super) ca: PathBuf,
    /// Our own certificate.
    pub(super) cert: PathBuf,
    /// The key of our certificate.
    pub(super) key: PathBuf,
    /// Whether the engine's certificate matters.
    pub(super) verify: bool,
}

impl Tls {
    /// The files of a folder, with a certificate of the engine that matters.
    fn in_folder(folder: &Path) -> Self {
        let file = |name| folder.join(name);
        Self { ca: file("ca.pem"), cert: file("cert.pem"), key: file("key.pem"), verify: true }
    }
}

/// Finds the engine.
pub(super) async fn find(settings: &Settings, current: Option<&str>) -> Result<Place> {
    if settings.host.is_some() && settings.context.is_some() {
        let message = "`--host` and `--context` exclude each other";
        return Err(RuntimeError::Unsupported(message.to_owned()));
    }
    let host = settings.host.as_deref().or_else(|| {
        let host = settings.variable("DOCKER_HOST");
        host.filter(|_| settings.context.is_none())
    });
    let named = || settings.context.as_deref().or(settings.variable("DOCKER_CONTEXT")).or(current);
    match (host, named().filter(|name| !name.is_empty() && *name != NO_CONTEXT)) {
        (None, Some(name)) => context(settings, name).await,
        (host, _) => {
            let host = host.or_else(|| settings.variable("DOCKER_HOST")).unwrap_or_default();
            place(host, wanted_tls(settings))
        }
    }
}

/// TLS as flags and environment want it; `None`: none.
fn wanted_tls(settings: &Settings) -> Option<Tls> {
    let flags = &settings.tls;
    let verify = flags.verify || settings.variable("DOCKER_TLS_VERIFY").is_some();
    if !verify && !flags.on && settings.variable("DOCKER_TLS").is_none() {
        return None;
    }
    let folder = settings.variable("DOCKER_CERT_PATH").map(PathBuf::from);
    let folder = folder.or_else(|| config::folder(settings)).unwrap_or_default();
    let usual = Tls::in_folder(&folder);
    Some(Tls {
        ca: flags.ca.clone().unwrap_or(usual.ca),
        cert: flags.cert.clone().unwrap_or(usual.cert),
        key: flags.key.clone().unwrap_or(usual.key),
        verify,
    })
}

#[derive(Deserialize)]
struct Meta {
    #[serde(rename = "Endpoints", default)]
    endpoints: std::collections::BTreeMap<String, Endpoint>,
}

#[derive(Deserialize)]
struct Endpoint {
    #[serde(rename = "Host", default)]
    host: String,
    #[serde(rename = "SkipTLSVerify", default)]
    skip_tls_verify: bool,
}

/// The name of a context's folders.
fn id_of(context: &str) -> String {
    Sha256::digest(context).iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The place that a context names.
async fn context(settings: &Settings, name: &str) -> Result<Place> {
    let id = id_of(name);
    let folder = config::folder(settings).unwrap_or_default().join("contexts");
    let meta: Option<Meta> =
        config::read_json(&folder.join("meta").join(&id).join("meta.json")).await?;
    let endpoint = meta.and_then(|mut meta| meta.endpoints.remove("docker"));
    let Some(endpoint) = endpoint else {
        let message = format!("there is no context `{name}`; `docker context ls` shows all");
        return Err(RuntimeError::NotFound(message));
    };
    let files = folder.join("tls").join(&id).join("docker");
    let has_files = tokio::fs::try_exists(&files).await.unwrap_or(false);
    let wanted = has_files || endpoint.skip_tls_verify;
    let verify = !endpoint.skip_tls_verify;
    let tls = wanted.then(|| Tls { verify, ..Tls::in_folder(&files) });
    place(&endpoint.host, tls)
}

/// Takes an address apart. Empty: the usual socket.
fn place(host: &str, tls: Option<Tls>) -> Result<Place> {
    let host = host.trim();
    let (scheme, rest) = host.split_once("://").unwrap_or(("tcp", host));
    let unix = |path: &str| {
        let path = PathBuf::from(if path.is_empty() { USUAL_SOCKET } else { path });
        Place { address: Address::Unix(path.clone()), route: Route::Unix(path) }
    };
    let remote = |route| Place { address: Address::Remote(host.to_owned()), route };
    let bad = || RuntimeError::Unsupported(format!("`{host}` is no address of an engine"));
    match scheme {
        _ if host.is_empty() => Ok(unix("")),
        "unix" => Ok(unix(rest)),
        "tcp" | "http" => tcp(rest, tls).map(remote).ok_or_else(bad),
        "https" => {
            let tls = tls.unwrap_or(Tls { verify: true, ..Tls::default() });
            tcp(rest, Some(tls)).map(remote).ok_or_else(bad)
        }
        "ssh" => ssh(rest).map(remote).ok_or_else(bad),
        _ => Err(bad()),
    }
}

/// `HOST[:PORT][/BASE]`; a host with colons stands in brackets.
fn tcp(rest: &str, tls: Option<Tls>) -> Option<Route> {
    let (authority, base) = rest.split_once('/').unwrap_or((rest, ""));
    let usual = if tls.is_some() { 2376 } else { 2375 };
    let (host, port) = host_and_port(authority)?;
    let base = base.trim_end_matches('/');
    let base = if base.is_empty() { String::new() } else { format!("/{base}") };
    let host = if host.is_empty() { "localhost" } else { host };
    Some(Route::Tcp { host: host.to_owned(), port: port.unwrap_or(usual), base, tls })
}

fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    if let Some(bracketed) = authority.strip_prefix('[') {
        let (host, port) = bracketed.split_once(']')?;
        return match port.strip_prefix(':') {
            Some(port) => Some((host, Some(port.parse().ok()?))),
            None => Some((host, None)).filter(|_| port.is_empty()),
        };
    }
    match authority.split_once(':') {
        Some((host, port)) => Some((host, Some(port.parse().ok()?))),
        None => Some((authority, None)),
    }
}

/// `[USER@]HOST[:PORT][/SOCKET]` as arguments for `ssh`.
fn ssh(rest: &str) -> Option<Route> {
    let (authority, socket) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    let (host, port) = host_and_port(host)?;
    // A name that begins with a dash would be read as a flag.
    if host.is_empty() || host.starts_with('-') {
        return None;
    }
    let mut arguments = vec!["-o".to_owned(), "ConnectTimeout=30".to_owned(), "-T".to_owned()];
    if let Some(user) = user {
        arguments.extend(["-l".to_owned(), user.to_owned()]);
    }
    if let Some(port) = port {
        arguments.extend(["-p".to_owned(), port.to_string()]);
    }
    arguments.extend(["--".to_owned(), host.to_owned(), "docker".to_owned()]);
    if !socket.is_empty() {
        // The words reach a shell of the other machine.
        let quoted = format!("/{socket}").replace('\'', r"'\''");
        arguments.push(format!("--host='unix://{quoted}'"));
    }
    arguments.extend(["system".to_owned(), "dial-stdio".to_owned()]);
    Some(Route::Ssh(arguments))
}

#[cfg(test)]
mod tests {
    use super::{Address, Place, Route, Settings, Tls, find, place};
    use crate::runtime::RuntimeError;

    fn route(host: &str) -> Option<Route> {
        place(host, None).ok().map(|place| place.route)
    }

    fn tcp(host: &str, port: u16, base: &str) -> Route {
        Route::Tcp { host: host.to_owned(), port, base: base.to_owned(), tls: None }
    }

    #[test]
    fn addresses_are_taken_apart() {
        assert_eq!(route(""), Some(Route::Unix("/var/run/docker.sock".into())));
        assert_eq!(route("unix:///run/x.sock"), Some(Route::Unix("/run/x.sock".into())));
        assert_eq!(route("tcp://far:1234"), Some(tcp("far", 1234, "")));
        assert_eq!(route("far:1234"), Some(tcp("far", 1234, "")));
        assert_eq!(route("http://far/a/b/"), Some(tcp("far", 2375, "/a/b")));
        assert_eq!(route("tcp://[::1]:99"), Some(tcp("::1", 99, "")));
        assert_eq!(route("tcp://:99"), Some(tcp("localhost", 99, "")));
        for wrong in ["npipe:////x", "tcp://far:port", "tcp://[::1", "ssh://-oProxyCommand=x"] {
            assert!(matches!(place(wrong, None), Err(RuntimeError::Unsupported(_))), "{wrong}");
        }
        let Some(Route::Tcp { port: 2376, tls: Some(tls), .. }) = route("https://far") else {
            panic!("TLS and its port are expected");
        };
        assert!(tls.verify);
    }

    #[test]
    fn ssh_runs_docker_on_the_other_machine() {
        let Some(Route::Ssh(arguments)) = route("ssh://me@far:22/run/d.sock") else {
            panic!("ssh is expected");
        };
        assert_eq!(
            arguments.join(" "),
            "-o ConnectTimeout=30 -T -l me -p 22 -- far docker --host='unix:///run/d.sock' \
             system dial-stdio"
        );
    }

    fn settings(variables: &[(&str, &str)]) -> Settings {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Settings { environment: variables.iter().map(pair).collect(), ..Settings::default() }
    }

    async fn found(settings: &Settings, current: Option<&str>) -> String {
        match find(settings, current).await {
            Ok(Place { address, .. }) => address.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[tokio::test]
    async fn flags_win_over_variables_and_these_over_the_current_context() {
        let folder = tempfile::tempdir().unwrap();
        let id = super::id_of("far");
        let meta = folder.path().join("contexts/meta").join(&id);
        std::fs::create_dir_all(&meta).unwrap();
        let text = r#"{"Name":"far","Endpoints":{"docker":{"Host":"tcp://far:2376"}}}"#;
        std::fs::write(meta.join("meta.json"), text).unwrap();
        let tls = folder.path().join("contexts/tls").join(&id).join("docker");
        std::fs::create_dir_all(&tls).unwrap();
        let config = folder.path().to_str().unwrap();

        let plain = settings(&[("DOCKER_CONFIG", config)]);
        assert_eq!(found(&plain, None).await, "unix:///var/run/docker.sock");
        assert_eq!(found(&plain, Some("default")).await, "unix:///var/run/docker.sock");
        assert_eq!(found(&plain, Some("far")).await, "tcp://far:2376");
        let place = find(&plain, Some("far")).await.unwrap();
        let Route::Tcp { tls: Some(found_tls), .. } = place.route else { panic!("TLS expected") };
        assert_eq!(found_tls, Tls::in_folder(&tls));

        let named = settings(&[("DOCKER_CONFIG", config), ("DOCKER_CONTEXT", "far")]);
        assert_eq!(found(&named, None).await, "tcp://far:2376");
        let host = settings(&[("DOCKER_CONFIG", config), ("DOCKER_HOST", "tcp://a:1")]);
        assert_eq!(found(&host, Some("far")).await, "tcp://a:1");
        let flag = Settings { context: Some("far".to_owned()), ..host.clone() };
        assert_eq!(found(&flag, None).await, "tcp://far:2376");
        let flag = Settings { context: Some("default".to_owned()), ..host.clone() };
        assert_eq!(found(&flag, Some("far")).await, "tcp://a:1");
        let flag = Settings { host: Some("tcp://b:2".to_owned()), ..host };
        assert_eq!(found(&flag, Some("far")).await, "tcp://b:2");
        let gone = Settings { context: Some("gone".to_owned()), ..plain };
        assert_eq!(
            found(&gone, None).await,
            "there is no context `gone`; `docker context ls` shows all"
        );
    }

    #[tokio::test]
    async fn flags_turn_tls_on_and_name_its_files() {
        let flags = crate::runtime::docker::TlsSettings {
            on: true,
            ca: Some("/ca".into()),
            ..Default::default()
        };
        let host = Some("tcp://far".to_owned());
        let with = Settings { host, tls: flags, ..settings(&[("DOCKER_CERT_PATH", "/c")]) };
        let Route::Tcp { tls: Some(tls), .. } = find(&with, None).await.unwrap().route else {
            panic!("TLS is expected");
        };
        let usual = Tls::in_folder("/c".as_ref());
        assert_eq!(tls, Tls { ca: "/ca".into(), verify: false, ..usual });
    }

    #[tokio::test]
    async fn variables_turn_tls_on() {
        let far = ("DOCKER_HOST", "tcp://far");
        let with = settings(&[far, ("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", "/c")]);
        let place = find(&with, None).await.unwrap();
        assert_eq!(place.address, Address::Remote("tcp://far".to_owned()));
        let Route::Tcp { tls: Some(tls), port: 2376, .. } = place.route else {
            panic!("TLS and its port are expected");
        };
        assert_eq!(tls, Tls::in_folder("/c".as_ref()));
    }
}
