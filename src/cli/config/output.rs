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
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::cli::exit::Failure;

/// Writes `content` to `path`.
pub(super) fn write(path: &Path, content: &str) -> Result<(), Failure> {
    let written = match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => path
            .canonicalize()
            .and_then(|real| replace(&real, content, Some(metadata.permissions()))),
        // Not by its real path: that of a pipe behind `/dev/stdout` exists in no directory.
        Ok(_) => open(path).and_then(|mut file| file.write_all(content.as_bytes())),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        // A link to what does not exist yet.
        Err(_) if path.is_symlink() => fs::write(path, content),
        Err(_) => replace(path, content, None),
    };
    written.map_err(|source| Failure::Write { path: path.to_owned(), source })
}

/// Opens what is not a regular file. A pipe that nobody reads is an error, not a wait.
fn open(path: &Path) -> io::Result<File> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
    let file = OpenOptions::new().write(true).custom_flags(flags).open(path)?;
    rustix::fs::fcntl_setfl(&file, rustix::fs::fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(file)
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
    fn links_to_what_is_no_file_stay() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name| directory.path().join(name);
        let (read, mut pipe) = std::io::pipe().expect("a pipe");
        let fd = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&pipe));
        symlink(fd, path("pipe")).expect("linked");
        symlink("new", path("dangling")).expect("linked");
        symlink("loop", path("loop")).expect("linked");
        write(&path("pipe"), "through ").expect("written");
        write(&path("dangling"), "x").expect("written");
        write(&path("loop"), "x").expect_err("a loop");
        std::io::Write::write_all(&mut pipe, b"it").expect("open still");
        drop(pipe);
        assert_eq!(std::io::read_to_string(read).expect("text"), "through it");
        assert!(["pipe", "dangling", "loop"].into_iter().all(|name| path(name).is_symlink()));
        assert_eq!(names(directory.path()), ["dangling", "loop", "new", "pipe"]);
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
