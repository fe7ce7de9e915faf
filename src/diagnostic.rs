//! Errors and warnings that are ready to be drawn.
//!
//! A [`Diagnostic`] says what is wrong ([`Code`], message), where ([`Label`]s that point into
//! [`Sources`]), where the value came from (its trail, as further labels) and what to do (hint).
//! Drawing is the work of `ui`; whoever finds a problem only describes it.
//!
//! # Invariants
//!
//! - A [`Span`] is a byte range of the text that [`Sources`] holds for its file, on character
//!   boundaries.
//! - Messages are lowercase fragments without a full stop; subjects stand in backticks.
//!
//! # Not here
//!
//! Colours, widths and line breaks (`ui`), exit codes (`cli`).

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::Serialize;

/// A file that was read while loading, by its place in [`Sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(u32);

/// A range of bytes in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The file that the range lies in.
    pub file: FileId,
    /// The first byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

impl Span {
    /// The range `start..end` of `file`.
    pub fn new(file: FileId, start: usize, end: usize) -> Self {
        // Files are limited to far less than 4 GiB by `project::source`.
        let clamp = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Self { file, start: clamp(start), end: clamp(end.max(start)) }
    }
}

/// Where a span begins, as people count: from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// One file as it was read.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// How the file is called in messages: relative to the working directory where it lies below it.
    pub name: String,
    /// What it holds.
    pub text: Arc<str>,
    /// Where its lines begin; found when it is first needed.
    lines: OnceLock<Vec<usize>>,
}

impl SourceFile {
    /// The byte at which each line begins.
    fn lines(&self) -> &[usize] {
        self.lines.get_or_init(|| {
            let breaks = self.text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
            std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect()
        })
    }
}

/// Every file that was read, so that spans can be shown.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<SourceFile>,
}

impl Sources {
    /// Keeps a file and gives it an id.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<Arc<str>>) -> FileId {
        let (name, text) = (name.into(), text.into());
        self.files.push(SourceFile { name, text, lines: OnceLock::new() });
        FileId(u32::try_from(self.files.len() - 1).unwrap_or(u32::MAX))
    }

    /// The file with this id.
    ///
    /// # Panics
    ///
    /// If the id comes from another `Sources`.
    pub fn get(&self, id: FileId) -> &SourceFile {
        &self.files[id.0 as usize]
    }

    /// The text that a span covers.
    pub fn text(&self, span: Span) -> &str {
        let text = &self.get(span.file).text;
        text.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// Line and column at which a span begins.
    pub fn position(&self, span: Span) -> Position {
        let file = self.get(span.file);
        let at = span.start as usize;
        let line = file.lines().partition_point(|start| *start <= at).max(1);
        let before = file.text.get(file.lines()[line - 1]..at).unwrap_or_default();
        Position { line, column: before.chars().count() + 1 }
    }

    /// The texts of all files.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|file| &*file.text)
    }

    /// `compose.yaml:12`, for a place in running text.
    pub fn place(&self, span: Span) -> String {
        format!("{}:{}", self.get(span.file).name, self.position(span).line)
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The project cannot be used.
    Error,
    /// The project works, but perhaps not as meant.
    Warning,
}

/// Declares the stable names of all problems, each with the sentence that `ketch check` shows for
/// the rule itself.
macro_rules! codes {
    ($($variant:ident = $name:literal, $doc:literal;)*) => {
        /// The kind of a problem. Its name is stable: scripts and editors may rely on it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $(#[doc = $doc] $variant,)* }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The stable name, for example `unknown-attribute`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What the rule is about, in one sentence.
            pub fn summary(self) -> &'static str {
                match self { $(Self::$variant => $doc,)* }
            }
        }
    };
}

codes! {
    // Finding and reading files
    NoProjectFile = "no-project-file", "No Compose file was found or named.";
    Unreadable = "unreadable-file", "A file cannot be read.";
    TooLarge = "too-large", "A file, or what it expands to, is larger than any real project.";
    RemoteInclude = "remote-include", "A remote resource is referenced that Ketch cannot fetch yet.";
    SeveralFiles = "several-project-files", "Several files with default names lie side by side; one is used.";
    ProjectName = "project-name", "The project name is missing or not valid.";
    Environment = "environment-setting", "A variable that controls loading has an unusable value.";
    // YAML
    Syntax = "yaml-syntax", "The text is not valid YAML.";
    DuplicateKey = "duplicate-key", "A mapping has the same key twice.";
    NonStringKey = "non-string-key", "A mapping key is not a string.";
    MergeKey = "merge-key", "`<<` is used with something that is not a mapping, or beside a `!reset` that it undoes.";
    Alias = "alias", "An alias has no anchor, or refers to itself.";
    // Shape
    UnknownAttribute = "unknown-attribute", "An attribute does not exist in the Compose specification.";
    WrongType = "wrong-type", "A value has a type that the attribute does not take.";
    InvalidValue = "invalid-value", "A value is of the right type but not allowed.";
    MissingAttribute = "missing-attribute", "A required attribute is missing.";
    InvalidName = "invalid-name", "The name of a service or resource has characters that are not allowed.";
    EmptyProject = "empty-project", "The file defines nothing.";
    // Variables
    Interpolation = "interpolation-syntax", "A `${…}` expression is not valid.";
    RequiredVariable = "required-variable", "A variable marked as required has no value.";
    UnsetVariable = "unset-variable", "A variable is not set, and a blank string is used.";
    EnvFile = "env-file", "An env file is missing or not valid.";
    LabelFile = "label-file", "A label file is missing or not valid.";
    // Composition
    Override = "override-type", "A value cannot be merged with one of another type.";
    Extends = "extends", "A service extends something that cannot be extended.";
    ExtendsCycle = "extends-cycle", "Services extend each other in a circle.";
    Include = "include", "A file cannot be included.";
    IncludeCycle = "include-cycle", "Files include each other in a circle.";
    IncludeConflict = "include-conflict", "An included file defines a resource that is defined already.";
    // Consistency
    NoImage = "no-image", "A service has neither an image nor a build section.";
    UndefinedService = "undefined-service", "A reference names a service that is not defined.";
    UndefinedResource = "undefined-resource", "A reference names a resource that is not defined.";
    DependencyCycle = "dependency-cycle", "Services depend on each other in a circle.";
    Conflict = "conflicting-attributes", "Two attributes contradict each other.";
    DuplicateMount = "duplicate-mount", "Two mounts have the same target.";
    DuplicateName = "duplicate-name", "Two services have the same container name.";
    // Against the runtime
    Unsupported = "unsupported-by-runtime", "The runtime cannot do what an attribute asks for.";
    NoFreePort = "no-free-port", "No port of the host is free for a port of a service.";
    MissingExternal = "missing-external", "A resource that is declared as external does not exist.";
    // Warnings
    ObsoleteVersion = "obsolete-version", "The attribute `version` is obsolete and ignored.";
    AmbiguousBoolean = "ambiguous-boolean", "`yes`, `on` and the like are strings in YAML 1.2.";
    Deprecated = "deprecated", "A form is deprecated.";
    Internal = "internal", "A bug in Ketch.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A place and what to say there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// A few words drawn beside it; may be empty.
    pub text: String,
}

/// An error or a warning.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// The kind of problem.
    pub code: Code,
    /// What is wrong: a lowercase fragment.
    pub message: String,
    /// Where: the first label is the place itself, the others are how the value got there.
    pub labels: Vec<Label>,
    /// Facts without a place of their own.
    pub notes: Vec<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error without a place yet.
    pub fn error(code: Code, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            labels: Vec::new(),
            notes: Vec::new(),
            hint: None,
        }
    }

    /// A warning without a place yet.
    pub fn warning(code: Code, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// Adds a place, once. The first one added is the primary one.
    #[must_use]
    pub fn at(mut self, span: Span, text: impl Into<String>) -> Self {
        let label = Label { span, text: text.into() };
        if !self.labels.contains(&label) {
            self.labels.push(label);
        }
        self
    }

    /// Adds a fact.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The primary place.
    pub fn span(&self) -> Option<Span> {
        self.labels.first().map(|label| label.span)
    }
}

/// The closest of `candidates` to `word`, if one is close enough to be what was meant.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    // Nobody chooses among more; and comparing takes time.
    candidates
        .into_iter()
        .take(1_000)
        .map(|candidate| {
            // People rarely mistype the first letter.
            let differs = candidate.chars().next() != word.chars().next();
            (strsim::damerau_levenshtein(word, candidate), differs, candidate)
        })
        .filter(|(distance, ..)| *distance <= limit)
        .min()
        .map(|(.., candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[test]
    fn of_two_that_are_as_close_the_one_with_the_same_first_letter_is_meant() {
        assert_eq!(closest("wb", ["db", "web"]), Some("web"));
        assert_eq!(closest("databse", ["db", "database"]), Some("database"));
        assert_eq!(closest("x", ["web"]), None);
    }
}
