//! A small init: process 1 of a container whose program does not want to be it.
//!
//! It hands signals on to the program, reaps what is orphaned, and ends as the program ends.
//!
//! # Invariants
//!
//! - It holds no descriptor, and nothing of the environment of the host.
//! - Nothing is allocated.

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use crate::runtime::native::container::sys::{self, Close, Result};

/// Splits this process in two: the one that returns becomes the program, the other looks after it.
///
/// It returns when the other has let go of all that it holds, so that no program ever sees that.
pub(super) fn split() -> Result<()> {
    let (closed, open) = pipe_with(PipeFlags::CLOEXEC)?;
    sys::block_signals(1);
    // SAFETY: neither side allocates; one goes on to execute a program, the other ends by `_exit`.
    match unsafe { sys::fork() }? {
        0 => {
            sys::block_signals(0);
            drop(open);
            // It ends without a byte, when the last one who could write has closed it.
            while rustix::io::read(&closed, &mut [0]) == Err(Errno::INTR) {}
            Ok(())
        }
        child => look_after(child),
    }
}

fn look_after(program: i32) -> ! {
    // Nothing else runs, and a name for people who look.
    let _ = rustix::thread::set_name(c"ketch-init");
    // SAFETY: this process has one thread, which reads no variable any more.
    unsafe { sys::forget_environment() };
    // Last: the program waits for it.
    let _ = sys::close_from(0, Close::Now);
    loop {
        let signal = sys::next_signal();
        if signal != libc::SIGCHLD {
            if signal > 0 {
                sys::signal(program, signal);
            }
            continue;
        }
        while let Some((child, status)) = sys::reap() {
            if child == program {
                sys::exit(code(status));
            }
        }
    }
}

/// The exit code that tells how a program ended.
fn code(status: i32) -> i32 {
    if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 128 + libc::WTERMSIG(status) }
}
