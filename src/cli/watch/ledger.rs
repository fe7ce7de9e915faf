//! What was brought to a container, on disk: so that what goes from the host while nobody watches
//! goes from the container at the next start.
//!
//! In: what was brought. Out: what was brought and has no source any more. One file for each
//! container below the durable root, to which lines are added.
//!
//! # Invariants
//!
//! - Only what was brought is written down, and with it what it was like: what an image brings, or a
//!   container writes in its place, is never taken for ours.
//! - What is missing here is not taken away: a ledger that cannot be read or written costs no more.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::model::transfer::{Stamp, Transfer, Transferred};
use crate::runtime::native::root::Root;

/// How long the ledger of a container is kept that nobody has seen since: other runtimes have
/// containers too.
const KEPT: Duration = Duration::from_hours(24 * 30);

/// Where the ledgers of a project are.
#[derive(Debug)]
pub(super) struct Ledgers {
    folder: Option<PathBuf>,
}

/// What was brought to one container.
#[derive(Debug)]
pub(super) struct Ledger {
    path: Option<PathBuf>,
}

/// One thing that was brought, or that has gone with all below it.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    path: PathBuf,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    brought: Option<Entry>,
}

/// What was brought to a place.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    base: PathBuf,
    source: PathBuf,
    stamp: Stamp,
}

impl Ledgers {
    /// Those of a project, where its user keeps what lasts.
    pub(super) fn of(environment: &IndexMap<String, String>, project: &str) -> Self {
        let root = Root::from_environment(environment).ok();
        Self { folder: root.map(|root| root.durable().join("watch").join(project)) }
    }

    /// That of a container, by id.
    pub(super) fn container(&self, id: &str) -> Ledger {
        // An id that is no name would lead elsewhere.
        let is_name = !id.is_empty() && id.chars().all(|it| it.is_ascii_alphanumeric());
        Ledger { path: self.folder.as_ref().filter(|_| is_name).map(|folder| folder.join(id)) }
    }

    /// Forgets containers that are long gone.
    pub(super) fn sweep(&self, there: &BTreeSet<String>) {
        let Some(entries) = self.folder.as_ref().and_then(|it| std::fs::read_dir(it).ok()) else {
            return;
        };
        for entry in entries.flatten() {
            let age = entry.metadata().and_then(|it| it.modified()).map(|it| it.elapsed());
            let is_old = matches!(age, Ok(Ok(age)) if age > KEPT);
            if is_old && !there.contains(&*entry.file_name().to_string_lossy()) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

impl Ledger {
    /// Writes down what became of transfers.
    pub(super) fn note(&self, transfers: &[Transfer], done: &Transferred) {
        let Some(path) = self.path.as_deref().filter(|_| !transfers.is_empty()) else { return };
        if let Err(error) = append(path, &lines(transfers, done)) {
            tracing::debug!(%error, "what was brought is not written down");
        }
    }

    /// What was brought, is not wanted, and whose source is gone, from the deepest on.
    pub(super) fn left(&self, is_wanted: impl Fn(&Path) -> bool) -> Vec<Transfer> {
        let Some(path) = self.path.as_deref() else { return Vec::new() };
        let entries = match read(path) {
            Ok(entries) => entries,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::debug!(%error, "what was brought is not known");
                }
                return Vec::new();
            }
        };
        let left = entries.into_iter().rev().filter(|(path, entry)| {
            !is_wanted(path) && path.starts_with(&entry.base) && is_gone(&entry.source)
        });
        let transfer = |(path, entry): (PathBuf, Entry)| Transfer {
            path,
            base: entry.base.into(),
            source: None,
            only: Some(entry.stamp),
        };
        left.map(transfer).collect()
    }
}

/// Whether nothing is at a path of the host; what nobody may look at may be there.
fn is_gone(path: &Path) -> bool {
    matches!(std::fs::symlink_metadata(path), Err(error) if error.kind() == io::ErrorKind::NotFound)
}

/// What is written down, in the order in which it was done.
fn lines(transfers: &[Transfer], done: &Transferred) -> Vec<Line> {
    let failed = done.failed.iter().map(|(transfer, _)| transfer);
    let missed: BTreeSet<&Transfer> = failed.chain(&done.unsettled).collect();
    let made: BTreeSet<&Path> = done.made.iter().map(PathBuf::as_path).collect();
    let mut lines = Vec::with_capacity(transfers.len());
    for transfer in transfers.iter().filter(|it| !missed.contains(it)) {
        let path = transfer.path.clone();
        let Some(source) = &transfer.source else {
            lines.push(Line { path, brought: None });
            continue;
        };
        let stamp = stamp(source).filter(|it| *it != Stamp::Directory || made.contains(&*path));
        let base = transfer.base.to_path_buf();
        let brought = stamp.map(|stamp| Entry { base, source: source.clone(), stamp });
        lines.extend(brought.map(|entry| Line { path, brought: Some(entry) }));
    }
    lines
}

/// What a file of the host is like. One that has changed since it was brought changes again in the
/// container, or stays there.
fn stamp(source: &Path) -> Option<Stamp> {
    let found = std::fs::symlink_metadata(source).ok()?;
    Some(match found.file_type() {
        it if it.is_dir() => Stamp::Directory,
        it if it.is_symlink() => Stamp::Link(std::fs::read_link(source).ok()?),
        it if it.is_file() => {
            Stamp::File { size: found.len(), modified: (found.mtime(), found.mtime_nsec()) }
        }
        _ => return None,
    })
}

fn append(path: &Path, lines: &[Line]) -> io::Result<()> {
    let mut text = Vec::new();
    for line in lines {
        // A path that is no text is not written down.
        let Ok(line) = serde_json::to_vec(line) else { continue };
        text.extend(line);
        text.push(b'\n');
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    OpenOptions::new().append(true).create(true).open(path)?.write_all(&text)
}

/// What is written down, by place; what was written over is left out of the file from now on.
fn read(path: &Path) -> io::Result<BTreeMap<PathBuf, Entry>> {
    let mut entries: BTreeMap<PathBuf, Entry> = BTreeMap::new();
    let mut number = 0;
    for line in BufReader::new(File::open(path)?).split(b'\n') {
        number += 1;
        // The last one may have been cut off.
        let Ok(line) = serde_json::from_slice::<Line>(&line?) else { continue };
        if let Some(entry) = line.brought {
            entries.insert(line.path, entry);
            continue;
        }
        let below = entries.range(line.path.clone()..).map(|(path, _)| path);
        let below = below.take_while(|it| it.starts_with(&line.path));
        for path in below.cloned().collect::<Vec<_>>() {
            entries.remove(&path);
        }
    }
    if number > 2 * entries.len() + 1000 {
        rewrite(path, &entries)?;
    }
    Ok(entries)
}

fn rewrite(path: &Path, entries: &BTreeMap<PathBuf, Entry>) -> io::Result<()> {
    #[derive(Serialize)]
    struct Borrowed<'e> {
        path: &'e Path,
        brought: &'e Entry,
    }
    let mut text = Vec::new();
    for (path, brought) in entries {
        let Ok(line) = serde_json::to_vec(&Borrowed { path, brought }) else { continue };
        text.extend(line);
        text.push(b'\n');
    }
    let whole = path.with_extension("new");
    File::create(&whole)?.write_all(&text)?;
    std::fs::rename(whole, path)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use indexmap::IndexMap;

    use super::{Ledger, Ledgers, read};
    use crate::model::transfer::{Stamp, Transfer, Transferred};

    struct Trial {
        folder: tempfile::TempDir,
        ledger: Ledger,
    }

    impl Trial {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let state = folder.path().join("state").display().to_string();
            let environment: IndexMap<String, String> =
                [("KETCH_STATE_DIR".to_owned(), state)].into_iter().collect();
            let ledger = Ledgers::of(&environment, "p").container("0123abc");
            fs::create_dir(folder.path().join("d")).unwrap();
            Self { folder, ledger }
        }

        fn host(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn transfer(&self, name: &str) -> Transfer {
            let path = Path::new("/app").join(name);
            let source = Some(self.host(name));
            Transfer { path, base: Path::new("/app").into(), source, only: None }
        }

        fn left(&self) -> Vec<PathBuf> {
            self.ledger.left(|_| false).into_iter().map(|it| it.path).collect()
        }
    }

    #[test]
    fn what_was_brought_and_has_no_source_is_left() {
        let it = Trial::new();
        for name in ["d/a", "d/b", "d/c"] {
            fs::write(it.host(name), "x").unwrap();
        }
        let all = ["d", "d/a", "d/b", "d/c"].map(|name| it.transfer(name));
        let failed = vec![(all[3].clone(), "full".to_owned())];
        let made = vec!["/app/d".into()];
        it.ledger.note(&all, &Transferred { made, failed, ..Transferred::default() });
        assert_eq!(it.left(), Vec::<PathBuf>::new());
        fs::remove_dir_all(it.host("d")).unwrap();
        assert_eq!(it.left(), ["/app/d/b", "/app/d/a", "/app/d"].map(PathBuf::from));
        let left = it.ledger.left(|path| path == Path::new("/app/d/a"));
        assert!(matches!(left[0].only, Some(Stamp::File { size: 1, .. })), "{left:?}");
        assert_eq!(left.len(), 2, "what is wanted is not left");
        it.ledger.note(&[Transfer { source: None, ..all[0].clone() }], &Transferred::default());
        assert_eq!(it.left(), Vec::<PathBuf>::new(), "it went with all below it");
    }

    #[test]
    fn a_directory_that_was_there_is_not_ours() {
        let it = Trial::new();
        it.ledger.note(&[it.transfer("d")], &Transferred::default());
        fs::remove_dir(it.host("d")).unwrap();
        assert_eq!(it.left(), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_ledger_stays_as_small_as_what_it_says_and_garbage_in_it_harms_nobody() {
        let it = Trial::new();
        fs::write(it.host("d/a"), "x").unwrap();
        for _ in 0..1100 {
            it.ledger.note(&[it.transfer("d/a")], &Transferred::default());
        }
        let path = it.ledger.path.clone().unwrap();
        assert_eq!(read(&path).unwrap().len(), 1);
        let size = fs::metadata(&path).unwrap().len();
        it.ledger.note(&[it.transfer("d/a")], &Transferred::default());
        assert_eq!(fs::metadata(&path).unwrap().len(), 2 * size, "it was one line");
        fs::write(&path, b"{\"path\": \n\xff\n").unwrap();
        assert_eq!(it.left(), Vec::<PathBuf>::new());
    }
}
