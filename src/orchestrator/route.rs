//! How a runtime is reached again, from another process and another directory.
//!
//! In: the settings that reached it once. Out: the same, small enough to be written down.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::{Choice, Connection, OrchestrationError, connect};
use crate::runtime::docker::{self, TlsSettings};
use crate::runtime::native;

/// The variables that matter, and whether they name a place.
const VARIABLES: [(&str, bool); 18] = [
    ("DOCKER_API_VERSION", false),
    ("DOCKER_CERT_PATH", true),
    ("DOCKER_CONFIG", true),
    ("DOCKER_CONTEXT", false),
    ("DOCKER_HOST", false),
    ("DOCKER_TLS", false),
    ("DOCKER_TLS_VERIFY", false),
    ("HOME", false),
    ("KETCH_RUN_DIR", true),
    ("KETCH_STATE_DIR", true),
    ("LD_LIBRARY_PATH", false),
    ("LOGNAME", false),
    ("PATH", false),
    ("SSH_AUTH_SOCK", false),
    ("TMPDIR", true),
    ("USER", false),
    ("XDG_DATA_HOME", false),
    ("XDG_RUNTIME_DIR", false),
];

/// How a runtime is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    kind: Choice,
    /// The part of the environment that matters.
    pub(super) environment: IndexMap<String, String>,
    #[serde(default)]
    host: Option<String>,
    #[serde(default)]
    context: Option<String>,
    #[serde(default)]
    tls: TlsSettings,
}

impl Route {
    /// What is known of a runtime of this kind that was reached with these settings.
    pub(super) fn new(
        kind: Choice,
        engine: &docker::Settings,
        environment: &IndexMap<String, String>,
    ) -> Self {
        let found = |(name, is_path): (&str, bool)| {
            let value = environment.get(name).filter(|value| !value.is_empty())?;
            let value = if is_path { whole(value) } else { value.clone() };
            Some((name.to_owned(), value))
        };
        let path = |path: &Option<PathBuf>| {
            path.as_ref().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()))
        };
        let TlsSettings { on, verify, ca, cert, key } = &engine.tls;
        Self {
            kind,
            environment: VARIABLES.into_iter().filter_map(found).collect(),
            host: engine.host.clone(),
            context: engine.context.clone(),
            tls: TlsSettings {
                on: *on,
                verify: *verify,
                ca: path(ca),
                cert: path(cert),
                key: path(key),
            },
        }
    }

    /// Reaches it.
    pub(super) async fn connect(&self) -> Result<Connection, OrchestrationError> {
        let engine = docker::Settings {
            environment: self.environment.clone(),
            host: self.host.clone(),
            context: self.context.clone(),
            tls: self.tls.clone(),
            ..docker::Settings::default()
        };
        let own = native::Settings { environment: self.environment.clone() };
        connect(self.kind, (engine, own), |_| {}).await
    }
}

fn whole(path: &str) -> String {
    let whole = std::path::absolute(Path::new(path)).ok();
    whole.and_then(|path| path.into_os_string().into_string().ok()).unwrap_or(path.to_owned())
}
