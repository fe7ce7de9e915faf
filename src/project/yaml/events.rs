//! Parser events to a raw tree: what stands in the text, nothing resolved.

use std::borrow::Cow;
use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Span as YamlSpan, StrInput, Tag};

use crate::diagnostic::{Code, Diagnostic, FileId, Span};

use super::{Budget, fault, too_large};

/// A document before resolution. Nodes refer to each other by index.
#[derive(Debug, Default)]
pub(super) struct Raw<'a> {
    nodes: Vec<RawNode<'a>>,
    anchors: HashMap<usize, usize>,
}

impl<'a> Raw<'a> {
    pub(super) fn node(&self, index: usize) -> &RawNode<'a> {
        &self.nodes[index]
    }

    /// The node that an alias refers to.
    pub(super) fn anchored(&self, anchor: usize) -> Option<usize> {
        self.anchors.get(&anchor).copied()
    }

    /// The top of every document: nodes are pushed parents first.
    pub(super) const ROOT: usize = 0;
}

/// One value as it is written.
#[derive(Debug)]
pub(super) struct RawNode<'a> {
    pub(super) kind: RawKind<'a>,
    /// `!reset`, or the short form of a core tag: `!!str`.
    pub(super) tag: Option<Box<str>>,
    pub(super) span: Span,
}

/// How a scalar is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// As it is: it may be a number, a date and so on.
    Plain,
    /// In quotes or as a block: it is text.
    Quoted,
}

#[derive(Debug)]
pub(super) enum RawKind<'a> {
    Scalar {
        text: Cow<'a, str>,
        style: Style,
    },
    Seq(Vec<usize>),
    /// Keys and values in turn.
    Map(Vec<usize>),
    Alias(usize),
}

/// Pulls documents out of a text.
pub(super) struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    file: FileId,
    text: &'a str,
    /// How many nodes the first document may have: to move them about takes as long as to read them.
    likely: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str, file: FileId) -> Self {
        /// Bytes of text for each node, in most files, and how many nodes are worth room in advance.
        const BYTES: usize = 6;
        const MOST: usize = 100_000;
        let likely = MOST.min(text.len() / BYTES);
        Self { parser: Parser::new_from_str(text), file, text, likely }
    }

    /// The next document, or `None` at the end of the text.
    pub(super) fn next_document(
        &mut self,
        budget: &Budget,
    ) -> Result<Option<Raw<'a>>, Box<Diagnostic>> {
        loop {
            match self.next()? {
                None | Some((Event::StreamEnd, _)) => return Ok(None),
                Some((Event::DocumentStart(_, version), span)) => {
                    if version.is_some_and(|version| (version.major, version.minor) != (1, 1)) {
                        return Err(incompatible(self.span(span)));
                    }
                    return self.document(budget).map(Some);
                }
                Some(_) => {}
            }
        }
    }

    /// Reads up to the end of the document that has just begun.
    fn document(&mut self, budget: &Budget) -> Result<Raw<'a>, Box<Diagnostic>> {
        let nodes = Vec::with_capacity(std::mem::take(&mut self.likely));
        let mut raw = Raw { nodes, ..Raw::default() };
        let mut open: Vec<usize> = Vec::new();
        while let Some((event, span)) = self.next()? {
            let place = self.span(span);
            let (kind, anchor, tag) = match event {
                Event::DocumentEnd => break,
                Event::SequenceEnd | Event::MappingEnd => {
                    self.close(&mut raw, &mut open, place);
                    continue;
                }
                Event::Scalar(text, style, anchor, tag) => {
                    let style =
                        if style == ScalarStyle::Plain { Style::Plain } else { Style::Quoted };
                    // The parser writes a value that is not there as `~`.
                    let text = if style == Style::Plain && span.is_empty() {
                        Cow::default()
                    } else {
                        text
                    };
                    (RawKind::Scalar { text, style }, anchor, tag)
                }
                Event::SequenceStart(_, anchor, tag) => (RawKind::Seq(Vec::new()), anchor, tag),
                Event::MappingStart(_, anchor, tag) => (RawKind::Map(Vec::new()), anchor, tag),
                Event::Alias(target) => (RawKind::Alias(target), 0, None),
                _ => continue,
            };
            let bytes = if let RawKind::Scalar { text, .. } = &kind { text.len() } else { 0 };
            if !budget.spend(bytes) {
                return Err(too_large(place));
            }
            let opens = matches!(kind, RawKind::Seq(_) | RawKind::Map(_));
            let tag = tag.as_deref().map(|tag| short_tag(tag).into());
            let index = push(&mut raw, &open, RawNode { kind, tag, span: place });
            if anchor > 0 {
                raw.anchors.insert(anchor, index);
            }
            if opens {
                open.push(index);
            }
        }
        Ok(raw)
    }

    /// Ends the innermost collection. Its span is what of it stands on its first line: enough to
    /// point at, and never a whole file.
    fn close(&self, raw: &mut Raw<'_>, open: &mut Vec<usize>, end: Span) {
        let Some(index) = open.pop() else { return };
        let span = &mut raw.nodes[index].span;
        let rest = self.text.get(span.start as usize..).unwrap_or_default();
        let line = rest.find('\n').unwrap_or(rest.len());
        let line = rest[..line].trim_end().len();
        let line_end = span.start.saturating_add(u32::try_from(line).unwrap_or(u32::MAX));
        span.end = end.end.max(span.start).min(line_end);
    }

    fn next(&mut self) -> Result<Option<(Event<'a>, YamlSpan)>, Box<Diagnostic>> {
        self.parser
            .next_event()
            .transpose()
            .map_err(|error| fault::diagnose(self.text, self.file, &error))
    }

    fn span(&self, span: YamlSpan) -> Span {
        let range = span.byte_range().unwrap_or(0..0);
        Span::new(self.file, range.start.min(self.text.len()), range.end.min(self.text.len()))
    }
}

/// Adds a node to the tree and to the collection that is open.
fn push<'a>(raw: &mut Raw<'a>, open: &[usize], node: RawNode<'a>) -> usize {
    let index = raw.nodes.len();
    raw.nodes.push(node);
    if let Some(parent) = open.last() {
        match &mut raw.nodes[*parent].kind {
            RawKind::Seq(items) | RawKind::Map(items) => items.push(index),
            RawKind::Scalar { .. } | RawKind::Alias(_) => {}
        }
    }
    index
}

/// `!reset` as it is, `tag:yaml.org,2002:str` as `!!str`.
fn short_tag(tag: &Tag) -> String {
    if tag.handle() == "tag:yaml.org,2002:" {
        format!("!!{}", tag.suffix())
    } else {
        format!("{}{}", tag.handle(), tag.suffix())
    }
}

fn incompatible(span: Span) -> Box<Diagnostic> {
    Box::new(
        Diagnostic::error(Code::Syntax, "Compose files are read as YAML 1.1")
            .at(span, "another version is asked for")
            .hint("remove the `%YAML` line"),
    )
}
