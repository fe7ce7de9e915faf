//! Credentials as the headers of requests to an engine.
//!
//! In: [`Credential`]s. Out: JSON in the alphabet of base64 that engines read.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use serde::Serialize;

use super::Docker;
use crate::runtime::Result;
use crate::runtime::credentials::{self, Credential, Credentials};

impl Docker {
    /// The directory of `config.json` and of the plug-ins; `None` without a home.
    pub(super) fn config_directory(&self) -> Option<PathBuf> {
        credentials::directory(&self.settings.environment)
    }

    /// Reads where credentials are kept.
    pub(super) async fn credentials(&self) -> Result<Credentials> {
        Credentials::read(&self.settings.environment).await
    }
}

impl Credential {
    /// The header `X-Registry-Auth`.
    pub(super) fn header(&self) -> String {
        header_of(self)
    }
}

impl Credentials {
    /// The header `X-Registry-Config`: all credentials, for a build that may pull from anywhere.
    pub(super) async fn header_of_all(&self) -> String {
        header_of(&self.all().await)
    }
}

/// Engines read the alphabet for addresses, with its padding.
fn header_of(value: &impl Serialize) -> String {
    // Strings by name can always be written.
    URL_SAFE.encode(serde_json::to_vec(value).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_in_the_alphabet_that_engines_read() {
        let credential = Credential { password: "~~~???>>>".into(), ..Credential::default() };
        let header = credential.header();
        assert!(header.contains(['-', '_']) && !header.contains(['+', '/']), "{header}");
        assert_eq!(URL_SAFE.decode(header).unwrap(), br#"{"password":"~~~???>>>"}"#);
        assert_eq!(Credential::default().header(), "e30=");
    }
}
