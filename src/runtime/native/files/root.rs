//! The root of a container: of one that runs as its process sees it, else mounted for a moment.
//!
//! In: what a container is. Out: its root directory, open, with its volumes.
//!
//! # Invariants
//!
//! - Only the calling thread sees what is mounted, and it goes with that thread.
//! - The root is mounted once at a time, by its shim or by one visitor: the kernel promises nothing
//!   for two overlays that write to the same directory. Who mounts it has the lock of the
//!   container's directory until nobody else can take the container for one that does not run.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, OFlags};
use rustix::mount::{
    MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount_change, move_mount,
    open_tree, unmount,
};
use rustix::thread::UnshareFlags;

use crate::runtime::native::container::{Config, Mount, Source, overlay};
use crate::runtime::native::control::whole;
use crate::runtime::native::lock;
use crate::runtime::native::names::{self, Named};
use crate::runtime::native::recover::look;
use crate::runtime::native::root::{Place, Root};
use crate::runtime::native::volume;
use crate::runtime::{Result, RuntimeError};

/// The files of a container.
pub(super) struct Files {
    pub(super) config: Config,
    pub(super) root: Root,
    pub(super) named: Named,
    pub(super) place: Place,
}

impl Files {
    /// Does something in the root.
    pub(super) fn visit<T: Send>(
        &self,
        act: impl FnOnce(BorrowedFd<'_>) -> Result<T> + Send,
    ) -> Result<T> {
        if let Some(root) = self.running()? {
            return act(root.as_fd());
        }
        let turn = lock::directory(&self.place.durable)?;
        // It may have started while others had their turn.
        if let Some(root) = self.running()? {
            return act(root.as_fd());
        }
        let volumes = volume::hold(&self.root, &self.config.mounts)?;
        // What that thread mounts goes with it, and volumes are given back outside of it.
        let done = std::thread::scope(|scope| scope.spawn(move || self.visit_mounted(act)).join());
        drop(volumes);
        drop(turn);
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    fn visit_mounted<T>(&self, act: impl FnOnce(BorrowedFd<'_>) -> Result<T>) -> Result<T> {
        let failed = |error: io::Error| {
            let said = format!("cannot see the files of the container: {}", whole(&error));
            RuntimeError::Refused(said)
        };
        let root = self.mount().map_err(failed)?;
        let done = act(root.as_fd());
        drop(root);
        // Else it would go with the thread, a moment later than the turn.
        let _ = unmount(self.place.view(), UnmountFlags::DETACH);
        done
    }

    /// The root as the first process sees it; `None` if the container does not run.
    fn running(&self) -> Result<Option<File>> {
        let seen = look(&self.root, &self.named)?;
        let seen = seen.ok_or_else(|| names::missing(&self.named.name))?;
        if !seen.is_held || seen.status.pid == 0 {
            return Ok(None);
        }
        Ok(File::open(format!("/proc/{}/root/", seen.status.pid)).ok())
    }

    /// Mounts the root where nobody else sees it.
    fn mount(&self) -> io::Result<OwnedFd> {
        // SAFETY: this thread shares no open files or directories that others rely on: it was made
        // for this, and only its mounts and its current directory become its own.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::FS)? };
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
        let tree = overlay(&self.config.root).map_err(io::Error::other)?;
        let view = self.place.view();
        attach(&tree, CWD, &view)?;
        let root: OwnedFd = File::open(&view)?.into();
        for mount in &self.config.mounts {
            // What is missing in a container that was never started has no files yet.
            let _ = put(&root, mount);
        }
        Ok(root)
    }
}

fn attach(tree: &OwnedFd, to: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    Ok(move_mount(tree.as_fd(), "", to, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
}

/// Mounts a volume or a directory of the host in the root.
fn put(root: &OwnedFd, mount: &Mount) -> io::Result<()> {
    let path = match &mount.source {
        Source::Bind { path, .. } => path.clone(),
        Source::Volume { path, subpath, .. } => path.join(subpath),
        Source::Tmpfs { .. } | Source::Image { .. } => return Ok(()),
    };
    let target = super::open(root.as_fd(), &mount.target, OFlags::PATH)?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    let tree = open_tree(CWD, &path, flags)?;
    let how = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(move_mount(tree.as_fd(), "", target.as_fd(), "", how)?)
}
