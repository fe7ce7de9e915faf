//! Leases as files: one for each, in a folder of the durable root.
//!
//! In: a [`Lease`]. Out: a file that is locked for as long as somebody looks after the lease.
//!
//! # Invariants
//!
//! - A file has all its text and its lock from the moment on that it has its name.
//! - What stands in it is believed only if nobody but this user can have written it.
//! - One that says nothing sensible is left alone, and harms nobody.

use std::fs::{DirBuilder, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use rustix::fs::{CWD, Mode, OFlags, openat};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Owner;
use crate::model::hash::hex;
use crate::orchestrator::Route;
use crate::runtime::native::lock::has_name;
use crate::runtime::native::root;

/// Most that is read of a file.
const LONGEST: u64 = 64 * 1024;

/// Most that the name of a project may have.
const LONGEST_NAME: usize = 200;

/// A project that belongs to a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The project.
    pub project: String,
    /// The process.
    pub owner: Owner,
    /// Where the runtime is, as it says itself.
    pub address: String,
    /// How the runtime is reached.
    pub(super) route: Route,
}

/// A file that somebody holds.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) file: File,
    pub(super) path: PathBuf,
}

impl Claim {
    /// Whether the file still has its name: the lease ends with that.
    pub(super) fn holds(&self) -> bool {
        has_name(&self.file, &self.path).unwrap_or(true)
    }
}

impl Lease {
    /// All leases of this user.
    pub fn all(environment: &IndexMap<String, String>) -> Vec<Self> {
        let Ok(folder) = folder(environment) else { return Vec::new() };
        let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
        let read = |entry: std::fs::DirEntry| Self::read(&entry.path()).ok();
        entries.flatten().filter_map(read).collect()
    }

    /// Whether the name of the project can be that of a file.
    pub(super) fn has_good_name(&self) -> bool {
        let name = &self.project;
        let is_plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
        name.len() <= LONGEST_NAME
            && name.starts_with(is_plain)
            && name.chars().all(|letter| is_plain(letter) || matches!(letter, '-' | '_'))
    }

    /// Its file. Projects of the same name may be in several runtimes.
    pub(super) fn path(&self) -> io::Result<PathBuf> {
        let place = hex(&Sha256::digest(&self.address));
        Ok(folder(&self.route.environment)?.join(format!("{}.{}", self.project, &place[..16])))
    }

    fn read(path: &Path) -> io::Result<Self> {
        let mut text = String::new();
        open(path)?.take(LONGEST).read_to_string(&mut text)?;
        let lease: Self = serde_json::from_str(&text)?;
        // A copy that lies elsewhere says nothing about what is there.
        let is_own = |own: &Path| -> io::Result<bool> {
            let folder = |path: &Path| path.parent().unwrap_or(path).canonicalize();
            Ok(own.file_name() == path.file_name() && folder(own)? == folder(path)?)
        };
        if lease.has_good_name() && is_own(&lease.path()?)? {
            return Ok(lease);
        }
        Err(io::ErrorKind::InvalidData.into())
    }

    /// Whether its owner has ended.
    pub fn is_over(&self) -> bool {
        let is_unknown = self.owner.is_elsewhere() && self.is_held();
        !is_unknown && self.owner.open().is_none()
    }

    /// Takes the lock of a lease; `None` if somebody has it.
    pub(super) fn claim(&self) -> io::Result<Option<Claim>> {
        let path = self.path()?;
        let folder = path.parent().unwrap_or(&path);
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        loop {
            let old = match open(&path) {
                Ok(old) => Some(old),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
            match old.as_ref().map(File::try_lock) {
                Some(Err(TryLockError::WouldBlock)) => return Ok(None),
                Some(Err(TryLockError::Error(error))) => return Err(error),
                None | Some(Ok(())) => {}
            }
            if let Some(old) = &old
                && !has_name(old, &path)?
            {
                continue;
            }
            let mut new = tempfile::Builder::new().prefix(".lease-").tempfile_in(folder)?;
            new.as_file().lock()?;
            new.write_all(&serde_json::to_vec(self)?)?;
            let named = match old {
                Some(_) => new.persist(&path),
                None => new.persist_noclobber(&path),
            };
            match named {
                Ok(file) => return Ok(Some(Claim { file, path })),
                Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error.error),
            }
        }
    }

    /// Whether somebody looks after it.
    pub(super) fn is_held(&self) -> bool {
        let shared = self.path().and_then(|path| open(&path)).map(|file| file.try_lock_shared());
        matches!(shared, Ok(Err(TryLockError::WouldBlock)))
    }

    /// The file, to wait for its lock; `None` if it is gone.
    pub(super) fn file(&self) -> Option<File> {
        open(&self.path().ok()?).ok()
    }

    /// Ends the lease: who looks after it sees that, and goes.
    pub(super) fn end(&self) -> io::Result<()> {
        match std::fs::remove_file(self.path()?) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Opens a plain file of this user that nobody else can write to.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = File::from(openat(CWD, path, flags, Mode::empty())?);
    let found = file.metadata()?;
    let is_own = found.uid() == rustix::process::geteuid().as_raw();
    if found.is_file() && is_own && found.mode() & 0o022 == 0 {
        return Ok(file);
    }
    Err(io::ErrorKind::PermissionDenied.into())
}

fn folder(environment: &IndexMap<String, String>) -> io::Result<PathBuf> {
    let durable = root::durable(environment).map_err(io::Error::other)?;
    Ok(durable.join("leases"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use indexmap::IndexMap;

    use super::{Lease, Owner, Route};
    use crate::orchestrator::Choice;
    use crate::runtime::docker;

    fn lease(folder: &tempfile::TempDir, project: &str) -> Lease {
        let path = folder.path().to_string_lossy().into_owned();
        let environment = IndexMap::from([("KETCH_STATE_DIR".to_owned(), path)]);
        Lease {
            project: project.to_owned(),
            owner: Owner::this_process().unwrap(),
            address: "here".to_owned(),
            route: Route::new(Choice::Native, &docker::Settings::default(), &environment),
        }
    }

    #[test]
    fn a_lease_is_held_by_one_until_that_one_ends() {
        let folder = tempfile::tempdir().unwrap();
        let lease = lease(&folder, "shop");
        assert!(Lease::all(&lease.route.environment).is_empty());
        let claim = lease.claim().unwrap().unwrap();
        assert!(claim.holds() && lease.is_held() && lease.claim().unwrap().is_none());
        assert_eq!(Lease::all(&lease.route.environment), std::slice::from_ref(&lease));
        drop(claim);
        assert!(!lease.is_held());
        let claim = lease.claim().unwrap().unwrap();
        lease.end().unwrap();
        lease.end().unwrap();
        assert!(!claim.holds() && Lease::all(&lease.route.environment).is_empty());
    }

    #[test]
    fn garbage_is_no_lease_and_stays_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let good = lease(&folder, "shop");
        drop(good.claim().unwrap());
        let path = good.path().unwrap();
        let leases = path.parent().unwrap();
        let text = std::io::read_to_string(std::fs::File::open(&path).unwrap()).unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(leases.join(name), text).unwrap();
        };
        write("copy", &text);
        write("empty", "");
        write("list", "[1, 2]");
        write("deep", &"[".repeat(100_000));
        write("long", &" ".repeat(10_000_000));
        write("zero", "\0\0\0");
        write("other", &text.replace("\"shop\"", "\"../../../etc\""));
        std::fs::create_dir(leases.join("folder")).unwrap();
        symlink("/dev/zero", leases.join("device")).unwrap();
        symlink(&path, leases.join("link")).unwrap();
        std::process::Command::new("mkfifo").arg(leases.join("pipe")).status().unwrap();
        let open = lease(&folder, "open");
        drop(open.claim().unwrap());
        let everybody = std::fs::Permissions::from_mode(0o666);
        std::fs::set_permissions(open.path().unwrap(), everybody).unwrap();
        let before = std::fs::read_dir(leases).unwrap().count();
        assert_eq!(Lease::all(&good.route.environment), std::slice::from_ref(&good));
        assert_eq!(std::fs::read_dir(leases).unwrap().count(), before);
        for name in ["", "..", "a/b", "A", "-a", "a b", "a\n"] {
            let lease = Lease { project: name.to_owned(), ..good.clone() };
            assert!(!lease.has_good_name(), "{name:?}");
        }
    }
}
