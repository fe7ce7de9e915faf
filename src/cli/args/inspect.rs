//! Arguments of the commands that look at containers.

use clap::{Args, ValueEnum};

/// Flags of `ps`.
#[derive(Clone, Debug, Default, Args)]
#[expect(clippy::struct_excessive_bools, reason = "one independent switch for each flag")]
pub(in crate::cli) struct PsArgs {
    /// Services to list; default: all
    #[arg(value_name = "SERVICE")]
    pub(in crate::cli) services: Vec<String>,
    /// Stopped containers too
    #[arg(short, long)]
    pub(in crate::cli) all: bool,
    /// Only containers that match `status=STATE`
    #[arg(long, value_name = "FILTER")]
    pub(in crate::cli) filter: Option<String>,
    /// Only containers in this state; may be repeated
    #[arg(long, value_name = "STATE")]
    pub(in crate::cli) status: Vec<String>,
    /// Format: table, json, or a template
    #[arg(long)]
    pub(in crate::cli) format: Option<String>,
    /// Do not shorten what is long
    #[arg(long)]
    pub(in crate::cli) no_trunc: bool,
    /// Containers of services that the file does not have too
    #[arg(long, default_value = "true", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(in crate::cli) orphans: String,
    /// Only ids
    #[arg(short, long)]
    pub(in crate::cli) quiet: bool,
    /// Only names of services
    #[arg(long = "services")]
    pub(in crate::cli) only_services: bool,
}

/// Flags of `ls`.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct LsArgs {
    /// Projects that do not run too
    #[arg(short, long)]
    pub(in crate::cli) all: bool,
    /// Only projects that match `name=REGEX`; may be repeated
    #[arg(long, value_name = "FILTER")]
    pub(in crate::cli) filter: Vec<String>,
    /// Format: table or json
    #[arg(long)]
    pub(in crate::cli) format: Option<String>,
    /// Only names
    #[arg(short, long)]
    pub(in crate::cli) quiet: bool,
}

/// Flags of `env`.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct EnvArgs {
    /// How variables are written
    #[arg(long, value_enum, default_value_t)]
    pub(in crate::cli) format: EnvFormat,
}

/// How variables are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum EnvFormat {
    /// `export NAME=VALUE`, for `eval "$(ketch env)"`
    #[default]
    Shell,
    /// One object
    Json,
    /// `NAME=VALUE`, as env files have it
    Dotenv,
}

/// Flags of `doctor`.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct DoctorArgs {
    /// Format: text or json
    #[arg(long)]
    pub(in crate::cli) format: Option<String>,
}

/// Flags of `logs`.
#[derive(Clone, Debug, Default, Args)]
#[expect(clippy::struct_excessive_bools, reason = "one independent switch for each flag")]
pub(in crate::cli) struct LogsArgs {
    /// Services whose logs to show; default: all
    #[arg(value_name = "SERVICE")]
    pub(in crate::cli) services: Vec<String>,
    /// Go on with what comes
    #[arg(short, long)]
    pub(in crate::cli) follow: bool,
    /// Only the container with this number
    #[arg(long, value_name = "N")]
    pub(in crate::cli) index: Option<u64>,
    /// From this time on: `2026-11-23T12:00:00Z`, or `42m` ago
    #[arg(long, value_name = "TIME")]
    pub(in crate::cli) since: Option<String>,
    /// Up to this time
    #[arg(long, value_name = "TIME")]
    pub(in crate::cli) until: Option<String>,
    /// No colours
    #[arg(long)]
    pub(in crate::cli) no_color: bool,
    /// No names before the lines
    #[arg(long)]
    pub(in crate::cli) no_log_prefix: bool,
    /// Show the time before each line
    #[arg(short, long)]
    pub(in crate::cli) timestamps: bool,
    /// Number of last lines of each container, or all
    #[arg(
        short = 'n',
        long,
        value_name = "N",
        default_value = "all",
        hide_default_value = true,
        allow_negative_numbers = true
    )]
    pub(in crate::cli) tail: String,
}

/// Flags of `events`.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct EventsArgs {
    /// Services whose events to show; default: all
    #[arg(value_name = "SERVICE")]
    pub(in crate::cli) services: Vec<String>,
    /// One JSON object a line
    #[arg(long)]
    pub(in crate::cli) json: bool,
    /// From this time on: `2026-11-23T12:00:00Z`, or `42m` ago
    #[arg(long, value_name = "TIME")]
    pub(in crate::cli) since: Option<String>,
    /// Up to this time
    #[arg(long, value_name = "TIME")]
    pub(in crate::cli) until: Option<String>,
}

/// Flags of `port`.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct PortArgs {
    /// The service
    #[arg(value_name = "SERVICE")]
    pub(in crate::cli) service: String,
    /// The port in the container
    #[arg(value_name = "PORT")]
    pub(in crate::cli) port: String,
    /// Number of the container; default: the lowest
    #[arg(long, value_name = "N")]
    pub(in crate::cli) index: Option<u64>,
    /// tcp or udp
    #[arg(long, default_value = "tcp")]
    pub(in crate::cli) protocol: String,
}

/// Flags of `images`.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct ImagesArgs {
    /// Services whose images to list; default: all
    #[arg(value_name = "SERVICE")]
    pub(in crate::cli) services: Vec<String>,
    /// Format: table or json
    #[arg(long)]
    pub(in crate::cli) format: Option<String>,
    /// Only ids
    #[arg(short, long)]
    pub(in crate::cli) quiet: bool,
}

/// Flags of `volumes`.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct VolumesArgs {
    /// Services whose volumes to list; default: all
    #[arg(value_name = "SERVICE")]
    pub(in crate::cli) services: Vec<String>,
    /// Format: table, json, or a template
    #[arg(long)]
    pub(in crate::cli) format: Option<String>,
    /// Only names
    #[arg(short, long)]
    pub(in crate::cli) quiet: bool,
}

/// Flags of `stats`.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct StatsArgs {
    /// The service; default: all
    #[arg(value_name = "SERVICE")]
    pub(in crate::cli) service: Option<String>,
    /// Stopped containers too
    #[arg(short, long)]
    pub(in crate::cli) all: bool,
    /// Format: table, json, or a template
    #[arg(long)]
    pub(in crate::cli) format: Option<String>,
    /// Once, and not again and again
    #[arg(long)]
    pub(in crate::cli) no_stream: bool,
    /// Do not shorten what is long
    #[arg(long)]
    pub(in crate::cli) no_trunc: bool,
}

/// Flags of `graph`.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct GraphArgs {
    /// Services to show, with what they depend on; default: all
    #[arg(value_name = "SERVICE")]
    pub(in crate::cli) services: Vec<String>,
    /// Format: text, dot, mermaid or json
    #[arg(long)]
    pub(in crate::cli) format: Option<String>,
}
