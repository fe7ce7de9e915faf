//! Platforms: which of an image's variants runs here.
//!
//! In: `OS/ARCH[/VARIANT]`. Out: a [`Platform`], and how well another one fits it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a program runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct Platform {
    /// Such as `linux`.
    pub os: String,
    /// In Go's words, such as `amd64`.
    pub architecture: String,
    /// Such as `v7`; may be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

impl Platform {
    /// The platform that Ketch runs on.
    pub fn host() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", ""),
            "x86" => ("386", ""),
            "aarch64" => ("arm64", "v8"),
            "arm" => ("arm", "v7"),
            "powerpc64" => ("ppc64le", ""),
            "loongarch64" => ("loong64", ""),
            other => (other, ""),
        };
        Self::new(std::env::consts::OS, architecture, variant)
    }

    fn new(os: &str, architecture: &str, variant: &str) -> Self {
        Self { os: os.into(), architecture: architecture.into(), variant: variant.into() }
    }

    /// How well something made for `offered` runs on this: the lower the better; `None`: not at all.
    pub fn distance(&self, offered: &Self) -> Option<u32> {
        let (own, offered) = (self.normal(), offered.normal());
        if own.os != offered.os {
            return None;
        }
        if own.architecture == offered.architecture {
            return match (number(&own.variant), number(&offered.variant)) {
                (own, offered) if own >= offered => Some(own - offered),
                _ => None,
            };
        }
        // Processors of 64 bits run what their predecessors ran.
        match (own.architecture.as_str(), offered.architecture.as_str()) {
            ("amd64", "386") => Some(100),
            ("arm64", "arm") if number(&offered.variant) <= 8 => {
                Some(100 + 8 - number(&offered.variant))
            }
            _ => None,
        }
    }

    /// The same platform in the words that registries use.
    fn normal(&self) -> Self {
        let (architecture, variant) = match (self.architecture.as_str(), self.variant.as_str()) {
            ("x86_64" | "x86-64", variant) => ("amd64", variant),
            ("i386" | "i686", variant) => ("386", variant),
            ("aarch64" | "arm64", "" | "8" | "v8") => ("arm64", ""),
            ("aarch64", variant) => ("arm64", variant),
            ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
            ("armel", _) => ("arm", "v6"),
            ("amd64", "v1") => ("amd64", ""),
            other => other,
        };
        Self::new(&self.os.to_lowercase(), architecture, variant)
    }
}

/// `v7` is 7.
fn number(variant: &str) -> u32 {
    variant.trim_start_matches('v').parse().unwrap_or(0)
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if !self.variant.is_empty() {
            write!(f, "/{}", self.variant)?;
        }
        Ok(())
    }
}

/// A text names no platform.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a platform, such as `linux/amd64` or `linux/arm/v7`")]
pub struct NotAPlatform(String);

impl FromStr for Platform {
    type Err = NotAPlatform;

    /// The operating system may be left out, and the architecture too.
    fn from_str(text: &str) -> Result<Self, NotAPlatform> {
        let host = Self::host();
        let parts: Vec<&str> = text.split('/').collect();
        if parts.iter().any(|part| part.is_empty()) {
            return Err(NotAPlatform(text.to_owned()));
        }
        let platform = match parts[..] {
            ["linux"] => host,
            [architecture] => Self::new(&host.os, architecture, ""),
            [os, architecture] => Self::new(os, architecture, ""),
            [os, architecture, variant] => Self::new(os, architecture, variant),
            _ => return Err(NotAPlatform(text.to_owned())),
        };
        Ok(platform.normal())
    }
}

#[cfg(test)]
mod tests {
    use super::Platform;

    fn distance(own: &str, offered: &str) -> Option<u32> {
        let own: Platform = own.parse().unwrap();
        own.distance(&offered.parse().unwrap())
    }

    #[test]
    fn a_processor_runs_its_own_and_older_programs() {
        for (own, offered, expected) in [
            ("linux/amd64", "linux/amd64", Some(0)),
            ("linux/x86_64", "amd64", Some(0)),
            ("linux/amd64", "linux/386", Some(100)),
            ("linux/386", "linux/amd64", None),
            ("linux/arm64", "linux/arm64/v8", Some(0)),
            ("linux/aarch64", "linux/arm64", Some(0)),
            ("linux/arm64", "linux/arm/v7", Some(101)),
            ("linux/arm/v7", "linux/arm/v6", Some(1)),
            ("linux/arm/v6", "linux/arm/v7", None),
            ("linux/amd64", "windows/amd64", None),
            ("linux/amd64", "linux/s390x", None),
        ] {
            assert_eq!(distance(own, offered), expected, "{own} {offered}");
        }
    }

    #[test]
    fn what_is_no_platform_is_refused() {
        for text in ["", "/", "linux/", "a/b/c/d"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
        assert_eq!("linux/arm/v7".parse::<Platform>().unwrap().to_string(), "linux/arm/v7");
    }
}
