//! The steps of a new process: plain data, and what each is called when it fails.

use std::ffi::{CStr, CString};
use std::fmt::{self, Display, Formatter};
use std::os::fd::OwnedFd;

use rustix::mount::MountAttrFlags;
use rustix::process::{Resource, Rlimit};
use rustix::thread::ThreadNameSpaceType;

use super::place::Kind;

/// Something to do.
#[derive(Debug)]
pub(in crate::runtime::native::container) enum Step {
    /// Begin: hidden from others, with signals as they are by default.
    Begin,
    /// End when the parent does.
    DieWithParent,
    /// Enter namespaces of a process.
    Join(OwnedFd, ThreadNameSpaceType),
    /// Enter cgroups of version 1.
    EnterCgroups(Vec<OwnedFd>),
    /// Make the cgroup that we are in the root of what we see.
    NewCgroupNamespace,
    /// Take a host name.
    HostName(String),
    /// Take a domain name.
    DomainName(String),
    /// Make a tree the root, and let go of the host's.
    Root(OwnedFd),
    /// Make the root of this process the place where paths begin.
    KeepRoot,
    /// Mount a file system that belongs to our namespaces.
    Mount(FileSystem),
    /// Attach a tree.
    Attach(Attach),
    /// Show something of the container at another place too.
    Bind(CString, CString),
    /// Remember the kernel's parameters while they can be written.
    HoldParameters,
    /// Remember what hidden files are replaced with: a device that is read and written in vain.
    HoldNull(OwnedFd),
    /// Make a directory.
    Directory(CString),
    /// Wait until the parent says that all around us is ready.
    Wait,
    /// Set a parameter of the kernel: its path below `/proc/sys`, and its value.
    Parameter(CString, Vec<u8>),
    /// Hide a path if it is there: an empty file system for a directory.
    Mask(CString),
    /// Make a path read-only if it is there.
    ReadOnly(CString),
    /// Make the root read-only.
    ReadOnlyRoot,
    /// Set a limit.
    Limit(Limit),
    /// Write a word to a file below `/proc`.
    Write(Word),
}

/// A file system that belongs to our namespaces.
#[derive(Debug)]
pub(in crate::runtime::native::container) struct FileSystem {
    /// Its kind.
    pub(in crate::runtime::native::container) kind: &'static CStr,
    /// Where it comes.
    pub(in crate::runtime::native::container) target: &'static CStr,
    /// What it forbids.
    pub(in crate::runtime::native::container) flags: MountAttrFlags,
}

/// A tree and its place.
#[derive(Debug)]
pub(in crate::runtime::native::container) struct Attach {
    /// The tree.
    pub(in crate::runtime::native::container) tree: OwnedFd,
    /// Where it comes.
    pub(in crate::runtime::native::container) target: CString,
    /// What the tree is, and what is made where nothing is.
    pub(in crate::runtime::native::container) kind: Kind,
    /// Whether it may cover a part of `/proc`.
    pub(in crate::runtime::native::container) over: Over,
}

/// What a tree may cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::runtime::native::container) enum Over {
    /// All but `/proc`.
    Files,
    /// `/proc` too.
    Anything,
}

/// A resource limit.
#[derive(Clone, Copy, Debug)]
pub(in crate::runtime::native::container) struct Limit {
    /// Of what.
    pub(in crate::runtime::native::container) resource: Resource,
    /// How much.
    pub(in crate::runtime::native::container) values: Rlimit,
}

/// A word for a file.
#[derive(Debug)]
pub(in crate::runtime::native::container) struct Word {
    /// The file, from the root.
    pub(in crate::runtime::native::container) path: CString,
    /// The word.
    pub(in crate::runtime::native::container) text: Vec<u8>,
}

impl Display for Step {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let path = |path: &CStr| path.to_string_lossy().into_owned();
        match self {
            Self::Begin => write!(f, "prepare the process"),
            Self::DieWithParent => write!(f, "tie the process to its parent"),
            Self::Join(..) => write!(f, "enter the namespaces of another container"),
            Self::EnterCgroups(_) => write!(f, "enter the cgroup"),
            Self::NewCgroupNamespace => write!(f, "make a namespace for cgroups"),
            Self::HostName(name) => write!(f, "set the host name `{name}`"),
            Self::DomainName(name) => write!(f, "set the domain name `{name}`"),
            Self::Root(_) => write!(f, "enter the root file system"),
            Self::KeepRoot => write!(f, "open the root file system"),
            Self::Mount(system) => {
                write!(f, "mount `{}` at `/{}`", path(system.kind), path(system.target))
            }
            Self::Attach(attach) => write!(f, "mount at `/{}`", path(&attach.target)),
            Self::Bind(_, to) => write!(f, "mount at `/{}`", path(to)),
            Self::HoldParameters => write!(f, "open `/proc/sys`"),
            Self::HoldNull(_) => write!(f, "hold `/dev/null`"),
            Self::Directory(at) => write!(f, "make the directory `/{}`", path(at)),
            Self::Wait => write!(f, "wait for what is around the container"),
            Self::Parameter(name, _) => {
                write!(f, "set the kernel parameter `{}`", path(name).replace('/', "."))
            }
            Self::Mask(at) => write!(f, "hide `/{}`", path(at)),
            Self::ReadOnly(at) => write!(f, "make `/{}` read-only", path(at)),
            Self::ReadOnlyRoot => write!(f, "make the root read-only"),
            Self::Limit(limit) => write!(f, "set the limit {:?}", limit.resource),
            Self::Write(word) => write!(f, "write to `/{}`", path(&word.path)),
        }
    }
}
