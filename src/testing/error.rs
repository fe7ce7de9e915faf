//! Why a stack is not what a test wants: told so that the output of a failed test explains itself.

use std::fmt;
use std::fmt::Write as _;
use std::time::Duration;

use crate::diagnostic::{Diagnostic, Severity, Sources};
use crate::event::StepFailure;
use crate::orchestrator::OrchestrationError;
use crate::runtime::RuntimeError;

/// Why a stack, or something in it, is not what a test wants.
///
/// `Debug` is the same as `Display`: `unwrap` and `expect` show whole sentences.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum StackError {
    /// The project has errors.
    #[error("the project has errors\n{}", places(.problems, .sources))]
    Project {
        /// What is wrong, each at its place.
        problems: Vec<Diagnostic>,
        /// What the places are in.
        sources: Sources,
    },
    /// The project could not be brought up, or down.
    #[error("{}", told(.0))]
    Orchestration(OrchestrationError),
    /// There is no such service, or it has no container.
    #[error("service `{service}` has no container; there are {}", listed(.known))]
    NoContainer {
        /// The service.
        service: String,
        /// Those that have.
        known: Vec<String>,
    },
    /// A service publishes no such port.
    #[error("service `{service}` publishes no port {target}; it publishes {}", listed(.known))]
    NoPort {
        /// The service.
        service: String,
        /// The port inside the container.
        target: u16,
        /// Those that it publishes.
        known: Vec<String>,
    },
    /// What was waited for did not come.
    #[error("service `{service}` did not {what} within {limit:?}{why}{log}")]
    Timeout {
        /// The service.
        service: String,
        /// What was waited for.
        what: String,
        /// For how long.
        limit: Duration,
        /// What came instead, on a line of its own.
        why: String,
        /// The last lines of its log, each on a line of its own.
        log: String,
    },
    /// A command in a container did not end with 0.
    #[error("`{command}` in service `{service}` ended with {code}{output}")]
    Command {
        /// The service.
        service: String,
        /// The command.
        command: String,
        /// Its exit code.
        code: i64,
        /// What it wrote, on lines of its own.
        output: String,
    },
    /// A file cannot be read or written.
    #[error("cannot {action}: {source}")]
    File {
        /// What was to be done.
        action: String,
        /// Why it was not.
        source: std::io::Error,
    },
    /// The stack was taken down meanwhile.
    #[error("the stack is down")]
    Down,
}

impl fmt::Debug for StackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<OrchestrationError> for StackError {
    fn from(error: OrchestrationError) -> Self {
        match error {
            OrchestrationError::Refused { problems, sources } => {
                Self::Project { problems, sources }
            }
            error => Self::Orchestration(error),
        }
    }
}

impl From<RuntimeError> for StackError {
    fn from(error: RuntimeError) -> Self {
        Self::Orchestration(error.into())
    }
}

/// Each error with its place: `compose.yaml:9:9: service …`.
fn places(problems: &[Diagnostic], sources: &Sources) -> String {
    let errors = problems.iter().filter(|it| it.severity == Severity::Error);
    let lines = errors.map(|problem| {
        let place = problem.span().map(|span| sources.place(span) + ": ").unwrap_or_default();
        let hint = problem.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("  {place}{}{hint}", problem.message)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// All that is known about each step that failed; of other errors all causes.
fn told(error: &OrchestrationError) -> String {
    if let OrchestrationError::Steps(failures) = error {
        return failures.iter().map(step).collect::<Vec<_>>().join("\n");
    }
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn step(failure: &StepFailure) -> String {
    let mut text = format!("cannot {}\n  cause: {}", failure.what, failure.cause);
    if !failure.probe.is_empty() {
        let probe = indented(failure.probe.lines());
        let _ = write!(text, "\n  last health check:\n{probe}");
    }
    if !failure.log.is_empty() {
        let log = indented(failure.log.iter().map(String::as_str));
        let _ = write!(text, "\n  last output:\n{log}");
    }
    text
}

/// Lines below something.
pub(super) fn indented<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    lines.map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

fn listed(words: &[String]) -> String {
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}
