//! Cuts a text into literals and expressions, with the reach that Compose gives them.
//!
//! In: a region of a text. Out: tokens, as ranges of the whole text, on character boundaries.
//!
//! Not here: what an expression stands for.

use std::ops::Range;

/// A piece of a text.
pub(super) enum Token {
    /// Text that stands for itself.
    Literal(Range<usize>),
    /// `$$`.
    Dollar,
    /// `$NAME` or `${NAME}`.
    Plain { name: Range<usize>, at: Range<usize> },
    /// `${NAME:-argument}` and the like.
    Operation(Operation),
    /// `${` that begins nothing; the number is where it stands.
    Invalid(usize),
}

/// An expression with an operator.
pub(super) struct Operation {
    pub(super) name: Range<usize>,
    pub(super) operator: Operator,
    pub(super) argument: Range<usize>,
    pub(super) at: Range<usize>,
    /// The end of the last `}` on the line, which is as far as the expression could go.
    pub(super) reach: usize,
}

#[derive(Clone, Copy)]
pub(super) struct Operator {
    pub(super) kind: Kind,
    /// Whether it has a colon: an empty value counts as none.
    pub(super) blank_is_unset: bool,
}

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Default,
    Replacement,
    Required,
}

impl Operator {
    /// The operator that a text begins with, and how long it is.
    fn read(text: &str) -> Option<(Self, usize)> {
        let rest = text.strip_prefix(':');
        let blank_is_unset = rest.is_some();
        let kind = match rest.unwrap_or(text).bytes().next()? {
            b'-' => Kind::Default,
            b'+' => Kind::Replacement,
            b'?' => Kind::Required,
            _ => return None,
        };
        Some((Self { kind, blank_is_unset }, if blank_is_unset { 2 } else { 1 }))
    }
}

/// Cuts a region of a text into tokens.
pub(super) struct Scanner<'t> {
    text: &'t str,
    pub(super) at: usize,
    end: usize,
    /// The line that was looked at last, so that each is searched for its braces only once.
    line: Option<Line>,
}

struct Line {
    end: usize,
    last_brace: Option<usize>,
}

impl<'t> Scanner<'t> {
    pub(super) fn new(text: &'t str, region: Range<usize>) -> Self {
        Self { text, at: region.start, end: region.end, line: None }
    }

    /// Takes the next token.
    pub(super) fn token(&mut self) -> Option<Token> {
        let start = self.at;
        let rest = self.rest(start);
        let Some(behind) = rest.strip_prefix('$') else {
            let length = rest.find('$').unwrap_or(rest.len());
            self.at += length;
            return (length > 0).then_some(Token::Literal(start..self.at));
        };
        let (token, end) = match behind.bytes().next() {
            Some(b'$') => (Token::Dollar, start + 2),
            Some(b'{') => self.braced(start),
            _ => match name_length(behind) {
                0 => (Token::Literal(start..start + 1), start + 1),
                length => {
                    let end = start + 1 + length;
                    (Token::Plain { name: start + 1..end, at: start..end }, end)
                }
            },
        };
        self.at = end;
        Some(token)
    }

    /// The token that begins with the `${` at `start`, and where it ends.
    fn braced(&mut self, start: usize) -> (Token, usize) {
        let invalid = (Token::Invalid(start), start + 2);
        let name = start + 2..start + 2 + name_length(self.rest(start + 2));
        if name.is_empty() {
            return invalid;
        }
        let behind = self.rest(name.end);
        if behind.starts_with('}') {
            let at = start..name.end + 1;
            return (Token::Plain { name, at: at.clone() }, at.end);
        }
        let Some((operator, length)) = Operator::read(behind) else { return invalid };
        let argument = name.end + length;
        let Some(last) = self.last_brace(start).filter(|brace| *brace >= argument) else {
            return invalid;
        };
        let close = self.balanced(start, last).unwrap_or(last);
        let at = start..close + 1;
        let argument = argument..close;
        let operation = Operation { name, operator, argument, at: at.clone(), reach: last + 1 };
        (Token::Operation(operation), at.end)
    }

    fn rest(&self, from: usize) -> &'t str {
        &self.text[from..self.end]
    }

    /// The last `}` on the line of `from`.
    fn last_brace(&mut self, from: usize) -> Option<usize> {
        if let Some(line) = self.line.as_ref().filter(|line| from < line.end) {
            return line.last_brace;
        }
        let rest = self.rest(from);
        let line = &rest[..rest.find('\n').unwrap_or(rest.len())];
        let last_brace = line.rfind('}').map(|offset| from + offset);
        self.line = Some(Line { end: from + line.len(), last_brace });
        last_brace
    }

    /// The brace up to `last` that closes the expression at `start`.
    fn balanced(&self, start: usize, last: usize) -> Option<usize> {
        let mut open = 0_usize;
        let mut bytes = self.text.as_bytes()[start..=last].iter().enumerate();
        while let Some((offset, byte)) = bytes.next() {
            match byte {
                b'{' => {
                    open += 1;
                    bytes.next();
                }
                b'}' if open <= 1 => return Some(start + offset),
                b'}' => open -= 1,
                _ => {}
            }
        }
        None
    }

    /// The range to show for the malformed expression at `start`: to its brace, if it has one.
    pub(super) fn malformed(&self, start: usize) -> Range<usize> {
        let rest = self.rest(start);
        let line = rest.split('\n').next().unwrap_or(rest);
        start..start + line.find('}').map_or("${".len(), |brace| brace + 1)
    }
}

/// The length of the variable name that a text begins with, in bytes.
pub(super) fn name_length(text: &str) -> usize {
    let mut rest = text.char_indices();
    match rest.next() {
        Some((_, first)) if is_name(first) && !first.is_ascii_digit() => {}
        _ => return 0,
    }
    rest.find(|(_, char)| !is_name(*char)).map_or(text.len(), |(offset, _)| offset)
}

/// Whether a variable name may have this character.
///
/// The long s and the Kelvin sign are other cases of `s` and `k`, and Compose ignores case.
fn is_name(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '_' | '\u{17f}' | '\u{212a}')
}
