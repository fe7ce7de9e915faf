//! A directory as the archive that the classic builder is sent.
//!
//! In: a [`Context`]. Out: a tar archive, made while it is sent. The same files give the same
//! archive: in the order of their names, with their modes and times, owned by root as `docker`
//! sends them, so that who builds does not matter to the engine's cache.
//!
//! # Invariants
//!
//! - Links are sent as links and never followed; sockets are left out.
//! - Dockerfile and `.dockerignore` always go along: the engine reads them.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header, HeaderMode};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use walkdir::{DirEntry, WalkDir};

use crate::model::ignore::Patterns;
use crate::runtime::Bytes;
use crate::runtime::pieces::{Exactly, Outgoing};

/// Where the archive is written to.
type Sink = Outgoing<io::Result<Bytes>>;

/// What the engine is sent.
#[derive(Debug)]
pub(super) struct Context {
    /// The directory.
    root: PathBuf,
    patterns: Patterns,
    /// Path of the Dockerfile in the archive.
    pub(super) dockerfile: String,
    /// Files of the archive that are none of the directory's: path and content.
    extra: Vec<(String, Vec<u8>)>,
}

/// Where the Dockerfile is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Dockerfile<'a> {
    /// A file, relative to the context.
    Path(&'a str),
    /// The text itself.
    Inline(&'a str),
}

const IGNORE: &str = ".dockerignore";

impl Context {
    /// Looks at a directory and its Dockerfile.
    pub(super) async fn of(root: &Path, dockerfile: Dockerfile<'_>) -> io::Result<Self> {
        let name = match dockerfile {
            Dockerfile::Path(path) => path,
            Dockerfile::Inline(_) => "Dockerfile",
        };
        let path = root.join(name);
        let own = PathBuf::from(format!("{}{IGNORE}", path.display()));
        let ignore = match read(&own).await? {
            Some(text) => Some(text),
            None => read(&root.join(IGNORE)).await?,
        };
        let text = String::from_utf8_lossy(ignore.as_deref().unwrap_or_default()).into_owned();
        let patterns = Patterns::parse(&text).map_err(|error| {
            about(&root.join(IGNORE), &io::Error::new(io::ErrorKind::InvalidData, error))
        })?;
        let mut context =
            Self { root: root.to_owned(), patterns, dockerfile: String::new(), extra: Vec::new() };
        match (dockerfile, within(root, &path)) {
            (Dockerfile::Path(_), Some(inside)) => context.dockerfile = inside,
            (Dockerfile::Path(_), None) => {
                let missing = || io::Error::from(io::ErrorKind::NotFound);
                let elsewhere = read(&path).await?.ok_or_else(|| about(&path, &missing()))?;
                context.add_dockerfile(elsewhere, text);
            }
            (Dockerfile::Inline(inline), _) => context.add_dockerfile(inline.into(), text),
        }
        Ok(context)
    }

    /// Sends a Dockerfile that is not in the directory, and tells the engine to forget it before
    /// anything is copied.
    fn add_dockerfile(&mut self, content: Vec<u8>, ignore: String) {
        let digest = Sha256::digest(&content);
        self.dockerfile = format!(".dockerfile.{}", URL_SAFE_NO_PAD.encode(&digest[..12]));
        let own = if ignore.is_empty() { IGNORE.to_owned() } else { ignore };
        let ignore = format!("{own}\n{}\n", self.dockerfile);
        self.extra.push((self.dockerfile.clone(), content));
        self.extra.push((IGNORE.to_owned(), ignore.into_bytes()));
    }

    /// The archive, and the task that makes it, whose error says why it ended early.
    pub(super) fn archive(
        self,
    ) -> (BoxStream<'static, io::Result<Bytes>>, JoinHandle<io::Result<()>>) {
        const PIECES: usize = 16;
        let (sender, receiver) = mpsc::channel(PIECES);
        let task = tokio::task::spawn_blocking(move || {
            let mut sink = Outgoing::new(sender.clone(), Ok);
            let made = self.write(&mut sink);
            match &made {
                Ok(()) => sink.flush()?,
                // The engine must not take half an archive for a whole one.
                Err(_) => drop(sender.blocking_send(Err(io::ErrorKind::Other.into()))),
            }
            made
        });
        let pieces = stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|piece| (piece, receiver))
        });
        (pieces.boxed(), task)
    }

    fn write(&self, sink: &mut Sink) -> io::Result<()> {
        let mut tar = Builder::new(sink);
        let mut walk = WalkDir::new(&self.root).min_depth(1).sort_by_file_name().into_iter();
        while let Some(entry) = walk.next() {
            let entry = entry?;
            let Some(path) = within(&self.root, entry.path()) else { continue };
            let is_replaced = self.extra.iter().any(|(extra, _)| *extra == path);
            let is_needed = path == self.dockerfile || path == IGNORE;
            if is_replaced {
                continue;
            }
            if is_needed || !self.patterns.excludes(&path) {
                append(&mut tar, &entry, &path).map_err(|error| about(entry.path(), &error))?;
            } else if entry.file_type().is_dir() && !self.may_need_below(&path) {
                walk.skip_current_dir();
            }
        }
        for (path, content) in &self.extra {
            let mut header = Header::new_gnu();
            header.set_entry_type(EntryType::Regular);
            header.set_mode(0o600);
            header.set_size(content.len() as u64);
            tar.append_data(&mut header, path, content.as_slice())?;
        }
        tar.finish()
    }

    fn may_need_below(&self, directory: &str) -> bool {
        let below = self.dockerfile.strip_prefix(directory);
        self.patterns.may_keep_below(directory) || below.is_some_and(|rest| rest.starts_with('/'))
    }
}

/// Adds what lies at a path to an archive.
fn append(tar: &mut Builder<&mut Sink>, entry: &DirEntry, path: &str) -> io::Result<()> {
    const MODE: u32 = 0o7777;
    let metadata = entry.metadata()?;
    let kind = metadata.file_type();
    if kind.is_socket() {
        return Ok(());
    }
    let mut header = Header::new_gnu();
    header.set_metadata_in_mode(&metadata, HeaderMode::Complete);
    header.set_mode(metadata.mode() & MODE);
    header.set_uid(0);
    header.set_gid(0);
    if kind.is_symlink() {
        header.set_size(0);
        tar.append_link(&mut header, path, std::fs::read_link(entry.path())?)
    } else if kind.is_file() {
        tar.append_data(&mut header, path, Exactly::new(File::open(entry.path())?, metadata.len()))
    } else {
        header.set_size(0);
        let slash = if kind.is_dir() { "/" } else { "" };
        tar.append_data(&mut header, format!("{path}{slash}"), io::empty())
    }
}

/// A file's content, if there is one.
async fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match tokio::fs::read(path).await {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(about(path, &error)),
    }
}

fn about(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
}

/// The path below a directory, with `/` between names; `None` if it lies elsewhere.
fn within(root: &Path, path: &Path) -> Option<String> {
    use std::path::Component;

    let mut names: Vec<std::borrow::Cow<'_, str>> = Vec::new();
    for component in path.strip_prefix(root).ok()?.components() {
        match component {
            Component::Normal(name) => names.push(name.to_string_lossy()),
            Component::ParentDir => drop(names.pop()?),
            _ => {}
        }
    }
    Some(names.join("/"))
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt as _;

    use super::*;

    fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        directory
    }

    async fn archive(root: &Path, dockerfile: Dockerfile<'_>) -> io::Result<Vec<u8>> {
        let (stream, task) = Context::of(root, dockerfile).await?.archive();
        let pieces: io::Result<Vec<Bytes>> = stream.try_collect().await;
        task.await.unwrap()?;
        Ok(pieces?.concat())
    }

    fn paths(archive: &[u8]) -> Vec<String> {
        let mut tar = tar::Archive::new(archive);
        let entries = tar.entries().unwrap().map(Result::unwrap);
        entries.map(|entry| entry.path().unwrap().to_string_lossy().into_owned()).collect()
    }

    #[tokio::test]
    async fn what_is_ignored_stays_at_home() {
        let root = project(&[
            ("Dockerfile", "FROM scratch"),
            (".dockerignore", "*\n!src/*.rs"),
            ("src/a.rs", "a"),
            ("src/b.c", "b"),
            ("node_modules/x", "x"),
        ]);
        let found = archive(root.path(), Dockerfile::Path("Dockerfile")).await.unwrap();
        assert_eq!(paths(&found), [".dockerignore", "Dockerfile", "src/a.rs"]);
    }

    #[tokio::test]
    async fn a_dockerfile_has_a_dockerignore_of_its_own() {
        let root = project(&[
            ("ci/web", "FROM scratch"),
            ("ci/web.dockerignore", "a\nci"),
            (".dockerignore", "b"),
            ("a", ""),
            ("b", ""),
        ]);
        let found = archive(root.path(), Dockerfile::Path("ci/web")).await.unwrap();
        assert_eq!(paths(&found), [".dockerignore", "b", "ci/web"]);
    }

    #[tokio::test]
    async fn a_dockerfile_from_elsewhere_is_sent_and_hidden() {
        let root = project(&[("app/a", ""), ("app/.dockerignore", "x"), ("other/D", "FROM b")]);
        let app = root.path().join("app");
        for dockerfile in [Dockerfile::Path("../other/D"), Dockerfile::Inline("FROM b")] {
            let found = archive(&app, dockerfile).await.unwrap();
            let name = ".dockerfile.3c8a9f".len();
            let listed = paths(&found);
            assert_eq!(listed.len(), 3);
            assert_eq!((listed[0].as_str(), listed[2].as_str()), ("a", ".dockerignore"));
            assert!(listed[1].starts_with(".dockerfile.") && listed[1].len() > name);
            let text = String::from_utf8_lossy(&found).into_owned();
            assert!(text.contains(&format!("x\n{}\n", listed[1])) && text.contains("FROM b"));
        }
        let missing = archive(&app, Dockerfile::Path("../none")).await.unwrap_err();
        assert!(missing.to_string().contains("none`: "), "{missing}");
    }

    #[tokio::test]
    async fn the_same_files_give_the_same_archive() {
        let root = project(&[("b/z", "1"), ("b/a", "2"), ("a", "3"), ("Dockerfile", "")]);
        std::os::unix::fs::symlink("../gone", root.path().join("link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.path().join("socket")).unwrap();
        let one = archive(root.path(), Dockerfile::Path("Dockerfile")).await.unwrap();
        let two = archive(root.path(), Dockerfile::Path("Dockerfile")).await.unwrap();
        assert!(one == two);
        assert_eq!(paths(&one), ["Dockerfile", "a", "b/", "b/a", "b/z", "link"]);
        let mut tar = tar::Archive::new(one.as_slice());
        let link = tar.entries().unwrap().last().unwrap().unwrap();
        assert_eq!(link.link_name().unwrap().unwrap(), Path::new("../gone"));
        assert_eq!(link.header().uid().unwrap(), 0);
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_ends_the_archive_with_its_name() {
        let root = project(&[("Dockerfile", "")]);
        let loops = root.path().join("x");
        std::fs::create_dir(&loops).unwrap();
        let context = Context::of(root.path(), Dockerfile::Path("Dockerfile")).await.unwrap();
        std::fs::remove_dir_all(root.path()).unwrap();
        let (stream, task) = context.archive();
        assert!(stream.try_collect::<Vec<_>>().await.is_err());
        assert!(task.await.unwrap().unwrap_err().to_string().contains("No such file"));
    }
}
