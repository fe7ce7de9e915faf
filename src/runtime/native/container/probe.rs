//! Tries what containers need, without making one.
//!
//! In: nothing, or a directory to try in. Out: whether it worked. Whatever is made for a trial goes
//! with the process or directory that it is made in.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::thread::UnshareFlags;

use super::cgroup::{self, Cgroup};
use super::config::{Changes, Config, Overlay};
use super::sys::{self, Depth, MountAttributes};
use super::tree;

/// The calls that every start makes and that this kernel does not have, or forbids.
pub fn missing_calls() -> Vec<&'static str> {
    let tried = [
        (
            "openat2",
            rustix::fs::openat2(CWD, ".", OFlags::PATH, Mode::empty(), ResolveFlags::empty())
                .map(drop),
        ),
        ("close_range", sys::close_from(u32::MAX, sys::Close::Now)),
        (
            "pidfd_open",
            rustix::process::pidfd_open(
                rustix::process::getpid(),
                rustix::process::PidfdFlags::empty(),
            )
            .map(drop),
        ),
        ("clone3", sys::clone_is_there()),
        ("mount_setattr", attributes()),
    ];
    let gone = |result: &sys::Result<()>| matches!(result, Err(Errno::NOSYS));
    tried.iter().filter(|(_, result)| gone(result)).map(|(name, _)| *name).collect()
}

/// Changes nothing about a mount, which needs rights only if it is there.
fn attributes() -> sys::Result<()> {
    let root = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    sys::mount_setattr(&root, Depth::One, &MountAttributes::default())
}

/// Makes one namespace of each kind.
pub fn namespaces() -> sys::Result<()> {
    tree::from_elsewhere(|| {
        let kinds = UnshareFlags::NEWNS
            | UnshareFlags::NEWNET
            | UnshareFlags::NEWPID
            | UnshareFlags::NEWIPC
            | UnshareFlags::NEWUTS
            | UnshareFlags::NEWCGROUP;
        // SAFETY: descriptors are not unshared.
        unsafe { rustix::thread::unshare_unsafe(kinds) }?;
        rustix::fs::open(c"/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
    })
    .map(drop)
}

/// What cgroups are mounted: `v1`, `v2`, `hybrid` or `none`; and their controllers.
pub fn cgroups() -> (&'static str, Vec<String>) {
    cgroup::describe()
}

/// Makes a cgroup and removes it.
pub fn make_cgroup() -> io::Result<()> {
    let id = format!("doctor-{}", std::process::id());
    let config = Config { id, ..Config::default() };
    let made = Cgroup::create(&config, None);
    made.map_err(|error| io::Error::other(error.to_string()))?.remove()
}

/// Puts directories on top of each other below a directory.
pub fn overlay(place: &Path) -> io::Result<()> {
    let folder = tempfile::Builder::new().prefix(".ketch-doctor-").tempdir_in(place)?;
    let path = |name: &str| folder.path().join(name);
    for name in ["lower", "upper", "work"] {
        fs::create_dir(path(name))?;
    }
    let changes = Some(Changes { upper: path("upper"), work: path("work") });
    let files = Overlay { lower: vec![path("lower")], changes };
    let tree = tree::overlay(&files).map_err(|error| match error {
        super::StartError::Kernel { source, .. } => source,
        other => io::Error::other(other.to_string()),
    })?;
    // What is whole in the new root is whole in the old one.
    Ok(rustix::fs::mkdirat(&tree, "trial", Mode::from_raw_mode(0o700))?)
}

/// Makes a bridge where nobody sees it.
pub fn bridge() -> sys::Result<()> {
    const ADD_BRIDGE: libc::c_ulong = 0x89a0;
    tree::from_elsewhere(|| {
        // SAFETY: descriptors are not unshared.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }?;
        let flags = SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None)?;
        sys::control_by_name(socket.as_fd(), ADD_BRIDGE, c"trial")?;
        Ok(socket)
    })
    .map(drop)
}

/// Asks the packet filter for the number of its last change.
pub fn nftables() -> sys::Result<()> {
    // A message of netlink: length, kind, flags, number, sender; family, version, resource.
    const LENGTH: u32 = 20;
    const SUBSYSTEM: u16 = 10 << 8;
    const GET_GENERATION: u16 = SUBSYSTEM | 16;
    const NEW_GENERATION: u16 = SUBSYSTEM | 15;
    let mut message = Vec::new();
    message.extend(LENGTH.to_ne_bytes());
    message.extend(GET_GENERATION.to_ne_bytes());
    message.extend(1_u16.to_ne_bytes());
    message.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    message.extend([0, 0, 0, 0]);
    let protocol =
        rustix::net::Protocol::from_raw(rustix::net::RawProtocol::new(12).ok_or(Errno::INVAL)?);
    let flags = SocketFlags::CLOEXEC;
    let socket: OwnedFd =
        rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(protocol))?;
    rustix::net::send(&socket, &message, SendFlags::empty())?;
    let mut answer = [0_u8; 256];
    let (length, _) = rustix::net::recv(&socket, &mut answer[..], RecvFlags::empty())?;
    let word = |at: usize| answer.get(at..at + 4).map(|part| [part[0], part[1], part[2], part[3]]);
    match (length, word(4), word(16)) {
        (16.., Some([a, b, ..]), _) if u16::from_ne_bytes([a, b]) == NEW_GENERATION => Ok(()),
        (20.., _, Some(errno)) => Err(Errno::from_raw_os_error(-i32::from_ne_bytes(errno))),
        _ => Err(Errno::PROTO),
    }
}

/// A small text; empty if it cannot be read.
pub fn text(path: &Path) -> String {
    let mut text = String::new();
    if let Ok(file) = File::open(path) {
        let _ = file.take(1 << 20).read_to_string(&mut text);
    }
    text
}

/// Whether a file can be written to.
pub fn may_write(path: &Path) -> bool {
    File::options().write(true).open(path).is_ok_and(|file| file.as_raw_fd() >= 0)
}
