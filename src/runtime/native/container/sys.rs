//! System calls that `rustix` does not have, as thin as they can be.
//!
//! # Invariants
//!
//! - Nothing here allocates: all of it may run between clone and exec.

use std::ffi::{CStr, c_char, c_int, c_long};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use rustix::io::Errno;

use super::seccomp::Instruction;

/// The result of a call.
pub(super) type Result<T> = std::result::Result<T, Errno>;

fn check(result: c_long) -> Result<c_long> {
    if result < 0 { Err(last_error()) } else { Ok(result) }
}

fn last_error() -> Errno {
    // SAFETY: the address of this thread's own error number is always valid.
    Errno::from_raw_os_error(unsafe { *libc::__errno_location() })
}

/// Two words in a row.
pub(super) fn pair(one: [u8; 4], other: [u8; 4]) -> [u8; 8] {
    let mut both = [0; 8];
    both[..4].copy_from_slice(&one);
    both[4..].copy_from_slice(&other);
    both
}

/// What [`pair`] has put together.
pub(super) fn halves(both: [u8; 8]) -> ([u8; 4], [u8; 4]) {
    let (mut one, mut other) = ([0; 4], [0; 4]);
    one.copy_from_slice(&both[..4]);
    other.copy_from_slice(&both[4..]);
    (one, other)
}

/// What `mount_setattr` changes.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct MountAttributes {
    /// Flags to set: `MOUNT_ATTR_*`.
    pub(super) set: u64,
    /// Flags to clear.
    pub(super) clear: u64,
    /// `MS_PRIVATE` and the like; 0: as it is.
    pub(super) propagation: u64,
    /// User namespace of an id-mapped mount.
    pub(super) userns: u64,
}

/// Whether mounts below are meant too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// This mount.
    One,
    /// All below it too.
    All,
}

/// Changes a mount that is open.
pub(super) fn mount_setattr(
    mount: impl AsFd,
    depth: Depth,
    attributes: &MountAttributes,
) -> Result<()> {
    let recursive = if depth == Depth::All { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is empty and terminated, and the attributes have the size that is told.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | recursive,
            std::ptr::from_ref(attributes),
            size_of::<MountAttributes>(),
        )
    };
    check(result).map(drop)
}

/// Which side of a clone this is.
#[derive(Debug)]
pub(super) enum Side {
    /// The new process.
    Child,
    /// The one that made it.
    Parent {
        /// The number of the child.
        pid: i32,
        /// The child.
        pidfd: OwnedFd,
    },
}

/// Arguments of `clone3`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Makes a process with a copy of our memory.
///
/// # Safety
///
/// The child must not allocate, take locks, or use what other threads of the parent were using; it
/// must end in `execve` or `_exit`. `flags` must not share memory or files with the child.
pub(super) unsafe fn clone(flags: c_int, cgroup: Option<BorrowedFd<'_>>) -> Result<Side> {
    let mut pidfd: RawFd = -1;
    let into = if cgroup.is_some() { 0x2_0000_0000 } else { 0 };
    let arguments = CloneArguments {
        flags: (flags | libc::CLONE_PIDFD).unsigned_abs().into(),
        pidfd: std::ptr::from_mut(&mut pidfd).addr() as u64,
        exit_signal: libc::SIGCHLD.unsigned_abs().into(),
        cgroup: cgroup.map_or(0, |cgroup| cgroup.as_raw_fd().unsigned_abs().into()),
        ..CloneArguments::default()
    };
    let arguments = CloneArguments { flags: arguments.flags | into, ..arguments };
    // SAFETY: the arguments have the size that is told; the child gets a copy of this stack, and
    // the caller promises the rest.
    let pid = unsafe {
        libc::syscall(libc::SYS_clone3, std::ptr::from_ref(&arguments), size_of::<CloneArguments>())
    };
    let pid = check(pid)?;
    if pid == 0 {
        return Ok(Side::Child);
    }
    // SAFETY: the kernel has just made this descriptor for us.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Side::Parent { pid: i32::try_from(pid).unwrap_or(i32::MAX), pidfd })
}

/// Makes a process that only keeps running as our own copy: no descriptor is made for it.
///
/// # Safety
///
/// As for [`clone`].
pub(super) unsafe fn fork() -> Result<i32> {
    let arguments =
        CloneArguments { exit_signal: libc::SIGCHLD.unsigned_abs().into(), ..Default::default() };
    // SAFETY: as in `clone`.
    let pid = unsafe {
        libc::syscall(libc::SYS_clone3, std::ptr::from_ref(&arguments), size_of::<CloneArguments>())
    };
    check(pid).map(|pid| i32::try_from(pid).unwrap_or(i32::MAX))
}

/// Whether the kernel knows `clone3`: one that has no size is refused by all who do.
pub(super) fn clone_is_there() -> Result<()> {
    // SAFETY: the kernel refuses arguments of no size before it looks at them.
    let result = unsafe { libc::syscall(libc::SYS_clone3, std::ptr::null::<u8>(), 0) };
    match check(result) {
        Err(Errno::NOSYS) => Err(Errno::NOSYS),
        _ => Ok(()),
    }
}

/// Controls the networks by a socket, with a name as the argument.
pub(super) fn control_by_name(
    socket: BorrowedFd<'_>,
    request: libc::c_ulong,
    name: &CStr,
) -> Result<()> {
    // SAFETY: requests of this kind read a terminated name and write nothing.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), request as _, name.as_ptr()) };
    check(result.into()).map(drop)
}

/// Takes a capability away for good.
pub(super) fn drop_bounding(number: u8) -> Result<()> {
    prctl(libc::PR_CAPBSET_DROP, number.into())
}

/// Keeps capabilities when the user changes (1), or not (0).
pub(super) fn keep_capabilities(keep: libc::c_ulong) -> Result<()> {
    prctl(libc::PR_SET_KEEPCAPS, keep)
}

/// Hides this process from others: its memory, files and program.
pub(super) fn hide() -> Result<()> {
    prctl(libc::PR_SET_DUMPABLE, 0)
}

/// Dies when the parent's thread does.
pub(super) fn die_with_parent() -> Result<()> {
    prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL.unsigned_abs().into())
}

fn prctl(option: c_int, argument: libc::c_ulong) -> Result<()> {
    // SAFETY: these options take one number and no memory.
    check(unsafe { libc::prctl(option, argument, 0, 0, 0) }.into()).map(drop)
}

/// Lets a filter decide over all calls from now on.
pub(super) fn filter_calls(program: &[Instruction]) -> Result<()> {
    let Ok(len) = u16::try_from(program.len()) else { return Err(Errno::INVAL) };
    let filter =
        libc::sock_fprog { len, filter: program.as_ptr().cast::<libc::sock_filter>().cast_mut() };
    let flags = libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    // SAFETY: `Instruction` is laid out as `sock_filter`; the kernel reads `len` of them and
    // writes nothing.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            std::ptr::from_ref(&filter),
        )
    };
    check(result).map(drop)
}

/// Default handling of all signals, and none blocked.
pub(super) fn reset_signals() {
    // Handler, flags, restorer and mask, as the kernel has them.
    let usual = [0_u64; 4];
    for signal in 1..=64 {
        // SAFETY: the kernel reads what `usual` holds; the default handling runs no code of ours;
        // a number without a signal is refused. The C library would spare those that it uses
        // itself, which a process that it has spawned ignores.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                usual.as_ptr(),
                std::ptr::null::<u64>(),
                8,
            )
        };
    }
    block_signals(0);
}

/// Blocks all signals (1) or none (0).
pub(super) fn block_signals(all: u8) {
    let set = if all == 0 { [0_u64; 2] } else { [u64::MAX; 2] };
    // SAFETY: the kernel reads eight bytes of the set.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            set.as_ptr(),
            std::ptr::null::<u64>(),
            8,
        )
    };
}

/// Waits for any signal, all of which are blocked.
pub(super) fn next_signal() -> i32 {
    let set = [u64::MAX; 2];
    // SAFETY: the kernel reads eight bytes of the set, and is given no other memory.
    let signal = unsafe {
        libc::syscall(
            libc::SYS_rt_sigtimedwait,
            set.as_ptr(),
            std::ptr::null::<u8>(),
            std::ptr::null::<u8>(),
            8,
        )
    };
    i32::try_from(signal).unwrap_or(0)
}

/// The next child that has ended, and how (as `wait` tells); `None`: none has.
pub(super) fn reap() -> Option<(i32, c_int)> {
    let mut status = 0;
    // SAFETY: the kernel writes one number where we let it.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
    (pid > 0).then_some((pid, status))
}

/// Sends a signal to a process.
pub(super) fn signal(pid: i32, signal: i32) {
    // SAFETY: kill touches no memory.
    unsafe { libc::kill(pid, signal) };
}

/// What happens to descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Close {
    /// They are closed.
    Now,
    /// They are closed when a program is executed.
    OnExec,
}

/// Closes all descriptors from a number on.
pub(super) fn close_from(first: u32, when: Close) -> Result<()> {
    let flags = if when == Close::OnExec { libc::CLOSE_RANGE_CLOEXEC } else { 0 };
    // SAFETY: who calls this does not use a descriptor from there on any more.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, flags) }).map(drop)
}

/// Puts a descriptor under a number as well, in place of what is there. Only a new process does
/// this, to descriptors that it alone uses.
pub(super) fn put(fd: BorrowedFd<'_>, number: RawFd) -> Result<()> {
    // SAFETY: the caller says that nobody else relies on what was there.
    check(unsafe { libc::dup2(fd.as_raw_fd(), number) }.into()).map(drop)
}

/// Executes a program; returns only if that failed.
///
/// # Safety
///
/// Both lists must end with a null pointer and hold terminated texts.
pub(super) unsafe fn execute(
    program: &CStr,
    arguments: &[*const c_char],
    environment: &[*const c_char],
) -> Errno {
    // SAFETY: the caller promises the form of the lists.
    unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    last_error()
}

/// Ends this process at once.
pub(super) fn exit(code: c_int) -> ! {
    // SAFETY: nothing of ours is to run any more.
    unsafe { libc::_exit(code) }
}

/// Overwrites the environment that this process was started with.
///
/// # Safety
///
/// No other thread may run, and nobody may read a variable later.
pub(super) unsafe fn forget_environment() {
    unsafe extern "C" {
        static environ: *mut *mut c_char;
    }
    // SAFETY: the list ends with a null pointer and holds terminated texts, which are ours to
    // write; the caller promises that nobody else uses them.
    unsafe {
        let mut at = environ;
        while !at.is_null() && !(*at).is_null() {
            let length = libc::strlen(*at);
            std::ptr::write_bytes(*at, 0, length);
            at = at.add(1);
        }
    }
}
