//! Finding the engine, as the `docker` program does, and agreeing on a version of its API.
//!
//! In: [`Settings`]. Out: a [`Docker`] whose engine has answered once: one request, which also says
//! which version of the API it speaks.
//!
//! # Invariants
//!
//! - Requests that are answered at once fail after [`ANSWER_LIMIT`]; patient ones never do. Neither
//!   takes an answer of more than [`ANSWER_BYTES`].
//!
//! Not here: where the engine is (`address`), and the connections to it (`transport`).

mod address;
mod bounded;
mod config;
mod tls;
mod transport;

use std::path::PathBuf;
use std::time::Duration;

use bollard::ClientVersion;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::{Docker, failure, wait};
use crate::runtime::{Feature, Result, RuntimeVersion};

use bounded::Bounds;
pub(super) use config::Proxies;
pub(super) use transport::Transport;

/// How long an engine may think about a request that needs no thought.
const ANSWER_LIMIT: Duration = Duration::from_mins(1);

/// The longest answer that is held in memory: a list of some ten thousand containers.
const ANSWER_BYTES: u64 = 256 * 1024 * 1024;

/// How many requests that make or start containers an engine takes best at once.
const PARALLEL: usize = 8;

/// The newest version of the API whose answers are understood here.
const NEWEST: ClientVersion = ClientVersion { major_version: 1, minor_version: 53 };

/// What is spoken with an engine that does not say what it speaks.
const OLDEST: ClientVersion = ClientVersion { major_version: 1, minor_version: 24 };

/// What the environment and the command line say about the engine.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The environment of the process.
    pub environment: IndexMap<String, String>,
    /// `--host`.
    pub host: Option<String>,
    /// `--context`.
    pub context: Option<String>,
    /// `--tls` and so on.
    pub tls: TlsSettings,
    /// How many requests that make or start containers may run at once; 0: a good number.
    pub parallel: usize,
    /// Whether health checks are run by Ketch too until they first succeed.
    pub eager_probes: bool,
}

/// What the command line says about TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TlsSettings {
    /// `--tls`: TLS, with any engine.
    pub on: bool,
    /// `--tlsverify`: TLS, with an engine that a certificate vouches for.
    pub verify: bool,
    /// `--tlscacert`.
    pub ca: Option<PathBuf>,
    /// `--tlscert`.
    pub cert: Option<PathBuf>,
    /// `--tlskey`.
    pub key: Option<PathBuf>,
}

impl Settings {
    /// A variable that is set and not empty.
    fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// Where an engine answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A socket of this machine.
    Unix(PathBuf),
    /// Another machine, as it was written.
    Remote(String),
}

impl Address {
    /// The name or address of the machine, if it is not this one.
    pub(super) fn other_machine(&self) -> Option<String> {
        let Self::Remote(address) = self else { return None };
        let rest = address.split_once("://").map_or(address.as_str(), |(_, rest)| rest);
        let place = rest.split('/').next().unwrap_or(rest);
        let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
        let (host, _) = match place.strip_prefix('[').and_then(|place| place.split_once(']')) {
            Some(v6) => v6,
            None => place.rsplit_once(':').unwrap_or((place, "")),
        };
        let is_this = host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        (!host.is_empty() && !is_this).then(|| host.to_owned())
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Remote(address) => f.write_str(address),
        }
    }
}

impl Docker {
    /// Finds the engine and asks it which version of its API it speaks.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::Unreachable`](crate::runtime::RuntimeError::Unreachable) if it does not
    /// answer; others if the context or a file of the `docker` program is missing or broken.
    pub async fn connect(settings: Settings) -> Result<Self> {
        let config = config::read(&settings).await?;
        let place = address::find(&settings, config.current_context.as_deref()).await?;
        let address = place.address.clone();
        let transport = Transport::new(place).await?;
        let ping = tokio::time::timeout(ANSWER_LIMIT, transport.ping())
            .await
            .unwrap_or(Err(bollard::errors::Error::RequestTimeoutError));
        let greeting = match ping {
            Ok(greeting) => greeting,
            Err(error) => {
                let said = transport.last_words();
                return Err(failure::unreachable(&address, said, error));
            }
        };
        let api = spoken(settings.variable("DOCKER_API_VERSION"), greeting.api.as_deref());
        let client = |bytes, time| {
            let client = transport.client(api, Bounds { bytes, time });
            client.map_err(|error| failure::translate(&address, error))
        };
        let streaming = client(None, None)?;
        let patient = client(Some(ANSWER_BYTES), None)?;
        let client = client(Some(ANSWER_BYTES), Some(ANSWER_LIMIT))?;
        let parallel = if settings.parallel == 0 { PARALLEL } else { settings.parallel };
        Ok(Self {
            hub: wait::Hub::new(streaming.clone(), greeting.time),
            slots: Semaphore::new(parallel.min(Semaphore::MAX_PERMITS)),
            proxies: config.proxies_for(&address),
            client,
            patient,
            streaming,
            transport,
            api,
            settings,
            address,
        })
    }

    pub(super) fn feature_missing(&self, feature: Feature) -> Option<String> {
        missing(self.api, feature)
    }

    pub(super) async fn engine_version(&self) -> Result<RuntimeVersion> {
        let version = self.client.version().await.map_err(|error| self.failure(error))?;
        let name = version.platform.map(|platform| platform.name.to_lowercase());
        let name =
            if name.is_some_and(|name| name.contains("podman")) { "podman" } else { "docker" };
        Ok(RuntimeVersion {
            name: name.to_owned(),
            version: version.version.unwrap_or_default(),
            api: self.api.to_string(),
            address: self.address.to_string(),
        })
    }
}

/// The version to speak: what the user wants, else the newest that both sides know.
fn spoken(wanted: Option<&str>, offered: Option<&str>) -> ClientVersion {
    if let Some(wanted) = wanted.and_then(parse) {
        return wanted;
    }
    let offered = offered.and_then(parse).unwrap_or(OLDEST);
    if offered < NEWEST { offered } else { NEWEST }
}

fn parse(version: &str) -> Option<ClientVersion> {
    let (major, minor) = version.trim_start_matches('v').split_once('.')?;
    Some(ClientVersion { major_version: major.parse().ok()?, minor_version: minor.parse().ok()? })
}

fn speaks(api: ClientVersion, minor: usize) -> bool {
    api >= ClientVersion { major_version: 1, minor_version: minor }
}

/// Why a feature cannot be had at a version of the API.
fn missing(api: ClientVersion, feature: Feature) -> Option<String> {
    // https://docs.docker.com/reference/api/engine/version-history/
    let needed = match feature {
        Feature::Annotations => 43,
        Feature::HealthStartInterval | Feature::RecursiveBind => 44,
        Feature::VolumeSubpath => 45,
        Feature::GatewayPriority | Feature::ImageMount | Feature::DisableIpv4 => 48,
        Feature::InterfaceName => 49,
        Feature::LocalImage => {
            let why = "only Ketch's own runtime takes images from directories and archives: add \
                       `--runtime native`";
            return Some(why.to_owned());
        }
        Feature::Snapshots => {
            let why = "an engine keeps volumes and container file systems to itself: snapshots \
                       need Ketch's own runtime: `ketch --runtime native …`";
            return Some(why.to_owned());
        }
        Feature::SharedSubnets => {
            let why = "an engine has every subnet once, so that each instance needs its own: leave \
                       out this address, or use Ketch's own runtime, where they may be the same: \
                       `ketch --runtime native …`";
            return Some(why.to_owned());
        }
        Feature::OutsideProbe => {
            return Some("an engine checks from inside alone, with `healthcheck`".to_owned());
        }
        // What the engine's host lacks, the engine says.
        Feature::DeviceRequests
        | Feature::OciRuntime
        | Feature::StorageOptions
        | Feature::Isolation
        | Feature::UserNamespaceMode
        | Feature::ApiSocket
        | Feature::WindowsCpu
        | Feature::Swappiness
        | Feature::OomKillDisable
        | Feature::RealTimeCpu
        | Feature::SwapLimit
        | Feature::BlockWeight
        | Feature::LoggingDriver
        | Feature::ForeignMount
        | Feature::VolumeDriver
        | Feature::NetworkDriver => return None,
    };
    (!speaks(api, needed)).then(|| {
        format!(
            "{} (API {api}) cannot do this; it needs API 1.{needed} ({})",
            release(api.minor_version).replace("Docker", "Docker Engine"),
            release(needed),
        )
    })
}

/// The release of Docker that brought version 1.`minor` of the API.
fn release(minor: usize) -> &'static str {
    match minor {
        ..=39 => "Docker 18.09 or older",
        40 => "Docker 19.03",
        41 => "Docker 20.10",
        42 => "Docker 23",
        43 => "Docker 24",
        44 => "Docker 25",
        45 => "Docker 26",
        46 | 47 => "Docker 27",
        48 => "Docker 28",
        49..=51 => "Docker 28.1",
        _ => "Docker 29",
    }
}

#[cfg(test)]
mod tests {
    use bollard::ClientVersion;

    use super::{Address, missing, spoken};
    use crate::runtime::Feature;

    fn api(minor_version: usize) -> ClientVersion {
        ClientVersion { major_version: 1, minor_version }
    }

    #[test]
    fn the_newest_version_that_both_know_is_spoken() {
        assert_eq!(spoken(None, Some("1.41")), api(41));
        assert_eq!(spoken(None, Some("1.99")), super::NEWEST);
        assert_eq!(spoken(None, None), super::OLDEST);
        assert_eq!(spoken(Some("1.40"), Some("1.41")), api(40));
        assert_eq!(spoken(Some("nonsense"), Some("1.41")), api(41));
    }

    #[test]
    fn an_engine_of_another_machine_publishes_there() {
        let other = |text: &str| Address::Remote(text.to_owned()).other_machine();
        for (address, machine) in [
            ("tcp://build.example:2375", "build.example"),
            ("ssh://me@build.example", "build.example"),
            ("ssh://me@build.example:22/run/docker.sock", "build.example"),
            ("tcp://[fd00::9]:2376", "fd00::9"),
            ("http://10.0.0.9:2375/prefix", "10.0.0.9"),
        ] {
            assert_eq!(other(address).as_deref(), Some(machine), "{address}");
        }
        for address in ["tcp://127.0.0.1:2375", "tcp://localhost:2375", "tcp://[::1]:1", "tcp://"] {
            assert_eq!(other(address), None, "{address}");
        }
        assert_eq!(Address::Unix("/run/docker.sock".into()).other_machine(), None);
    }

    #[test]
    fn a_missing_feature_names_the_release_that_has_it() {
        assert_eq!(
            missing(api(41), Feature::HealthStartInterval).unwrap(),
            "Docker Engine 20.10 (API 1.41) cannot do this; it needs API 1.44 (Docker 25)"
        );
        assert_eq!(missing(api(44), Feature::HealthStartInterval), None);
        assert!(missing(super::NEWEST, Feature::LocalImage).is_some());
        for (feature, minor) in [
            (Feature::Annotations, 43),
            (Feature::RecursiveBind, 44),
            (Feature::VolumeSubpath, 45),
            (Feature::GatewayPriority, 48),
            (Feature::ImageMount, 48),
            (Feature::DisableIpv4, 48),
            (Feature::InterfaceName, 49),
        ] {
            assert!(missing(api(minor - 1), feature).is_some(), "{feature:?}");
            assert!(missing(api(minor), feature).is_none(), "{feature:?}");
        }
    }
}
