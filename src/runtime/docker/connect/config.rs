//! `config.json` of the `docker` program, as far as requests to an engine depend on it.
//!
//! In: the folder that `DOCKER_CONFIG` or `HOME` names. Out: the current context, and the proxies
//! that containers are told about. Credentials of registries are not here.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Address, Settings};
use crate::runtime::{Result, RuntimeError};

/// Variables about proxies, by name.
pub(in crate::runtime::docker) type Proxies = BTreeMap<String, String>;

/// What is read of `config.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Config {
    /// The context that is used when nothing else is said.
    pub(super) current_context: Option<String>,
    proxies: BTreeMap<String, Proxy>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Proxy {
    #[serde(rename = "httpProxy")]
    http: String,
    #[serde(rename = "httpsProxy")]
    https: String,
    #[serde(rename = "noProxy")]
    no: String,
    #[serde(rename = "ftpProxy")]
    ftp: String,
    #[serde(rename = "allProxy")]
    all: String,
}

impl Config {
    /// The variables for containers of this engine, in both spellings.
    pub(super) fn proxies_for(&self, address: &Address) -> Proxies {
        let Some(proxy) =
            self.proxies.get(&address.to_string()).or_else(|| self.proxies.get("default"))
        else {
            return Proxies::new();
        };
        let named = [
            ("HTTP_PROXY", &proxy.http),
            ("HTTPS_PROXY", &proxy.https),
            ("NO_PROXY", &proxy.no),
            ("FTP_PROXY", &proxy.ftp),
            ("ALL_PROXY", &proxy.all),
        ];
        let given = named.into_iter().filter(|(_, value)| !value.is_empty());
        let both = |(name, value): (&str, &String)| {
            [(name.to_owned(), value.clone()), (name.to_lowercase(), value.clone())]
        };
        given.flat_map(both).collect()
    }
}

/// The folder of the `docker` program's files; `None` where there is no home.
pub(super) fn folder(settings: &Settings) -> Option<PathBuf> {
    let home = || settings.variable("HOME").map(|home| Path::new(home).join(".docker"));
    settings.variable("DOCKER_CONFIG").map(PathBuf::from).or_else(home)
}

/// Reads `config.json`. Without one, nothing is set.
pub(super) async fn read(settings: &Settings) -> Result<Config> {
    match folder(settings) {
        Some(folder) => Ok(read_json(&folder.join("config.json")).await?.unwrap_or_default()),
        None => Ok(Config::default()),
    }
}

/// Reads a JSON file; `None` if there is none.
pub(super) async fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let failed = |source| RuntimeError::Io { action: format!("read `{}`", path.display()), source };
    let text = match tokio::fs::read(path).await {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| failed(error.into()))
}

#[cfg(test)]
mod tests {
    use super::{Address, Config};

    #[test]
    fn proxies_of_the_engine_win_over_the_default_and_come_in_both_spellings() {
        let config: Config = serde_json::from_str(
            r#"{"auths": {}, "proxies": {
                "default": {"httpProxy": "http://a:1", "noProxy": "localhost"},
                "tcp://far:2375": {"allProxy": "socks5://b"}}}"#,
        )
        .unwrap();
        let near: Vec<_> = config.proxies_for(&Address::Unix("/s".into())).into_iter().collect();
        let names: Vec<_> = near.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            names,
            [
                "HTTP_PROXY=http://a:1",
                "NO_PROXY=localhost",
                "http_proxy=http://a:1",
                "no_proxy=localhost"
            ]
        );
        let far = config.proxies_for(&Address::Remote("tcp://far:2375".to_owned()));
        assert_eq!(far.keys().collect::<Vec<_>>(), ["ALL_PROXY", "all_proxy"]);
    }
}
