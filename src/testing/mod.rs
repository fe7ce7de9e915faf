//! Integration tests against a whole project: each test gets its own copy of it, in process.
//!
//! ```no_run
//! use ketch::testing::{Stack, StackError, WaitFor};
//!
//! async fn orders_are_kept() -> Result<(), StackError> {
//!     let stack = Stack::from_file("compose.yaml").env("LOG_LEVEL", "debug").up().await?;
//!     let db = stack.service("db");
//!     db.wait_for(WaitFor::log("ready to accept connections")).await?;
//!     let _address = db.address(5432)?;
//!     db.exec(["psql", "-c", "select 1"]).await?.success()?;
//!     Ok(())
//! } // the copy goes with `stack`
//! ```
//!
//! In: a Compose file, or YAML text, and what is to be different ([`Blueprint`]). Out: a [`Stack`]
//! whose services are ready, typed handles to them ([`Service`]), and nothing when it is dropped.
//!
//! - **No executor is asked for.** Each stack works in a thread of its own, so its futures may be
//!   awaited in `tokio::test` and anywhere else; [`block_on`] serves tests that are not `async`.
//! - **Several tests, one stack**: keep it in a `static`.
//!
//!   ```no_run
//!   # use ketch::testing::{Stack, StackError};
//!   static STACK: tokio::sync::OnceCell<Stack> = tokio::sync::OnceCell::const_new();
//!
//!   async fn stack() -> Result<&'static Stack, StackError> {
//!       STACK.get_or_try_init(|| Stack::from_file("compose.yaml").up()).await
//!   }
//!   ```
//!
//! # Invariants
//!
//! - Two stacks share nothing, even of one file: names, networks, volumes and ports differ.
//! - What a stack has made is gone when it is dropped, or when the process ends in any way.
//!
//! # Not here
//!
//! How projects are brought up (`orchestrator`), and who removes what a killed process leaves
//! (the lease, there too).

mod blueprint;
mod error;
mod service;
mod source;
mod stack;
mod wait;
mod worker;
mod world;

pub use crate::orchestrator::Choice as RuntimeChoice;
pub use crate::runtime::ExecSpec;
pub use blueprint::Blueprint;
pub use error::StackError;
pub use service::{Executed, Service};
pub use stack::Stack;
pub use wait::WaitFor;

/// Waits for a future in a test that is not `async`.
///
/// # Panics
///
/// In an asynchronous test: that one awaits instead.
pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build();
    executor.expect("the system has file descriptors to spare").block_on(work)
}
