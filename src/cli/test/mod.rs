//! `ketch test`: runs a command against a copy of the project that is there for it alone.
//!
//! In: flags, a project, a command. Out: what the command prints, its exit code, and nothing of the
//! project that stays.
//!
//! # Invariants
//!
//! - Each run has a copy of its own ([`crate::testing::Stack`]), which goes however the run ends.
//! - What the command has started ends with it.
//!
//! # Not here
//!
//! Copies of projects (`testing`).

mod command;
mod junit;
mod once;

use std::time::Duration;

use futures_util::future::join_all;

use super::args::TestArgs;
use super::engine::Interrupts;
use super::exit::Failure;
use super::session::Session;
use super::usage::UsageError;
use crate::model::duration;
use crate::testing::StackError;
use once::Runs;

/// What came of one run.
#[derive(Debug)]
struct Run {
    /// What it is called: `run 2, shard 1`.
    name: String,
    /// How long its stack took to be ready.
    ready: Duration,
    /// How long its command ran.
    took: Duration,
    outcome: Outcome,
}

/// How a run ended.
#[derive(Debug)]
enum Outcome {
    /// The command did, with this exit code.
    Ended(u8),
    /// It took longer than this and was killed.
    Late(Duration),
    /// The stack did not come up, or the command could not be run.
    Failed(StackError),
    /// The user wanted an end.
    Interrupted,
}

impl Outcome {
    fn is_success(&self) -> bool {
        matches!(self, Self::Ended(0))
    }

    /// The exit code: that of the command, or 124 as `timeout` has it.
    fn code(&self) -> u8 {
        match self {
            Self::Ended(code) => *code,
            Self::Late(_) => 124,
            Self::Failed(_) => 1,
            Self::Interrupted => 130,
        }
    }
}

/// Runs a command against copies of the project.
pub(super) async fn run(args: &TestArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    if args.command.is_empty() && args.service.is_none() {
        let text = "there is nothing to run: write `ketch test -- COMMAND` or `--service SERVICE`";
        return Err(UsageError::Other(text.to_owned()).into());
    }
    if session.only_tells(|| format!("bring up a copy and run {}", args.command.join(" "))) {
        return Ok(0);
    }
    let interrupts = Interrupts::listen()?;
    let done = {
        let runs = Runs::new(args, session, interrupts.shutdown())?;
        all(args, &runs).await
    };
    if let Some(path) = &args.junit {
        write(session, path, &junit::report(&done))?;
    }
    let failed = done.into_iter().map(|run| run.outcome).find(|outcome| !outcome.is_success());
    match failed {
        None => Ok(0),
        Some(Outcome::Failed(error)) => Err(error.into()),
        Some(outcome) => Ok(outcome.code()),
    }
}

/// Every round, each with all its shards, until one fails.
async fn all(args: &TestArgs, runs: &Runs<'_>) -> Vec<Run> {
    let mut done = Vec::new();
    for round in 1..=args.repeat {
        let shards = (1..=args.parallel).map(|shard| {
            let part = |word: &str, number, all| (all > 1).then(|| format!("{word} {number}"));
            let round = part("run", round, args.repeat);
            let name: Vec<String> =
                round.into_iter().chain(part("shard", shard, args.parallel)).collect();
            runs.once(shard, name.join(", "))
        });
        done.extend(join_all(shards).await);
        if done.iter().any(|run| !run.outcome.is_success()) {
            break;
        }
    }
    done
}

/// How long a command may run.
fn limit(word: Option<&str>) -> Result<Option<Duration>, Failure> {
    let Some(word) = word else { return Ok(None) };
    let limit = duration::Duration::parse(word).map(duration::Duration::to_std);
    if let Some(limit) = limit.ok().filter(|limit| !limit.is_zero()) {
        return Ok(Some(limit));
    }
    let text = format!("`{word}` is no time for --timeout: write for example `90s`");
    Err(UsageError::Other(text).into())
}

fn write(session: &Session<'_>, path: &str, text: &str) -> Result<(), Failure> {
    let path = session.request()?.cwd.join(path);
    std::fs::write(&path, text).map_err(|source| Failure::Write { path, source })
}
