//! The command line: arguments and environment to one command, its failure to an exit code.
//!
//! In: a [`Process`]. Out: text on a [`Screen`] and an exit code.
//!
//! # Invariants
//!
//! - The environment is read once, in [`Process::current`]; everything below gets values.
//! - A command returns a [`Failure`]; only `exit` turns it into words and a code.
//!
//! # Not here
//!
//! Loading (`project`), drawing (`ui`).

mod args;
mod attach;
mod autostart;
mod build;
mod check;
mod commit;
mod config;
mod cp;
mod doctor;
mod down;
mod engine;
mod env;
mod events;
mod exec;
mod exit;
mod explain;
mod export;
mod graph;
mod help;
mod image;
mod images;
mod logs;
mod ls;
mod plan;
mod plugin;
mod port;
mod prompt;
mod ps;
mod run;
mod schema;
mod session;
mod snapshot;
mod stats;
mod system;
mod terminal;
mod test;
mod top;
mod transfer;
mod up;
mod usage;
mod version;
mod volumes;
mod wait;
mod watch;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::FromArgMatches as _;
use indexmap::IndexMap;

use crate::project::{Disk, Source};
use crate::ui::{Screen, log};
use args::{Cli, Command, GlobalArgs};
pub use exit::Failure;
use session::Session;
pub use usage::UsageError;

/// What the operating system tells a program at its start.
#[derive(Clone, Debug, Default)]
pub struct Process {
    /// The arguments, with the name of the program first.
    pub arguments: Vec<OsString>,
    /// The environment.
    pub environment: IndexMap<String, String>,
    /// The current directory; `None` if it no longer exists.
    pub cwd: Option<PathBuf>,
}

impl Process {
    /// The running process. What is not UTF-8 in the environment is replaced.
    pub fn current() -> Self {
        let text = |text: OsString| text.to_string_lossy().into_owned();
        let mut environment: IndexMap<String, String> =
            std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
        let cwd = std::env::current_dir().ok();
        // `${PWD}` works even where no shell has set it.
        if let (false, Some(cwd)) = (environment.contains_key("PWD"), &cwd) {
            environment.insert("PWD".to_owned(), cwd.to_string_lossy().into_owned());
        }
        Self { arguments: std::env::args_os().collect(), environment, cwd }
    }
}

/// Runs the command that the arguments name and tells on the standard streams what comes of it.
/// Returns the exit code.
pub async fn run(process: &Process) -> u8 {
    run_on(process, &Disk, &mut Screen::standard()).await
}

/// Runs a command with any files and any screen; returns the exit code.
pub async fn run_on(process: &Process, source: &dyn Source, screen: &mut Screen) -> u8 {
    let result = match parse(&plugin::unwrapped(&process.arguments)) {
        _ if plugin::is_asked(&process.arguments) => plugin::answer(screen).map(|()| 0),
        Ok(cli) => dispatch(cli, process, source, screen).await,
        Err(failure) => Err(failure),
    };
    result.unwrap_or_else(|failure| exit::tell(&failure, screen))
}

fn parse(arguments: &[OsString]) -> Result<Cli, Failure> {
    let parsed = args::tolerant(help::command()).try_get_matches_from(arguments);
    let failed = |error| usage::understand(&error, arguments);
    let matches = parsed.map_err(failed)?;
    Cli::from_arg_matches(&matches).map_err(failed)
}

async fn dispatch(
    cli: Cli,
    process: &Process,
    source: &dyn Source,
    screen: &mut Screen,
) -> Result<u8, Failure> {
    start_log(&cli.global, process);
    let command = match cli.command {
        _ if cli.global.version => {
            return version::run(&args::VersionArgs::default(), screen).map(|()| 0);
        }
        Some(command) => command,
        None => {
            screen.show(&help::overview())?;
            return Ok(0);
        }
    };
    let done = match command {
        Command::Schema(args) => schema::run(&args, screen),
        Command::Version(args) => version::run(&args, screen),
        command => {
            let mut session = Session::new(cli.global, process, source, screen)?;
            return run_command(command, &mut session).await;
        }
    };
    done.map(|()| 0)
}

/// Runs a command on a project.
async fn run_command(command: Command, session: &mut Session<'_>) -> Result<u8, Failure> {
    match command {
        Command::Config(args) => config::run(&args, session).await.map(|()| 0),
        Command::Check(args) => check::run(&args, session).map(|()| 0),
        Command::Explain(args) => explain::run(&args, session).map(|()| 0),
        Command::Graph(args) => graph::run(&args, session).map(|()| 0),
        Command::Plan(args) => plan::run(&args, session).await,
        Command::Pull(args) => transfer::pull(&args, session).await,
        Command::Push(args) => transfer::push(&args, session).await,
        Command::Build(args) => build::run(&args, session).await,
        Command::Up(args) => up::up(&args, session).await,
        Command::Create(args) => up::create(&args, session).await,
        Command::Start(args) => up::start(&args, session).await,
        Command::Scale(args) => up::scale(&args, session).await,
        Command::Down(args) => down::down(&args, session).await,
        Command::Stop(args) => down::stop(&args, session).await,
        Command::Restart(args) => down::restart(&args, session).await,
        Command::Kill(args) => down::kill(&args, session).await,
        Command::Pause(args) => down::pause(&args, session).await,
        Command::Unpause(args) => down::unpause(&args, session).await,
        Command::Rm(args) => down::rm(&args, session).await,
        Command::Watch(args) => watch::run(&args, session).await,
        command => work(command, session).await,
    }
}

/// Runs a command that works in containers.
async fn work(command: Command, session: &mut Session<'_>) -> Result<u8, Failure> {
    match command {
        Command::Test(args) => test::run(&args, session).await,
        Command::Run(args) => run::run(&args, session).await,
        Command::Exec(args) => exec::run(&args, session).await,
        Command::Attach(args) => attach::run(&args, session).await,
        Command::Cp(args) => cp::run(&args, session).await,
        Command::Wait(args) => wait::run(&args, session).await,
        Command::Commit(args) => commit::run(&args, session).await,
        Command::Export(args) => export::run(&args, session).await,
        Command::Snapshot(args) => snapshot::run(&args, session).await,
        command => look(command, session).await,
    }
}

/// Runs a command that only looks.
async fn look(command: Command, session: &mut Session<'_>) -> Result<u8, Failure> {
    match command {
        Command::Ps(args) => ps::run(&args, session).await,
        Command::Ls(args) => ls::run(&args, session).await,
        Command::Image(args) => image::run(&args, session).await,
        Command::System(args) => system::run(&args, session).await,
        Command::Autostart(args) => autostart::run(&args, session).await,
        Command::Images(args) => images::run(&args, session).await,
        Command::Volumes(args) => volumes::run(&args, session).await,
        Command::Top(args) => top::run(&args, session).await,
        Command::Port(args) => port::run(&args, session).await,
        Command::Env(args) => env::run(&args, session).await,
        Command::Logs(args) => logs::run(&args, session).await,
        Command::Events(args) => events::run(&args, session).await,
        Command::Stats(args) => stats::run(&args, session).await,
        Command::Doctor(args) => doctor::run(&args, session).await,
        _ => Ok(0),
    }
}

/// Turns on Ketch's own log if it is asked for.
fn start_log(global: &GlobalArgs, process: &Process) {
    match process.environment.get("RUST_LOG") {
        Some(filter) if !filter.is_empty() => log::start(filter),
        _ if global.engine.wants_debug() => log::start("ketch=debug"),
        _ if global.verbose => log::start("ketch=trace"),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
