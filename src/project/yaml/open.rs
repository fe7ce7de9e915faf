//! Which quotes and brackets are open at a place of a text that is not valid YAML.
//!
//! Only a rough reading: enough to say which mark was forgotten, not to parse.

use std::ops::Range;

/// A quote or bracket, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) at: usize,
    pub(super) char: char,
}

/// What a text left open.
#[derive(Debug, Default)]
pub(super) struct Opened {
    /// The quote that no other one closes.
    pub(super) quote: Option<Mark>,
    /// Brackets, the innermost last.
    pub(super) brackets: Vec<Mark>,
    /// The last quoted text that ends on a later line than it begins.
    pub(super) spanned: Option<Range<usize>>,
    /// A block of text goes on for lines deeper than this.
    block: Option<usize>,
    /// Whether a value may begin here: marks inside of plain text mean nothing.
    fresh: bool,
}

impl Opened {
    /// Reads a text from its beginning up to its end.
    pub(super) fn read(text: &str) -> Self {
        let mut opened = Self::default();
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            if !opened.skips(line) {
                opened.line(line, start);
            }
            start += line.len();
        }
        opened
    }

    /// Whether a line is part of a block of text.
    fn skips(&mut self, line: &str) -> bool {
        let Some(indent) = self.block.filter(|_| self.quote.is_none()) else { return false };
        let rest = line.trim_start_matches(' ');
        if rest.trim().is_empty() || line.len() - rest.len() > indent {
            return true;
        }
        self.block = None;
        false
    }

    fn line(&mut self, line: &str, start: usize) {
        let indent = line.len() - line.trim_start_matches(' ').len();
        self.fresh = true;
        let mut before = ' ';
        let mut chars = line.char_indices().peekable();
        while let Some((offset, char)) = chars.next() {
            let next = chars.peek().map_or('\n', |(_, next)| *next);
            if let Some(quote) = self.quote {
                if char == '\\' && quote.char == '"' || char == '\'' && next == '\'' {
                    chars.next();
                } else if char == quote.char {
                    self.close_quote(quote, start, offset);
                    self.fresh = false;
                }
                before = char;
                continue;
            }
            match char {
                '#' if before.is_whitespace() => return,
                '|' | '>' if self.fresh && self.brackets.is_empty() => {
                    self.block = Some(indent);
                    return;
                }
                _ => self.fresh = self.step(Mark { at: start + offset, char }, next),
            }
            before = char;
        }
    }

    /// Takes a character outside of quotes; whether a value may begin behind it.
    fn step(&mut self, mark: Mark, next: char) -> bool {
        match mark.char {
            ' ' | '\t' => self.fresh,
            '"' | '\'' if self.fresh => {
                self.quote = Some(mark);
                false
            }
            '[' | '{' if self.fresh => {
                self.brackets.push(mark);
                true
            }
            ']' | '}' => {
                self.brackets.pop();
                false
            }
            ',' => !self.brackets.is_empty(),
            ':' => next.is_whitespace() || !self.brackets.is_empty(),
            '-' => self.fresh && next.is_whitespace(),
            _ => false,
        }
    }

    fn close_quote(&mut self, quote: Mark, line: usize, offset: usize) {
        if quote.at < line {
            self.spanned = Some(quote.at..line + offset + 1);
        }
        self.quote = None;
    }
}

#[cfg(test)]
mod tests {
    use super::Opened;

    fn open(text: &str) -> String {
        let opened = Opened::read(text);
        let marks = opened.brackets.iter().chain(&opened.quote);
        let marks: Vec<String> = marks.map(|mark| format!("{}{}", mark.char, mark.at)).collect();
        marks.join(" ")
    }

    #[test]
    fn marks_count_only_where_a_value_may_begin() {
        for (text, expected) in [
            ("a: [b, c]", ""),
            ("a: [b, {c: d", "[3 {7"),
            ("a: \"b", "\"3"),
            ("a: 'it''s'", ""),
            ("a: \"b\\\"", "\"3"),
            ("a: don't [x", ""),
            ("a: b # \"c [", ""),
            ("a: |\n  \"b [\nc: [", "[15"),
            ("- '", "'2"),
            ("a: b:c\"", ""),
        ] {
            assert_eq!(open(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_quote_over_several_lines_is_remembered() {
        assert_eq!(Opened::read("a: \"b\nc: \"d").spanned, Some(3..10));
        assert_eq!(Opened::read("a: \"b\"\nc: \"d\"").spanned, None);
    }
}
