//! Arguments of the commands about images.

use clap::Args;

/// Flags of `build`.
#[derive(Clone, Debug, Default, Args)]
#[expect(clippy::struct_excessive_bools, reason = "one independent switch for each flag")]
pub(in crate::cli) struct BuildArgs {
    /// Services to build; default: all
    #[arg(value_name = "SERVICE")]
    pub(in crate::cli) services: Vec<String>,
    /// Value for an `ARG`: `NAME=VALUE`; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub(in crate::cli) build_arg: Vec<String>,
    /// Builder to use
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) builder: Option<String>,
    /// Only look for mistakes in the Dockerfiles
    #[arg(long)]
    pub(in crate::cli) check: bool,
    /// Memory that a build may use; only without BuildKit
    #[arg(short, long, value_name = "BYTES")]
    pub(in crate::cli) memory: Option<String>,
    /// Run every build step anew
    #[arg(long)]
    pub(in crate::cli) no_cache: bool,
    /// Print what would be built, as a bake file
    #[arg(long)]
    pub(in crate::cli) print: bool,
    /// Record where the image comes from
    #[arg(long)]
    pub(in crate::cli) provenance: Option<String>,
    /// Record what the image consists of
    #[arg(long)]
    pub(in crate::cli) sbom: Option<String>,
    /// Look for newer base images
    #[arg(long)]
    pub(in crate::cli) pull: bool,
    /// Push the images then
    #[arg(long)]
    pub(in crate::cli) push: bool,
    /// No output but errors
    #[arg(short, long)]
    pub(in crate::cli) quiet: bool,
    /// SSH agent or key for the build: `default` or `ID=PATH`
    #[arg(long, value_name = "KEY")]
    pub(in crate::cli) ssh: Vec<String>,
    /// Build what the services depend on too
    #[arg(long)]
    pub(in crate::cli) with_dependencies: bool,
    /// The flag of that name before the command is the usual one.
    #[arg(long, hide = true, value_name = "HOW")]
    pub(in crate::cli) progress: Option<String>,
    #[arg(long, hide = true)]
    pub(in crate::cli) compress: bool,
    #[arg(long, hide = true)]
    pub(in crate::cli) force_rm: bool,
    #[arg(long, hide = true)]
    pub(in crate::cli) no_rm: bool,
    #[arg(long, hide = true)]
    pub(in crate::cli) parallel: bool,
}

/// Flags of `pull`.
#[derive(Clone, Debug, Default, Args)]
#[expect(clippy::struct_excessive_bools, reason = "one independent switch for each flag")]
pub(in crate::cli) struct PullArgs {
    /// Services whose images to pull; default: all
    #[arg(value_name = "SERVICE")]
    pub(in crate::cli) services: Vec<String>,
    /// Leave out images that can be built
    #[arg(long)]
    pub(in crate::cli) ignore_buildable: bool,
    /// Go on when an image cannot be pulled
    #[arg(long)]
    pub(in crate::cli) ignore_pull_failures: bool,
    /// Images of dependencies too
    #[arg(long)]
    pub(in crate::cli) include_deps: bool,
    /// When: missing or always
    #[arg(long, value_name = "WHEN")]
    pub(in crate::cli) policy: Option<String>,
    /// No output but errors
    #[arg(short, long)]
    pub(in crate::cli) quiet: bool,
    #[arg(long, hide = true)]
    pub(in crate::cli) parallel: bool,
    #[arg(long, hide = true)]
    pub(in crate::cli) no_parallel: bool,
}

/// Flags of `push`.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct PushArgs {
    /// Services whose images to push; default: all
    #[arg(value_name = "SERVICE")]
    pub(in crate::cli) services: Vec<String>,
    /// Go on when an image cannot be pushed
    #[arg(long)]
    pub(in crate::cli) ignore_push_failures: bool,
    /// Images of dependencies too
    #[arg(long)]
    pub(in crate::cli) include_deps: bool,
    /// No output but errors
    #[arg(short, long)]
    pub(in crate::cli) quiet: bool,
}

/// Flags of `commit`.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct CommitArgs {
    /// The service
    #[arg(value_name = "SERVICE")]
    pub(in crate::cli) service: String,
    /// Name of the image
    #[arg(value_name = "REPOSITORY[:TAG]")]
    pub(in crate::cli) reference: Option<String>,
    /// Who made it
    #[arg(short, long)]
    pub(in crate::cli) author: Option<String>,
    /// Dockerfile instruction to apply; may be repeated
    #[arg(short, long, value_name = "INSTRUCTION")]
    pub(in crate::cli) change: Vec<String>,
    /// Number of the container; default: the lowest
    #[arg(long, value_name = "N")]
    pub(in crate::cli) index: Option<u64>,
    /// What it is
    #[arg(short, long)]
    pub(in crate::cli) message: Option<String>,
    /// Freeze the container meanwhile
    #[arg(short, long, default_value = "true", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(in crate::cli) pause: String,
}

/// Flags of `export`.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct ExportArgs {
    /// The service
    #[arg(value_name = "SERVICE")]
    pub(in crate::cli) service: String,
    /// Number of the container; default: the lowest
    #[arg(long, value_name = "N")]
    pub(in crate::cli) index: Option<u64>,
    /// Write to a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub(in crate::cli) output: Option<String>,
}
