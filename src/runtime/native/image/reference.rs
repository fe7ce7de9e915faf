//! References: how people name images.
//!
//! In: text. Out: [`Reference`]: a name in a registry with tag or digest, or a source on this
//! machine: `oci:DIR[:TAG]`, `docker-archive:FILE[:NAME]`, `rootfs:DIR`, in the words of skopeo.
//!
//! # Invariants
//!
//! - What parses is safe in an address of a registry: no other host, path or query can be reached.
//! - Short names are Docker's: `busybox` is `docker.io/library/busybox:latest`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::digest::Digest;

/// Where Docker's images without a host are.
pub(super) const HUB: &str = "docker.io";
/// The folder of images that Docker vouches for.
const OFFICIAL: &str = "library/";
/// The most characters of a repository and of a tag.
const MAX_REPOSITORY: usize = 255;
const MAX_TAG: usize = 128;

/// What an image is named by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// In a registry.
    Registry(Name),
    /// A directory in the layout of the OCI image specification.
    Layout {
        /// The directory.
        directory: PathBuf,
        /// Which of its images; empty: the only one.
        tag: String,
    },
    /// A file as `docker save` writes it.
    Archive {
        /// The file.
        file: PathBuf,
        /// Which of its images; empty: all, or the only one.
        name: String,
    },
    /// A directory that is the root of a file system.
    RootFs(PathBuf),
}

/// A name in a registry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// Host and port of the registry.
    pub registry: String,
    /// Its repository.
    pub repository: String,
    /// The tag; `latest` if there is neither tag nor digest.
    pub tag: Option<String>,
    /// The digest of the manifest.
    pub digest: Option<Digest>,
}

/// A text names no image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` names no image: {why}")]
pub struct NotAReference {
    text: String,
    why: &'static str,
}

impl Name {
    /// Tag or digest as a registry is asked for it; the digest if there are both.
    pub fn version(&self) -> &str {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.as_str(),
            (None, Some(tag)) => tag,
            (None, None) => "latest",
        }
    }

    /// As people write it: without Docker's host and folder.
    pub fn familiar(&self) -> String {
        let mut text = self.familiar_repository();
        if let Some(tag) = &self.tag {
            text.push(':');
            text.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            text.push('@');
            text.push_str(digest.as_str());
        }
        text
    }

    /// The part before tag and digest as people write it.
    pub fn familiar_repository(&self) -> String {
        if self.registry != HUB {
            return format!("{}/{}", self.registry, self.repository);
        }
        match self.repository.strip_prefix(OFFICIAL) {
            // A slash would make another name of it.
            Some(short) if !short.contains('/') => short.to_owned(),
            _ => self.repository.clone(),
        }
    }

    /// The same image by its tag, which must be there.
    #[must_use]
    pub fn with_tag(&self, tag: &str) -> Self {
        Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() }
    }

    /// The same image by its digest.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }
}

/// The whole name, as it is stored.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for Name {
    type Err = NotAReference;

    fn from_str(text: &str) -> Result<Self, NotAReference> {
        let wrong = |why| NotAReference { text: shown(text), why };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let digest = digest.parse().map_err(|_| wrong("its digest is not sha256:…"))?;
                (rest, Some(digest))
            }
            None => (text, None),
        };
        // A colon before the last slash belongs to a port.
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
            _ => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(wrong("its tag has letters that no tag has"));
        }
        let (registry, repository) = split(path);
        if !is_host(&registry) {
            return Err(wrong("its host is none"));
        }
        if repository.chars().any(|c| c.is_ascii_uppercase()) {
            return Err(wrong("repository names are in lower case"));
        }
        if repository.len() > MAX_REPOSITORY || !repository.split('/').all(is_component) {
            return Err(wrong("repository names have letters, digits and single signs of `._-/`"));
        }
        let tag = match (tag, &digest) {
            (None, None) => Some("latest".to_owned()),
            (tag, _) => tag.map(str::to_owned),
        };
        Ok(Self { registry, repository, tag, digest })
    }
}

/// A text as an error may show it.
fn shown(text: &str) -> String {
    text.chars().take(200).filter(|c| !c.is_control()).collect()
}

/// Registry and repository of a path, with Docker's defaults.
fn split(path: &str) -> (String, String) {
    match path.split_once('/') {
        Some((HUB | "index.docker.io", rest)) if !rest.contains('/') => {
            (HUB.to_owned(), format!("{OFFICIAL}{rest}"))
        }
        Some((HUB | "index.docker.io", rest)) => (HUB.to_owned(), rest.to_owned()),
        Some((first, rest))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.chars().any(|c| c.is_ascii_uppercase()) =>
        {
            (first.to_owned(), rest.to_owned())
        }
        Some(_) => (HUB.to_owned(), path.to_owned()),
        None => (HUB.to_owned(), format!("{OFFICIAL}{path}")),
    }
}

fn is_tag(tag: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.len() <= MAX_TAG
        && tag.starts_with(word)
        && tag.chars().all(|c| word(c) || c == '.' || c == '-')
}

/// A host name or address, with a port or without.
fn is_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, "")) => (address, None),
            Some((address, port)) => (address, Some(port.strip_prefix(':').unwrap_or(""))),
            None => return false,
        },
        None => host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
    };
    let port_is_one = port.is_none_or(|port| {
        port.parse::<u16>().is_ok() && port.bytes().all(|byte| byte.is_ascii_digit())
    });
    let is_name = |name: &str| {
        name.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        })
    };
    let bracketed = host.starts_with('[');
    port_is_one
        && if bracketed { name.parse::<std::net::Ipv6Addr>().is_ok() } else { is_name(name) }
}

/// A part of a repository's name: letters and digits, joined by `.`, `_`, `__` or any `-`.
fn is_component(component: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let joined = |signs: &str| {
        matches!(signs, "" | "." | "_" | "__") || signs.chars().all(|sign| sign == '-')
    };
    component.starts_with(word) && component.ends_with(word) && component.split(word).all(joined)
}

impl FromStr for Reference {
    type Err = NotAReference;

    fn from_str(text: &str) -> Result<Self, NotAReference> {
        let wrong = |why| NotAReference { text: shown(text), why };
        if let Some(rest) = text.strip_prefix("rootfs:") {
            return match rest {
                "" => Err(wrong("the directory is missing: `rootfs:DIR`")),
                directory => Ok(Self::RootFs(directory.into())),
            };
        }
        if let Some(rest) = text.strip_prefix("docker-archive:") {
            let (file, name) = rest.split_once(':').unwrap_or((rest, ""));
            return match file {
                "" => Err(wrong("the file is missing: `docker-archive:FILE`")),
                file => Ok(Self::Archive { file: file.into(), name: name.to_owned() }),
            };
        }
        if let Some(rest) = text.strip_prefix("oci:") {
            let (directory, tag) = rest.split_once(':').unwrap_or((rest, ""));
            return match directory {
                "" => Err(wrong("the directory is missing: `oci:DIR`")),
                directory => Ok(Self::Layout { directory: directory.into(), tag: tag.to_owned() }),
            };
        }
        text.parse().map(Self::Registry)
    }
}

#[cfg(test)]
mod tests {
    use super::{Name, Reference};

    #[test]
    fn short_names_are_those_of_docker() {
        for (text, whole, familiar) in [
            ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
            ("busybox:1", "docker.io/library/busybox:1", "busybox:1"),
            ("docker.io/busybox:1", "docker.io/library/busybox:1", "busybox:1"),
            ("index.docker.io/a/b", "docker.io/a/b:latest", "a/b:latest"),
            ("a/b", "docker.io/a/b:latest", "a/b:latest"),
            ("localhost/a", "localhost/a:latest", "localhost/a:latest"),
            ("box:5000/a:v1", "box:5000/a:v1", "box:5000/a:v1"),
            ("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest"),
            ("ghcr.io/a/b-c__d.e", "ghcr.io/a/b-c__d.e:latest", "ghcr.io/a/b-c__d.e:latest"),
        ] {
            let name: Name = text.parse().unwrap();
            assert_eq!((name.to_string().as_str(), name.familiar().as_str()), (whole, familiar));
        }
        let digest = format!("sha256:{}", "0".repeat(64));
        let name: Name = format!("a:1@{digest}").parse().unwrap();
        assert_eq!((name.version(), name.tag.as_deref()), (digest.as_str(), Some("1")));
        let name: Name = format!("a@{digest}").parse().unwrap();
        assert_eq!((name.tag.as_deref(), name.familiar()), (None, format!("a@{digest}")));
    }

    #[test]
    fn names_cannot_reach_other_addresses() {
        let long = "a".repeat(256);
        for text in [
            "",
            "a b",
            "a/B",
            "library/Busybox",
            "a/../b",
            "a//b",
            "a/b?x",
            "a/b#x",
            "a:b/c",
            "a:",
            "a:t/../x",
            "a@sha256:0",
            "a@md5:0",
            "user@box.org/a",
            "box.org:99999/a",
            "box.org:/a",
            "-a.b/c",
            "[::1/a",
            "a..b",
            "a___b",
            "é",
            "a\n",
            "..",
            long.as_str(),
        ] {
            assert!(text.parse::<Name>().is_err(), "{text}");
        }
    }

    #[test]
    fn sources_are_told_by_their_prefix() {
        let layout = |directory: &str, tag: &str| Reference::Layout {
            directory: directory.into(),
            tag: tag.into(),
        };
        assert_eq!("oci:./a:b".parse(), Ok(layout("./a", "b")));
        assert_eq!("oci:/a/b".parse(), Ok(layout("/a/b", "")));
        assert_eq!("oci:a".parse(), Ok(layout("a", "")));
        assert_eq!("rootfs:/".parse(), Ok(Reference::RootFs("/".into())));
        let archive = Reference::Archive { file: "a.tar".into(), name: "b:1".into() };
        assert_eq!("docker-archive:a.tar:b:1".parse(), Ok(archive));
        for text in ["rootfs:", "oci:", "docker-archive:", "docker-archive::x"] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }
}
