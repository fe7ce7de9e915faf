//! Which files a `COPY` or `ADD` takes.
//!
//! In: a tree, sources with wildcards, and what is left out. Out: files with what they are, in
//! order, and a digest of all.
//!
//! # Invariants
//!
//! - The same files give the same digest, whenever they were written.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FileType, Stat};
use sha2::{Digest as _, Sha256};

use super::context::Files;
use super::tree::kind;
use crate::model::ignore::{Glob, Patterns};

/// What one source stands for: a file, or a directory and all in it.
#[derive(Clone, Debug)]
pub(super) struct Selected {
    /// Where it is from.
    pub(super) files: Arc<Files>,
    /// Its path there, without links.
    pub(super) root: PathBuf,
    /// What it is called in the Dockerfile: its last name there.
    pub(super) name: OsString,
    /// Its path in the Dockerfile, for `--parents`.
    pub(super) written: PathBuf,
    /// What it is.
    pub(super) is_directory: bool,
    /// What is taken, by paths below `root`; a file has one with an empty path.
    pub(super) items: Vec<Item>,
}

/// A file, directory or link.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) path: PathBuf,
    pub(super) stat: Stat,
}

/// What is wanted.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    /// A path or pattern.
    pub(super) source: &'a str,
    /// `--exclude`.
    pub(super) exclude: &'a Patterns,
}

/// What a source stands for; several if it has wildcards.
pub(super) fn select(files: &Arc<Files>, wanted: &Wanted<'_>) -> Result<Vec<Selected>, String> {
    let source = wanted.source;
    let said = |error: io::Error| format!("`{source}`: {error}");
    let pattern = Path::new(source.trim_start_matches('/'));
    let mut found = Vec::new();
    if source.contains(['*', '?', '[']) {
        let mut matches = Vec::new();
        let parts: Vec<String> = pattern
            .components()
            .map(|part| part.as_os_str().to_string_lossy().into_owned())
            .filter(|part| part != ".")
            .collect();
        expand(files, Path::new(""), &parts, &mut matches)?;
        for path in matches {
            if files.rule(&path).is_none() || files.may_keep_below(&path) {
                found.extend(one(files, &path, wanted).map_err(said)?);
            }
        }
        found.retain(|it| it.is_directory || !it.items.is_empty());
        if found.is_empty() {
            return Err(format!("no file fits `{source}`{}", files.place()));
        }
        return Ok(found);
    }
    if let Some(one) = one(files, pattern, wanted).map_err(said)? {
        return Ok(vec![one]);
    }
    let place = files.place();
    match files.rule(pattern) {
        Some(rule) => {
            let file = files.ignore_file();
            Err(format!("`{source}` is left out by the rule `{rule}` of `{file}`"))
        }
        None => Err(format!("there is no `{source}`{place}")),
    }
}

/// All paths that fit a pattern.
fn expand(
    files: &Files,
    at: &Path,
    parts: &[String],
    found: &mut Vec<PathBuf>,
) -> Result<(), String> {
    let Some((part, rest)) = parts.split_first() else {
        found.push(at.to_owned());
        return Ok(());
    };
    if !part.contains(['*', '?', '[', '\\']) {
        return match files.tree.resolve(&at.join(part)) {
            Ok(place) if place.found.is_some() => expand(files, &at.join(part), rest, found),
            _ => Ok(()),
        };
    }
    let is_deep = part == "**";
    if is_deep {
        expand(files, at, rest, found)?;
    }
    let glob = Glob::new(part).map_err(|error| error.to_string())?;
    let place = files.tree.resolve(at).map_err(|error| error.to_string())?;
    if !place.is_directory() {
        return Ok(());
    }
    for (name, stat) in files.tree.list(&place.path).map_err(|error| error.to_string())? {
        if !glob.fits(&name.to_string_lossy()) {
            continue;
        }
        let below = at.join(&name);
        if !is_deep {
            expand(files, &below, rest, found)?;
        } else if kind(&stat) == FileType::Directory {
            expand(files, &below, parts, found)?;
        } else if rest.is_empty() {
            found.push(below);
        }
    }
    Ok(())
}

/// What a path stands for; `None`: nothing, or it is left out.
fn one(files: &Arc<Files>, path: &Path, wanted: &Wanted<'_>) -> io::Result<Option<Selected>> {
    let place = files.tree.resolve(path)?;
    let Some(stat) = place.found else { return Ok(None) };
    let is_directory = kind(&stat) == FileType::Directory;
    let is_left_out = files.rule(&place.path).is_some();
    if is_left_out && !(is_directory && files.may_keep_below(&place.path)) {
        return Ok(None);
    }
    let name = path.file_name().unwrap_or_default().to_owned();
    let mut items = Vec::new();
    if is_directory {
        if !is_left_out {
            items.push(Item { path: PathBuf::new(), stat });
        }
        walk(files, &place.path, Path::new(""), wanted.exclude, &mut items)?;
    } else if !wanted.exclude.excludes(&name.to_string_lossy()) {
        items.push(Item { path: PathBuf::new(), stat });
    }
    let (files, written) = (Arc::clone(files), path.to_owned());
    Ok(Some(Selected { files, root: place.path, name, written, is_directory, items }))
}

/// Collects what is in a directory, but for what is left out.
fn walk(
    files: &Files,
    root: &Path,
    below: &Path,
    exclude: &Patterns,
    items: &mut Vec<Item>,
) -> io::Result<()> {
    let mut pending = vec![below.to_owned()];
    while let Some(directory) = pending.pop() {
        let listed = files.tree.list(&root.join(&directory)).map_err(|error| {
            let path = root.join(&directory);
            io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
        })?;
        let mut deeper = Vec::new();
        for (name, stat) in listed {
            let path = directory.join(name);
            let full = root.join(&path);
            let is_out = !exclude.is_empty() && exclude.excludes(&path.to_string_lossy());
            let is_ignored = files.rule(&full).is_some();
            let is_directory = kind(&stat) == FileType::Directory;
            if is_directory {
                let keeps = (!is_out || exclude.may_keep_below(&path.to_string_lossy()))
                    && (!is_ignored || files.may_keep_below(&full));
                if keeps {
                    deeper.push(path.clone());
                }
            }
            // Sockets are of no use to anybody later.
            if !is_out && !is_ignored && kind(&stat) != FileType::Socket {
                items.push(Item { path, stat });
            }
        }
        pending.extend(deeper.into_iter().rev());
    }
    items.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(())
}

impl Selected {
    /// Adds all that matters of these files to a digest.
    pub(super) fn digest(&self, hash: &mut Sha256) -> io::Result<()> {
        hash.update(self.name.as_encoded_bytes());
        hash.update([0, u8::from(self.is_directory)]);
        for item in &self.items {
            hash.update(item.path.as_os_str().as_encoded_bytes());
            hash.update([0]);
            hash.update(item.stat.st_mode.to_le_bytes());
            if !self.files.is_context() {
                hash.update(item.stat.st_uid.to_le_bytes());
                hash.update(item.stat.st_gid.to_le_bytes());
            }
            match kind(&item.stat) {
                FileType::RegularFile => {
                    hash.update(self.files.digest(&self.path(item), &item.stat)?);
                }
                FileType::Symlink => {
                    hash.update(
                        self.files.tree.link(&self.path(item))?.as_os_str().as_encoded_bytes(),
                    );
                }
                FileType::Directory => {}
                _ => hash.update(item.stat.st_rdev.to_le_bytes()),
            }
        }
        Ok(())
    }

    /// The path of an item in its tree.
    pub(super) fn path(&self, item: &Item) -> PathBuf {
        if item.path.as_os_str().is_empty() {
            self.root.clone()
        } else {
            self.root.join(&item.path)
        }
    }
}
