//! The names of containers: a link for each, to the directory of its container.
//!
//! In: a name, an id, or the beginning of an id. Out: which container that is.
//!
//! # Invariants
//!
//! - A container exists from the moment it has a name until it has none: a directory without a
//!   name is the remains of a command that was killed.
//! - The kernel sees to it that a name is given once: links are never replaced.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::root::Root;
use super::state::failed;
use crate::runtime::{Result, RuntimeError};

/// A container as it is named.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Named {
    /// Its name.
    pub(super) name: String,
    /// Its id.
    pub(super) id: String,
}

/// As few digits of an id are enough as make it one.
const ID_LENGTH: usize = 64;

/// Gives a container its name.
pub(super) fn give(root: &Root, name: &str, id: &str) -> Result<()> {
    check(name)?;
    let path = root.names().join(name);
    match symlink(Path::new("../containers").join(id), &path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(taken(root, name)),
        done => done.map_err(|error| failed("make", &path, error)),
    }
}

/// Takes a name away, whether it is there or not.
pub(super) fn take_away(root: &Root, name: &str) -> Result<()> {
    let path = root.names().join(name);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed("remove", &path, error))
        }
        _ => Ok(()),
    }
}

/// Replaces a name by another one.
pub(super) fn rename(root: &Root, old: &str, new: &str) -> Result<()> {
    check(new)?;
    if old == new {
        return Ok(());
    }
    let (from, to) = (root.names().join(old), root.names().join(new));
    match renameat_with(CWD, &from, CWD, &to, RenameFlags::NOREPLACE) {
        Err(Errno::EXIST) => Err(taken(root, new)),
        Err(Errno::NOENT) => Err(missing(old)),
        done => done.map_err(|error| failed("rename", &from, error.into())),
    }
}

/// All containers, in order of their names.
pub(super) fn all(root: &Root) -> Result<Vec<Named>> {
    let directory = root.names();
    let entries = match fs::read_dir(&directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| failed("read", &directory, error))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| failed("read", &directory, error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(id) = id_of(root, &name) {
            found.push(Named { name, id });
        }
    }
    found.sort();
    Ok(found)
}

/// The container of this name, id, or beginning of an id.
pub(super) fn find(root: &Root, text: &str) -> Result<Option<Named>> {
    if check(text).is_err() {
        return Ok(None);
    }
    if let Some(id) = id_of(root, text) {
        return Ok(Some(Named { name: text.to_owned(), id }));
    }
    if text.len() > ID_LENGTH || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(None);
    }
    let mut matching: Vec<Named> = all(root)?;
    matching.retain(|named| named.id.starts_with(text));
    match matching.len() {
        0 | 1 => Ok(matching.pop()),
        _ => Err(RuntimeError::Refused(format!("the ids of several containers begin with {text}"))),
    }
}

/// The container of this name, id, or beginning of an id, which must exist.
pub(super) fn the(root: &Root, text: &str) -> Result<Named> {
    find(root, text)?.ok_or_else(|| missing(text))
}

fn id_of(root: &Root, name: &str) -> Option<String> {
    let target = fs::read_link(root.names().join(name)).ok()?;
    Some(target.file_name()?.to_str()?.to_owned())
}

/// No such container.
pub(super) fn missing(name: &str) -> RuntimeError {
    RuntimeError::NotFound(format!("no such container: {name}"))
}

fn taken(root: &Root, name: &str) -> RuntimeError {
    let by = id_of(root, name).unwrap_or_default();
    let by = by.get(..12).unwrap_or("another one");
    RuntimeError::Conflict(format!(
        "the container name `{name}` is already in use by container {by}"
    ))
}

/// Refuses what is no name: it becomes the name of a file.
pub(super) fn check(name: &str) -> Result<()> {
    const LONGEST: usize = 255;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let begins_well = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if begins_well && name.len() <= LONGEST && name.bytes().all(is_plain) {
        return Ok(());
    }
    Err(RuntimeError::Refused(format!(
        "`{name}` is no name: letters, digits, `_`, `.` and `-` make one, and a letter or digit \
         comes first"
    )))
}

#[cfg(test)]
mod tests {
    use super::{Root, all, check, find, give, rename, take_away};
    use crate::runtime::RuntimeError;

    fn root() -> (tempfile::TempDir, Root) {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::at(directory.path(), directory.path());
        std::fs::create_dir(root.names()).unwrap();
        (directory, root)
    }

    #[test]
    fn a_name_is_given_once_and_found_by_itself_and_by_the_id() {
        let (_directory, root) = root();
        let (one, two) = ("1f".repeat(32), "1e".repeat(32));
        give(&root, "web", &one).unwrap();
        assert!(matches!(give(&root, "web", &two), Err(RuntimeError::Conflict(_))));
        give(&root, "db", &two).unwrap();
        assert!(matches!(rename(&root, "db", "web"), Err(RuntimeError::Conflict(_))));
        rename(&root, "db", "data").unwrap();
        rename(&root, "data", "data").unwrap();
        assert!(matches!(rename(&root, "db", "x"), Err(RuntimeError::NotFound(_))));
        let id = |text: &str| find(&root, text).unwrap().map(|named| named.id);
        assert_eq!(id("data"), Some(two.clone()));
        assert_eq!(id("1e1e"), Some(two));
        assert_eq!(id(&one), Some(one.clone()));
        assert_eq!(id("db"), None);
        assert!(find(&root, "1").is_err(), "two begin like this");
        take_away(&root, "web").unwrap();
        take_away(&root, "web").unwrap();
        assert_eq!(all(&root).unwrap().len(), 1);
    }

    #[test]
    fn names_are_no_paths() {
        for bad in ["", "..", ".a", "a/b", "a b", "-a", "a\n"] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
        check("shop-db_1.x").unwrap();
    }
}
