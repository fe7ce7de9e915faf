//! Ketch's own log, for whoever debugs Ketch: off unless asked for.
//!
//! In: a filter in the words of `RUST_LOG`. Out: lines on standard error.

use std::io;

use anstream::{AutoStream, ColorChoice};
use tracing_subscriber::EnvFilter;

/// Turns the log on. Parts of the filter that make no sense are ignored; so is a second call.
pub fn start(filter: &str) {
    let filter = EnvFilter::builder().parse_lossy(filter);
    let colours = AutoStream::choice(&io::stderr()) != ColorChoice::Never;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours);
    let _ = log.with_writer(io::stderr).try_init();
}
