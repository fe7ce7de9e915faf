//! Trees that show what is there already: paths of the host, of volumes, of other containers.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MoveMountFlags, OpenTreeFlags};
use rustix::pipe::PipeFlags;
use rustix::process::{PidfdGetfdFlags, Signal};
use rustix::thread::{ThreadNameSpaceType, UnshareFlags};

use crate::runtime::native::container::child::Kind;
use crate::runtime::native::container::config::{Access, Propagation};
use crate::runtime::native::container::error::{StartError, kernel};
use crate::runtime::native::container::sys::{self, Depth, MountAttributes, Side};

/// A tree of something that is open, with what is mounted below it or without.
pub(super) fn copy(source: BorrowedFd<'_>, depth: Depth) -> sys::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    if depth == Depth::All {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    rustix::mount::open_tree(source, c"", flags)
}

/// Opens what lies beneath a directory; no link leads out of it.
pub(in crate::runtime::native::container) fn beneath(
    directory: BorrowedFd<'_>,
    path: &Path,
) -> sys::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(directory, path, flags, Mode::empty(), resolve)
}

/// A tree of a source, with the rights and the propagation of a mount; and what the source is.
///
/// # Errors
///
/// If it cannot be shown in this way.
pub(in crate::runtime::native::container) fn bind(
    source: BorrowedFd<'_>,
    depth: Depth,
    access: Access,
    propagation: Propagation,
) -> io::Result<(OwnedFd, Kind)> {
    let found = rustix::fs::statat(source, c"", AtFlags::EMPTY_PATH)?;
    let kind = match FileType::from_raw_mode(found.st_mode) {
        FileType::Directory => Kind::Directory,
        _ => Kind::File,
    };
    let tree = copy(source, depth)?;
    let (spreads, spread_depth) = spread(propagation);
    match limits(access) {
        // One call, where both are about the same mounts.
        Some((limits, limit_depth)) if limit_depth == spread_depth => {
            let both = MountAttributes { propagation: spreads.propagation, ..limits };
            sys::mount_setattr(&tree, limit_depth, &both)?;
        }
        limits => {
            sys::mount_setattr(&tree, spread_depth, &spreads)?;
            if let Some((limits, depth)) = limits {
                sys::mount_setattr(&tree, depth, &limits)?;
            }
        }
    }
    Ok((tree, kind))
}

/// How later mounts spread, and for which mounts that is set.
fn spread(propagation: Propagation) -> (MountAttributes, Depth) {
    let (flag, depth) = match propagation {
        Propagation::Rprivate => (libc::MS_PRIVATE, Depth::All),
        Propagation::Private => (libc::MS_PRIVATE, Depth::One),
        Propagation::Rshared => (libc::MS_SHARED, Depth::All),
        Propagation::Shared => (libc::MS_SHARED, Depth::One),
        Propagation::Rslave => (libc::MS_SLAVE, Depth::All),
        Propagation::Slave => (libc::MS_SLAVE, Depth::One),
    };
    (MountAttributes { propagation: flag, ..MountAttributes::default() }, depth)
}

/// Who may not write, and to which mounts.
fn limits(access: Access) -> Option<(MountAttributes, Depth)> {
    let set = MountAttrFlags::MOUNT_ATTR_RDONLY.bits().into();
    let read_only = MountAttributes { set, ..MountAttributes::default() };
    match access {
        Access::Write => None,
        Access::ReadTop => Some((read_only, Depth::One)),
        Access::Read | Access::ReadAll => Some((read_only, Depth::All)),
    }
}

/// Sets who may write.
pub(in crate::runtime::native::container) fn restrict(
    tree: &OwnedFd,
    access: Access,
) -> sys::Result<()> {
    match limits(access) {
        Some((limits, depth)) => sys::mount_setattr(tree, depth, &limits),
        None => Ok(()),
    }
}

/// Forbids what the system's own file systems forbid.
pub(in crate::runtime::native::container) fn close(tree: &OwnedFd) -> sys::Result<()> {
    let flags = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let attributes = MountAttributes { set: flags.bits().into(), ..MountAttributes::default() };
    sys::mount_setattr(tree, Depth::One, &attributes)
}

/// A tree of a part of a tree that hangs nowhere yet. Kernels before 6.15 copy only what hangs
/// somewhere: it does so for a moment, where nobody sees it.
pub(in crate::runtime::native::container) fn cut(
    whole: &OwnedFd,
    part: &OwnedFd,
) -> sys::Result<OwnedFd> {
    from_elsewhere(|| {
        own_mounts()?;
        put_up(whole)?;
        copy(part.as_fd(), Depth::One)
    })
}

/// Hangs a tree somewhere, in mounts of our own: who has it open finds it there.
pub(super) fn put_up(tree: &OwnedFd) -> sys::Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(c"/", flags, Mode::empty())?;
    let onto = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(tree, c"", &root, c"", onto)
}

/// A tree of something in another container.
pub(in crate::runtime::native::container) fn foreign(
    process: BorrowedFd<'_>,
    path: &CStr,
) -> Result<OwnedFd, StartError> {
    let found = from_elsewhere(|| {
        let mounts = ThreadNameSpaceType::MOUNT;
        rustix::thread::move_into_thread_name_spaces(process, mounts)?;
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
        rustix::mount::open_tree(rustix::fs::CWD, path, flags)
    });
    found.map_err(kernel(|| format!("share `{}` of another container", path.to_string_lossy())))
}

/// Leaves the mounts of the host: what is mounted from now on spreads nowhere.
pub(super) fn own_mounts() -> sys::Result<()> {
    // SAFETY: descriptors are not unshared.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(c"/", flags, Mode::empty())?;
    let private = MountAttributes { propagation: libc::MS_PRIVATE, ..MountAttributes::default() };
    sys::mount_setattr(&root, Depth::All, &private)
}

/// Gets a descriptor from a process of its own, which may enter other namespaces. `open` must not
/// allocate.
pub(in crate::runtime::native::container) fn from_elsewhere(
    open: impl FnOnce() -> sys::Result<OwnedFd>,
) -> sys::Result<OwnedFd> {
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    // SAFETY: the child calls `open`, which allocates nothing, writes to a pipe, and ends.
    let (pid, pidfd) = match unsafe { sys::clone(0, None) }? {
        Side::Child => hand_over(&writer, &open()),
        Side::Parent { pid, pidfd } => (pid, pidfd),
    };
    drop(writer);
    let mut answer = [0; 8];
    let read = rustix::io::retry_on_intr(|| rustix::io::read(&reader, &mut answer));
    let (number, errno) = sys::halves(answer);
    let (number, errno) = (i32::from_ne_bytes(number), i32::from_ne_bytes(errno));
    let result = match read {
        Ok(8) if errno == 0 => {
            rustix::process::pidfd_getfd(&pidfd, number, PidfdGetfdFlags::empty())
        }
        Ok(8) => Err(Errno::from_raw_os_error(errno)),
        Ok(_) => Err(Errno::CHILD),
        Err(errno) => Err(errno),
    };
    let _ = rustix::process::pidfd_send_signal(&pidfd, Signal::KILL);
    let reaped = rustix::process::Pid::from_raw(pid);
    let _ = rustix::io::retry_on_intr(|| {
        rustix::process::waitpid(reaped, rustix::process::WaitOptions::empty())
    });
    result
}

/// Tells the number of a descriptor and keeps it open until we are killed.
fn hand_over(writer: &OwnedFd, opened: &sys::Result<OwnedFd>) -> ! {
    // Who waits for us may be killed: then we go too.
    let _ = sys::die_with_parent();
    let (number, errno) = match opened {
        Ok(fd) => (fd.as_raw_fd(), 0),
        Err(errno) => (-1, errno.raw_os_error()),
    };
    let answer = sys::pair(number.to_ne_bytes(), errno.to_ne_bytes());
    let told = rustix::io::write(writer.as_fd(), &answer);
    if told.is_ok() && opened.is_ok() {
        loop {
            rustix::event::pause();
        }
    }
    sys::exit(0)
}

/// How mounts at something of the host spread.
pub(in crate::runtime::native::container) fn spread_of(source: &OwnedFd) -> io::Result<Spread> {
    let read = |path: String| {
        let mut text = String::new();
        File::open(path)?.read_to_string(&mut text).map(|_| text)
    };
    let info = read(format!("/proc/self/fdinfo/{}", source.as_raw_fd()))?;
    let id = info.lines().find_map(|line| line.strip_prefix("mnt_id:")).map(str::trim);
    Ok(Spread::parse(&read("/proc/self/mountinfo".to_owned())?, id.unwrap_or_default()))
}

/// How a mount of the host spreads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::runtime::native::container) struct Spread {
    /// Both ways.
    pub(in crate::runtime::native::container) shared: bool,
    /// From elsewhere.
    pub(in crate::runtime::native::container) slave: bool,
}

impl Spread {
    /// What the mount table says about a mount.
    fn parse(table: &str, id: &str) -> Self {
        let line = table.lines().find(|line| line.split(' ').next() == Some(id));
        let words = line.unwrap_or_default().split(' ').skip(6).take_while(|word| *word != "-");
        let has = |start: &str| words.clone().any(|word| word.starts_with(start));
        Self { shared: has("shared:"), slave: has("master:") }
    }
}

#[cfg(test)]
mod tests {
    use super::Spread;

    #[test]
    fn the_mount_table_tells_how_mounts_spread() {
        let table = "1 0 8:1 / / rw shared:1 - ext4 a rw\n12 1 8:2 / /b rw master:1 - ext4 a rw\n\
                     3 1 8:3 / /c rw - ext4 shared:a rw\nbroken";
        let of = |id| Spread::parse(table, id);
        assert_eq!(of("1"), Spread { shared: true, slave: false });
        assert_eq!(of("12"), Spread { shared: false, slave: true });
        assert_eq!((of("3"), of("9")), (of("broken"), of("")));
    }
}
