//! Trees to attach in a container, made by its parent: mounts that hang nowhere yet.
//!
//! In: what to mount. Out: descriptors. A tree disappears with its last descriptor, so a crash
//! leaves nothing behind.
//!
//! # Invariants
//!
//! - Sources on the host are opened here, before the container exists.
//! - What a container could have changed (volumes, its own root) is resolved beneath its root.
//!
//! # Not here
//!
//! File systems that belong to the container's namespaces (`child`).

mod bind;
mod device;
mod overlay;
mod program;
mod tmpfs;

pub use program::sealed_program;

pub(super) use bind::{beneath, bind, close, cut, foreign, from_elsewhere, restrict, spread_of};
pub(super) use device::{Dev, Node, console, devices, own_devices};
pub(in crate::runtime::native) use overlay::overlay;
pub(super) use tmpfs::{Tmpfs, directories, tmpfs};

use rustix::mount::MountAttrFlags;

/// Flags of a mount by their names in `tmpfs: PATH:OPTIONS`: which are set and which cleared.
pub(super) fn flags(names: &[String]) -> MountAttrFlags {
    let mut flags = MountAttrFlags::empty();
    for name in names {
        match name.as_str() {
            "ro" => flags |= MountAttrFlags::MOUNT_ATTR_RDONLY,
            "rw" => flags -= MountAttrFlags::MOUNT_ATTR_RDONLY,
            "nosuid" => flags |= MountAttrFlags::MOUNT_ATTR_NOSUID,
            "suid" => flags -= MountAttrFlags::MOUNT_ATTR_NOSUID,
            "nodev" => flags |= MountAttrFlags::MOUNT_ATTR_NODEV,
            "dev" => flags -= MountAttrFlags::MOUNT_ATTR_NODEV,
            "noexec" => flags |= MountAttrFlags::MOUNT_ATTR_NOEXEC,
            "exec" => flags -= MountAttrFlags::MOUNT_ATTR_NOEXEC,
            "noatime" => flags |= MountAttrFlags::MOUNT_ATTR_NOATIME,
            "strictatime" => flags |= MountAttrFlags::MOUNT_ATTR_STRICTATIME,
            "nodiratime" => flags |= MountAttrFlags::MOUNT_ATTR_NODIRATIME,
            _ => {}
        }
    }
    flags
}

/// Whether a name is one of the flags above.
pub(super) fn is_flag(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "ro",
        "rw",
        "nosuid",
        "suid",
        "nodev",
        "dev",
        "noexec",
        "exec",
        "noatime",
        "atime",
        "relatime",
        "strictatime",
        "nodiratime",
        "diratime",
    ];
    NAMES.contains(&name)
}
