//! The arguments as clap knows them; the doc comments are the help text.
//!
//! In: `argv`. Out: [`Cli`].
//!
//! # Invariants
//!
//! - Global flags stand before the command, as Docker Compose has it; only `--dry-run` may follow.
//! - Values that Docker Compose checks in words of its own are plain text here and are checked by
//!   the command or by [`super::session`].

mod engine;
mod image;
mod inspect;
mod lifecycle;
mod session;
mod test;

pub(super) use engine::EngineArgs;
pub(super) use image::{BuildArgs, CommitArgs, ExportArgs, PullArgs, PushArgs};
pub(super) use inspect::{
    DoctorArgs, EnvArgs, EnvFormat, EventsArgs, GraphArgs, ImagesArgs, LogsArgs, LsArgs, PortArgs,
    PsArgs, StatsArgs, VolumesArgs,
};
pub(super) use lifecycle::{
    CreateArgs, CreateFlags, DownArgs, KillArgs, PlanArgs, RestartArgs, RmArgs, ScaleArgs,
    ServicesArgs, StartArgs, StopArgs, UpArgs, WaitArgs, WatchArgs,
};
pub(super) use session::{AttachArgs, CpArgs, ExecArgs, RunArgs};
pub(super) use test::{ShowLogs, TestArgs};

use std::cell::Cell;
use std::ops::Deref;

use clap::{ArgAction, ArgMatches, Args, FromArgMatches, Parser, Subcommand, ValueEnum};

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "ketch", about = "Runs Compose projects", disable_version_flag = true)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: GlobalArgs,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

/// The commands. What a command takes is looked up when it is called: all of it together is a
/// megabyte.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(super) enum Command {
    /// Show the project as it is understood
    Config(Tolerant<ConfigArgs>),
    /// Find mistakes without running anything
    Check(Tolerant<CheckArgs>),
    /// Tell where a value comes from
    Explain(Tolerant<ExplainArgs>),
    /// Show what depends on what
    Graph(Tolerant<GraphArgs>),
    /// Tell what `up` or `down` would do, and why
    Plan(Tolerant<PlanArgs>),
    /// Pull images
    Pull(Tolerant<PullArgs>),
    /// Build images
    Build(Tolerant<Box<BuildArgs>>),
    /// Push images
    Push(Tolerant<PushArgs>),
    /// Create and start containers
    Up(Tolerant<Box<UpArgs>>),
    /// Create containers, but do not start them
    Create(Tolerant<CreateArgs>),
    /// Start containers that exist
    Start(Tolerant<StartArgs>),
    /// Stop containers
    Stop(Tolerant<StopArgs>),
    /// Stop containers and start them again
    Restart(Tolerant<RestartArgs>),
    /// Send a signal to containers
    Kill(Tolerant<KillArgs>),
    /// Freeze containers
    Pause(Tolerant<ServicesArgs>),
    /// Let frozen containers go on
    Unpause(Tolerant<ServicesArgs>),
    /// Remove containers that do not run
    Rm(Tolerant<RmArgs>),
    /// Change how many containers services have
    Scale(Tolerant<ScaleArgs>),
    /// Bring changes of files into containers while you develop
    Watch(Tolerant<WatchArgs>),
    /// Stop and remove containers and networks
    Down(Tolerant<DownArgs>),
    /// List containers
    Ps(Tolerant<PsArgs>),
    /// List projects
    Ls(Tolerant<LsArgs>),
    /// Say what this machine can do, and what is missing
    Doctor(Tolerant<DoctorArgs>),
    /// List the images of containers
    Images(Tolerant<ImagesArgs>),
    /// Look after the images of the native runtime
    Image(Tolerant<super::image::ImageArgs>),
    /// Show what takes how much room, and make room
    System(Tolerant<super::system::SystemArgs>),
    /// Let containers come back when the host was restarted
    Autostart(Tolerant<super::autostart::AutostartArgs>),
    /// List volumes
    Volumes(Tolerant<VolumesArgs>),
    /// Show the processes of containers
    Top(Tolerant<ServicesArgs>),
    /// Show the address at which a port is published
    Port(Tolerant<PortArgs>),
    /// Print the addresses of the project as variables, for programs of the host
    Env(Tolerant<EnvArgs>),
    /// Show what containers have written
    Logs(Tolerant<LogsArgs>),
    /// Tell what happens to containers
    Events(Tolerant<EventsArgs>),
    /// Show what containers use: processors, memory, network
    Stats(Tolerant<StatsArgs>),
    /// Run a command against a copy of the project that is there for it alone
    Test(Tolerant<TestArgs>),
    /// Run a command in a container of its own
    Run(Tolerant<Box<RunArgs>>),
    /// Run a command in a container that runs
    Exec(Tolerant<ExecArgs>),
    /// Connect to the standard streams of a container
    Attach(Tolerant<AttachArgs>),
    /// Copy files into containers or out of one
    Cp(Tolerant<CpArgs>),
    /// Wait until containers have ended
    Wait(Tolerant<WaitArgs>),
    /// Make an image of a container
    Commit(Tolerant<CommitArgs>),
    /// Write the file system of a container to a tar archive
    Export(Tolerant<ExportArgs>),
    /// Keep the data of a project, and bring it back
    Snapshot(Tolerant<super::snapshot::SnapshotArgs>),
    /// Print a JSON schema: of Compose files for editors, or of what Ketch tells programs
    Schema(Tolerant<SchemaArgs>),
    /// Show the version
    Version(Tolerant<VersionArgs>),
}

/// Flags before the command.
#[derive(Clone, Debug, Default, Args)]
#[expect(clippy::struct_excessive_bools, reason = "one independent switch for each flag")]
pub(super) struct GlobalArgs {
    /// Compose file; may be repeated, later ones override; `-` is standard input
    #[arg(short, long, value_name = "FILE")]
    pub(super) file: Vec<String>,
    /// Name of the project
    #[arg(short, long, value_name = "NAME")]
    pub(super) project_name: Option<String>,
    /// Run a further copy of the project, separate from all others; `auto` names it after the git
    /// branch and worktree
    #[arg(long, value_name = "NAME")]
    pub(super) instance: Option<String>,
    /// Profile to enable; may be repeated; `*` is all
    #[arg(long, value_name = "NAME")]
    pub(super) profile: Vec<String>,
    /// File with variables, instead of `.env`; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(super) env_file: Vec<String>,
    /// Directory that relative paths start from
    #[arg(long, value_name = "DIR")]
    pub(super) project_directory: Option<String>,
    #[arg(long, hide = true)]
    pub(super) workdir: Option<String>,
    /// Name containers as Compose v1 did, with `_`
    #[arg(long)]
    pub(super) compatibility: bool,
    /// Keep networks, volumes and so on that no service uses
    #[arg(long)]
    pub(super) all_resources: bool,
    /// Show what would be done, and do nothing
    #[arg(long, global = true)]
    pub(super) dry_run: bool,
    /// How progress is shown: auto, tty, plain, json or quiet
    #[arg(long, value_name = "HOW")]
    pub(super) progress: Option<String>,
    /// Colours: never, always or auto
    #[arg(long, value_name = "WHEN")]
    pub(super) ansi: Option<String>,
    #[arg(long, hide = true)]
    pub(super) no_ansi: bool,
    #[command(flatten)]
    pub(super) engine: EngineArgs,
    /// How many operations run at once; -1 is any number
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole_number)]
    pub(super) parallel: Option<i64>,
    #[arg(long, hide = true, value_name = "NAME")]
    pub(super) insecure_registry: Vec<String>,
    #[arg(long, hide = true)]
    pub(super) verbose: bool,
    #[arg(short = 'v', long, hide = true)]
    pub(super) version: bool,
}

/// Flags of `config`.
#[derive(Clone, Debug, Default, Args)]
#[expect(clippy::struct_excessive_bools, reason = "one independent switch for each flag")]
pub(super) struct ConfigArgs {
    /// Services to show, with what they depend on; default: all
    #[arg(value_name = "SERVICE")]
    pub(super) services_named: Vec<String>,
    /// Format: yaml or json
    #[arg(long)]
    pub(super) format: Option<String>,
    /// Write to a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<String>,
    /// Only say what is wrong
    #[arg(short, long)]
    pub(super) quiet: bool,
    /// Keep `${…}` as written
    #[arg(long)]
    pub(super) no_interpolate: bool,
    /// Leave out what Compose implies
    #[arg(long)]
    pub(super) no_normalize: bool,
    /// Keep paths as written
    #[arg(long)]
    pub(super) no_path_resolution: bool,
    /// Accept references to what is not defined
    #[arg(long)]
    pub(super) no_consistency: bool,
    /// Keep `env_file` instead of reading it
    #[arg(long)]
    pub(super) no_env_resolution: bool,
    /// Name images by the digests that registries have for them now
    #[arg(long)]
    pub(super) resolve_image_digests: bool,
    /// Write an override that holds nothing but images with digests
    #[arg(long)]
    pub(super) lock_image_digests: bool,
    /// List the services
    #[arg(long, help_heading = "Lists")]
    pub(super) services: bool,
    /// List the volumes
    #[arg(long, help_heading = "Lists")]
    pub(super) volumes: bool,
    /// List the networks
    #[arg(long, help_heading = "Lists")]
    pub(super) networks: bool,
    /// List the models
    #[arg(long, help_heading = "Lists")]
    pub(super) models: bool,
    /// List config hashes: of services named `a,b`, or of all with `*`
    #[arg(long, help_heading = "Lists", value_name = "SERVICES")]
    pub(super) hash: Option<String>,
    /// List the profiles, active or not
    #[arg(long, help_heading = "Lists")]
    pub(super) profiles: bool,
    /// List the images
    #[arg(long, help_heading = "Lists")]
    pub(super) images: bool,
    /// List the variables that the files use
    #[arg(long, help_heading = "Lists")]
    pub(super) variables: bool,
    /// List the variables that are set
    #[arg(long, help_heading = "Lists")]
    pub(super) environment: bool,
}

/// Flags of `check`.
#[derive(Clone, Debug, Args)]
pub(super) struct CheckArgs {
    /// Services to check, with what they depend on; default: all
    #[arg(value_name = "SERVICE")]
    pub(super) services: Vec<String>,
    /// For whom the report is
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: CheckFormat,
    /// Take warnings for errors
    #[arg(short = 'W', long)]
    pub(super) strict: bool,
}

/// For whom `check` reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum CheckFormat {
    #[default]
    Human,
    Json,
    Sarif,
    Github,
}

/// Flags of `explain`.
#[derive(Clone, Debug, Args)]
pub(super) struct ExplainArgs {
    /// Path to the value, such as `services.web.environment.LOG_LEVEL` or `services.web.ports.0`
    #[arg(value_name = "PATH")]
    pub(super) path: Option<String>,
    /// For whom the answer is
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: ExplainFormat,
}

/// For whom `explain` answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum ExplainFormat {
    #[default]
    Human,
    Json,
}

/// Arguments of `schema`.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct SchemaArgs {
    /// What it describes: Compose files, a line of `--progress json`, or `plan --format json`
    #[arg(value_enum, default_value_t)]
    pub(super) of: SchemaOf,
}

/// What a schema describes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum SchemaOf {
    #[default]
    Compose,
    Events,
    Plan,
}

/// Flags of `version`.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct VersionArgs {
    /// Format: pretty or json
    #[arg(short, long)]
    pub(super) format: Option<String>,
    /// Only the number
    #[arg(long)]
    pub(super) short: bool,
}

thread_local! {
    /// Whether flags are taken as they are written in help. Clap hands nothing else to what looks
    /// up the flags of a command.
    static IS_FOR_HELP: Cell<bool> = const { Cell::new(false) };
}

/// Looks up what all commands take, in the words of help.
pub(super) fn for_help(mut command: clap::Command) -> clap::Command {
    IS_FOR_HELP.set(true);
    command.build();
    IS_FOR_HELP.set(false);
    command
}

/// What a command takes, in the forms that Docker Compose permits.
#[derive(Clone, Debug)]
pub(super) struct Tolerant<T>(T);

impl<T> Deref for Tolerant<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Args> Args for Tolerant<T> {
    fn augment_args(command: clap::Command) -> clap::Command {
        // What the type says of itself is for who reads the code.
        let about = command.get_about().cloned();
        let command = T::augment_args(command);
        let command = if IS_FOR_HELP.get() { command } else { tolerant(command) };
        match about {
            Some(about) => command.about(about),
            None => command,
        }
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl<T: FromArgMatches> FromArgMatches for Tolerant<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        T::from_arg_matches(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches(matches)
    }
}

/// Lets flags be repeated and switches take a value (`--quiet=false`), as Docker Compose does.
pub(super) fn tolerant(command: clap::Command) -> clap::Command {
    command
        .args_override_self(true)
        .mut_args(|arg| match arg.get_action() {
            ArgAction::SetTrue => arg
                .action(ArgAction::Set)
                .num_args(0..=1)
                .require_equals(true)
                .default_value("false")
                .default_missing_value("true")
                .value_parser(switch)
                .hide_default_value(true),
            _ => arg,
        })
        .mut_subcommands(tolerant)
}

fn whole_number(word: &str) -> Result<i64, &'static str> {
    word.parse().map_err(|_| "it takes a whole number")
}

/// The words that Go takes for a boolean.
pub(super) fn switch(word: &str) -> Result<bool, &'static str> {
    match word {
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Ok(true),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Ok(false),
        _ => Err("it takes `true` or `false`"),
    }
}
