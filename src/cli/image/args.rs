//! Arguments of `image`, as `docker image` has them.

use clap::{Args, Subcommand};

/// Arguments of `image`.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct ImageArgs {
    #[command(subcommand)]
    pub(super) command: ImageCommand,
}

/// What is done with images.
#[derive(Clone, Debug, Subcommand)]
pub(in crate::cli) enum ImageCommand {
    /// List images
    #[command(visible_alias = "list")]
    Ls(LsArgs),
    /// Get images from registries, or from `docker-archive:FILE` and `oci:DIR`
    Pull(PullArgs),
    /// Send images to registries
    Push(PushArgs),
    /// Load images that were saved, from an archive or a directory
    Load(LoadArgs),
    /// Save images to an archive, or with `-o oci:DIR` to a directory
    Save(SaveArgs),
    /// Remove images, or names of them
    #[command(visible_alias = "remove")]
    Rm(RmArgs),
    /// Show all about images, as JSON
    Inspect(InspectArgs),
    /// Remove images that nobody needs
    Prune(PruneArgs),
    /// Give an image another name
    Tag(TagArgs),
}

/// Flags of `image ls`.
#[derive(Clone, Debug, Default, Args)]
#[expect(clippy::struct_excessive_bools, reason = "one independent switch for each flag")]
pub(in crate::cli) struct LsArgs {
    /// Only images of this repository, or with this name
    #[arg(value_name = "REPOSITORY[:TAG]")]
    pub(super) name: Option<String>,
    /// All images; nothing is left out without it either
    #[arg(short, long)]
    pub(super) all: bool,
    /// Show digests too
    #[arg(long)]
    pub(super) digests: bool,
    /// Only images that match: `dangling=BOOL`, `label=NAME[=VALUE]`, `reference=PATTERN`,
    /// `since=IMAGE`, `before=IMAGE`, `until=TIME`; may be repeated
    #[arg(short, long, value_name = "FILTER")]
    pub(super) filter: Vec<String>,
    /// Format: table, json, or a template
    #[arg(long)]
    pub(super) format: Option<String>,
    /// Do not shorten ids
    #[arg(long)]
    pub(super) no_trunc: bool,
    /// Only ids
    #[arg(short, long)]
    pub(super) quiet: bool,
}

/// Flags of `image pull`.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct PullArgs {
    /// Images to get
    #[arg(value_name = "IMAGE", required = true)]
    pub(super) images: Vec<String>,
    /// Platform of the image, such as `linux/arm64`; default: this one
    #[arg(long, value_name = "PLATFORM")]
    pub(super) platform: Option<String>,
    /// No progress
    #[arg(short, long)]
    pub(super) quiet: bool,
}

/// Flags of `image push`.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct PushArgs {
    /// Images to send
    #[arg(value_name = "IMAGE", required = true)]
    pub(super) images: Vec<String>,
    /// No progress
    #[arg(short, long)]
    pub(super) quiet: bool,
}

/// Flags of `image load`.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct LoadArgs {
    /// Archive or directory; default: standard input
    #[arg(short, long, value_name = "PATH")]
    pub(super) input: Option<String>,
    /// Platform of the image if there are several
    #[arg(long, value_name = "PLATFORM")]
    pub(super) platform: Option<String>,
    /// No progress
    #[arg(short, long)]
    pub(super) quiet: bool,
}

/// Flags of `image save`.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct SaveArgs {
    /// Images to save
    #[arg(value_name = "IMAGE", required = true)]
    pub(super) images: Vec<String>,
    /// File to write, or `oci:DIR`; default: standard output
    #[arg(short, long, value_name = "PATH")]
    pub(super) output: Option<String>,
}

/// Flags of `image rm`.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct RmArgs {
    /// Images or names to remove
    #[arg(value_name = "IMAGE", required = true)]
    pub(super) images: Vec<String>,
    /// Take the names away even if a container uses the image; no error for what is not there
    #[arg(short, long)]
    pub(super) force: bool,
}

/// Flags of `image inspect`.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct InspectArgs {
    /// Images to show
    #[arg(value_name = "IMAGE", required = true)]
    pub(super) images: Vec<String>,
    /// Format: json, or a template
    #[arg(short, long)]
    pub(super) format: Option<String>,
}

/// Flags of `image prune`.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct PruneArgs {
    /// All images that no container uses, and not only those without a name
    #[arg(short, long)]
    pub(super) all: bool,
    /// Only images that match: `label=NAME[=VALUE]`, `until=TIME`; may be repeated
    #[arg(long, value_name = "FILTER")]
    pub(super) filter: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    pub(super) force: bool,
}

/// Arguments of `image tag`.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct TagArgs {
    /// An image
    #[arg(value_name = "IMAGE")]
    pub(super) image: String,
    /// Its further name
    #[arg(value_name = "NAME")]
    pub(super) name: String,
}
