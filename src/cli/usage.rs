//! Mistakes on the command line.
//!
//! In: what clap or a command found. Out: [`UsageError`], which says it in our words.
//!
//! # Not here
//!
//! Hints and exit codes ([`super::exit`]).

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::exit::Failure;
use super::{args, help};
use crate::diagnostic::closest;
use crate::project::InvalidInstance;

/// A command line that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UsageError {
    /// No command has this name.
    #[error("unknown command `{name}`")]
    UnknownCommand {
        /// What was written.
        name: String,
        /// What may have been meant.
        similar: Option<String>,
        /// The command before it.
        parent: Option<String>,
    },
    /// The command has no such flag.
    #[error("unknown flag `{flag}`")]
    UnknownFlag {
        /// What was written.
        flag: String,
        /// What may have been meant.
        similar: Option<String>,
        /// The command that was given.
        command: Option<String>,
    },
    /// A global flag stands after the command.
    #[error("the flag `{flag}` must stand before the command")]
    MisplacedFlag {
        /// What was written.
        flag: String,
        /// The command that it follows.
        command: String,
    },
    /// An argument too many.
    #[error("unexpected argument `{argument}`")]
    UnexpectedArgument {
        /// What was written.
        argument: String,
        /// The command that was given.
        command: Option<String>,
    },
    /// A flag stands without its value.
    #[error("the flag `{flag}` needs a value")]
    MissingValue {
        /// The flag.
        flag: String,
        /// What it takes, if that is a fixed set.
        possible: Vec<String>,
    },
    /// A flag does not take this value.
    #[error("invalid value \"{value}\" for the flag `{flag}`{}", reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default())]
    InvalidValue {
        /// The flag.
        flag: String,
        /// What was written.
        value: String,
        /// What it takes, if that is a fixed set.
        possible: Vec<String>,
        /// Why not.
        reason: Option<String>,
    },
    /// Something that is no point in time.
    #[error("`{0}` is not a time such as `42m` or `2026-11-23T12:00:00Z`")]
    Moment(String),
    /// Flags that exclude each other.
    #[error("{0} and {1} are incompatible")]
    Incompatible(&'static str, &'static str),
    /// `explain` without a path.
    #[error("`explain` needs the path of a value")]
    MissingPath,
    /// A format that does not exist.
    #[error("unsupported format \"{format}\"")]
    Format {
        /// What was written.
        format: String,
        /// What exists.
        possible: &'static [&'static str],
    },
    /// A way of showing progress that does not exist.
    #[error("unsupported --progress value \"{0}\"")]
    Progress(String),
    /// A way of showing progress that needs the opposite of `--ansi`.
    #[error("can't use --progress {progress} while ANSI support is {ansi}")]
    ProgressWithoutAnsi {
        /// `tty` or `plain`.
        progress: &'static str,
        /// `disabled` or `forced`.
        ansi: &'static str,
    },
    /// An old flag together with the one that replaced it.
    #[error("cannot specify DEPRECATED \"{old}\" and \"{new}\"")]
    OldAndNew {
        /// The old flag.
        old: &'static str,
        /// The new one.
        new: &'static str,
    },
    /// A variable that must be a whole number.
    #[error("{name} must be an integer (found: \"{value}\")")]
    NotInteger {
        /// The variable.
        name: &'static str,
        /// What it holds.
        value: String,
    },
    /// A text that cannot be the name of an instance.
    #[error(transparent)]
    Instance(#[from] InvalidInstance),
    /// Anything else that clap refuses.
    #[error("{0}")]
    Other(String),
}

/// For whom a list is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListFormat {
    /// For people.
    Table,
    /// For programs.
    Json,
}

impl ListFormat {
    /// Draws a list in one of two ways.
    pub(super) fn draw<T>(
        self,
        list: &[T],
        table: impl FnOnce(&[T]) -> String,
        json: impl FnOnce(&[T]) -> String,
    ) -> String {
        match self {
            Self::Table => table(list),
            Self::Json => json(list),
        }
    }
}

/// The `--format` of lists that know no templates.
pub(super) fn table_or_json(format: Option<&str>) -> Result<ListFormat, UsageError> {
    match format.unwrap_or_default() {
        "" | "table" => Ok(ListFormat::Table),
        "json" => Ok(ListFormat::Json),
        other => Err(UsageError::Format { format: other.to_owned(), possible: &["table", "json"] }),
    }
}

/// Refuses a flag that a command does not have where the name of a service should stand: what
/// follows that name is taken as it is, so clap cannot tell.
pub(super) fn refuse_flag(command: &str, service: &str) -> Result<(), UsageError> {
    if !service.starts_with('-') {
        return Ok(());
    }
    Err(UsageError::UnknownFlag {
        flag: service.to_owned(),
        similar: similar_flag(service, Some(command)),
        command: Some(command.to_owned()),
    })
}

/// Reads a flag that is on or off and that takes a value.
pub(super) fn switched(flag: &str, word: &str) -> Result<bool, UsageError> {
    args::switch(word).map_err(|reason| UsageError::InvalidValue {
        flag: flag.to_owned(),
        value: word.to_owned(),
        possible: Vec::new(),
        reason: Some(reason.to_owned()),
    })
}

/// Puts what clap found into our words; a request for help is none, but stops the same way.
pub(super) fn understand(error: &clap::Error, arguments: &[OsString]) -> Failure {
    let word = |kind| text(error, kind);
    let usage = match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => return help_for(error, arguments),
        ErrorKind::UnknownArgument => unknown_argument(word(ContextKind::InvalidArg), arguments),
        ErrorKind::InvalidSubcommand => {
            unknown_command(word(ContextKind::InvalidSubcommand), arguments)
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation | ErrorKind::NoEquals => {
            invalid_value(error)
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = match error.get(ContextKind::InvalidArg) {
                Some(ContextValue::Strings(names)) => names.join(" "),
                _ => String::new(),
            };
            UsageError::Other(format!("missing arguments: {missing}"))
        }
        _ => {
            let rendered = error.render().to_string();
            let first = rendered.lines().next().unwrap_or_default();
            UsageError::Other(first.trim_start_matches("error: ").to_owned())
        }
    };
    Failure::Usage(usage)
}

/// The help text. Switches that may take a value are an implementation detail, so it is drawn from
/// the plain arguments where possible.
fn help_for(error: &clap::Error, arguments: &[OsString]) -> Failure {
    let plain = help::whole().try_get_matches_from(arguments).err();
    let plain = plain.filter(|plain| plain.kind() == error.kind());
    Failure::Help(plain.as_ref().unwrap_or(error).render().ansi().to_string())
}

fn unknown_command(name: String, arguments: &[OsString]) -> UsageError {
    let parent = command_before(&name, arguments);
    let whole = help::whole();
    let command = parent.as_deref().map_or(&whole, |parent| find(&whole, parent));
    let names = command.get_subcommands().map(clap::Command::get_name);
    let similar = closest(&name, names).map(str::to_owned);
    UsageError::UnknownCommand { name, similar, parent }
}

fn unknown_argument(argument: String, arguments: &[OsString]) -> UsageError {
    let command = command_before(&argument, arguments);
    if !argument.starts_with('-') {
        return UsageError::UnexpectedArgument { argument, command };
    }
    match command {
        Some(command) if is_global(&argument) => {
            UsageError::MisplacedFlag { flag: argument, command }
        }
        command => {
            let similar = similar_flag(&argument, command.as_deref());
            UsageError::UnknownFlag { flag: argument, similar, command }
        }
    }
}

/// The flag of a command, or of all, that was probably meant.
fn similar_flag(flag: &str, command: Option<&str>) -> Option<String> {
    let whole = help::whole();
    let command = command.map_or(&whole, |name| find(&whole, name));
    let visible = command.get_arguments().filter(|argument| !argument.is_hide_set());
    let flags: Vec<&str> = visible.filter_map(clap::Arg::get_long).collect();
    closest(flag.trim_start_matches('-'), flags).map(|flag| format!("--{flag}"))
}

fn invalid_value(error: &clap::Error) -> UsageError {
    let value = text(error, ContextKind::InvalidValue);
    // clap writes `--format <FORMAT>`.
    let flag = text(error, ContextKind::InvalidArg);
    let flag = flag.split([' ', '[']).next().unwrap_or_default().to_owned();
    let possible = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) => values.clone(),
        _ => Vec::new(),
    };
    if value.is_empty() {
        return UsageError::MissingValue { flag, possible };
    }
    let reason = std::error::Error::source(error).map(ToString::to_string);
    UsageError::InvalidValue { flag, value, possible, reason }
}

/// One piece of what clap knows about a mistake.
fn text(error: &clap::Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.first().cloned().unwrap_or_default(),
        _ => String::new(),
    }
}

/// A command by its name, such as `ps` or `image ls`.
fn find<'a>(whole: &'a clap::Command, name: &str) -> &'a clap::Command {
    name.split(' ').fold(whole, |command, word| command.find_subcommand(word).unwrap_or(command))
}

/// The command that stands before `word`, as far as that can be told without parsing.
fn command_before(word: &str, arguments: &[OsString]) -> Option<String> {
    let command = help::whole();
    let words: Vec<&str> = arguments.iter().skip(1).filter_map(|word| word.to_str()).collect();
    let end = words.iter().rposition(|other| other.starts_with(word))?;
    let mut at = &command;
    let mut names = Vec::new();
    for word in &words[..end] {
        if let Some(found) = at.find_subcommand(word) {
            names.push(*word);
            at = found;
        }
    }
    (!names.is_empty()).then(|| names.join(" "))
}

/// Whether this is a flag that stands before the command.
fn is_global(flag: &str) -> bool {
    let name = flag.split('=').next().unwrap_or_default();
    let command = args::tolerant(help::command());
    command.get_arguments().any(|argument| {
        let long = argument.get_long().map(|long| format!("--{long}"));
        let short = argument.get_short().map(|short| format!("-{short}"));
        [long, short].into_iter().flatten().any(|known| known == name)
    })
}
