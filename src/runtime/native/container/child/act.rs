//! Carries out the steps of a new process.
//!
//! # Invariants
//!
//! - Nothing is allocated.

use std::ffi::CStr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
};
use rustix::thread::UnshareFlags;

use super::place::{self, Kind};
use super::step::{Attach, FileSystem, Over, Step, Word};
use super::{Report, WAITING};
use crate::runtime::native::container::sys::{self, Depth, MountAttributes, Result};

/// What steps leave for later ones.
#[derive(Debug, Default)]
pub(super) struct State<'a> {
    root: Option<OwnedFd>,
    parameters: Option<OwnedFd>,
    null: Option<BorrowedFd<'a>>,
    empty: Option<OwnedFd>,
}

const ONTO: MoveMountFlags =
    MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH.union(MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH);
const COPY: OpenTreeFlags = OpenTreeFlags::OPEN_TREE_CLONE
    .union(OpenTreeFlags::OPEN_TREE_CLOEXEC)
    .union(OpenTreeFlags::AT_EMPTY_PATH);

impl<'a> State<'a> {
    /// Does one thing.
    pub(super) fn run(&mut self, step: &'a Step, line: BorrowedFd<'_>) -> Result<()> {
        match step {
            Step::Begin => begin(),
            Step::DieWithParent => sys::die_with_parent(),
            Step::Join(process, kinds) => {
                rustix::thread::move_into_thread_name_spaces(process.as_fd(), *kinds)
            }
            Step::EnterCgroups(entrances) => {
                entrances.iter().try_for_each(|entrance| write(entrance.as_fd(), b"0"))
            }
            // SAFETY: descriptors are not unshared.
            Step::NewCgroupNamespace => unsafe {
                rustix::thread::unshare_unsafe(UnshareFlags::NEWCGROUP)
            },
            Step::HostName(name) => rustix::system::sethostname(name.as_bytes()),
            Step::DomainName(name) => rustix::system::setdomainname(name.as_bytes()),
            Step::Wait => wait(line),
            Step::Limit(limit) => rustix::process::setrlimit(limit.resource, limit.values),
            Step::Root(tree) => enter(tree.as_fd()).and_then(|()| self.keep_root()),
            Step::KeepRoot => self.keep_root(),
            Step::Mount(system) => self.mount(system),
            Step::Attach(attach) => self.attach(attach),
            Step::Bind(from, to) => self.bind(from, to),
            step => self.arrange(step),
        }
    }

    /// Does what is about single files.
    fn arrange(&mut self, step: &'a Step) -> Result<()> {
        match step {
            Step::HoldParameters => {
                self.parameters = Some(place::open_plain(self.root()?, c"proc/sys")?);
                Ok(())
            }
            Step::HoldNull(null) => {
                self.null = Some(null.as_fd());
                Ok(())
            }
            Step::Directory(path) => place::place(self.root()?, path, Kind::Directory).map(drop),
            Step::Parameter(path, value) => {
                let directory = self.parameters.as_ref().ok_or(Errno::BADF)?;
                write_file(directory.as_fd(), path, value)
            }
            Step::Mask(path) => self.mask(path),
            Step::ReadOnly(path) => self.make_read_only(path),
            Step::ReadOnlyRoot => sys::mount_setattr(self.root()?, Depth::One, &read_only()),
            Step::Write(word) => self.write_below_proc(word),
            _ => Ok(()),
        }
    }

    /// Writes to a file of the kernel, not to what a container may have put in its place.
    fn write_below_proc(&self, word: &Word) -> Result<()> {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::openat(self.root()?, &word.path, flags, Mode::empty())?;
        if rustix::fs::fstatfs(&file)?.f_type != rustix::fs::PROC_SUPER_MAGIC {
            return Err(Errno::PERM);
        }
        write(file.as_fd(), &word.text)
    }

    fn root(&self) -> Result<BorrowedFd<'_>> {
        self.root.as_ref().map(|root| root.as_fd()).ok_or(Errno::BADF)
    }

    fn keep_root(&mut self) -> Result<()> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        self.root = Some(rustix::fs::open(c"/", flags, Mode::empty())?);
        Ok(())
    }

    /// Mounts a file system of our namespaces. Its place must not be a link: the image would
    /// choose what else we do to it.
    fn mount(&self, system: &FileSystem) -> Result<()> {
        let made = place::place(self.root()?, system.target, Kind::Directory)?;
        drop(made);
        let target = place::open_plain(self.root()?, system.target)?;
        let context = rustix::mount::fsopen(system.kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
        rustix::mount::fsconfig_set_string(&context, c"source", system.kind)?;
        rustix::mount::fsconfig_create(&context)?;
        let flags = FsMountFlags::FSMOUNT_CLOEXEC;
        let tree = rustix::mount::fsmount(&context, flags, system.flags)?;
        rustix::mount::move_mount(&tree, c"", &target, c"", ONTO)
    }

    fn attach(&self, attach: &Attach) -> Result<()> {
        let target = place::place(self.root()?, &attach.target, attach.kind)?;
        if attach.over == Over::Files
            && rustix::fs::fstatfs(&target)?.f_type == rustix::fs::PROC_SUPER_MAGIC
        {
            return Err(Errno::PERM);
        }
        rustix::mount::move_mount(&attach.tree, c"", &target, c"", ONTO)
    }

    fn bind(&self, from: &CStr, to: &CStr) -> Result<()> {
        let root = self.root()?;
        let source = place::open_plain(root, from)?;
        let tree = rustix::mount::open_tree(&source, c"", COPY)?;
        let target = place::open_plain(root, to)?;
        rustix::mount::move_mount(&tree, c"", &target, c"", ONTO)
    }

    fn mask(&mut self, path: &CStr) -> Result<()> {
        let target = match place::open_plain(self.root()?, path) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            found => found?,
        };
        if !place::is_directory(target.as_fd())? {
            let null = self.null.ok_or(Errno::BADF)?;
            let tree = rustix::mount::open_tree(null, c"", COPY)?;
            return rustix::mount::move_mount(&tree, c"", &target, c"", ONTO);
        }
        // One empty file system serves all directories: copies can be made once it is attached.
        if let Some(empty) = &self.empty {
            let tree = rustix::mount::open_tree(empty, c"", COPY)?;
            return rustix::mount::move_mount(&tree, c"", &target, c"", ONTO);
        }
        let context = rustix::mount::fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        rustix::mount::fsconfig_set_string(&context, c"source", c"tmpfs")?;
        rustix::mount::fsconfig_set_flag(&context, c"ro")?;
        rustix::mount::fsconfig_create(&context)?;
        let flags = MountAttrFlags::MOUNT_ATTR_RDONLY;
        let tree = rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, flags)?;
        rustix::mount::move_mount(&tree, c"", &target, c"", ONTO)?;
        self.empty = Some(tree);
        Ok(())
    }

    fn make_read_only(&self, path: &CStr) -> Result<()> {
        let target = match place::open_plain(self.root()?, path) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            found => found?,
        };
        let tree = rustix::mount::open_tree(&target, c"", COPY | OpenTreeFlags::AT_RECURSIVE)?;
        sys::mount_setattr(&tree, Depth::All, &read_only())?;
        rustix::mount::move_mount(&tree, c"", &target, c"", ONTO)
    }
}

fn read_only() -> MountAttributes {
    let set = MountAttrFlags::MOUNT_ATTR_RDONLY.bits().into();
    MountAttributes { set, ..MountAttributes::default() }
}

fn begin() -> Result<()> {
    sys::hide()?;
    sys::reset_signals();
    rustix::process::umask(Mode::empty());
    Ok(())
}

/// Makes a tree the root of this mount namespace; the host's is no longer reachable.
fn enter(tree: BorrowedFd<'_>) -> Result<()> {
    let private = MountAttributes { propagation: libc::MS_PRIVATE, ..MountAttributes::default() };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let host = rustix::fs::open(c"/", flags, Mode::empty())?;
    // What we do here must not spread to the host.
    sys::mount_setattr(&host, Depth::All, &private)?;
    rustix::mount::move_mount(tree, c"", &host, c"", ONTO)?;
    rustix::process::fchdir(tree)?;
    rustix::process::pivot_root(c".", c".")?;
    // The host's root lies on top of ours now.
    rustix::mount::unmount(c".", UnmountFlags::DETACH)?;
    rustix::process::chdir(c"/")
}

fn write(fd: BorrowedFd<'_>, text: &[u8]) -> Result<()> {
    rustix::io::write(fd, text).map(drop)
}

fn write_file(directory: BorrowedFd<'_>, path: &CStr, text: &[u8]) -> Result<()> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::openat(directory, path, flags, Mode::empty())?;
    write(file.as_fd(), text)
}

/// Tells the parent that we wait, and waits for its word. A parent that is gone says nothing.
fn wait(line: BorrowedFd<'_>) -> Result<()> {
    let report = Report { step: WAITING, errno: 0 };
    write(line, &report.to_bytes())?;
    let mut word = [0; 1];
    loop {
        match rustix::io::read(line, &mut word) {
            Ok(0) => return Err(Errno::PIPE),
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}
