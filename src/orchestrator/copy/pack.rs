//! Files of the host to a tar archive, as it is sent.
//!
//! Owners, modes and times go along. Links below the source are packed as links; so is the source
//! itself unless links are to be followed.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use tokio::sync::mpsc::Sender;
use walkdir::WalkDir;

use super::place::{Kind, Origin, part};
use crate::orchestrator::OrchestrationError;
use crate::project::short::clean;
use crate::runtime::Bytes;
use crate::runtime::pieces::Outgoing;

/// What `-L` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// They are copied.
    Keep,
    /// What they lead to is copied.
    Follow,
}

/// Looks at what shall be copied, at an absolute path: the path to pack, and what lies there.
///
/// # Errors
///
/// Nothing does.
pub fn look(path: &Path, links: Links) -> Result<(PathBuf, Origin), OrchestrationError> {
    let failed = |source| OrchestrationError::Read { path: path.to_owned(), source };
    let full = path.to_owned();
    let text = full.to_string_lossy().into_owned();
    let name = clean(&text);
    let name = name.rsplit('/').next().unwrap_or_default().to_owned();
    let real = match links {
        Links::Keep => full,
        Links::Follow => full.canonicalize().map_err(failed)?,
    };
    // A slash at the end follows the link.
    let found = fs::symlink_metadata(&real).map_err(failed)?;
    let kind = if found.is_dir() { Kind::Directory } else { Kind::Other };
    Ok((real, Origin { name, kind, part: part(&text) }))
}

/// Packs what lies at `path` under the name `name`; without a name, what is in it.
pub(super) fn pack(path: &Path, name: &str, to: Sender<Bytes>) -> io::Result<()> {
    let mut archive = tar::Builder::new(Outgoing::new(to, |piece| piece));
    archive.follow_symlinks(false);
    for entry in WalkDir::new(path).sort_by_file_name() {
        let entry = entry?;
        // An address of a process is no use to another one.
        if entry.file_type().is_socket() {
            continue;
        }
        let below = entry.path().strip_prefix(path).map_err(io::Error::other)?;
        let inside = if below.as_os_str().is_empty() {
            PathBuf::from(name)
        } else {
            Path::new(name).join(below)
        };
        if !inside.as_os_str().is_empty() {
            archive.append_path_with_name(entry.path(), inside)?;
        }
    }
    archive.into_inner()?.flush()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use tokio::sync::mpsc::channel;

    use super::{Kind, Links, look, pack};

    /// What an archive holds: names, with `/` behind directories and `->` before targets.
    fn names(path: &Path, name: &str) -> Vec<String> {
        let (sender, mut receiver) = channel(1);
        let path = path.to_owned();
        let name = name.to_owned();
        let packing = std::thread::spawn(move || pack(&path, &name, sender));
        let mut bytes = Vec::new();
        while let Some(piece) = receiver.blocking_recv() {
            bytes.extend_from_slice(&piece);
        }
        packing.join().expect("no panic").expect("packed");
        let mut archive = tar::Archive::new(&bytes[..]);
        let show = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
            let entry = entry.expect("an entry");
            let path = entry.path().expect("a path").display().to_string();
            let kind = entry.header().entry_type();
            match entry.link_name().expect("a link") {
                Some(target) => format!("{path} -> {}", target.display()),
                None if kind.is_dir() => format!("{}/", path.trim_end_matches('/')),
                None => path,
            }
        };
        archive.entries().expect("entries").map(show).collect()
    }

    #[test]
    fn a_directory_is_packed_under_any_name_or_none() {
        let home = tempfile::tempdir().expect("a directory");
        let source = home.path().join("s");
        fs::create_dir_all(source.join("b")).expect("made");
        fs::write(source.join("b/c"), "x").expect("written");
        symlink("/etc", source.join("a")).expect("linked");
        assert_eq!(names(&source, "n"), ["n/", "n/a -> /etc", "n/b/", "n/b/c"]);
        assert_eq!(names(&source, ""), ["a -> /etc", "b/", "b/c"]);
        assert_eq!(names(&source.join("b/c"), "d"), ["d"]);
    }

    #[test]
    fn a_link_is_followed_where_the_user_says_so() {
        let home = tempfile::tempdir().expect("a directory");
        fs::create_dir(home.path().join("d")).expect("made");
        symlink("d", home.path().join("l")).expect("linked");
        let kind = |path: &str, links| {
            let (_, origin) = look(&home.path().join(path), links).expect("there");
            (origin.name, origin.kind)
        };
        assert_eq!(kind("l", Links::Keep), ("l".to_owned(), Kind::Other));
        assert_eq!(kind("l/", Links::Keep), ("l".to_owned(), Kind::Directory));
        assert_eq!(kind("l", Links::Follow), ("l".to_owned(), Kind::Directory));
        assert!(look(&home.path().join("nosuch"), Links::Keep).is_err());
    }
}
