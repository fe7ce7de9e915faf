//! What runs: its words, its streams, its user.
//!
//! In: a process of a config, and who its user is. Out: a [`Program`] for the new process.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::fs::{FileType, Gid, Uid};
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use super::text;
use crate::runtime::Size;
use crate::runtime::native::container::child::{Become, Program, Stdio};
use crate::runtime::native::container::config::{Process, Seccomp};
use crate::runtime::native::container::error::{StartError, kernel};
use crate::runtime::native::container::seccomp;
use crate::runtime::native::container::streams::Streams;
use crate::runtime::native::container::user::Identity;

/// A terminal, both ends.
#[derive(Debug)]
pub(in crate::runtime::native::container) struct Terminal {
    /// The end that we hold.
    pub(in crate::runtime::native::container) ours: OwnedFd,
    /// The end of the process.
    pub(in crate::runtime::native::container) theirs: OwnedFd,
    /// Its path in the container.
    pub(in crate::runtime::native::container) path: String,
}

impl Terminal {
    /// The terminal behind an open `ptmx`, for a user.
    pub(in crate::runtime::native::container) fn of(
        ours: OwnedFd,
        uid: u32,
    ) -> Result<Self, StartError> {
        let failed = || "make a terminal".to_owned();
        let open = || -> rustix::io::Result<(OwnedFd, CString)> {
            rustix::pty::unlockpt(&ours)?;
            let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
            let theirs = rustix::pty::ioctl_tiocgptpeer(&ours, flags)?;
            rustix::fs::fchown(&theirs, Some(Uid::from_raw(uid)), None)?;
            Ok((theirs, rustix::pty::ptsname(&ours, Vec::new())?))
        };
        let (theirs, path) = open().map_err(kernel(failed))?;
        Ok(Self { theirs, path: path.to_string_lossy().into_owned(), ours })
    }

    /// Tells the terminal its size.
    pub(in crate::runtime::native::container) fn resize(
        &self,
        size: Size,
    ) -> Result<(), StartError> {
        let size = Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
        let failed = || "set the size of the terminal".to_owned();
        rustix::termios::tcsetwinsize(&self.ours, size).map_err(kernel(failed))
    }
}

/// What is to run.
#[derive(Debug)]
pub(in crate::runtime::native::container) struct Request<'a> {
    /// The process.
    pub(in crate::runtime::native::container) process: &'a Process,
    /// Who it is.
    pub(in crate::runtime::native::container) user: Identity,
    /// Its streams.
    pub(in crate::runtime::native::container) stdio: Stdio,
    /// Which calls it may use.
    pub(in crate::runtime::native::container) seccomp: &'a Seccomp,
    /// Whether it runs below an init of ours.
    pub(in crate::runtime::native::container) below_init: bool,
    /// Whether it ends with the thread that started it.
    pub(in crate::runtime::native::container) dies_with_parent: bool,
}

/// Lays out a program.
pub(in crate::runtime::native::container) fn program(
    request: Request<'_>,
) -> Result<Program, StartError> {
    let Request { process, user, stdio, seccomp, below_init, dies_with_parent } = request;
    let mut environment = process.environment.clone();
    if !environment.iter().any(|line| line.starts_with("HOME=")) {
        environment.push(format!("HOME={}", user.home));
    }
    let paths = candidates(process)?.into_iter().map(text).collect::<Result<_, _>>()?;
    let texts = |words: &[String]| -> Result<Vec<_>, StartError> {
        words.iter().map(|word| text(word.as_str())).collect()
    };
    let filter = seccomp::filter(seccomp, process.capabilities).map_err(StartError::Invalid)?;
    let directory = if process.working_dir.is_empty() { "/" } else { &process.working_dir };
    let become_ = Become {
        stdio,
        uid: user.uid,
        gid: user.gid,
        groups: user.groups.iter().map(|gid| Gid::from_raw(*gid)).collect(),
        directory: text(directory)?,
        capabilities: process.capabilities,
        no_new_privileges: process.no_new_privileges,
        filter,
        below_init,
        dies_with_parent,
    };
    Ok(Program::new(paths, texts(&process.args)?, texts(&environment)?, become_))
}

/// The `PATH` of a process.
pub(in crate::runtime::native::container) fn search_path(process: &Process) -> &str {
    let find = |line: &'_ String| line.strip_prefix("PATH=").map(str::len);
    let line = process.environment.iter().rev().find(|line| find(line).is_some());
    line.and_then(|line| line.strip_prefix("PATH=")).unwrap_or_default()
}

/// Where a program may be.
fn candidates(process: &Process) -> Result<Vec<String>, StartError> {
    let missing = || StartError::Invalid("no command specified".to_owned());
    let name = process.args.first().ok_or_else(missing)?;
    if name.contains('/') || name.is_empty() {
        return Ok(vec![name.clone()]);
    }
    let directory = |directory: &str| match directory {
        "" => format!("./{name}"),
        directory => format!("{directory}/{name}"),
    };
    Ok(search_path(process).split(':').map(directory).collect())
}

/// The streams of a process that belongs to a user.
pub(in crate::runtime::native::container) fn streams(
    streams: Streams,
    terminal: Option<&Terminal>,
    uid: u32,
) -> Result<Stdio, StartError> {
    let failed = || "pass the streams".to_owned();
    match (streams, terminal) {
        (Streams::Files { stdin, stdout, stderr }, None) => {
            let files = [stdin, stdout, stderr];
            for file in &files {
                give(file, uid).map_err(kernel(failed))?;
            }
            let [stdin, stdout, stderr] = files.map(above_streams);
            Ok(Stdio::Files([
                stdin.map_err(kernel(failed))?,
                stdout.map_err(kernel(failed))?,
                stderr.map_err(kernel(failed))?,
            ]))
        }
        (Streams::Terminal(size), Some(terminal)) => {
            terminal.resize(size)?;
            let theirs = terminal.theirs.try_clone().map_err(kernel(failed))?;
            Ok(Stdio::Terminal(above_streams(theirs).map_err(kernel(failed))?))
        }
        _ => {
            let text = "a process has a terminal or three streams, never both".to_owned();
            Err(StartError::Invalid(text))
        }
    }
}

/// Lets a user open a pipe again by `/dev/stdout`. What is no pipe belongs to others.
fn give(file: &OwnedFd, uid: u32) -> io::Result<()> {
    let found = rustix::fs::fstat(file)?;
    if FileType::from_raw_mode(found.st_mode) == FileType::Fifo && found.st_uid != uid {
        rustix::fs::fchown(file, Some(Uid::from_raw(uid)), None)?;
    }
    Ok(())
}

/// The same under a number above the three streams.
fn above_streams(file: OwnedFd) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(file.as_fd(), 3)?)
}

#[cfg(test)]
mod tests {
    use super::{candidates, search_path};
    use crate::runtime::native::container::config::Process;

    fn process(args: &[&str], environment: &[&str]) -> Process {
        let owned = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        Process { args: owned(args), environment: owned(environment), ..Process::default() }
    }

    #[test]
    fn programs_are_searched_as_a_shell_does() {
        let found = |name: &str| candidates(&process(&[name], &["PATH=/a:/b::", "X=PATH=/c"]));
        assert_eq!(found("sh").unwrap(), ["/a/sh", "/b/sh", "./sh", "./sh"]);
        assert_eq!(found("./sh").unwrap(), ["./sh"]);
        assert!(candidates(&process(&[], &[])).is_err());
        assert_eq!(search_path(&process(&[], &["PATH=/a", "PATH=/b"])), "/b");
    }
}
