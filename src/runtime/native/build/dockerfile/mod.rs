//! The language of Dockerfiles: text to instructions.
//!
//! In: the text of a file. Out: a [`Dockerfile`]: its directives and its instructions, each with
//! its line, nothing substituted. No crate is used: those that read Dockerfiles know neither
//! heredocs nor mounts, or have not been kept for years.
//!
//! ```text
//! text ──> scan (directives, continued lines, heredocs) ──> instruction (words, flags, JSON)
//! ```
//!
//! [`Expander`] substitutes variables later, when their values are known.
//!
//! # Invariants
//!
//! - Pure, and linear in the size of the text. Whatever the bytes, there is a [`Fault`] at worst.
//!
//! # Not here
//!
//! What instructions mean together: stages, arguments (`stage`).

mod expand;
mod flags;
mod heredoc;
mod instruction;
mod mount;
mod scan;
#[cfg(test)]
mod tests;
mod words;

pub use expand::{Expander, Quotes};
pub use heredoc::Heredoc;
pub use instruction::parse_one;
pub use mount::{Mount, MountKind, Sharing};

/// The most bytes of a Dockerfile.
const MAX_SIZE: usize = 4 << 20;

/// A Dockerfile as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dockerfile {
    /// What stands in comments at its top.
    pub directives: Directives,
    /// Its instructions, in order.
    pub instructions: Vec<Instruction>,
    /// What works, but should be written otherwise.
    pub remarks: Vec<Remark>,
}

/// What comments at the top say: `# NAME=VALUE`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// `syntax`: another program that would read the file. There is only this one.
    pub syntax: Option<String>,
    /// `escape`: the character that goes on in the next line; `None`: a backslash.
    pub escape: Option<char>,
    /// `check`: what becomes of remarks.
    pub check: Check,
}

/// What becomes of remarks: `# check=skip=NAME,…;error=true`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Check {
    /// Names of rules that do not hold; `all`: none does.
    pub skipped: Vec<String>,
    /// Whether a remark is a failure.
    pub is_error: bool,
}

impl Check {
    /// Whether nobody wants to hear of a remark.
    pub fn skips(&self, remark: &Remark) -> bool {
        let is_it = |name: &String| name == "all" || name.eq_ignore_ascii_case(remark.rule);
        self.skipped.iter().any(is_it)
    }
}

impl Directives {
    /// The character that takes away the meaning of the next one.
    pub fn escape(&self) -> char {
        self.escape.unwrap_or('\\')
    }
}

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Fault {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, and what to write instead.
    pub text: String,
}

impl Fault {
    /// A fault in a line.
    pub fn new(line: usize, text: impl Into<String>) -> Self {
        Self { line, text: text.into() }
    }
}

/// What works, but should be written otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The rule that says so, by the name that it has in BuildKit.
    pub rule: &'static str,
    /// The line, from 1.
    pub line: usize,
    /// What to write instead.
    pub text: String,
    /// Whether only the base image could tell.
    pub is_guess: bool,
}

impl Remark {
    /// A remark about a line.
    pub fn new(rule: &'static str, line: usize, text: impl Into<String>) -> Self {
        Self { rule, line, text: text.into(), is_guess: false }
    }
}

/// An instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Its first line, from 1.
    pub line: usize,
    /// As it is written, on one line, without what heredocs hold.
    pub text: String,
    /// What it says.
    pub command: Command,
}

/// What an instruction says. Variables are not substituted yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `FROM`: a new stage.
    From(From),
    /// `ARG`: names, some with defaults.
    Arg(Vec<(String, Option<String>)>),
    /// `ENV`.
    Env(Vec<(String, String)>),
    /// `LABEL`.
    Label(Vec<(String, String)>),
    /// `RUN`.
    Run(Box<Run>),
    /// `COPY` and `ADD`.
    Transfer(Box<Transfer>),
    /// `CMD`.
    Cmd(Form),
    /// `ENTRYPOINT`.
    Entrypoint(Form),
    /// `EXPOSE`: all ports as one text.
    Expose(String),
    /// `VOLUME`.
    Volume(Vec<String>),
    /// `USER`.
    User(String),
    /// `WORKDIR`.
    Workdir(String),
    /// `HEALTHCHECK`.
    Healthcheck(Healthcheck),
    /// `SHELL`.
    Shell(Vec<String>),
    /// `STOPSIGNAL`.
    StopSignal(String),
    /// `ONBUILD`: an instruction as text.
    OnBuild(String),
    /// `MAINTAINER`.
    Maintainer(String),
}

/// `FROM`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct From {
    /// An image, an earlier stage, or `scratch`.
    pub image: String,
    /// The name of the stage; empty: none.
    pub name: String,
    /// `--platform`; empty: that of the build.
    pub platform: String,
}

/// A command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// A line for the shell.
    Shell(String),
    /// The program and its arguments.
    Exec(Vec<String>),
}

/// `RUN`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The command.
    pub form: Form,
    /// Files in the command.
    pub heredocs: Vec<Heredoc>,
    /// `--mount`.
    pub mounts: Vec<Mount>,
    /// `--network`; empty: that of the build.
    pub network: String,
    /// `--security`; empty: `sandbox`.
    pub security: String,
}

/// `COPY` and `ADD`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transfer {
    /// Which of both.
    pub kind: TransferKind,
    /// What is copied, without heredocs.
    pub sources: Vec<String>,
    /// Files that stand in the Dockerfile.
    pub heredocs: Vec<Heredoc>,
    /// Where to.
    pub target: String,
    /// `--from`; empty: the context.
    pub from: String,
    /// `--chown`; empty: root.
    pub chown: String,
    /// `--chmod`; empty: as the files have it.
    pub chmod: String,
    /// `--checksum` of what is downloaded.
    pub checksum: String,
    /// `--exclude`.
    pub exclude: Vec<String>,
    /// `--link`: whether the files are copied as if the image were empty.
    pub link: bool,
    /// `--parents`: whether the directories of the sources come along.
    pub parents: bool,
    /// `--keep-git-dir`.
    pub keep_git: bool,
    /// `--unpack`; `None`: local archives are unpacked, others not.
    pub unpack: Option<bool>,
}

/// Which instruction copies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransferKind {
    /// `COPY`.
    #[default]
    Copy,
    /// `ADD`.
    Add,
}

impl TransferKind {
    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Copy => "COPY",
            Self::Add => "ADD",
        }
    }
}

/// `HEALTHCHECK`; times in nanoseconds, 0: the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Healthcheck {
    /// What is run; `None`: nothing, whatever the base image says.
    pub form: Option<Form>,
    /// `--interval`.
    pub interval: i64,
    /// `--timeout`.
    pub timeout: i64,
    /// `--start-period`.
    pub start_period: i64,
    /// `--start-interval`.
    pub start_interval: i64,
    /// `--retries`.
    pub retries: i64,
}

/// Reads a Dockerfile.
///
/// # Errors
///
/// The first thing that cannot be read, with its line.
pub fn parse(text: &str) -> Result<Dockerfile, Fault> {
    if text.len() > MAX_SIZE {
        return Err(Fault::new(1, format!("the file has more than {MAX_SIZE} bytes")));
    }
    let scanned = scan::scan(text)?;
    let escape = scanned.directives.escape();
    let mut remarks = scanned.remarks;
    let mut instructions = Vec::new();
    for line in scanned.lines {
        let (instruction, remark) = instruction::parse(line, escape)?;
        remarks.extend(remark);
        instructions.push(instruction);
    }
    if instructions.is_empty() {
        return Err(Fault::new(1, "the file has no instructions"));
    }
    Ok(Dockerfile { directives: scanned.directives, instructions, remarks })
}
