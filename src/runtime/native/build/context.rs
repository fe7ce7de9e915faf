//! Where a build's files are from: a directory of this machine without what is ignored, or the
//! files of a stage or image.
//!
//! In: a directory, or something that is mounted. Out: [`Files`]: a tree, what is left out of it,
//! and the digest of each file, which is read only if it may have changed.
//!
//! # Invariants
//!
//! - A digest that is remembered counts only for the very same file: size, time of change of
//!   content and of attributes, number. What was changed a moment ago is not remembered: it could
//!   be changed again within the same tick of the clock.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::Stat;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::tree::Tree;
use crate::model::hash;
use crate::model::ignore::Patterns;

/// The file with what is left out.
const IGNORE: &str = ".dockerignore";
/// The most bytes of a `.dockerignore`.
const MAX_IGNORE: u64 = 1 << 20;
/// The most bytes of remembered digests.
const MAX_MEMORY: u64 = 512 << 20;
/// How long ago a file must have changed to be remembered.
const SETTLED: Duration = Duration::from_millis(500);

/// Where files are from.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) tree: Tree,
    /// The path of a context; `None`: these are files of an image.
    pub(super) directory: Option<PathBuf>,
    /// What people call it.
    name: String,
    ignored: Patterns,
    ignore_file: String,
    memory: Option<Memory>,
}

/// Digests of an earlier build.
#[derive(Debug)]
struct Memory {
    path: PathBuf,
    known: HashMap<String, Known>,
    seen: Mutex<HashMap<String, Known>>,
}

/// The digest of a file, and by what the same file is known again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Known(i64, (i64, i64), (i64, i64), u64, String);

impl Known {
    /// Size, times and number of a file, without a digest.
    fn of(stat: &Stat) -> Self {
        let nanos = |nanos: u64| i64::try_from(nanos).unwrap_or(0);
        Self(
            stat.st_size,
            (stat.st_mtime, nanos(stat.st_mtime_nsec)),
            (stat.st_ctime, nanos(stat.st_ctime_nsec)),
            stat.st_ino,
            String::new(),
        )
    }

    fn is_of(&self, other: &Self) -> bool {
        (self.0, self.1, self.2, self.3) == (other.0, other.1, other.2, other.3)
    }

    /// Whether its last change is long enough ago.
    fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (seconds, nanos) = self.1.max(self.2);
        let seconds = u64::try_from(seconds).unwrap_or(0);
        let changed = Duration::new(seconds, u32::try_from(nanos).unwrap_or(0));
        now.saturating_sub(changed) > SETTLED
    }
}

impl Files {
    /// A context. `own_ignore`: the ignore file of its Dockerfile, which comes before the general
    /// one. Digests are remembered below `memory`; `None`: this directory is not there again.
    pub(super) fn context(
        directory: &Path,
        own_ignore: Option<&Path>,
        memory: Option<&Path>,
    ) -> io::Result<Self> {
        let directory = directory.canonicalize()?;
        let tree = Tree::open(&directory)?;
        let mut ignored = (Patterns::default(), String::new());
        let own = own_ignore.map(|path| (path.display().to_string(), read(path)));
        let general = read_beneath(&tree, Path::new(IGNORE));
        for (path, text) in own.into_iter().chain([(IGNORE.to_owned(), general)]) {
            let Some(text) = text? else { continue };
            let path = Path::new(&path);
            let shown = path.strip_prefix(&directory).unwrap_or(path).display().to_string();
            let parsed = Patterns::parse(&text).map_err(|error| {
                io::Error::new(io::ErrorKind::InvalidData, format!("`{shown}`: {error}"))
            })?;
            ignored = (parsed, shown);
            break;
        }
        let key = hash::hex(&Sha256::digest(directory.as_os_str().as_encoded_bytes()));
        Ok(Self {
            tree,
            name: format!(" in the context `{}`", directory.display()),
            directory: Some(directory),
            ignored: ignored.0,
            ignore_file: ignored.1,
            memory: memory.map(|memory| Memory::open(memory.join(key))),
        })
    }

    /// The files of a stage or image.
    pub(super) fn of_image(tree: Tree, name: &str) -> Self {
        Self {
            tree,
            directory: None,
            name: format!(" in `{name}`"),
            ignored: Patterns::default(),
            ignore_file: String::new(),
            memory: None,
        }
    }

    /// Where this is, as the end of a sentence.
    pub(super) fn place(&self) -> &str {
        &self.name
    }

    pub(super) fn is_context(&self) -> bool {
        self.directory.is_some()
    }

    /// The file with the rules.
    pub(super) fn ignore_file(&self) -> &str {
        &self.ignore_file
    }

    /// The rule by which a path is left out.
    pub(super) fn rule(&self, path: &Path) -> Option<&str> {
        if self.ignored.is_empty() { None } else { self.ignored.rule(&path.to_string_lossy()) }
    }

    /// Whether something below a path that is left out may be taken.
    pub(super) fn may_keep_below(&self, path: &Path) -> bool {
        self.ignored.may_keep_below(&path.to_string_lossy())
    }

    /// Whether anything is left out.
    pub(super) fn ignores(&self) -> bool {
        !self.ignored.is_empty()
    }

    /// The digest of a file's content.
    pub(super) fn digest(&self, path: &Path, stat: &Stat) -> io::Result<String> {
        let now = Known::of(stat);
        let key = path.to_str().filter(|_| self.memory.is_some());
        let known = key.and_then(|key| self.memory.as_ref()?.known.get(key));
        let digest = match known {
            Some(known) if known.is_of(&now) => known.4.clone(),
            _ => digest(self.tree.file(path)).map_err(|error| {
                io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
            })?,
        };
        if let (Some(memory), Some(key)) = (&self.memory, key)
            && now.is_settled()
            && let Ok(mut seen) = memory.seen.lock()
        {
            seen.insert(key.to_owned(), Known(now.0, now.1, now.2, now.3, digest.clone()));
        }
        Ok(digest)
    }

    /// Writes down the digests of this build for the next one.
    pub(super) fn remember(&self) {
        let Some(memory) = &self.memory else { return };
        let Ok(seen) = memory.seen.lock() else { return };
        let mut all = memory.known.clone();
        all.extend(seen.clone());
        if all != memory.known
            && let Err(error) = memory.write(&all)
        {
            // The next build reads the files again.
            tracing::debug!("digests are not remembered: {error}");
        }
    }
}

impl Memory {
    fn open(path: PathBuf) -> Self {
        let bytes = read_bytes(&path, MAX_MEMORY).ok().flatten().unwrap_or_default();
        let known = serde_json::from_slice(&bytes).unwrap_or_default();
        Self { path, known, seen: Mutex::default() }
    }

    fn write(&self, all: &HashMap<String, Known>) -> io::Result<()> {
        let parent = self.path.parent().unwrap_or(&self.path);
        fs::create_dir_all(parent)?;
        let mut file = tempfile::NamedTempFile::new_in(parent)?;
        io::Write::write_all(&mut file, &serde_json::to_vec(all)?)?;
        file.persist(&self.path)?;
        Ok(())
    }
}

fn digest(file: io::Result<File>) -> io::Result<String> {
    const PIECE: usize = 128 << 10;
    let mut file = file?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hash::hex(&hash.finalize())),
            count => hash.update(&piece[..count]),
        }
    }
}

/// Reads a file of a context, from which no link leads out.
fn read_beneath(tree: &Tree, path: &Path) -> io::Result<Option<String>> {
    let place = tree.resolve(path)?;
    if place.found.is_none() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    tree.file(&place.path)?.take(MAX_IGNORE + 1).read_to_end(&mut bytes)?;
    patterns(&bytes).map(Some)
}

fn read(path: &Path) -> io::Result<Option<String>> {
    let bytes = read_bytes(path, MAX_IGNORE + 1)?;
    bytes.map(|bytes| patterns(&bytes)).transpose()
}

/// The text of an ignore file. One that is too long is refused: files would come along that should
/// not.
fn patterns(bytes: &[u8]) -> io::Result<String> {
    if bytes.len() as u64 > MAX_IGNORE {
        let said = format!("the file with what is left out has more than {MAX_IGNORE} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, said));
    }
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

/// The first bytes of a file; `None`: there is none.
pub(super) fn read_bytes(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ignore_file_is_read_whole_or_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(IGNORE);
        let own = folder.path().join("Dockerfile.dockerignore");
        let length = usize::try_from(MAX_IGNORE).unwrap();
        fs::write(&path, "#".repeat(length - 3) + "\nx\n").unwrap();
        let files = Files::context(folder.path(), None, None).unwrap();
        assert_eq!(files.rule(Path::new("x")), Some("x"), "the last line counts");
        fs::write(&own, "#".repeat(length + 1)).unwrap();
        let error = Files::context(folder.path(), Some(&own), None).unwrap_err().to_string();
        assert!(error.contains("more than 1048576 bytes"), "{error}");
        fs::rename(own, path).unwrap();
        assert!(Files::context(folder.path(), None, None).is_err());
    }
}
