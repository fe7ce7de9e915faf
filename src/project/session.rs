//! What one load shares between its phases: the source, what was read, and what was found wrong.

use std::collections::hash_map::{DefaultHasher, Entry};
use std::collections::{BTreeSet, HashSet};
use std::hash::{Hash, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};

use crate::diagnostic::{Code, Diagnostic, FileId, Severity, Span};
use crate::model::port;

use super::cursor::Cursor;
use super::dotenv::Parsed;
use super::environment::Dialect;
use super::locations::display;
use super::node::{Node, Step, Trail, VariableSource};
use super::source::reason;
use super::yaml::Budget;
use super::{Phases, Report, Request, Source};

/// How standard input is called on the command line.
pub(super) const STDIN: &str = "-";

/// How many problems are listed.
const MAX_PROBLEMS: usize = 1_000;

/// State of one load.
pub(super) struct Session<'a> {
    pub(super) source: &'a dyn Source,
    pub(super) request: &'a Request,
    pub(super) report: Report,
    pub(super) budget: Arc<Budget>,
    /// There is too much, of values or of problems: the load goes no further.
    exhausted: bool,
    /// Whether a part of the project could not be read: what is missing may be defined there.
    pub(super) incomplete: bool,
    /// Whether variables could not be read: what is not set may be set there.
    pub(super) lacks_variables: bool,
    /// Names that stand at the top although nothing there is called so: whatever they were meant to
    /// define is not reported as missing.
    pub(super) misplaced: BTreeSet<String>,
    /// Hashes of what was reported already.
    reported: HashSet<u64>,
    /// Problems by their place and their kind: which one it is, and how often it came again.
    alike: foldhash::HashMap<u64, (usize, usize)>,
    /// Files that were read already.
    files: foldhash::HashMap<PathBuf, FileId>,
    /// Env files that were parsed already and mean the same wherever they are used.
    pub(super) env_files: foldhash::HashMap<(FileId, Dialect), Arc<Parsed>>,
    /// Services and resources with an error, as `services.web`: what follows from it is not reported again.
    tainted: BTreeSet<String>,
    /// Paths of mappings and lists with an error in them: what is missing there may have been taken
    /// out.
    broken: BTreeSet<String>,
    /// Variables that are not set, and where they are used.
    unset: IndexMap<String, IndexSet<Span>>,
}

/// Why a file could not be taken in.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it is not {encoding} text (byte {at})")]
    Encoding { encoding: &'static str, at: usize, file: FileId },
}

impl ReadError {
    /// Why, in a few words.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Io(error) => reason(error),
            Self::Encoding { .. } => self.to_string(),
        }
    }

    /// Adds the place in the file, if there is one.
    pub(super) fn show(&self, diagnostic: Diagnostic) -> Diagnostic {
        match self {
            Self::Encoding { at, file, .. } => {
                diagnostic.at(Span::new(*file, *at, *at), "the first byte that is not text")
            }
            Self::Io(_) => diagnostic,
        }
    }
}

impl<'a> Session<'a> {
    pub(super) fn new(source: &'a dyn Source, request: &'a Request) -> Self {
        Self {
            source,
            request,
            report: Report::default(),
            budget: Arc::default(),
            exhausted: false,
            incomplete: false,
            lacks_variables: false,
            misplaced: BTreeSet::new(),
            reported: HashSet::new(),
            alike: foldhash::HashMap::default(),
            files: foldhash::HashMap::default(),
            env_files: foldhash::HashMap::default(),
            tainted: BTreeSet::new(),
            broken: BTreeSet::new(),
            unset: IndexMap::new(),
        }
    }

    pub(super) fn phases(&self) -> Phases {
        self.request.phases
    }

    pub(super) fn has_errors(&self) -> bool {
        self.report.diagnostics.iter().any(|d| d.severity == Severity::Error)
    }

    /// Takes `nodes` and `bytes` from the budget. If there is not enough left, that is reported
    /// and false.
    pub(super) fn afford(&mut self, (nodes, bytes): (usize, usize), span: Span) -> bool {
        let enough = self.budget.spend_many(nodes, bytes);
        if !enough {
            self.too_large(span);
        }
        enough
    }

    /// Whether there is too much: the load goes no further then.
    pub(super) fn is_exhausted(&self) -> bool {
        self.exhausted
    }

    /// Makes the load go no further, for a reason that is reported.
    pub(super) fn exhaust(&mut self) {
        self.exhausted = true;
    }

    /// Reports, once, that the project is larger than the budget.
    pub(super) fn too_large(&mut self, span: Span) {
        let code = Code::TooLarge;
        if !std::mem::replace(&mut self.exhausted, true) {
            let message = "the project expands to more than Ketch reads";
            self.report(Diagnostic::error(code, message).at(span, "the limit is reached here"));
        }
    }

    /// A session for a part of the work, with what is known so far. It reads no files.
    pub(super) fn fork(&self) -> Self {
        let report = Report { sources: self.report.sources.clone(), diagnostics: Vec::new() };
        Self {
            report,
            budget: self.budget.clone(),
            exhausted: self.exhausted,
            incomplete: self.incomplete,
            lacks_variables: self.lacks_variables,
            misplaced: self.misplaced.clone(),
            reported: self.reported.clone(),
            tainted: self.tainted.clone(),
            broken: self.broken.clone(),
            ..Self::new(self.source, self.request)
        }
    }

    /// Takes in what the parts of a work found, which begins at `place`.
    pub(super) fn join(&mut self, parts: Vec<Self>, place: Span) {
        // How far each part came depends on the others then.
        if self.budget.is_overdrawn() {
            return self.too_large(place);
        }
        for part in parts {
            self.misplaced.extend(part.misplaced);
            self.tainted.extend(part.tainted);
            self.broken.extend(part.broken);
            for (name, places) in part.unset {
                self.unset.entry(name).or_default().extend(places);
            }
            let mut again = vec![0; part.report.diagnostics.len()];
            for (index, times) in part.alike.into_values() {
                again[index] = times;
            }
            for (diagnostic, again) in part.report.diagnostics.into_iter().zip(again) {
                self.take_in(diagnostic, again);
            }
        }
    }

    /// Reports a problem, once.
    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.take_in(diagnostic, 0);
    }

    /// Takes in a problem, and that others like it came `again`.
    fn take_in(&mut self, diagnostic: Diagnostic, again: usize) {
        if self.report.diagnostics.len() > MAX_PROBLEMS {
            return;
        }
        if self.report.diagnostics.len() == MAX_PROBLEMS {
            let message = format!("more than {MAX_PROBLEMS} problems; the others are not listed");
            self.report.diagnostics.push(Diagnostic::error(Code::TooLarge, message));
            self.exhausted = true;
            return;
        }
        let is_new = self.reported.insert(hash(&diagnostic));
        let index = self.report.diagnostics.len();
        if let Some(span) = diagnostic.span() {
            let kind = (diagnostic.code, span, without_service(&diagnostic.message));
            match self.alike.entry(hash(&kind)) {
                Entry::Occupied(mut first) => {
                    first.get_mut().1 += again + usize::from(is_new);
                    return;
                }
                Entry::Vacant(first) if is_new => drop(first.insert((index, again))),
                Entry::Vacant(_) => {}
            }
        }
        if is_new {
            self.report.diagnostics.push(diagnostic);
        }
    }

    /// Adds to each problem how often it came again: what an anchor or an env file brings into many
    /// services is one mistake.
    pub(super) fn report_repetitions(&mut self) {
        for (index, times) in std::mem::take(&mut self.alike).into_values() {
            if let (1.., Some(problem)) = (times, self.report.diagnostics.get_mut(index)) {
                let places = if times == 1 { "place" } else { "places" };
                problem.notes.push(format!("the same goes for {times} other {places}"));
            }
        }
    }

    /// Reports a problem with a value: adds how it got there, and remembers the service.
    pub(super) fn report_at(&mut self, diagnostic: Diagnostic, node: &Node, cursor: &Cursor<'_>) {
        self.taint(cursor);
        if self.lacks_variables && is_blanked(node) {
            return;
        }
        let diagnostic = Self::with_trail(diagnostic, &node.trail);
        self.report(diagnostic);
    }

    /// Adds the history of a value to a diagnostic about it.
    pub(super) fn with_trail(diagnostic: Diagnostic, trail: &Trail) -> Diagnostic {
        trail.steps().into_iter().fold(diagnostic, |diagnostic, step| match step {
            Step::Replaced { span, was } => diagnostic.at(*span, format!("replaces {was}")),
            Step::Extended { span } => diagnostic.at(*span, "inherited through this"),
            Step::Merged { span } => diagnostic.at(*span, "merged in here"),
            Step::Included { span } => diagnostic.at(*span, "included here"),
            Step::File { span, .. } => diagnostic.at(*span, "read through this"),
            Step::Variable { name, from } => match from {
                VariableSource::File(span) => diagnostic.at(*span, format!("`{name}` is set here")),
                VariableSource::Process => {
                    diagnostic.note(format!("`{name}` comes from the environment"))
                }
                VariableSource::Unset => diagnostic.note(format!("`{name}` is not set")),
                _ => diagnostic,
            },
            Step::Default { rule } => diagnostic.note(format!("the value is implied: {rule}")),
        })
    }

    /// Marks a service or resource as broken: errors that may only follow from that are not
    /// reported.
    pub(super) fn taint(&mut self, cursor: &Cursor<'_>) {
        if self.exhausted {
            return;
        }
        self.tainted.extend(cursor.resource());
        self.broken.insert(cursor.parent_text());
    }

    pub(super) fn is_tainted(&self, cursor: &Cursor<'_>) -> bool {
        cursor.resource().is_some_and(|resource| self.tainted.contains(&resource))
    }

    /// Whether something in this mapping or list was wrong, and has been reported.
    pub(super) fn is_broken(&self, cursor: &Cursor<'_>) -> bool {
        self.broken.contains(&cursor.to_string())
    }

    /// Remembers the use of a variable that is not set.
    pub(super) fn unset(&mut self, name: &str, span: Span) {
        self.unset.entry(name.to_owned()).or_default().insert(span);
    }

    /// Says once for each variable that it is not set.
    pub(super) fn report_unset(&mut self) {
        if self.lacks_variables {
            return;
        }
        for (name, places) in std::mem::take(&mut self.unset) {
            let message = format!("the variable `{name}` is not set; a blank string is used");
            let mut diagnostic =
                Diagnostic::warning(Code::UnsetVariable, message).at(places[0], "used here");
            if places.len() > 1 {
                diagnostic = diagnostic.note(format!("used in {} places", places.len()));
            }
            let hint = if name.starts_with(port::VARIABLE) {
                "no service publishes such a port: the name is `KETCH_PORT_SERVICE_TARGET`, for udp \
                 with `_UDP` behind it"
                    .to_owned()
            } else {
                format!("set it, or write `${{{name}:-default}}`")
            };
            self.report(diagnostic.hint(hint));
        }
    }

    /// Reads a text file, once, and keeps it for messages.
    pub(super) fn read(&mut self, path: &Path) -> Result<FileId, ReadError> {
        if let Some(file) = self.files.get(path) {
            return Ok(*file);
        }
        let bytes = self.source.read(path)?;
        let name = self.display(path);
        let file = self.keep(name, bytes)?;
        self.files.insert(path.to_owned(), file);
        Ok(file)
    }

    /// The first line of a file that was read.
    pub(super) fn first_line(&self, path: &Path) -> Option<Span> {
        let file = *self.files.get(path)?;
        let text = &self.report.sources.get(file).text;
        Some(Span::new(file, 0, text.lines().next().map_or(0, str::len)))
    }

    /// Reads standard input and keeps it for messages.
    pub(super) fn read_stdin(&mut self) -> Result<FileId, ReadError> {
        let path = Path::new(STDIN);
        let bytes = self.source.read_stdin()?;
        let file = self.keep(self.display(path), bytes)?;
        self.files.entry(path.to_owned()).or_insert(file);
        Ok(file)
    }

    fn keep(&mut self, name: String, bytes: Vec<u8>) -> Result<FileId, ReadError> {
        match decode(bytes) {
            Ok(text) => Ok(self.report.sources.add(name, text)),
            Err((text, encoding, at)) => {
                let file = self.report.sources.add(name, text);
                Err(ReadError::Encoding { encoding, at, file })
            }
        }
    }

    /// The text of a file that was read. Cheap: the text is shared.
    pub(super) fn text(&self, file: FileId) -> std::sync::Arc<str> {
        self.report.sources.get(file).text.clone()
    }

    /// How a path is called in messages.
    pub(super) fn display(&self, path: &Path) -> String {
        if path == Path::new(STDIN) {
            return "<stdin>".to_owned();
        }
        display(&self.request.cwd, path)
    }

    /// Reports a file that cannot be read. `from` is where it is named.
    pub(super) fn unreadable(&mut self, path: &Path, error: &ReadError, from: Option<Span>) {
        let message = format!("cannot read `{}`: {}", self.display(path), error.reason());
        let code = match error {
            ReadError::Io(e) if e.kind() == io::ErrorKind::FileTooLarge => Code::TooLarge,
            _ => Code::Unreadable,
        };
        let mut diagnostic = Diagnostic::error(code, message);
        diagnostic = error.show(diagnostic);
        if let Some(span) = from {
            diagnostic = diagnostic.at(span, "named here");
        }
        self.report(diagnostic);
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// A message about a value in any service: what is before the name of the service, and behind it.
fn without_service(message: &str) -> (&str, &str) {
    const SERVICES: &str = "`services.";
    let Some(start) = message.find(SERVICES).map(|start| start + SERVICES.len()) else {
        return (message, "");
    };
    let rest = &message[start..];
    (&message[..start], &rest[rest.find(['.', '`']).unwrap_or(rest.len())..])
}

/// Whether a variable that is not set left its mark on a value.
fn is_blanked(node: &Node) -> bool {
    let unset = |step: &Step| matches!(step, Step::Variable { from: VariableSource::Unset, .. });
    node.trail.steps().into_iter().any(unset)
}

/// Bytes to text: UTF-8, or UTF-16 with a byte order mark. On failure, the text as far as it can
/// be shown, what it seemed to be, and the offset in it at which it stops being that.
fn decode(bytes: Vec<u8>) -> Result<String, (String, &'static str, usize)> {
    let cut_off = |text: String| {
        let end = text.len();
        Err((text, "UTF-16", end))
    };
    let utf16 = |decode: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes[2..].as_chunks();
        let units = pairs.iter().map(|pair| decode(*pair));
        let mut text = String::with_capacity(bytes.len());
        for character in char::decode_utf16(units) {
            match character {
                Ok(character) => text.push(character),
                Err(_) => return cut_off(text),
            }
        }
        if rest.is_empty() { Ok(text) } else { cut_off(text) }
    };
    match bytes.as_slice() {
        [0xff, 0xfe, ..] => utf16(u16::from_le_bytes),
        [0xfe, 0xff, ..] => utf16(u16::from_be_bytes),
        _ => match String::from_utf8(bytes) {
            Ok(text) => Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                Err((String::from_utf8_lossy(error.as_bytes()).into_owned(), "UTF-8", at))
            }
        },
    }
}
