//! Arguments of `test`.

use clap::{Args, ValueEnum};

/// Flags of `test`.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct TestArgs {
    /// Run in a container of this service instead of on this machine; without a COMMAND its own
    #[arg(long, value_name = "SERVICE")]
    pub(in crate::cli) service: Option<String>,
    /// Build images anew before
    #[arg(long)]
    pub(in crate::cli) build: bool,
    /// Leave what was brought up
    #[arg(long)]
    pub(in crate::cli) keep: bool,
    /// Leave what was brought up if the command fails
    #[arg(long)]
    pub(in crate::cli) keep_on_failure: bool,
    /// Run so often side by side, each in a copy of its own; KETCH_SHARD (from 1) and KETCH_SHARDS
    /// tell the command which part is its own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(in crate::cli) parallel: u32,
    /// Run so often one after the other, each time in a fresh copy; ends with the first failure
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(in crate::cli) repeat: u32,
    /// Kill the command after this time, such as `90s` or `5m`; its exit code is 124 then
    #[arg(long, value_name = "TIME")]
    pub(in crate::cli) timeout: Option<String>,
    /// When the logs of services are shown
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    pub(in crate::cli) logs: ShowLogs,
    /// Write a report that CI systems read
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) junit: Option<String>,
    /// Write all that is known into a folder if something fails; in CI: `ketch-failure`
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) bundle: Option<String>,
    /// What is run; the addresses of services are in its environment, as `ketch env` prints them
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    pub(in crate::cli) command: Vec<String>,
}

/// When logs are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ShowLogs {
    /// If something fails.
    #[default]
    OnFailure,
    /// In any case.
    Always,
    /// In no case.
    Never,
}
