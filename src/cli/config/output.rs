//! Writes a result to a file, whole or not at all.
//!
//! # Invariants
//!
//! - A reader of the file sees the old content or the new, never a part: the content goes to a
//!   temporary file beside it, which then takes its name.
//! - A link stays a link, permissions stay as they are, and what is not a regular file (`/dev/null`)
//!   is written to, not replaced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::cli::exit::Failure;

/// Writes `content` to `path`.
pub(super) fn write(path: &Path, content: &str) -> Result<(), Failure> {
    let written = match path.canonicalize().and_then(|real| Ok((fs::metadata(&real)?, real))) {
        Ok((metadata, real)) if metadata.is_file() => {
            replace(&real, content, Some(metadata.permissions()))
        }
        Ok((_, real)) => OpenOptions::new()
            .write(true)
            .open(&real)
            .and_then(|mut file| file.write_all(content.as_bytes())),
        Err(_) => replace(path, content, None),
    };
    written.map_err(|source| Failure::Write { path: path.to_owned(), source })
}

/// Puts a new file in the place of whatever has this name.
fn replace(path: &Path, content: &str, permissions: Option<fs::Permissions>) -> io::Result<()> {
    let temporary = beside(path)?;
    let fill = || {
        let mut file = File::create_new(&temporary)?;
        file.write_all(content.as_bytes())?;
        if let Some(permissions) = permissions {
            file.set_permissions(permissions)?;
        }
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    let filled = fill();
    // Where the temporary file could not even be made, it is not ours to remove.
    if filled.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::AlreadyExists) {
        let _ = fs::remove_file(&temporary);
    }
    filled
}

/// A name in the same directory that no other process uses.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?.to_string_lossy();
    Ok(path.with_file_name(format!(".{name}.{}.tmp", std::process::id())))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::Path;

    use super::write;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).expect("it exists");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    fn content(path: &Path) -> String {
        let mut text = String::new();
        let mut file = fs::File::open(path).expect("it exists");
        std::io::Read::read_to_string(&mut file, &mut text).expect("text");
        text
    }

    #[test]
    fn a_link_and_permissions_survive() {
        let directory = tempfile::tempdir().expect("a directory");
        let (file, link) = (directory.path().join("a"), directory.path().join("b"));
        write(&file, "old").expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("ours");
        symlink("a", &link).expect("linked");
        write(&link, "new").expect("written");
        assert_eq!(content(&file), "new");
        assert!(link.is_symlink());
        assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o640);
        assert_eq!(names(directory.path()), ["a", "b"]);
    }

    #[test]
    fn failures_name_the_path_and_leave_nothing_behind() {
        let directory = tempfile::tempdir().expect("a directory");
        let missing = directory.path().join("no/file");
        let failure = write(&missing, "x").expect_err("no such directory");
        assert_eq!(failure.to_string(), format!("cannot write `{}`", missing.display()));
        write(directory.path(), "x").expect_err("a directory");
        assert!(names(directory.path()).is_empty());
        write(Path::new("/dev/null"), "x").expect("written to");
        assert!(!Path::new("/dev/null").is_file());
    }
}
