//! `/dev` of a container, and the devices of the host that it sees.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};
use rustix::mount::MountAttrFlags;

use super::bind::bind;
use super::tmpfs::{Tmpfs, tmpfs};
use crate::runtime::native::container::cgroup::DeviceRule;
use crate::runtime::native::container::config::{Access, Device, Propagation};
use crate::runtime::native::container::error::{StartError, kernel};
use crate::runtime::native::container::sys::Depth;

/// Names, major and minor numbers of what every container has.
const USUAL: &[(&str, u32, u32)] = &[
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];
const LINKS: &[(&str, &str)] = &[
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];
const DIRECTORIES: &[&str] = &["pts", "shm", "mqueue"];

/// A device of the host and where a container sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::runtime::native::container) struct Node {
    /// Path on the host.
    source: PathBuf,
    /// Path in the container.
    target: String,
    kind: FileType,
    device: u64,
    mode: u32,
    owner: (u32, u32),
    /// What the container may do with it.
    access: String,
}

/// A tree for `/dev`.
#[derive(Debug)]
pub(in crate::runtime::native::container) struct Dev {
    /// The tree.
    pub(in crate::runtime::native::container) tree: OwnedFd,
    /// Its `null`.
    pub(in crate::runtime::native::container) null: OwnedFd,
}

impl Dev {
    /// Makes one with the usual devices, and those nodes that belong into it.
    pub(in crate::runtime::native::container) fn new(nodes: &[Node]) -> Result<Self, StartError> {
        let options = ["mode=755".to_owned(), "size=65536k".to_owned()];
        let flags = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_STRICTATIME;
        let tree = tmpfs(&Tmpfs { kind: "tmpfs", name: "tmpfs", options: &options, flags })?;
        let filled = fill(&tree, nodes);
        let failed = || "fill `/dev`".to_owned();
        filled.map_err(kernel(failed))?;
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let null = rustix::fs::openat(&tree, c"null", flags, Mode::empty());
        Ok(Self { null: null.map_err(kernel(failed))?, tree })
    }
}

fn fill(tree: &OwnedFd, nodes: &[Node]) -> io::Result<()> {
    for (name, major, minor) in USUAL {
        let mode = Mode::from_raw_mode(0o666);
        let device = rustix::fs::makedev(*major, *minor);
        rustix::fs::mknodat(tree, *name, FileType::CharacterDevice, mode, device)?;
        // The mask of this process has no say in it.
        rustix::fs::chmodat(tree, *name, mode, AtFlags::empty())?;
    }
    for (name, target) in LINKS {
        rustix::fs::symlinkat(*target, tree, *name)?;
    }
    for name in DIRECTORIES {
        rustix::fs::mkdirat(tree, *name, Mode::from_raw_mode(0o755))?;
    }
    nodes.iter().try_for_each(|node| node.make(tree))
}

impl Node {
    /// The rule that lets a container use it.
    pub(in crate::runtime::native::container) fn rule(&self) -> DeviceRule {
        DeviceRule {
            kind: if self.kind == FileType::BlockDevice { 'b' } else { 'c' },
            major: Some(libc::major(self.device)),
            minor: Some(libc::minor(self.device)),
            access: self.access.clone(),
        }
    }

    /// A tree of the device of the host.
    pub(in crate::runtime::native::container) fn shown(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let source = rustix::fs::open(&self.source, flags, Mode::empty())?;
        let (access, spread) = (Access::Write, Propagation::Rprivate);
        bind(source.as_fd(), Depth::One, access, spread).map(|(tree, _)| tree)
    }

    /// Makes it, if its place is below `/dev`.
    fn make(&self, dev: &OwnedFd) -> io::Result<()> {
        let Some(path) = self.target.strip_prefix("/dev/") else { return Ok(()) };
        let path = Path::new(path);
        let mut parents: Vec<_> = path.ancestors().skip(1).collect();
        parents.pop();
        for parent in parents.into_iter().rev() {
            match rustix::fs::mkdirat(dev, parent, Mode::from_raw_mode(0o755)) {
                Err(rustix::io::Errno::EXIST) | Ok(()) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        match rustix::fs::unlinkat(dev, path, AtFlags::empty()) {
            Err(rustix::io::Errno::NOENT) | Ok(()) => {}
            Err(errno) => return Err(errno.into()),
        }
        self.make_at(dev, path)
    }

    fn make_at(&self, directory: &OwnedFd, path: &Path) -> io::Result<()> {
        let mode = Mode::from_raw_mode(self.mode & 0o7777);
        rustix::fs::mknodat(directory, path, self.kind, mode, self.device)?;
        rustix::fs::chmodat(directory, path, mode, AtFlags::empty())?;
        let owner = (Some(Uid::from_raw(self.owner.0)), Some(Gid::from_raw(self.owner.1)));
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        Ok(rustix::fs::chownat(directory.as_fd(), path, owner.0, owner.1, flags)?)
    }

    /// The path in the container if that is not below `/dev`.
    pub(in crate::runtime::native::container) fn elsewhere(&self) -> Option<&str> {
        let elsewhere = !self.target.starts_with("/dev/");
        elsewhere.then_some(self.target.as_str())
    }

    /// The device of the host, shown by itself.
    fn found(path: &Path, target: String, access: &str) -> io::Result<Option<Self>> {
        let found = fs::metadata(path)?;
        let kind = if found.file_type().is_block_device() {
            FileType::BlockDevice
        } else if found.file_type().is_char_device() {
            FileType::CharacterDevice
        } else {
            return Ok(None);
        };
        Ok(Some(Self {
            source: path.to_owned(),
            target,
            kind,
            device: found.rdev(),
            mode: found.mode(),
            owner: (found.uid(), found.gid()),
            access: access.to_owned(),
        }))
    }
}

/// Makes a place for the terminal of a container in its `/dev`.
pub(in crate::runtime::native::container) fn console(tree: &OwnedFd) -> rustix::io::Result<()> {
    let mode = Mode::from_raw_mode(0o620);
    rustix::fs::mknodat(tree, c"console", FileType::RegularFile, mode, 0)
}

/// The devices that a config names; of a directory, those in it.
pub(in crate::runtime::native::container) fn devices(
    devices: &[Device],
) -> Result<Vec<Node>, StartError> {
    let mut nodes = Vec::new();
    for device in devices {
        let path = Path::new(&device.source);
        let failed = || format!("use the device `{}`", device.source);
        let target = device.target.clone();
        let access = &device.permissions;
        if let Some(node) = Node::found(path, target, access).map_err(kernel(failed))? {
            nodes.push(node);
        } else if path.is_dir() {
            below(path, &device.target, access, &mut nodes).map_err(kernel(failed))?;
        } else {
            return Err(StartError::Invalid(format!("`{}` is no device", device.source)));
        }
    }
    Ok(nodes)
}

/// The devices in a directory, with what lies below it.
fn below(path: &Path, target: &str, access: &str, nodes: &mut Vec<Node>) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let target = format!("{}/{name}", target.trim_end_matches('/'));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            below(&entry.path(), &target, access, nodes)?;
        } else if !kind.is_symlink() {
            nodes.extend(Node::found(&entry.path(), target, access)?);
        }
    }
    Ok(())
}

/// What a privileged container sees besides: all devices of the host but terminals and what is
/// made for it anew.
pub(in crate::runtime::native::container) fn own_devices() -> Result<Vec<Node>, StartError> {
    const OWN: &[&str] = &["pts", "shm", "mqueue", "fd", ".lxc", ".lxd-mounts", ".udev", "console"];
    let failed = || "list the devices of the host".to_owned();
    let mut nodes = Vec::new();
    for entry in fs::read_dir("/dev").map_err(kernel(failed))? {
        let entry = entry.map_err(kernel(failed))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_usual = USUAL.iter().any(|(usual, ..)| *usual == name) || name == "ptmx";
        if is_usual || OWN.contains(&name.as_str()) {
            continue;
        }
        let Ok(kind) = entry.file_type() else { continue };
        let target = format!("/dev/{name}");
        let found = if kind.is_dir() {
            below(&entry.path(), &target, "rwm", &mut nodes)
        } else if kind.is_symlink() {
            Ok(())
        } else {
            Node::found(&entry.path(), target, "rwm").map(|node| nodes.extend(node))
        };
        // A device may go while we look.
        if let Err(error) = found {
            tracing::debug!("`/dev/{name}` is left out: {error}");
        }
    }
    Ok(nodes)
}
