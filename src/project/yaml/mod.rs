//! YAML to [`Node`]s, read the way Docker Compose's parser reads it.
//!
//! In: the text of one file. Out: its documents, with aliases and merge keys resolved, and the
//! places where `!reset` and `!override` stand.
//!
//! # Invariants
//!
//! - Every key is a string, and no mapping has a key twice.
//! - What a file may expand to is bounded by [`Budget`], so an alias bomb ends in an error.
//!
//! # Not here
//!
//! The meaning of anything: `services` is a key like any other.

mod events;
mod expand;
mod fault;
mod lines;
mod open;
mod scalar;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::diagnostic::{Code, Diagnostic, FileId, Span};

use super::node::Node;

pub(super) use fault::{in_quotes, with_colon};
pub(super) use scalar::rfc3339;

/// How deep collections may be nested, aliases included.
const MAX_DEPTH: usize = 256;

/// One document of a file.
#[derive(Debug)]
pub(super) struct Document {
    /// Its top-level value.
    pub(super) node: Node,
    /// Attributes that this document takes away from the files before it.
    pub(super) resets: Vec<Reset>,
}

/// The place of a `!reset` or `!override`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reset {
    /// Keys from the top of the document; items of lists are `[]`, which no reset reaches.
    pub(super) path: Vec<String>,
    /// Where the tagged value stands.
    pub(super) span: Span,
}

/// What a whole project may still expand to. All threads of a load take from the same.
#[derive(Debug)]
pub(super) struct Budget {
    nodes: AtomicUsize,
    bytes: AtomicUsize,
    /// Nodes that merging may look at: many documents on a large tree are many looks.
    visits: AtomicUsize,
    overdrawn: AtomicBool,
}

impl Default for Budget {
    /// Ten times the largest project that was ever seen.
    fn default() -> Self {
        Self {
            nodes: AtomicUsize::new(500_000),
            bytes: AtomicUsize::new(64 << 20),
            visits: AtomicUsize::new(8_000_000),
            overdrawn: AtomicBool::new(false),
        }
    }
}

impl Budget {
    /// Takes one node with `bytes` of text from the budget; false if there is not enough left.
    pub(super) fn spend(&self, bytes: usize) -> bool {
        self.spend_many(1, bytes)
    }

    /// Takes several nodes with `bytes` of text from the budget; false if there is not enough left.
    pub(super) fn spend_many(&self, count: usize, bytes: usize) -> bool {
        self.take(&self.nodes, count) && self.take(&self.bytes, bytes)
    }

    fn take(&self, left: &AtomicUsize, amount: usize) -> bool {
        let rest = |left: usize| left.checked_sub(amount);
        let enough = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest).is_ok();
        if !enough {
            self.overdrawn.store(true, Ordering::Relaxed);
        }
        enough
    }

    /// Whether more was asked for than there was.
    pub(super) fn is_overdrawn(&self) -> bool {
        self.overdrawn.load(Ordering::Relaxed)
    }

    /// Takes the looks at `nodes` from the budget; false if there are none left.
    pub(super) fn visit(&self, nodes: usize) -> bool {
        self.take(&self.visits, nodes)
    }
}

/// Reads all documents of a file. What is YAML, but not YAML that Compose takes, is put into
/// `problems` and left out.
///
/// # Errors
///
/// The first thing that is not YAML. Boxed: diagnostics are large.
pub(super) fn parse(
    text: &str,
    file: FileId,
    budget: &Budget,
    problems: &mut Vec<Diagnostic>,
) -> Result<Vec<Document>, Box<Diagnostic>> {
    check_characters(text, file)?;
    let mut documents = Vec::new();
    let mut reader = events::Reader::new(text, file);
    while let Some(raw) = reader.next_document(budget)? {
        documents.push(expand::document(&raw, file, budget, problems)?);
    }
    Ok(documents)
}

/// Refuses control characters, which no YAML text may have.
fn check_characters(text: &str, file: FileId) -> Result<(), Box<Diagnostic>> {
    let allowed = |c: char| {
        matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{7e}' | '\u{85}' | '\u{a0}'..='\u{d7ff}'
            | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
    };
    // Most files are plain, and that is seen many bytes at a time.
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~' | b'\n');
    if text.as_bytes().chunks(64).all(|bytes| bytes.iter().all(|byte| is_plain(*byte))) {
        return Ok(());
    }
    match text.char_indices().find(|(_, c)| !allowed(*c)) {
        None => Ok(()),
        Some((at, c)) => Err(Box::new(
            Diagnostic::error(
                Code::Syntax,
                format!("control character U+{:04X} is not allowed in YAML", u32::from(c)),
            )
            .at(Span::new(file, at, at + c.len_utf8()), "here"),
        )),
    }
}

/// The error for collections in collections without end. The parser's own limit is the same.
fn too_nested(span: Span) -> Box<Diagnostic> {
    let message = format!("nested deeper than {MAX_DEPTH} levels");
    Box::new(Diagnostic::error(Code::TooLarge, message).at(span, "one level too many"))
}

/// The error for a file that is larger than the budget.
fn too_large(span: Span) -> Box<Diagnostic> {
    Box::new(
        Diagnostic::error(Code::TooLarge, "the file holds more than Ketch reads")
            .at(span, "the limit is reached here"),
    )
}

#[cfg(test)]
mod tests;
