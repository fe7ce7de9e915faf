//! The command of a test on this machine: run, passed signals, and ended with all that it started.
//!
//! # Invariants
//!
//! - Nothing that the command has started outlives it, however it got away from it: all of it has a
//!   variable in its environment by which it is found.

use std::io::Read as _;
use std::process::Stdio;
use std::time::Duration;

use indexmap::IndexMap;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Child;

use crate::model::Output;
use crate::scheduler::{Shutdown, Stage};
use crate::testing::StackError;

/// The variable by which processes are found.
pub(super) const MARK: &str = "KETCH_TEST_RUN";
/// How long a command may take to end that was asked to.
const GRACE: Duration = Duration::from_secs(10);
/// How often processes are looked for that start others while they are killed.
const ROUNDS: usize = 50;
/// The longest environment of a process that is searched, in bytes.
const LONGEST: u64 = 1 << 20;
/// Bytes that are passed on at once.
const PIECE: usize = 64 << 10;

/// A command.
pub(super) struct Command<'c> {
    /// The program and its arguments.
    pub(super) words: &'c [String],
    /// What no other run has.
    pub(super) mark: &'c str,
    /// Added to the environment; it has the mark of the test in which this one runs.
    pub(super) environment: IndexMap<String, String>,
}

/// How a command ended.
pub(super) enum Ended {
    /// By itself.
    Code(u8),
    /// The user wanted that.
    Interrupted,
}

/// Takes what a command writes.
pub(super) type Show<'s> = &'s dyn Fn(Output, &[u8]);

/// Runs a command to its end. Without `show` it has the streams of this process.
pub(super) async fn run(
    command: &Command<'_>,
    shutdown: Shutdown,
    show: Option<Show<'_>>,
) -> Result<Ended, StackError> {
    let mut child = start(command, show)?;
    // Also when nobody waits any more: a time limit drops this.
    let _end = End(command.mark.to_owned());
    let streams = (child.stdout.take(), child.stderr.take());
    let passing = async {
        let Some(show) = show else { return };
        let (stdout, stderr) = streams;
        tokio::join!(pass(stdout, Output::Stdout, show), pass(stderr, Output::Stderr, show));
    };
    let ending = async {
        let ended = end(&mut child, shutdown).await;
        // What it leaves would hold its streams open.
        kill_marked(command.mark);
        ended
    };
    let (ended, ()) = tokio::join!(ending, passing);
    ended.map_err(|source| failed("wait for the command", source))
}

fn failed(action: &str, source: std::io::Error) -> StackError {
    StackError::File { action: action.to_owned(), source }
}

fn start(command: &Command<'_>, show: Option<Show<'_>>) -> Result<Child, StackError> {
    let (program, arguments) =
        command.words.split_first().map_or(("", &[][..]), |(it, rest)| (it.as_str(), rest));
    // What runs inside another test belongs to that too.
    let mark = match command.environment.get(MARK) {
        Some(outer) => format!("{outer}:{}", command.mark),
        None => command.mark.to_owned(),
    };
    let mut builder = tokio::process::Command::new(program);
    builder.args(arguments).envs(&command.environment).env(MARK, mark).kill_on_drop(true);
    if show.is_some() {
        builder.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    }
    builder.spawn().map_err(|source| failed(&format!("run `{program}`"), source))
}

/// Waits for the end; passes a first signal on and kills after a second one, or when the time is up.
async fn end(child: &mut Child, shutdown: Shutdown) -> std::io::Result<Ended> {
    tokio::select! {
        status = child.wait() => return Ok(Ended::Code(code(status?))),
        () = shutdown.clone().reaches(Stage::Graceful) => {}
    }
    // In a terminal Ctrl-C has reached the command already.
    let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    if let Some(pid) = pid.filter(|_| !std::io::IsTerminal::is_terminal(&std::io::stdin())) {
        let _ = kill_process(pid, Signal::TERM);
    }
    tokio::select! {
        status = child.wait() => drop(status?),
        () = shutdown.reaches(Stage::Now) => {}
        () = tokio::time::sleep(GRACE) => {}
    }
    let _ = child.start_kill();
    child.wait().await?;
    Ok(Ended::Interrupted)
}

/// The exit code, as a shell has it for what a signal has ended.
fn code(status: std::process::ExitStatus) -> u8 {
    let by_signal = || Some(128 + std::os::unix::process::ExitStatusExt::signal(&status)?);
    status.code().or_else(by_signal).and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

async fn pass(stream: Option<impl AsyncRead + Unpin>, output: Output, show: Show<'_>) {
    let Some(mut stream) = stream else { return };
    let mut piece = vec![0; PIECE];
    while let Ok(length @ 1..) = stream.read(&mut piece).await {
        show(output, &piece[..length]);
    }
}

/// Kills what a command has started when it is dropped.
struct End(String);

impl Drop for End {
    fn drop(&mut self) {
        kill_marked(&self.0);
    }
}

/// Kills all that has this mark, until nothing has: what is killed may have started more.
fn kill_marked(mark: &str) {
    for _ in 0..ROUNDS {
        let found = marked(mark);
        if found.is_empty() {
            return;
        }
        for pid in found {
            // It may have ended meanwhile.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

fn has_mark(variable: &[u8], mark: &str) -> bool {
    let text = std::str::from_utf8(variable).unwrap_or_default();
    let marks = text.strip_prefix(MARK).and_then(|rest| rest.strip_prefix('='));
    marks.is_some_and(|marks| marks.split(':').any(|it| it == mark))
}

/// The processes that have a mark in the environment that they were started with.
fn marked(mark: &str) -> Vec<Pid> {
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    let own = std::process::id();
    let has = |pid: u32| {
        let Ok(file) = std::fs::File::open(format!("/proc/{pid}/environ")) else { return false };
        let mut environment = Vec::new();
        // One that has ended, but was not waited for, has none.
        let _ = file.take(LONGEST).read_to_end(&mut environment);
        environment.split(|byte| *byte == 0).any(|variable| has_mark(variable, mark))
    };
    let pids = processes.flatten().filter_map(|it| it.file_name().to_str()?.parse::<u32>().ok());
    let found = pids.filter(|pid| *pid != own && has(*pid));
    found.filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?)).collect()
}
