//! Which files a `COPY` or `ADD` takes.
//!
//! In: a tree, sources with wildcards, and what is left out. Out: files with what they are, in
//! order, and a digest of all.
//!
//! # Invariants
//!
//! - The same files give the same digest, whenever they were written.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FileType, Stat};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::context::Files;
use super::tree::kind;
use crate::model::hash;
use crate::model::ignore::{Glob, Patterns};

/// The most bytes of a source, as of any path.
const LONGEST: usize = 4096;

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
    if source.len() > LONGEST {
        return Err(format!("a path has at most {LONGEST} bytes, and a source here has more"));
    }
    let pattern = Path::new(source.trim_start_matches('/'));
    let mut found = Vec::new();
    if source.contains(['*', '?', '[']) {
        let mut search = Search { files, seen: HashSet::new(), found: Vec::new() };
        search.expand(Path::new(""), &parts(pattern))?;
        for path in search.found {
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

/// The names of a pattern. Several `**` after each other say what one says.
fn parts(pattern: &Path) -> Vec<String> {
    let names = pattern.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
    let mut parts: Vec<String> = names.filter(|name| name != ".").collect();
    parts.dedup_by(|next, before| next == "**" && before == "**");
    parts
}

/// Looks for the paths that fit a pattern.
struct Search<'a> {
    files: &'a Files,
    /// Paths with how much of the pattern is to follow: what is below is found once.
    seen: HashSet<(PathBuf, usize)>,
    found: Vec<PathBuf>,
}

impl Search<'_> {
    fn expand(&mut self, at: &Path, parts: &[String]) -> Result<(), String> {
        if !self.seen.insert((at.to_owned(), parts.len())) {
            return Ok(());
        }
        let is_plain = |part: &&String| !part.contains(['*', '?', '[', '\\']);
        let (plain, parts) = parts.split_at(parts.iter().take_while(is_plain).count());
        let at = &plain.iter().fold(at.to_owned(), |at, part| at.join(part));
        let Ok(place) = self.files.tree.resolve(at) else { return Ok(()) };
        let Some((part, rest)) = parts.split_first() else {
            if place.found.is_some() {
                self.found.push(at.clone());
            }
            return Ok(());
        };
        let is_deep = part == "**";
        if is_deep {
            self.expand(at, rest)?;
        }
        let glob = Glob::new(part).map_err(|error| error.to_string())?;
        if !place.is_directory() {
            return Ok(());
        }
        for (name, stat) in self.files.tree.list(&place.path).map_err(|error| error.to_string())? {
            if !glob.fits(&name.to_string_lossy()) {
                continue;
            }
            let below = at.join(&name);
            if !is_deep {
                self.expand(&below, rest)?;
            } else if kind(&stat) == FileType::Directory {
                self.expand(&below, parts)?;
            } else if rest.is_empty() {
                self.found.push(below);
            }
        }
        Ok(())
    }
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

/// Whose owners matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Owners {
    /// Those of images alone: what is copied from a context belongs to root.
    OfImages,
    /// All: a command sees them.
    All,
}

impl Selected {
    /// Adds all that matters of these files to a digest; gives what each of them is, in order.
    pub(super) fn digest(&self, hash: &mut Sha256, owners: Owners) -> io::Result<Vec<String>> {
        hash.update(self.name.as_encoded_bytes());
        hash.update([0, u8::from(self.is_directory)]);
        let mut all = Vec::with_capacity(self.items.len());
        for item in &self.items {
            let identity = self.identity(item, owners)?;
            hash.update(item.path.as_os_str().as_encoded_bytes());
            hash.update([0]);
            hash.update(&identity);
            hash.update([0]);
            all.push(identity);
        }
        Ok(all)
    }

    /// All that matters of a file: rights, owner, content.
    fn identity(&self, item: &Item, owners: Owners) -> io::Result<String> {
        let stat = &item.stat;
        let owner = match owners {
            Owners::OfImages if self.files.is_context() => String::new(),
            Owners::OfImages | Owners::All => format!(" {}:{}", stat.st_uid, stat.st_gid),
        };
        let mut text = format!("{:o}{owner} ", stat.st_mode);
        match kind(stat) {
            FileType::RegularFile => text += &self.files.digest(&self.path(item), stat)?,
            FileType::Symlink => {
                let target = self.files.tree.link(&self.path(item))?;
                text += &hash::hex(target.as_os_str().as_encoded_bytes());
            }
            FileType::Directory => {}
            _ => text += &stat.st_rdev.to_string(),
        }
        Ok(text)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(files: &[(&str, &str)], source: &str) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let files = Arc::new(Files::context(folder.path(), None, None).unwrap());
        let exclude = Patterns::default();
        let found = select(&files, &Wanted { source, exclude: &exclude })?;
        let paths = found.iter().flat_map(|it| it.items.iter().map(|item| it.path(item)));
        Ok(paths.map(|path| path.display().to_string()).collect())
    }

    #[test]
    fn the_root_is_there_though_all_in_it_is_left_out() {
        let files = [(".dockerignore", "*\n!src"), ("src/a", ""), ("b", "")];
        for source in [".", "/", "./"] {
            assert_eq!(selected(&files, source).unwrap(), ["", "src", "src/a"], "{source}");
        }
    }

    #[test]
    fn a_pattern_finds_everything_once() {
        let files = [("a/b/a/f", ""), ("a/f", ""), ("f", "")];
        for source in ["**/f", "**/**/f", "**/./**/**/f"] {
            let mut found = selected(&files, source).unwrap();
            found.sort();
            assert_eq!(found, ["a/b/a/f", "a/f", "f"], "{source}");
        }
        let many = "**/*/".repeat(20) + "f";
        assert!(selected(&files, &many).unwrap_err().starts_with("no file fits"));
        assert_eq!(selected(&files, "a/*/a/f").unwrap(), ["a/b/a/f"]);
        assert_eq!(selected(&files, "**/a/**/f").unwrap().len(), 2);
        assert!(selected(&files, &"*/".repeat(4096)).unwrap_err().contains("at most 4096 bytes"));
    }
}
