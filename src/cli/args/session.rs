//! Arguments of the commands that run something in containers, or copy.

use clap::Args;

/// Flags of `run`.
#[derive(Clone, Debug, Default, Args)]
#[expect(clippy::struct_excessive_bools, reason = "one independent switch for each flag")]
pub(in crate::cli) struct RunArgs {
    /// The service, then the command and its arguments
    #[arg(
        value_name = "SERVICE [COMMAND]",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub(in crate::cli) words: Vec<String>,
    /// Run in the background and print the id
    #[arg(short, long)]
    pub(in crate::cli) detach: bool,
    /// Environment variable: `NAME=VALUE`, or `NAME` to take it from here; may be repeated
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub(in crate::cli) env: Vec<String>,
    /// File with environment variables; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) env_from_file: Vec<String>,
    /// Label: `NAME=VALUE`; may be repeated
    #[arg(short, long, alias = "labels", value_name = "NAME=VALUE")]
    pub(in crate::cli) label: Vec<String>,
    /// Remove the container when it ends
    #[arg(long)]
    pub(in crate::cli) rm: bool,
    /// No terminal
    #[arg(short = 'T', long, alias = "no-TTY")]
    pub(in crate::cli) no_tty: bool,
    /// Name of the container
    #[arg(long)]
    pub(in crate::cli) name: Option<String>,
    /// User that runs the command
    #[arg(short, long)]
    pub(in crate::cli) user: Option<String>,
    /// Working directory
    #[arg(short, long, value_name = "DIR")]
    pub(in crate::cli) workdir: Option<String>,
    /// Program that replaces the entrypoint
    #[arg(long, value_name = "COMMAND")]
    pub(in crate::cli) entrypoint: Option<String>,
    /// Linux capability to add; may be repeated
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(in crate::cli) cap_add: Vec<String>,
    /// Linux capability to drop; may be repeated
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(in crate::cli) cap_drop: Vec<String>,
    /// Do not start what the service depends on
    #[arg(long)]
    pub(in crate::cli) no_deps: bool,
    /// Mount: `[SOURCE:]TARGET[:OPTIONS]`; may be repeated
    #[arg(short, long, alias = "volumes", value_name = "MOUNT")]
    pub(in crate::cli) volume: Vec<String>,
    /// Publish a port: `[[IP:]HOST:]CONTAINER`; may be repeated
    #[arg(short, long, value_name = "PORT")]
    pub(in crate::cli) publish: Vec<String>,
    /// Publish the ports of the service
    #[arg(short = 'P', long)]
    pub(in crate::cli) service_ports: bool,
    /// Give the container the names of the service in its networks
    #[arg(long)]
    pub(in crate::cli) use_aliases: bool,
    /// When to pull the image: always, missing or never; default: what the file says
    #[arg(long, value_name = "WHEN", default_value = "policy", hide_default_value = true)]
    pub(in crate::cli) pull: String,
    /// Build the image first
    #[arg(long)]
    pub(in crate::cli) build: bool,
    /// No output of our own
    #[arg(short, long)]
    pub(in crate::cli) quiet: bool,
    /// Do not show the output of builds
    #[arg(long)]
    pub(in crate::cli) quiet_build: bool,
    /// Do not show the progress of pulls
    #[arg(long)]
    pub(in crate::cli) quiet_pull: bool,
    /// Remove containers of services that the file does not have
    #[arg(long)]
    pub(in crate::cli) remove_orphans: bool,
    /// Keep standard input open
    #[arg(short, long, default_value = "true", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(in crate::cli) interactive: String,
    #[arg(short, long, hide = true)]
    pub(in crate::cli) tty: bool,
}

/// Flags of `exec`.
#[derive(Clone, Debug, Default, Args)]
#[expect(clippy::struct_excessive_bools, reason = "one independent switch for each flag")]
pub(in crate::cli) struct ExecArgs {
    /// The service, then the command and its arguments
    #[arg(
        value_name = "SERVICE COMMAND",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub(in crate::cli) words: Vec<String>,
    /// Run in the background
    #[arg(short, long)]
    pub(in crate::cli) detach: bool,
    /// Environment variable: `NAME=VALUE`; may be repeated
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub(in crate::cli) env: Vec<String>,
    /// Number of the container; default: the lowest
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(in crate::cli) index: u64,
    /// Let it do nearly everything that the host may
    #[arg(long)]
    pub(in crate::cli) privileged: bool,
    /// User that runs the command
    #[arg(short, long)]
    pub(in crate::cli) user: Option<String>,
    /// No terminal
    #[arg(short = 'T', long, alias = "no-TTY")]
    pub(in crate::cli) no_tty: bool,
    /// Working directory
    #[arg(short, long, value_name = "DIR")]
    pub(in crate::cli) workdir: Option<String>,
    #[arg(short, long, hide = true, default_value = "true", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(in crate::cli) interactive: String,
    #[arg(short, long, hide = true)]
    pub(in crate::cli) tty: bool,
}

/// Flags of `attach`.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct AttachArgs {
    /// The service
    #[arg(value_name = "SERVICE")]
    pub(in crate::cli) service: String,
    /// Number of the container; default: the lowest
    #[arg(long, value_name = "N")]
    pub(in crate::cli) index: Option<u64>,
    /// Keys that detach; default: ctrl-p,ctrl-q
    #[arg(long, value_name = "KEYS")]
    pub(in crate::cli) detach_keys: Option<String>,
    /// Only output
    #[arg(long)]
    pub(in crate::cli) no_stdin: bool,
    /// Pass signals on
    #[arg(long, default_value = "true", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(in crate::cli) sig_proxy: String,
}

/// Flags of `cp`.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct CpArgs {
    /// What to copy: `SERVICE:PATH`, `PATH`, or `-` for a tar archive on standard input
    #[arg(value_name = "SOURCE", allow_hyphen_values = true)]
    pub(in crate::cli) source: String,
    /// Where to: `SERVICE:PATH`, `PATH`, or `-` for a tar archive on standard output
    #[arg(value_name = "TARGET", allow_hyphen_values = true)]
    pub(in crate::cli) target: String,
    /// Keep owners and groups on the way out too, which only root can; on the way in they are kept
    /// anyhow
    #[arg(short, long)]
    pub(in crate::cli) archive: bool,
    /// Copy what links lead to
    #[arg(short = 'L', long)]
    pub(in crate::cli) follow_link: bool,
    /// Number of the container; default: all of them, or the lowest to copy from
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(in crate::cli) index: u64,
    /// Containers of `run` too
    #[arg(long)]
    pub(in crate::cli) all: bool,
}
