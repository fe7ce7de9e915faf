//! What this program is when Ketch itself starts it: not a command, but a process that looks after
//! something.
//!
//! In: the name by which the program was called. Out: a [`Role`] that is played before `main`
//! begins. So every program that links this crate can play it, a test binary too, and its `main`
//! needs to know nothing of that.
//!
//! # Invariants
//!
//! - Only a name counts that Ketch gives, in full: nothing that a user writes is taken for a role.
//! - Who starts a role refers to its entry, so that no linker leaves that out.
//! - There is one thread, and no file is open but the standard streams, when a role begins.

use std::ffi::{CStr, c_char};
use std::fs::File;
use std::hint::black_box;
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use indexmap::IndexMap;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use super::control::{Answer, Fault};
use super::{allocator, container};
use crate::runtime::{Result, RuntimeError};

/// What the process is called that looks after a container.
pub(super) const SHIM_NAME: &str = "ketch-shim";

/// What the process is called that removes a project when its owner ends.
pub(crate) const GUARD_NAME: &str = "ketch-lease";

/// What this program can be.
#[derive(Debug)]
pub(crate) struct Role {
    /// The name by which it is called then.
    pub(crate) name: &'static str,
    /// What the system calls before `main`.
    pub(crate) entry: &'static Entry,
}

/// A function that the system calls before `main`.
pub(crate) type Entry = extern "C" fn();

/// A role: its name, and what plays it, which takes the arguments and gives the exit code.
macro_rules! role {
    ($(#[$doc:meta])* $visibility:vis $role:ident, $name:expr, $main:path) => {
        $(#[$doc])*
        $visibility static $role: $crate::runtime::native::role::Role = {
            extern "C" fn enter() {
                $crate::runtime::native::role::play($name, $main);
            }
            #[expect(unsafe_code, reason = "it runs before `main`, and needs nothing of that")]
            #[used]
            #[unsafe(link_section = ".init_array")]
            static ENTRY: $crate::runtime::native::role::Entry = enter;
            $crate::runtime::native::role::Role { name: $name, entry: &ENTRY }
        };
    };
}
pub(crate) use role;

unsafe extern "C" {
    /// The first argument; the C library sets it before anything else runs.
    static program_invocation_name: *const c_char;
}

/// Plays a role and ends the process, if that is what it was started for.
pub(crate) fn play(name: &str, main: fn(&[String]) -> u8) {
    // SAFETY: nobody writes to it once the program runs; it is null or a string.
    let called = unsafe { program_invocation_name };
    // SAFETY: see above; the string is the first argument, which stays where it is.
    if called.is_null() || unsafe { CStr::from_ptr(called) }.to_bytes() != name.as_bytes() {
        return;
    }
    // SAFETY: there is one thread. The standard library does the same before `main`.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    close_inherited();
    let code = main(&arguments());
    allocator::exit(code)
}

/// The arguments without the name. The standard library does not have them yet everywhere.
fn arguments() -> Vec<String> {
    let mut line = Vec::new();
    let read = File::open("/proc/self/cmdline")
        .and_then(|mut file| io::Read::read_to_end(&mut file, &mut line));
    let words = line.split(|byte| *byte == 0).skip(1);
    let mut words: Vec<String> =
        words.map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    // Each ends with a zero.
    words.pop();
    if read.is_ok() { words } else { Vec::new() }
}

/// Closes what who started it forgot to close: locks and pipes of theirs must not live on here.
fn close_inherited() {
    const FIRST: libc::c_uint = 3;
    // SAFETY: nothing of this process has opened a file yet: what is open belongs to nobody here.
    // A kernel without the call, which is older than namespaces of cgroups need, closes nothing.
    unsafe { libc::close_range(FIRST, libc::c_uint::MAX, 0) };
}

/// The environment. What is not UTF-8 is none of ours.
pub(crate) fn environment() -> IndexMap<String, String> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).collect()
}

/// Leaves the terminal, session and directory of who started it.
pub(crate) fn settle() -> Result<()> {
    // It fails where this process leads a group already: then it is alone anyway.
    let _ = rustix::process::setsid();
    rustix::process::chdir("/").map_err(|error| failed("leave the directory", error.into()))?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    Ok(())
}

/// Gives back memory that is free: from here on little happens.
pub(crate) fn rest() {
    allocator::trim();
}

fn failed(action: &str, source: io::Error) -> RuntimeError {
    RuntimeError::Io { action: action.to_owned(), source }
}

/// Who waits to hear how it went.
#[derive(Debug)]
pub(crate) struct Starter(Option<File>);

impl Starter {
    /// Takes the standard output away.
    pub(crate) fn from_stdout() -> Self {
        let taken = rustix::io::fcntl_dupfd_cloexec(io::stdout(), 3).ok();
        let null = std::fs::OpenOptions::new().write(true).open("/dev/null");
        if let Ok(null) = null {
            // What cannot be replaced stays open: who waits then waits for the end of the process.
            let _ = rustix::stdio::dup2_stdout(&null);
        }
        Self(taken.map(File::from))
    }

    /// Tells once how it went.
    pub(crate) fn tell(&mut self, done: Result<()>) {
        let Some(mut pipe) = self.0.take() else { return };
        let answer: Answer = done.map_err(Fault::from);
        let mut line = serde_json::to_vec(&answer).unwrap_or_default();
        line.push(b'\n');
        // Who asked may have been killed; that changes nothing here.
        let _ = pipe.write_all(&line);
    }
}

/// The program that runs now, to be started in a role.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    path: PathBuf,
    /// What the path names, held open.
    _sealed: Option<Arc<OwnedFd>>,
}

impl Program {
    /// This program, where no container can write to it.
    pub(crate) fn own() -> Self {
        match container::sealed_program() {
            Ok(sealed) => Self {
                path: PathBuf::from(format!("/proc/self/fd/{}", sealed.as_raw_fd())),
                _sealed: Some(Arc::new(sealed)),
            },
            Err(error) => {
                tracing::debug!("roles are played by a file that can be written to: {error}");
                Self { path: PathBuf::from("/proc/self/exe"), _sealed: None }
            }
        }
    }

    /// How it is started in a role: with no environment, and nothing to read. The program must
    /// outlive that.
    pub(crate) fn command(&self, role: &Role, argument: &str) -> Command {
        black_box(role.entry);
        let mut command = Command::new(&self.path);
        command.arg0(role.name).arg(argument).env_clear().stdin(Stdio::null());
        command
    }

    /// Starts it, and waits until it says how that went.
    pub(crate) async fn start(&self, mut command: Command) -> Result<()> {
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| failed("start a supervisor", error))?;
        let mut said = Vec::new();
        if let Some(mut stdout) = child.stdout.take() {
            let read = stdout.read_to_end(&mut said).await;
            read.map_err(|error| failed("hear from the supervisor", error))?;
        }
        match serde_json::from_slice::<Answer>(&said) {
            Ok(answer) => answer.map_err(Fault::into_error),
            Err(_) => {
                Err(RuntimeError::Refused("a supervisor has ended without a word".to_owned()))
            }
        }
    }
}
