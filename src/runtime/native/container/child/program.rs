//! The last part of a new process: it becomes its user and executes its program.
//!
//! # Invariants
//!
//! - No descriptor but the three streams reaches the program.
//! - The filter for system calls is the last thing before the program: what it forbids, we have
//!   done by then.
//! - Nothing is allocated.

use std::ffi::{CStr, CString, c_char};
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::thread::{CapabilitySet as Capabilities, CapabilitySets, Gid, Uid};

use super::init;
use crate::runtime::native::container::config::CapabilitySet;
use crate::runtime::native::container::seccomp::Instruction;
use crate::runtime::native::container::sys::{self, Close, Result};

/// The number of the last capability that any kernel may know.
const LAST_CAPABILITY: u8 = 63;

/// What a new process becomes.
#[derive(Debug)]
pub(in crate::runtime::native::container) struct Program {
    /// Paths to try, in order.
    paths: Vec<CString>,
    /// Arguments, terminated by null.
    arguments: Pointers,
    /// Variables, terminated by null.
    environment: Pointers,
    /// What it is.
    become_: Become,
}

/// What a process is besides its program.
#[derive(Debug)]
pub(in crate::runtime::native::container) struct Become {
    /// Its streams.
    pub(in crate::runtime::native::container) stdio: Stdio,
    /// User.
    pub(in crate::runtime::native::container) uid: u32,
    /// Group.
    pub(in crate::runtime::native::container) gid: u32,
    /// All groups.
    pub(in crate::runtime::native::container) groups: Vec<Gid>,
    /// Working directory.
    pub(in crate::runtime::native::container) directory: CString,
    /// What it may do.
    pub(in crate::runtime::native::container) capabilities: CapabilitySet,
    /// Whether programs gain no rights by being started.
    pub(in crate::runtime::native::container) no_new_privileges: bool,
    /// Which calls it may use; `None`: all.
    pub(in crate::runtime::native::container) filter: Option<Vec<Instruction>>,
    /// Whether it runs below an init of ours.
    pub(in crate::runtime::native::container) below_init: bool,
    /// Whether it ends with the thread that started it.
    pub(in crate::runtime::native::container) dies_with_parent: bool,
}

/// The streams of a process; none is 0, 1 or 2 yet.
#[derive(Debug)]
pub(in crate::runtime::native::container) enum Stdio {
    /// Input, output and error.
    Files([OwnedFd; 3]),
    /// A terminal.
    Terminal(OwnedFd),
}

/// Texts as the kernel takes them.
struct Pointers {
    /// Keeps the texts alive.
    _texts: Vec<CString>,
    list: Vec<*const c_char>,
}

impl std::fmt::Debug for Pointers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pointers").field("length", &self.list.len()).finish_non_exhaustive()
    }
}

impl Pointers {
    fn new(texts: Vec<CString>) -> Self {
        let mut list: Vec<_> = texts.iter().map(|text| text.as_ptr()).collect();
        list.push(std::ptr::null());
        Self { _texts: texts, list }
    }
}

impl Program {
    /// Lays out a program.
    pub(in crate::runtime::native::container) fn new(
        paths: Vec<CString>,
        arguments: Vec<CString>,
        environment: Vec<CString>,
        become_: Become,
    ) -> Self {
        let (arguments, environment) = (Pointers::new(arguments), Pointers::new(environment));
        Self { paths, arguments, environment, become_ }
    }

    /// Becomes it; returns why that failed.
    pub(super) fn run(&self) -> Errno {
        match self.prepare() {
            Ok(()) => self.execute(),
            Err(errno) => errno,
        }
    }

    fn prepare(&self) -> Result<()> {
        if self.become_.below_init {
            init::split()?;
        }
        self.become_.take_streams()?;
        sys::close_from(3, Close::OnExec)?;
        self.become_.change_user()?;
        if let Some(filter) = &self.become_.filter {
            sys::filter_calls(filter)?;
        }
        Ok(())
    }

    /// Tries each path, as a shell does.
    fn execute(&self) -> Errno {
        let mut result = Errno::NOENT;
        for path in &self.paths {
            // SAFETY: both lists were made by `Pointers::new`, whose texts live as long as we.
            let errno = unsafe { sys::execute(path, &self.arguments.list, &self.environment.list) };
            match errno {
                Errno::NOENT | Errno::NOTDIR => {}
                Errno::ACCESS => result = errno,
                errno => return errno,
            }
        }
        result
    }
}

impl Become {
    fn take_streams(&self) -> Result<()> {
        // Its own session: nobody else's terminal is its own.
        rustix::process::setsid()?;
        match &self.stdio {
            Stdio::Files(files) => {
                for (file, stream) in files.iter().zip(0..) {
                    sys::put(file.as_fd(), stream)?;
                }
            }
            Stdio::Terminal(terminal) => {
                rustix::process::ioctl_tiocsctty(terminal)?;
                for stream in 0..3 {
                    sys::put(terminal.as_fd(), stream)?;
                }
            }
        }
        Ok(())
    }

    fn change_user(&self) -> Result<()> {
        rustix::process::umask(Mode::from_raw_mode(0o022));
        for number in (0..=LAST_CAPABILITY).filter(|number| self.capabilities.0 & 1 << number == 0)
        {
            match sys::drop_bounding(number) {
                // A kernel that does not know it has not got it.
                Ok(()) | Err(Errno::INVAL) => {}
                Err(errno) => return Err(errno),
            }
        }
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        rustix::thread::set_thread_groups(&self.groups)?;
        rustix::thread::set_thread_res_gid(gid, gid, gid)?;
        // Where root may go, the user may not; and the other way round on some file systems.
        let early = change_directory(&self.directory);
        // The filter needs a right that the change of the user would take.
        sys::keep_capabilities(1)?;
        rustix::thread::set_thread_res_uid(uid, uid, uid)?;
        sys::keep_capabilities(0)?;
        early.or_else(|_| change_directory(&self.directory))?;
        if self.dies_with_parent {
            // The change of the user has cleared it.
            sys::die_with_parent()?;
        }
        self.change_capabilities()?;
        if self.no_new_privileges {
            rustix::thread::set_no_new_privs(true)?;
        }
        Ok(())
    }

    /// The program gets no more than the bounding set: nothing is inherited besides. We keep the
    /// right to set a filter until then.
    fn change_capabilities(&self) -> Result<()> {
        let own = Capabilities::from_bits_retain(self.capabilities.0);
        let filters = if self.filter.is_some() && !self.no_new_privileges {
            Capabilities::SYS_ADMIN
        } else {
            Capabilities::empty()
        };
        let known = rustix::thread::capabilities(None)?.permitted;
        let permitted = (own | filters) & known;
        let sets =
            CapabilitySets { effective: permitted, permitted, inheritable: Capabilities::empty() };
        rustix::thread::set_capabilities(None, sets)
    }
}

fn change_directory(path: &CStr) -> Result<()> {
    rustix::process::chdir(path)
}

/// The exit code of a process that did not become its program.
pub(super) fn exit_code(errno: Errno) -> i32 {
    if errno == Errno::NOENT { 127 } else { 126 }
}
