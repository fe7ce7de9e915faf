//! `--filter` of `image ls` and `image prune`.
//!
//! In: `KEY=VALUE`. Out: which images are meant.
//!
//! # Invariants
//!
//! - Filters of one key are alternatives, but for labels: all of them must be there.

use regex_lite::Regex;

use crate::cli::args::switch;
use crate::cli::engine::moment;
use crate::cli::exit::Failure;
use crate::cli::usage::UsageError;
use crate::runtime::RuntimeError;
use crate::runtime::native::image::{Image, Name, Store};
use crate::ui::store::Entry;

/// Which images are meant.
#[derive(Debug, Default)]
pub(super) struct Filter {
    dangling: Option<bool>,
    labels: Vec<(String, Option<String>)>,
    references: Vec<Pattern>,
    /// Made after this moment, and before this one.
    after: Option<i64>,
    before: Option<i64>,
}

/// A pattern of names: `*` and `?` stand for anything but a slash.
#[derive(Debug)]
struct Pattern {
    /// Of the repository and of the tag.
    parts: (Regex, Option<Regex>),
}

impl Filter {
    /// Reads filters; those that name images look them up.
    pub(super) fn parse(filters: &[String], images: &Store) -> Result<Self, Failure> {
        let mut all = Self::default();
        for filter in filters {
            let bad = || {
                UsageError::Other(format!("bad format of filter `{filter}` (expected name=value)"))
            };
            let (key, value) = filter.split_once('=').ok_or_else(bad)?;
            let created = |image: &str| match images.find(image)? {
                Some(image) => Ok(image.created),
                None => Err(RuntimeError::NotFound(format!("no such image: {image}"))),
            };
            match key.trim() {
                "dangling" => {
                    let wrong =
                        |why| UsageError::Other(format!("invalid filter `dangling`: {why}"));
                    all.dangling = Some(switch(value).map_err(wrong)?);
                }
                "label" => {
                    let label = value.split_once('=');
                    all.labels.push(match label {
                        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                        None => (value.to_owned(), None),
                    });
                }
                "reference" => all.add_reference(value),
                "since" => all.after = Some(created(value)?),
                "before" => all.before = Some(created(value)?),
                "until" => {
                    let seconds = moment(value)?;
                    let whole = seconds.split('.').next().unwrap_or_default();
                    all.before = whole.parse().ok();
                }
                other => return Err(UsageError::Other(format!("invalid filter '{other}'")).into()),
            }
        }
        Ok(all)
    }

    /// Only images with such a name.
    pub(super) fn add_reference(&mut self, pattern: &str) {
        self.references.push(Pattern::new(pattern));
    }

    pub(super) fn matches(&self, image: &Image) -> bool {
        let has_label = |(name, wanted): &(String, Option<String>)| {
            let found = image.config.config.labels.get(name);
            found.is_some_and(|found| wanted.as_ref().is_none_or(|wanted| wanted == found))
        };
        self.dangling.is_none_or(|dangling| dangling == image.names.is_empty())
            && self.labels.iter().all(has_label)
            && self.after.is_none_or(|moment| image.created > moment)
            && self.before.is_none_or(|moment| image.created < moment)
            && (self.references.is_empty() || image.names.iter().any(|name| self.has_name(name)))
    }

    fn has_name(&self, name: &str) -> bool {
        self.references.is_empty() || self.references.iter().any(|pattern| pattern.matches(name))
    }

    /// The lines for an image: one for each name that is meant.
    pub(super) fn entries(&self, image: &Image) -> Vec<Entry> {
        let entry = |name: Option<&String>| {
            let (repository, tag) = name.map(|name| parts(name)).unwrap_or_default();
            let of_repository = |digest: &&String| {
                repository.is_empty() || digest.split('@').next() == Some(repository.as_str())
            };
            let digest = image.digests.iter().find(of_repository);
            let digest = digest.and_then(|digest| digest.split_once('@'));
            Entry {
                repository: if name.is_some() {
                    repository.clone()
                } else {
                    digest.map_or_else(String::new, |(repository, _)| repository.to_owned())
                },
                tag,
                digest: digest.map_or_else(String::new, |(_, digest)| digest.to_owned()),
                id: image.id.to_string(),
                created: image.created,
                size: image.size,
                labels: image.config.config.labels.clone().into_iter().collect(),
            }
        };
        if image.names.is_empty() {
            return vec![entry(None)];
        }
        let meant = image.names.iter().filter(|name| self.has_name(name));
        meant.map(|name| entry(Some(name))).collect()
    }
}

/// Repository and tag of a name as people write it; sources have no tag.
fn parts(name: &str) -> (String, String) {
    if name.parse::<Name>().is_err() {
        return (name.to_owned(), String::new());
    }
    let (repository, tag) = name.rsplit_once(':').unwrap_or((name, ""));
    (repository.to_owned(), tag.to_owned())
}

impl Pattern {
    fn new(pattern: &str) -> Self {
        let (repository, tag) = match pattern.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
            _ => (pattern, None),
        };
        Self { parts: (regex(repository), tag.map(regex)) }
    }

    fn matches(&self, name: &str) -> bool {
        let (repository, tag) = parts(name);
        let (wanted, wanted_tag) = &self.parts;
        wanted.is_match(&repository)
            && wanted_tag.as_ref().is_none_or(|wanted| wanted.is_match(&tag))
    }
}

fn regex(pattern: &str) -> Regex {
    let mut text = String::from("^");
    for character in pattern.chars() {
        match character {
            '*' => text.push_str("[^/]*"),
            '?' => text.push_str("[^/]"),
            character if character.is_alphanumeric() || character == '/' => text.push(character),
            character => text.extend(['\\', character]),
        }
    }
    text.push('$');
    // What is no pattern matches nothing.
    Regex::new(&text).unwrap_or_else(|_| never())
}

#[expect(clippy::expect_used, reason = "a pattern that is written here")]
fn never() -> Regex {
    Regex::new("$^x").expect("it is a pattern")
}

#[cfg(test)]
mod tests {
    use super::{Pattern, parts};

    #[test]
    fn patterns_are_those_of_docker() {
        for (pattern, name, expected) in [
            ("busybox", "busybox:1", true),
            ("busybox:1", "busybox:1", true),
            ("busybox:2", "busybox:1", false),
            ("busy*", "busybox:1", true),
            ("busy", "busybox:1", false),
            ("*", "a/b:1", false),
            ("*/*", "a/b:1", true),
            ("a?b/c:v*", "a.b/c:v12", true),
            ("localhost:5000/a", "localhost:5000/a:1", true),
        ] {
            assert_eq!(Pattern::new(pattern).matches(name), expected, "{pattern} {name}");
        }
        assert_eq!(parts("docker-archive:/a.tar").0, "docker-archive:/a.tar");
    }
}
