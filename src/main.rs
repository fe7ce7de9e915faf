//! The `ketch` program: starts the async runtime, runs the command line, returns its exit code.
//! When Ketch itself has started it, it looks after a container or a lease instead, and does not
//! get here.

use std::process::ExitCode;

use ketch::cli::{self, Process};
use ketch::runtime::native::{Allocator, exit};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the system has file descriptors to spare at the start of a program");
    let code = runtime.block_on(cli::run(&Process::current()));
    // Threads that read or write files may hang in the kernel: nobody waits for what they do.
    runtime.shutdown_background();
    exit(code)
}
