//! What a config asks to mount, to trees and their places.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::relative;
use crate::runtime::native::container::child::{Attach, Kind, Over, Step};
use crate::runtime::native::container::config::{Config, Mount, Overlay, Propagation, Source};
use crate::runtime::native::container::copy_up::copy_up;
use crate::runtime::native::container::error::{StartError, kernel};
use crate::runtime::native::container::sys::Depth;
use crate::runtime::native::container::tree::{self, Tmpfs};

/// What may be covered in `/proc`: numbers that programs ask for.
const IN_PROC: &[&str] = &[
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/net/dev",
    "/proc/slabinfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/sys/crypto/fips_enabled",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/uptime",
];

/// Opens all that a config mounts; places that lie in others come after them.
pub(super) fn prepare(config: &Config, root: BorrowedFd<'_>) -> Result<Vec<Step>, StartError> {
    let mut mounts: Vec<&Mount> = config.mounts.iter().collect();
    let depth = |mount: &&Mount| Path::new(&mount.target).components().count();
    mounts.sort_by_key(depth);
    let attach = |mount: &&Mount| one(mount, root).map(Step::Attach);
    mounts.iter().map(attach).collect()
}

fn one(mount: &Mount, root: BorrowedFd<'_>) -> Result<Attach, StartError> {
    let target = relative(&mount.target)?;
    if target.as_bytes() == b"." {
        return Err(StartError::Invalid("nothing can be mounted at `/`".to_owned()));
    }
    let allowed = IN_PROC.contains(&mount.target.as_str());
    let over = if allowed { Over::Anything } else { Over::Files };
    let (tree, kind, over) = match &mount.source {
        Source::Bind { path, create, recursive } => {
            let depth = if *recursive { Depth::All } else { Depth::One };
            let source = host_path(path, *create)?;
            let is_proc = rustix::fs::fstatfs(&source)
                .is_ok_and(|found| found.f_type == rustix::fs::PROC_SUPER_MAGIC);
            let over = if is_proc { Over::Anything } else { over };
            let (tree, kind) = shown(source, path, depth, mount)?;
            (tree, kind, over)
        }
        Source::Volume { path, subpath, copy_up: wanted, name } => {
            if *wanted && subpath.is_empty() {
                copy_up(root, Path::new(&mount.target), path)?;
            }
            let source = host_path(path, false)?;
            let what = format!("volume `{name}`");
            let source = part(source, subpath, &what)?;
            let (tree, kind) = shown(source, path, Depth::All, mount)?;
            (tree, kind, over)
        }
        Source::Tmpfs { options, flags } => {
            let mut options = options.clone();
            options.splice(0..0, mode_of(root, &mount.target));
            let flags = tree::flags(flags);
            (
                tree::tmpfs(&Tmpfs { kind: "tmpfs", name: "tmpfs", options: &options, flags })?,
                Kind::Directory,
                over,
            )
        }
        Source::Image { name, files, subpath } => {
            let (tree, kind) = image(name, files, subpath)?;
            tree::restrict(&tree, mount.access)
                .map_err(kernel(|| format!("mount the image `{name}`")))?;
            (tree, kind, over)
        }
    };
    Ok(Attach { tree, target, kind, over })
}

/// Opens a path of the host.
fn host_path(path: &Path, create: bool) -> Result<OwnedFd, StartError> {
    let open = || rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let failed = || format!("mount `{}` of the host", path.display());
    match open() {
        Err(Errno::NOENT) if create => {
            fs::create_dir_all(path).map_err(kernel(failed))?;
            open().map_err(kernel(failed))
        }
        Err(Errno::NOENT) => {
            let text = format!("bind source path does not exist: {}", path.display());
            Err(StartError::Invalid(text))
        }
        opened => opened.map_err(kernel(failed)),
    }
}

/// What lies at a path beneath something that is open.
fn part(whole: OwnedFd, path: &str, what: &str) -> Result<OwnedFd, StartError> {
    if path.is_empty() {
        return Ok(whole);
    }
    match tree::beneath(whole.as_fd(), Path::new(path)) {
        Err(Errno::NOENT | Errno::NOTDIR) => {
            Err(StartError::Invalid(format!("{what} has no `{path}`")))
        }
        found => found.map_err(kernel(|| format!("open `{path}` of {what}"))),
    }
}

/// The tree of a source on the host.
fn shown(
    source: OwnedFd,
    path: &Path,
    depth: Depth,
    mount: &Mount,
) -> Result<(OwnedFd, Kind), StartError> {
    check_propagation(&source, path, mount.propagation)?;
    let failed = || format!("mount `{}` at `{}`", path.display(), mount.target);
    let shown = tree::bind(source.as_fd(), depth, mount.access, mount.propagation);
    shown.map_err(kernel(failed))
}

/// As in Docker, what the host does not share cannot be shared further.
fn check_propagation(
    source: &OwnedFd,
    path: &Path,
    propagation: Propagation,
) -> Result<(), StartError> {
    let (needs, word) = match propagation {
        Propagation::Rprivate | Propagation::Private => return Ok(()),
        Propagation::Rshared | Propagation::Shared => (true, "a shared mount"),
        Propagation::Rslave | Propagation::Slave => (false, "a shared or slave mount"),
    };
    let failed = || format!("find out how mounts at `{}` spread", path.display());
    let spread = tree::spread_of(source).map_err(kernel(failed))?;
    if spread.shared || (spread.slave && !needs) {
        return Ok(());
    }
    let text = format!("path {} is mounted but it is not {word}", path.display());
    Err(StartError::Invalid(text))
}

/// The mode of the directory that a file system in memory covers: it keeps it.
fn mode_of(root: BorrowedFd<'_>, target: &str) -> Option<String> {
    let found = tree::beneath(root, Path::new(target.trim_start_matches('/'))).ok()?;
    let mode = rustix::fs::fstat(&found).ok()?.st_mode;
    let is_directory = FileType::from_raw_mode(mode) == FileType::Directory;
    is_directory.then(|| format!("mode={:o}", mode & 0o7777))
}

/// The tree of an image, or of a part of it.
fn image(name: &str, files: &Overlay, path: &str) -> Result<(OwnedFd, Kind), StartError> {
    let whole = tree::overlay(files)?;
    if path.is_empty() {
        return Ok((whole, Kind::Directory));
    }
    let found =
        part(whole.try_clone().map_err(kernel(|| "open an image".to_owned()))?, path, name)?;
    let mode = rustix::fs::fstat(&found).map_err(kernel(|| format!("open `{path}` of {name}")))?;
    let kind = match FileType::from_raw_mode(mode.st_mode) {
        FileType::Directory => Kind::Directory,
        _ => Kind::File,
    };
    let failed = |error: io::Error| kernel(|| format!("mount `{path}` of {name}"))(error);
    tree::cut(&whole, &found).map(|tree| (tree, kind)).map_err(|errno| failed(errno.into()))
}
