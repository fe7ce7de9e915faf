//! Trees in memory.

use std::os::fd::OwnedFd;

use rustix::fs::Mode;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use crate::runtime::native::container::error::{StartError, kernel};
use crate::runtime::native::container::sys::{self, Depth, MountAttributes};

/// A file system in memory.
#[derive(Debug)]
pub(in crate::runtime::native::container) struct Tmpfs<'a> {
    /// Its kind: `tmpfs`, or `devpts` and the like that take options as well.
    pub(in crate::runtime::native::container) kind: &'a str,
    /// What it is called in the mount table.
    pub(in crate::runtime::native::container) name: &'a str,
    /// Its options, as `size=64m`.
    pub(in crate::runtime::native::container) options: &'a [String],
    /// What it forbids.
    pub(in crate::runtime::native::container) flags: MountAttrFlags,
}

/// A tree of a new file system.
pub(in crate::runtime::native::container) fn tmpfs(
    system: &Tmpfs<'_>,
) -> Result<OwnedFd, StartError> {
    let failed = || format!("make a file system `{}`", system.kind);
    let context = rustix::mount::fsopen(system.kind, FsOpenFlags::FSOPEN_CLOEXEC);
    let context = context.map_err(kernel(failed))?;
    rustix::mount::fsconfig_set_string(&context, "source", system.name).map_err(kernel(failed))?;
    for option in system.options {
        let failed = || format!("make a file system `{}` with `{option}`", system.kind);
        set(&context, option).map_err(kernel(failed))?;
    }
    rustix::mount::fsconfig_create(&context).map_err(kernel(failed))?;
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    rustix::mount::fsmount(&context, flags, system.flags).map_err(kernel(failed))
}

/// Sets an option: `NAME=VALUE` or `NAME`.
fn set(context: &OwnedFd, option: &str) -> sys::Result<()> {
    match option.split_once('=') {
        Some((name, value)) => rustix::mount::fsconfig_set_string(context, name, value),
        None => rustix::mount::fsconfig_set_flag(context, option),
    }
}

/// A read-only tree with directories and links to them.
pub(in crate::runtime::native::container) fn directories(
    names: &[&str],
    links: &[(&str, &str)],
    flags: MountAttrFlags,
) -> Result<OwnedFd, StartError> {
    let options = ["mode=755".to_owned(), "size=64k".to_owned()];
    let tree = tmpfs(&Tmpfs { kind: "tmpfs", name: "cgroup", options: &options, flags })?;
    let fill = || -> sys::Result<()> {
        for name in names {
            rustix::fs::mkdirat(&tree, *name, Mode::from_raw_mode(0o755))?;
        }
        for (name, target) in links {
            rustix::fs::symlinkat(*target, &tree, *name)?;
        }
        let set = MountAttrFlags::MOUNT_ATTR_RDONLY.bits().into();
        let read_only = MountAttributes { set, ..MountAttributes::default() };
        sys::mount_setattr(&tree, Depth::One, &read_only)
    };
    fill().map_err(kernel(|| "make directories for cgroups".to_owned()))?;
    Ok(tree)
}
