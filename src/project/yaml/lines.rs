//! Lines of a text that is not valid YAML: their indentation, and what they seem to hold.

use std::ops::Range;

/// One line, read roughly.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'t> {
    /// Number, from 1.
    pub(super) number: usize,
    /// Where its content begins in the text.
    pub(super) start: usize,
    /// How many blanks stand before that.
    pub(super) indent: usize,
    /// What it holds, without a comment.
    pub(super) content: &'t str,
}

impl<'t> Line<'t> {
    fn new(text: &'t str, number: usize, start: usize) -> Self {
        let line = text[start..].split('\n').next().unwrap_or_default();
        let content = line.trim_start_matches(' ');
        let indent = line.len() - content.len();
        let end = if content.starts_with('#') { Some(0) } else { content.find(" #") };
        let content = content[..end.unwrap_or(content.len())].trim_end();
        Self { number, start: start + indent, indent, content }
    }

    fn is_blank(&self) -> bool {
        matches!(self.content, "" | "---" | "...")
    }

    /// Whether it begins an item of a list.
    pub(super) fn is_item(&self) -> bool {
        self.content == "-" || self.content.starts_with("- ")
    }

    /// What it holds behind the dashes of lists.
    pub(super) fn inner(&self) -> &'t str {
        let mut rest = self.content;
        while let Some(next) = rest.strip_prefix("- ") {
            rest = next.trim_start();
        }
        rest
    }

    /// How far its content behind dashes is from the margin.
    pub(super) fn column(&self) -> usize {
        self.indent + self.content.len() - self.inner().len()
    }

    /// Its key and the value behind it.
    pub(super) fn pair(&self) -> Option<(&'t str, &'t str)> {
        let inner = self.inner();
        if let Some((key, value)) = inner.split_once(": ") {
            return Some((key, value.trim()));
        }
        inner.strip_suffix(':').map(|key| (key, ""))
    }

    /// Where its content behind dashes stands.
    pub(super) fn range(&self) -> Range<usize> {
        let end = self.start + self.content.len();
        end - self.inner().len()..end
    }

    /// How it is called in a message: its key or its beginning.
    pub(super) fn name(&self) -> String {
        match self.pair() {
            Some((key, _)) if key.len() <= 40 => format!("{key}:"),
            _ => self.content.chars().take(20).collect(),
        }
    }
}

/// All lines that hold something, up to the one of byte `at`; the last of them is that one.
pub(super) fn up_to(text: &str, at: usize) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let mut start = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if start > at {
            break;
        }
        let end = start + line.len();
        let holds = start <= at && at < end;
        let line = Line::new(text, index + 1, start);
        if holds || !line.is_blank() {
            lines.push(line);
        }
        start = end;
    }
    lines
}

/// The lines that enclose the last of `lines`: one for each indentation, the nearest first.
pub(super) fn enclosing<'t>(lines: &[Line<'t>]) -> Vec<Line<'t>> {
    let mut found: Vec<Line<'t>> = Vec::new();
    for line in lines.iter().rev().skip(1) {
        if found.last().is_none_or(|inner| line.indent < inner.indent) {
            found.push(*line);
        }
        if line.indent == 0 {
            break;
        }
    }
    found
}
