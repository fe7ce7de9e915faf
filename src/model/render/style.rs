//! Which of YAML's styles fits a text: plain, in quotes, or as a block of lines.

use super::resolve;

/// A style of a YAML scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// As it is.
    Plain,
    /// In single quotes.
    Single,
    /// In double quotes, with escapes.
    Double,
    /// Line by line, after `|`.
    Literal,
}

/// The style in which go-yaml prints a text.
pub(super) fn choose(text: &str) -> Style {
    let facts = Facts::of(text);
    if text.contains('\n') {
        return if facts.block { Style::Literal } else { Style::Double };
    }
    if !resolve::is_text(text) {
        return Style::Double;
    }
    match facts {
        Facts { plain: true, .. } => Style::Plain,
        Facts { single: true, .. } => Style::Single,
        Facts { .. } => Style::Double,
    }
}

/// Whether a text fits before `: `. Others need `? `.
pub(super) fn is_simple_key(text: &str) -> bool {
    const LIMIT: usize = 128;
    text.len() <= LIMIT && !text.chars().any(is_break)
}

/// Whether YAML 1.1 ends a line here.
pub(super) fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Whether go-yaml prints the character without an escape. It escapes all beyond U+FFFF.
pub(super) fn is_printable(c: char) -> bool {
    c != '\u{feff}' && matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{fffd}')
}

/// Which styles a text allows.
struct Facts {
    /// It can stand as it is.
    plain: bool,
    /// It can stand in single quotes.
    single: bool,
    /// It can stand line by line.
    block: bool,
}

impl Facts {
    /// Looks at every character once.
    fn of(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let pairs = || chars.iter().zip(chars.iter().skip(1));
        let multiline = chars.iter().any(|c| is_break(*c));
        let special = chars.iter().any(|c| *c != '\t' && !is_printable(*c));
        let tab = chars.contains(&'\t');
        let edge = |c: Option<&char>| c.is_some_and(|c| *c == ' ' || is_break(*c));
        let ragged = edge(chars.first()) || edge(chars.last());
        let space_after_break = pairs().any(|(a, b)| is_break(*a) && *b == ' ');
        let space_before_break = pairs().any(|(a, b)| *a == ' ' && is_break(*b));
        let single = !(space_after_break || space_before_break || tab || special);
        Self {
            plain: single && !ragged && !multiline && !has_indicator(&chars),
            single,
            block: !(space_before_break || special || chars.last() == Some(&' ')),
        }
    }
}

/// Whether a character would be read as part of YAML's syntax.
fn has_indicator(chars: &[char]) -> bool {
    if let [a @ ('-' | '.'), b, c, ..] = chars
        && a == b
        && b == c
    {
        return true;
    }
    chars.iter().enumerate().any(|(index, c)| {
        let blank_after = chars.get(index + 1).is_none_or(|next| matches!(next, ' ' | '\t'));
        let blank_before = index == 0
            || matches!(chars[index - 1], ' ' | '\t' | '\0')
            || is_break(chars[index - 1]);
        match c {
            ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@'
            | '`' => index == 0,
            '?' | '-' => index == 0 && blank_after,
            ':' => blank_after,
            '#' => blank_before,
            _ => false,
        }
    })
}
