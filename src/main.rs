//! The `ketch` program: starts the async runtime, runs the command line, returns its exit code.

use std::process::ExitCode;

use ketch::cli::{self, Process};

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime without drivers needs nothing that can fail");
    runtime.block_on(cli::run(&Process::current()))
}
