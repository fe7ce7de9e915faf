//! Ketch runs Compose projects.
//!
//! Data flows one way:
//!
//! ```text
//! files ──> project::load ──> Project ──> plan ──> scheduler ──> runtime ──> events ──> ui
//! ```
//!
//! | module | what it does | may use |
//! |---|---|---|
//! | [`model`] | plain data: the project, its schema, how it is written out and hashed | nothing else of ours |
//! | [`graph`] | names and what they depend on | nothing else of ours |
//! | [`diagnostic`] | errors that are ready to be drawn, and the texts that they point into | nothing else of ours |
//! | [`project`] | text to [`model::Project`], with every mistake at its place | `model`, `graph`, `diagnostic` |
//! | [`plan`] | what is asked for and what is observed to steps, each with its cause; pure | `model`, `graph`, `diagnostic` |
//! | [`event`] | the words between scheduler and UI | `model`, `plan` |
//! | [`runtime`] | the only way to containers: the Docker Engine, a runtime of our own, and a world in memory for tests | `model` |
//! | [`scheduler`] | runs a plan: what may start when, shutdown, where the time went | `model`, `graph`, `plan`, `event`, `runtime` |
//! | [`orchestrator`] | brings the world to what is asked for: images, then observe, plan and run | `model`, `diagnostic`, `project`, `plan`, `event`, `runtime`, `scheduler` |
//! | [`bundle`] | what is written down when a project does not come up | `model`, `plan`, `event`, `runtime`, `scheduler` |
//! | [`watch`] | files that change while somebody develops: rules, events, batches | `model` |
//! | [`testing`] | projects as test fixtures: the library face | everything but `cli` and `ui` |
//! | [`ui`] | draws; the only module that prints | `model`, `diagnostic`, `event`, `plan`, and the nodes of `project` |
//! | [`cli`] | the command line: one file for each command | everything; nothing uses it |
//!
//! # Invariants
//!
//! - [`project::load`] is pure but for its [`project::Source`], never panics, and is bounded in
//!   time and memory, whatever the files hold.
//! - What `config` prints and what hashes say is what Docker Compose 2.40 prints and says;
//!   `docs/differences.md` lists every exception.
//!
//! `tests/tidy.rs` holds the table.

pub mod bundle;
pub mod cli;
pub mod diagnostic;
pub mod event;
pub mod graph;
pub mod model;
pub mod orchestrator;
pub mod plan;
pub mod project;
pub mod runtime;
pub mod scheduler;
pub mod testing;
pub mod ui;
pub mod watch;
