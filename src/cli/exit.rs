//! Failures to words, hints and exit codes; the only place that does so.
//!
//! In: a [`Failure`]. Out: text on the screen, and the code that Docker Compose would exit with.

use std::io;
use std::path::PathBuf;

use super::usage::UsageError;
use crate::diagnostic::{Diagnostic, Severity, Sources};
use crate::event::StepFailure;
use crate::model::render::RenderError;
use crate::orchestrator::OrchestrationError;
use crate::project::source::reason;
use crate::runtime::RuntimeError;
use crate::runtime::native::Native;
use crate::testing::StackError;
use crate::ui::Screen;
use crate::ui::diagnostics::{Message, Style, Warnings, draw};
use crate::ui::failure;
use crate::ui::template::TemplateError;
use crate::watch::WatchError;

/// The exit code after Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Why a command ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The command line cannot be used.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// Help was asked for; no failure but for the parser.
    #[error("help")]
    Help(String),
    /// The project has errors, which were told already.
    #[error("the project has errors")]
    Project,
    /// The runtime cannot do what the project wants.
    #[error("the project cannot run here")]
    Refused {
        /// What, each at its place.
        problems: Vec<Diagnostic>,
        /// What the places are in.
        sources: Sources,
    },
    /// A service named on the command line cannot be used.
    #[error("no such service: {name}{reason}")]
    NoSuchService {
        /// Its name.
        name: String,
        /// Why it is not there although the file has it; may be empty.
        reason: &'static str,
        /// What may have been meant.
        similar: Option<String>,
    },
    /// A path names nothing.
    #[error("{at} has no `{segment}`")]
    NoSuchPath {
        /// The part that exists, in backticks; or words for the project itself.
        at: String,
        /// The part that does not.
        segment: String,
        /// What to write instead.
        hint: String,
    },
    /// No engine answers, and this user may not use Ketch's own runtime.
    #[error(transparent)]
    NoRuntime(RuntimeError),
    /// The runtime failed.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// What a reference means now cannot be found out.
    #[error("cannot resolve the digest of `{image}`")]
    Digest {
        /// The reference.
        image: String,
        /// Why.
        source: RuntimeError,
    },
    /// `--format` cannot be used.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// Steps of a plan failed.
    #[error("{} failed", crate::ui::text::count(.0.len(), "step"))]
    Steps(Vec<StepFailure>),
    /// The user wanted the command to end.
    #[error("interrupted")]
    Interrupted,
    /// The user said no.
    #[error("nothing was changed")]
    Declined,
    /// A service has no container that could be meant.
    #[error("service \"{service}\" is not running{}", index.map(|index| format!(" container #{index}")).unwrap_or_default())]
    NotRunning {
        /// The service.
        service: String,
        /// The number that was asked for.
        index: Option<u64>,
    },
    /// The lock of a project cannot be taken.
    #[error("cannot lock project `{project}`")]
    Lock {
        /// Which.
        project: String,
        /// Why.
        source: io::Error,
    },
    /// Files cannot be watched.
    #[error(transparent)]
    Watch(Box<dyn std::error::Error + Send + Sync>),
    /// The terminal cannot be set up.
    #[error("cannot set up the terminal")]
    Terminal(#[source] io::Error),
    /// Signals cannot be listened to.
    #[error("cannot listen to signals")]
    Signals(#[source] io::Error),
    /// Something else, in words.
    #[error("{0}")]
    Other(String),
    /// The current directory is gone.
    #[error("the current directory does not exist any more")]
    NoCurrentDirectory,
    /// The process of a container cannot be started.
    #[error("cannot start container `{container}`")]
    Start {
        /// Which.
        container: String,
        /// Exit code, as a shell has it: 126 if it may not be run, 127 if it is not there, else 1.
        code: u8,
        /// Why.
        source: RuntimeError,
    },
    /// A file cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be written where there is no directory for it.
    #[error("invalid output path: directory \"{}\" does not exist", .0.display())]
    NoDirectory(PathBuf),
    /// A file cannot be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Standard output cannot be written.
    #[error("cannot write to standard output")]
    Output(#[from] io::Error),
    /// The project cannot be written out.
    #[error("the project cannot be written out")]
    Render(#[from] RenderError),
}

impl From<OrchestrationError> for Failure {
    fn from(error: OrchestrationError) -> Self {
        match error {
            OrchestrationError::Runtime(error) => Self::Runtime(error),
            OrchestrationError::NoRuntime(error) => Self::NoRuntime(error),
            OrchestrationError::Steps(failures) => Self::Steps(failures),
            OrchestrationError::Refused { problems, sources } => {
                Self::Refused { problems, sources }
            }
            OrchestrationError::NoSuchService { name, similar } => {
                Self::NoSuchService { name, reason: "", similar }
            }
            OrchestrationError::Lock { project, source } => Self::Lock { project, source },
            OrchestrationError::Read { path, source } => Self::Read { path, source },
            OrchestrationError::Write { path, source } => Self::Write { path, source },
            OrchestrationError::NoDirectory(path) => Self::NoDirectory(path),
            OrchestrationError::Interrupted => Self::Interrupted,
            OrchestrationError::Other(text) => Self::Other(text),
        }
    }
}

impl From<StackError> for Failure {
    fn from(error: StackError) -> Self {
        match error {
            StackError::Project { problems, sources } => Self::Refused { problems, sources },
            StackError::Orchestration(error) => error.into(),
            other => Self::Other(other.to_string()),
        }
    }
}

/// The exit code of a process as Ketch's own.
pub(super) fn code(code: i64) -> u8 {
    u8::try_from(code).unwrap_or(1)
}

/// Tells a failure and returns the exit code.
pub(super) fn tell(failure: &Failure, screen: &mut Screen) -> u8 {
    match failure {
        Failure::Help(text) => {
            return screen.show(text).map_or_else(|error| tell(&error.into(), screen), |()| 0);
        }
        // Whoever reads our output has seen enough: `ketch config | head`.
        Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => return 0,
        Failure::Project => {}
        Failure::Steps(failures) => screen.tell(&failure::report(failures)),
        Failure::Refused { problems, sources } => {
            let style = Style { warnings: Warnings::Full, width: screen.width() };
            screen.tell(&draw(sources, problems, style));
        }
        Failure::Interrupted => return INTERRUPTED,
        _ => {
            let hint = hint(failure);
            let text = with_causes(failure);
            screen.message(Message {
                severity: Severity::Error,
                text: &text,
                hint: hint.as_deref(),
            });
        }
    }
    match failure {
        Failure::Start { code, .. } => *code,
        _ => 1,
    }
}

/// The failure and what caused it, on one line.
fn with_causes(failure: &Failure) -> String {
    let mut text = failure.to_string();
    let mut cause = std::error::Error::source(failure);
    while let Some(error) = cause {
        let words = match error.downcast_ref::<io::Error>() {
            Some(error) if is_missing_folder(failure, error) => {
                "there is no such folder".to_owned()
            }
            Some(error) => reason(error),
            None => error.to_string(),
        };
        text = format!("{text}: {words}");
        cause = error.source();
    }
    text
}

/// A file that is written need not be there, but its folder must.
fn is_missing_folder(failure: &Failure, error: &io::Error) -> bool {
    matches!(failure, Failure::Write { .. }) && error.kind() == io::ErrorKind::NotFound
}

/// What the user can do about a failure.
pub(super) fn hint(failure: &Failure) -> Option<String> {
    match failure {
        Failure::Usage(error) => usage_hint(error),
        Failure::NoSuchService { similar, .. } => {
            similar.as_ref().map(|name| format!("a service with a similar name exists: `{name}`"))
        }
        Failure::NoSuchPath { hint, .. } => Some(hint.clone()),
        Failure::Digest { .. } => Some(
            "log in to the registry, or write digests into the file: `NAME@sha256:…`".to_owned(),
        ),
        Failure::NoRuntime(_) => Native::forbidden(),
        Failure::Watch(error) => {
            let limit = error.downcast_ref::<WatchError>().and_then(WatchError::remedy);
            limit.map(str::to_owned)
        }
        Failure::NoCurrentDirectory => Some("change to a directory that exists".to_owned()),
        Failure::Write { source, .. } if is_missing_folder(failure, source) => {
            Some("create the folder first".to_owned())
        }
        _ => None,
    }
}

fn usage_hint(error: &UsageError) -> Option<String> {
    let see = |command: &Option<String>| match command {
        Some(command) => format!("`ketch {command} --help` lists what it takes"),
        None => "`ketch --help` lists what it takes".to_owned(),
    };
    Some(match error {
        UsageError::UnknownCommand { similar: Some(name), .. } => {
            format!("a command with a similar name exists: `{name}`")
        }
        UsageError::UnknownCommand { parent: Some(parent), .. } => {
            format!("`ketch {parent} --help` lists the commands")
        }
        UsageError::UnknownCommand { .. } => "`ketch --help` lists the commands".to_owned(),
        UsageError::UnknownFlag { similar: Some(flag), .. } => {
            format!("a flag with a similar name exists: `{flag}`")
        }
        UsageError::UnknownFlag { command, .. }
        | UsageError::UnexpectedArgument { command, .. } => see(command),
        UsageError::MisplacedFlag { flag, command } => format!("write `ketch {flag} … {command}`"),
        UsageError::MissingValue { possible, .. } | UsageError::InvalidValue { possible, .. } => {
            return (!possible.is_empty()).then(|| format!("it takes {}", choice(possible)));
        }
        UsageError::MissingPath => "for example: `ketch explain services.web.image`".to_owned(),
        UsageError::Format { possible, .. } => format!("use {}", choice(possible)),
        UsageError::Progress(_) => {
            format!("use {}", choice(&["auto", "tty", "plain", "json", "quiet"]))
        }
        UsageError::ProgressWithoutAnsi { .. } => "leave out `--progress` or `--ansi`".to_owned(),
        UsageError::OldAndNew { new, .. } => format!("use only `{new}`"),
        UsageError::Instance(error) => error.hint(),
        UsageError::NotInteger { .. } => "set it to a whole number, or unset it".to_owned(),
        UsageError::Moment(_) | UsageError::Incompatible(..) | UsageError::Other(_) => {
            return None;
        }
    })
}

/// `a`, `b` or `c`.
fn choice(words: &[impl AsRef<str>]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{}`", word.as_ref())).collect();
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
pub(super) fn hint_for_tests(failure: &Failure) -> String {
    hint(failure).unwrap_or_default()
}
