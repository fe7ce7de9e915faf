//! Directories that are seen as one.
//!
//! # Invariants
//!
//! - Directories are named by descriptor: neither the length of a path nor a comma in it matters.
//! - Kernels before 6.8 take the directories in one text, which the newer call cuts off at 255
//!   bytes: there, a short-lived process mounts the old way and hands the tree over.
//! - No kernel takes a layer that lies in another one, as what covers parts of `/` does where
//!   Ketch's state is on the file system of `/`: a copy of it in memory is taken instead.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, OpenTreeFlags};

use super::{Tmpfs, bind, tmpfs};
use crate::runtime::native::container::config::Overlay;
use crate::runtime::native::container::copy_up::copy_layer;
use crate::runtime::native::container::error::{StartError, kernel};
use crate::runtime::native::container::sys::{self, Depth, MountAttributes};

/// The directories of an overlay, open.
struct Open {
    /// The highest first, as the kernel wants them.
    lower: Vec<OwnedFd>,
    changes: Option<[OwnedFd; 2]>,
    /// The paths of all, in this order; `None`: it lies nowhere yet.
    paths: Vec<Option<PathBuf>>,
}

/// A tree of an overlay.
pub(in crate::runtime::native) fn overlay(overlay: &Overlay) -> Result<OwnedFd, StartError> {
    let open = Open::new(overlay)?;
    if let ([only], None) = (&open.lower[..], &open.changes) {
        return single(only);
    }
    match open.mount() {
        Err(Errno::INVAL | Errno::NOSYS) => mount_the_old_way(&open),
        mounted => mounted.map_err(kernel(|| "mount the layers as one".to_owned())),
    }
}

/// One directory alone is no overlay.
fn single(only: &OwnedFd) -> Result<OwnedFd, StartError> {
    let failed = || "mount a layer".to_owned();
    let tree = bind::copy(only.as_fd(), Depth::One).map_err(kernel(failed))?;
    let set = MountAttrFlags::MOUNT_ATTR_RDONLY.bits().into();
    let private = MountAttributes { set, propagation: libc::MS_PRIVATE, ..Default::default() };
    sys::mount_setattr(&tree, Depth::One, &private).map_err(kernel(failed))?;
    Ok(tree)
}

/// The name of a directory that is open.
fn name(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

impl Open {
    fn new(overlay: &Overlay) -> Result<Self, StartError> {
        let open = |path: &Path| {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let failed = kernel(|| format!("open the layer `{}`", path.display()));
            rustix::fs::open(path, flags, Mode::empty()).map_err(failed)
        };
        let is_inside = |path: &Path| {
            overlay.lower.iter().any(|other| path != other && path.starts_with(other))
        };
        let mut lower = Vec::new();
        let mut paths = Vec::new();
        for path in overlay.lower.iter().rev() {
            let directory = open(path)?;
            if is_inside(path) {
                lower.push(in_memory(&directory, path)?);
                paths.push(None);
            } else {
                lower.push(directory);
                paths.push(Some(path.clone()));
            }
        }
        let changes = match &overlay.changes {
            Some(changes) => Some([open(&changes.upper)?, open(&changes.work)?]),
            None => None,
        };
        if let Some(changes) = &overlay.changes {
            paths.extend([&changes.upper, &changes.work].map(|path| Some(path.clone())));
        }
        Ok(Self { lower, changes, paths })
    }

    fn mount(&self) -> sys::Result<OwnedFd> {
        let context = rustix::mount::fsopen(c"overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        rustix::mount::fsconfig_set_string(&context, "source", "overlay")?;
        for lower in &self.lower {
            rustix::mount::fsconfig_set_string(&context, "lowerdir+", name(lower))?;
        }
        if let Some([upper, work]) = &self.changes {
            rustix::mount::fsconfig_set_string(&context, "upperdir", name(upper))?;
            rustix::mount::fsconfig_set_string(&context, "workdir", name(work))?;
        }
        rustix::mount::fsconfig_create(&context)?;
        let flags = FsMountFlags::FSMOUNT_CLOEXEC;
        rustix::mount::fsmount(&context, flags, MountAttrFlags::empty())
    }

    fn all(&self) -> impl Iterator<Item = &OwnedFd> {
        self.lower.iter().chain(self.changes.iter().flatten())
    }

    /// The options of the old call.
    fn options(&self) -> String {
        let lower: Vec<_> = self.lower.iter().map(name).collect();
        let mut options = format!("lowerdir={}", lower.join(":"));
        if let Some([upper, work]) = &self.changes {
            options.push_str(&[",upperdir=", &name(upper), ",workdir=", &name(work)].concat());
        }
        options
    }
}

/// A copy of a layer that lies in no other one.
fn in_memory(layer: &OwnedFd, path: &Path) -> Result<OwnedFd, StartError> {
    let flags = MountAttrFlags::empty();
    let tree = tmpfs(&Tmpfs { kind: "tmpfs", name: "cover", options: &[], flags })?;
    let failed = || format!("copy the layer `{}`", path.display());
    copy_layer(layer, &tree).map_err(kernel(failed))?;
    Ok(tree)
}

fn mount_the_old_way(open: &Open) -> Result<OwnedFd, StartError> {
    let action = || "mount the layers as one".to_owned();
    let text = |text: &[u8]| {
        let failed =
            |error| StartError::Kernel { action: action(), source: io::Error::other(error) };
        CString::new(text).map_err(failed)
    };
    let options = text(open.options().as_bytes())?;
    let path = |path: &Option<PathBuf>| {
        path.as_ref().map(|path| text(path.as_os_str().as_bytes())).transpose()
    };
    let paths = open.paths.iter().map(path).collect::<Result<Vec<_>, _>>()?;
    let mounted = bind::from_elsewhere(|| {
        bind::own_mounts()?;
        // An overlay takes only what is in the mounts that it is made in.
        for (path, fd) in paths.iter().zip(open.all()) {
            let Some(path) = path else {
                bind::put_up(fd)?;
                continue;
            };
            let flags = OFlags::PATH | OFlags::DIRECTORY;
            let again = rustix::fs::open(path.as_c_str(), flags, Mode::empty())?;
            sys::put(again.as_fd(), fd.as_raw_fd())?;
        }
        // Any directory will do: nobody else sees what is mounted there.
        let place = paths.iter().flatten().next().ok_or(Errno::NOENT)?;
        let none = MountFlags::empty();
        rustix::mount::mount(c"overlay", place.as_c_str(), c"overlay", none, options.as_c_str())?;
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        rustix::mount::open_tree(CWD, place.as_c_str(), flags)
    });
    mounted.map_err(kernel(action))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsRawFd as _;
    use std::path::Path;

    use rustix::fs::Mode;

    use super::{Open, mount_the_old_way};
    use crate::runtime::native::container::config::{Changes, Overlay};

    fn layers(folder: &Path, number: usize) -> Overlay {
        let lower: Vec<_> = (0..number).map(|at| folder.join(format!("odd, name:{at}"))).collect();
        for (at, layer) in lower.iter().enumerate() {
            fs::create_dir(layer).unwrap();
            fs::write(layer.join("which"), at.to_string()).unwrap();
            fs::write(layer.join(format!("only-{at}")), "").unwrap();
        }
        let (upper, work) = (folder.join("upper"), folder.join("work"));
        fs::create_dir(&upper).unwrap();
        fs::create_dir(&work).unwrap();
        Overlay { lower, changes: Some(Changes { upper, work }) }
    }

    #[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
    fn may_mount() -> bool {
        let is_root = rustix::process::geteuid().is_root();
        if !is_root {
            println!("skipped: mounting needs root");
        }
        is_root
    }

    #[test]
    fn both_ways_of_mounting_show_the_same() {
        if !may_mount() {
            return;
        }
        for old in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let open = Open::new(&layers(folder.path(), 40)).unwrap();
            let tree = if old { mount_the_old_way(&open).unwrap() } else { open.mount().unwrap() };
            let root = format!("/proc/self/fd/{}", tree.as_raw_fd());
            let root = Path::new(&root);
            assert_eq!(fs::metadata(root.join("which")).unwrap().len(), 2, "that of layer 39");
            assert_eq!(fs::read_dir(root).unwrap().count(), 41);
            fs::write(root.join("new"), "x").unwrap();
            assert!(folder.path().join("upper/new").exists());
        }
    }

    #[test]
    fn a_layer_may_lie_in_the_one_that_it_covers() {
        if !may_mount() {
            return;
        }
        for old in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let below = folder.path().join("0");
            for directory in ["0/home/me", "0/bin", "0/state/cover/home"] {
                fs::create_dir_all(folder.path().join(directory)).unwrap();
            }
            fs::write(below.join("secret"), "").unwrap();
            let cover = below.join("state/cover");
            let gone = fs::File::open(&cover).unwrap();
            let kind = rustix::fs::FileType::CharacterDevice;
            rustix::fs::mknodat(&gone, "secret", kind, Mode::empty(), 0).unwrap();
            let home = fs::File::open(cover.join("home")).unwrap();
            let none = rustix::fs::XattrFlags::empty();
            rustix::fs::fsetxattr(&home, "trusted.overlay.opaque", b"y", none).unwrap();
            let (upper, work) = (below.join("state/upper"), below.join("state/work"));
            fs::create_dir(&upper).unwrap();
            fs::create_dir(&work).unwrap();
            let changes = Some(Changes { upper, work });
            let open = Open::new(&Overlay { lower: vec![below, cover], changes }).unwrap();
            let tree = if old { mount_the_old_way(&open).unwrap() } else { open.mount().unwrap() };
            let root = format!("/proc/self/fd/{}", tree.as_raw_fd());
            let root = Path::new(&root);
            assert!(!root.join("secret").exists() && root.join("bin").exists());
            assert_eq!(fs::read_dir(root.join("home")).unwrap().count(), 0);
        }
    }
}
