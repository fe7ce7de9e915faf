//! The `ketch` program: starts the async runtime, runs the command line, returns its exit code.
//! Called as `ketch shim`, it looks after one container of the native runtime instead.

use std::process::ExitCode;

use ketch::cli::{self, Process};
use ketch::runtime::native::{Allocator, exit, shim};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    if let Some(code) = shim::dispatch(&arguments) {
        return code;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the system has file descriptors to spare at the start of a program");
    let code = runtime.block_on(cli::run(&Process::current()));
    // Threads that read or write files may hang in the kernel: nobody waits for what they do.
    runtime.shutdown_background();
    exit(code)
}
