//! Arguments of the commands that change containers.

use clap::Args;

/// Flags of `up`.
#[derive(Clone, Debug, Default, Args)]
#[expect(clippy::struct_excessive_bools, reason = "one independent switch for each flag")]
pub(in crate::cli) struct UpArgs {
    /// Services to start, with what they depend on; default: all
    #[arg(value_name = "SERVICE")]
    pub(in crate::cli) services: Vec<String>,
    /// Run in the background
    #[arg(short, long)]
    pub(in crate::cli) detach: bool,
    #[command(flatten)]
    pub(in crate::cli) create: CreateFlags,
    /// Replace containers of dependencies even if nothing changed
    #[arg(long)]
    pub(in crate::cli) always_recreate_deps: bool,
    /// Give containers new anonymous volumes instead of the data of those that they replace
    #[arg(short = 'V', long)]
    pub(in crate::cli) renew_anon_volumes: bool,
    /// Create containers, but do not start them
    #[arg(long)]
    pub(in crate::cli) no_start: bool,
    /// Leave out the services that the named ones depend on
    #[arg(long)]
    pub(in crate::cli) no_deps: bool,
    /// Seconds until a container that is replaced or stopped is killed
    #[arg(short, long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub(in crate::cli) timeout: Option<i32>,
    /// Wait until services run and are healthy; implies `--detach`
    #[arg(long)]
    pub(in crate::cli) wait: bool,
    /// Seconds to wait at most
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub(in crate::cli) wait_timeout: Option<i64>,
    /// Stop all containers when one exits
    #[arg(long)]
    pub(in crate::cli) abort_on_container_exit: bool,
    /// Stop all containers when one fails
    #[arg(long)]
    pub(in crate::cli) abort_on_container_failure: bool,
    /// Exit with the code of this service; implies `--abort-on-container-exit`
    #[arg(long, value_name = "SERVICE")]
    pub(in crate::cli) exit_code_from: Option<String>,
    /// Show the logs of these services only
    #[arg(long, value_name = "SERVICE", value_delimiter = ',')]
    pub(in crate::cli) attach: Vec<String>,
    /// Do not show the logs of these services
    #[arg(long, value_name = "SERVICE", value_delimiter = ',')]
    pub(in crate::cli) no_attach: Vec<String>,
    /// Show the logs of dependencies too
    #[arg(long)]
    pub(in crate::cli) attach_dependencies: bool,
    /// No colours in the logs
    #[arg(long)]
    pub(in crate::cli) no_color: bool,
    /// No names before the lines of logs
    #[arg(long)]
    pub(in crate::cli) no_log_prefix: bool,
    /// Show the time before each line of logs
    #[arg(long)]
    pub(in crate::cli) timestamps: bool,
    /// Bring changes of files into containers meanwhile
    #[arg(short, long)]
    pub(in crate::cli) watch: bool,
    /// Listen to keys: w watches, d detaches; default: where there is a terminal
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(in crate::cli) menu: Option<String>,
    /// Folder for all that is known if `--wait` fails; empty: none. Default in CI: ketch-failure
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) bundle: Option<String>,
    /// Remove the project, with its data, when a process ends, however it ends: PID, else `ketch`
    /// itself, or with --detach or --wait whoever has called it
    #[arg(long, value_name = "PID", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub(in crate::cli) lease: Option<String>,
    /// Tell which steps decided how long it took
    #[arg(long)]
    pub(in crate::cli) timings: bool,
    /// Leave health checks to the engine, which waits a whole interval before the first
    #[arg(long)]
    pub(in crate::cli) no_eager_probes: bool,
}

/// Flags that `up` and `create` share.
#[derive(Clone, Debug, Default, Args)]
#[expect(clippy::struct_excessive_bools, reason = "one independent switch for each flag")]
pub(in crate::cli) struct CreateFlags {
    /// Build images first
    #[arg(long)]
    pub(in crate::cli) build: bool,
    /// Never build images
    #[arg(long)]
    pub(in crate::cli) no_build: bool,
    /// When to pull images: always, missing, never or build; default: what the file says
    #[arg(long, value_name = "WHEN", default_value = "policy", hide_default_value = true)]
    pub(in crate::cli) pull: String,
    /// Do not show the progress of pulls
    #[arg(long)]
    pub(in crate::cli) quiet_pull: bool,
    /// Do not show the output of builds
    #[arg(long)]
    pub(in crate::cli) quiet_build: bool,
    /// Replace containers even if nothing changed
    #[arg(long)]
    pub(in crate::cli) force_recreate: bool,
    /// Replace no container, whatever changed
    #[arg(long)]
    pub(in crate::cli) no_recreate: bool,
    /// Remove containers of services that the file does not have
    #[arg(long)]
    pub(in crate::cli) remove_orphans: bool,
    /// Number of containers of a service; may be repeated
    #[arg(long, value_name = "SERVICE=NUM")]
    pub(in crate::cli) scale: Vec<String>,
    /// Answer yes to all questions
    #[arg(short, long, alias = "y")]
    pub(in crate::cli) yes: bool,
}

/// Flags of `create`.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct CreateArgs {
    /// Services to create, with what they depend on; default: all
    #[arg(value_name = "SERVICE")]
    pub(in crate::cli) services: Vec<String>,
    #[command(flatten)]
    pub(in crate::cli) create: CreateFlags,
}

/// Flags of `plan`.
#[derive(Clone, Debug, Default, Args)]
#[expect(clippy::struct_excessive_bools, reason = "one independent switch for each flag")]
pub(in crate::cli) struct PlanArgs {
    /// Services to plan for, with what they depend on; default: all
    #[arg(value_name = "SERVICE")]
    pub(in crate::cli) services: Vec<String>,
    /// Plan `down` instead of `up`
    #[arg(long)]
    pub(in crate::cli) down: bool,
    /// With `--down`: volumes too
    #[arg(short = 'v', long, requires = "down")]
    pub(in crate::cli) volumes: bool,
    /// Replace containers even if nothing changed
    #[arg(long)]
    pub(in crate::cli) force_recreate: bool,
    /// Remove containers of services that the file does not have
    #[arg(long)]
    pub(in crate::cli) remove_orphans: bool,
    /// Format: text or json
    #[arg(long)]
    pub(in crate::cli) format: Option<String>,
    /// Exit with 2 if there is something to do
    #[arg(long)]
    pub(in crate::cli) detailed_exitcode: bool,
}

/// Flags of `start`.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct StartArgs {
    /// Services to start; default: all
    #[arg(value_name = "SERVICE")]
    pub(in crate::cli) services: Vec<String>,
    /// Wait until services run and are healthy
    #[arg(long)]
    pub(in crate::cli) wait: bool,
    /// Seconds to wait at most
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub(in crate::cli) wait_timeout: Option<i64>,
}

/// Flags of `stop`.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct StopArgs {
    /// Services to stop; default: all
    #[arg(value_name = "SERVICE")]
    pub(in crate::cli) services: Vec<String>,
    /// Seconds until a container is killed
    #[arg(short, long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub(in crate::cli) timeout: Option<i32>,
}

/// Flags of `restart`.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct RestartArgs {
    #[command(flatten)]
    pub(in crate::cli) stop: StopArgs,
    /// Do not restart the services that follow
    #[arg(long)]
    pub(in crate::cli) no_deps: bool,
}

/// Flags of `kill`.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct KillArgs {
    /// Services to kill; default: all
    #[arg(value_name = "SERVICE")]
    pub(in crate::cli) services: Vec<String>,
    /// Signal to send
    #[arg(short, long, default_value = "SIGKILL")]
    pub(in crate::cli) signal: String,
    /// Containers of services that the file does not have too
    #[arg(long)]
    pub(in crate::cli) remove_orphans: bool,
}

/// Flags of `rm`.
#[derive(Clone, Debug, Default, Args)]
#[expect(clippy::struct_excessive_bools, reason = "one independent switch for each flag")]
pub(in crate::cli) struct RmArgs {
    /// Services whose containers to remove; default: all
    #[arg(value_name = "SERVICE")]
    pub(in crate::cli) services: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    pub(in crate::cli) force: bool,
    /// Stop containers that run first
    #[arg(short, long)]
    pub(in crate::cli) stop: bool,
    /// Remove anonymous volumes too
    #[arg(short, long)]
    pub(in crate::cli) volumes: bool,
    #[arg(short, long, hide = true)]
    pub(in crate::cli) all: bool,
}

/// Services, and nothing else.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct ServicesArgs {
    /// Services; default: all
    #[arg(value_name = "SERVICE")]
    pub(in crate::cli) services: Vec<String>,
}

/// Flags of `down`.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct DownArgs {
    /// Services to take down, with those that depend on them; default: all
    #[arg(value_name = "SERVICE")]
    pub(in crate::cli) services: Vec<String>,
    /// Remove containers of services that the file does not have
    #[arg(long)]
    pub(in crate::cli) remove_orphans: bool,
    /// Seconds until a container is killed
    #[arg(short, long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub(in crate::cli) timeout: Option<i32>,
    /// Remove volumes and their data too
    #[arg(short, long, alias = "volume")]
    pub(in crate::cli) volumes: bool,
    /// Remove images too: local (those without a name of their own) or all
    #[arg(long, value_name = "WHICH")]
    pub(in crate::cli) rmi: Option<String>,
}

/// Flags of `scale`.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct ScaleArgs {
    /// Numbers of containers
    #[arg(value_name = "SERVICE=NUM", required = true)]
    pub(in crate::cli) scale: Vec<String>,
    /// Leave out the services that the named ones depend on
    #[arg(long)]
    pub(in crate::cli) no_deps: bool,
}

/// Flags of `wait`.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct WaitArgs {
    /// Services whose containers to wait for
    #[arg(value_name = "SERVICE", required = true)]
    pub(in crate::cli) services: Vec<String>,
    /// Take the project down then
    #[arg(long)]
    pub(in crate::cli) down_project: bool,
}

/// Flags of `watch`.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct WatchArgs {
    /// Services to watch; default: all that have `develop`
    #[arg(value_name = "SERVICE")]
    pub(in crate::cli) services: Vec<String>,
    /// Do not build and start services first
    #[arg(long)]
    pub(in crate::cli) no_up: bool,
    /// Remove images that a build has replaced
    #[arg(long, default_value = "true", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(in crate::cli) prune: String,
    /// Do not show the output of builds
    #[arg(long)]
    pub(in crate::cli) quiet: bool,
    /// Only say whether containers have the files that they should have; exit with 1 if not
    #[arg(long)]
    pub(in crate::cli) check: bool,
}
