//! The root of a container: of one that runs as its process sees it, else mounted for a moment.
//!
//! In: what a container is. Out: its root directory, open, with its volumes.
//!
//! # Invariants
//!
//! - Only the calling thread sees what is mounted, and it goes with that thread.
//! - The root is mounted once at a time: the kernel promises nothing for two overlays that write to
//!   the same directory.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, OFlags};
use rustix::mount::{
    MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount_change, move_mount,
    open_tree, unmount,
};
use rustix::thread::UnshareFlags;

use crate::runtime::native::container::{Config, Mount, Source, overlay};
use crate::runtime::native::control::whole;
use crate::runtime::{Result, RuntimeError};

/// The files of a container.
pub(super) struct Files {
    pub(super) config: Config,
    /// Where the root is mounted for a moment.
    pub(super) view: PathBuf,
    /// Its first process; 0 if it does not run.
    pub(super) pid: i32,
}

impl Files {
    /// Does something in the root. Must be called on a thread that ends after it.
    pub(super) fn visit<T>(&self, act: impl FnOnce(BorrowedFd<'_>) -> Result<T>) -> Result<T> {
        let failed = |error: io::Error| {
            let said = format!("cannot see the files of the container: {}", whole(&error));
            RuntimeError::Refused(said)
        };
        if self.pid != 0
            && let Ok(root) = File::open(format!("/proc/{}/root/", self.pid))
        {
            return act(root.as_fd());
        }
        let turn = self.turn().map_err(failed)?;
        let root = self.mount().map_err(failed)?;
        let done = act(root.as_fd());
        drop(root);
        // Else it would go with the thread, a moment later than the turn.
        let _ = unmount(&self.view, UnmountFlags::DETACH);
        drop(turn);
        done
    }

    /// Waits until nobody else has mounted the root, and keeps others waiting.
    fn turn(&self) -> io::Result<File> {
        std::fs::create_dir_all(&self.view)?;
        let turn = File::create(self.view.with_extension("lock"))?;
        turn.lock()?;
        Ok(turn)
    }

    /// Mounts the root where nobody else sees it.
    fn mount(&self) -> io::Result<OwnedFd> {
        // SAFETY: this thread shares no open files or directories that others rely on: it was made
        // for this, and only its mounts and its current directory become its own.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::FS)? };
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
        let tree = overlay(&self.config.root).map_err(io::Error::other)?;
        attach(&tree, CWD, &self.view)?;
        let root: OwnedFd = File::open(&self.view)?.into();
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
