//! All tests of Ketch from outside, in one program.
//!
//! `UPDATE=1 cargo test` writes what is expected anew; read the difference before you commit it.
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "these are tests")]
#![expect(clippy::print_stdout, reason = "tests tell what they measured or skipped")]

mod binary;
mod cli;
mod converge;
mod corpus;
mod docker;
mod engine_corpus;
mod faults;
mod fuzz;
mod hostile;
mod image;
mod images;
mod load;
mod native;
mod place;
mod plugin;
mod runtime;
mod scenario;
mod session;
mod testing;
mod tidy;
