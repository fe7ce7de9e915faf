//! Flags about the engine: those that the `docker` program takes before a command.

use clap::Args;

/// Which engine, and how it is reached.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct EngineArgs {
    /// What runs the containers: auto, docker or native
    #[arg(long, value_name = "RUNTIME")]
    pub(in crate::cli) runtime: Option<String>,
    /// Address of the engine, such as `ssh://me@box`
    #[arg(short = 'H', long, value_name = "ADDRESS")]
    pub(in crate::cli) host: Option<String>,
    /// Context of the `docker` program that names the engine
    #[arg(short = 'c', long, value_name = "NAME")]
    pub(in crate::cli) context: Option<String>,
    #[arg(long, hide = true, value_name = "DIR")]
    pub(in crate::cli) config: Option<String>,
    #[arg(long, hide = true)]
    pub(in crate::cli) tls: bool,
    #[arg(long, hide = true)]
    pub(in crate::cli) tlsverify: bool,
    #[arg(long, hide = true, value_name = "FILE")]
    pub(in crate::cli) tlscacert: Option<String>,
    #[arg(long, hide = true, value_name = "FILE")]
    pub(in crate::cli) tlscert: Option<String>,
    #[arg(long, hide = true, value_name = "FILE")]
    pub(in crate::cli) tlskey: Option<String>,
    #[arg(short = 'D', long, hide = true)]
    pub(in crate::cli) debug: bool,
    #[arg(short = 'l', long, hide = true, value_name = "LEVEL", value_parser = ["debug", "info", "warn", "error", "fatal"])]
    pub(in crate::cli) log_level: Option<String>,
}

impl EngineArgs {
    /// Whether Ketch's own log is wanted.
    pub(in crate::cli) fn wants_debug(&self) -> bool {
        self.debug || self.log_level.as_deref() == Some("debug")
    }
}
