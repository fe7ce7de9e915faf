//! Small pieces of text: neutralised, cut, counted, placed.
//!
//! In: text from files, variables and names. Out: text that is safe to print on one line.
//!
//! # Invariants
//!
//! - The result holds no control character, so that no file can steer the terminal.
//!
//! # Not here
//!
//! Layout of whole messages ([`super::diagnostics`]).

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::diagnostic::{Sources, Span};

/// Replaces what could steer a terminal or reorder a line by visible signs.
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().all(|character| sign(character) == character) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(sign).collect())
}

/// The visible sign for a character; itself if it is harmless.
fn sign(character: char) -> char {
    match character {
        '\t' => ' ',
        // The block "Control Pictures" has a picture for each.
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(character)).unwrap_or('\u{fffd}'),
        '\x7f' => '\u{2421}',
        // C1 controls, by a sign that takes as many bytes.
        '\u{80}'..='\u{9f}' => '\u{a4}',
        // What switches the writing direction or hides text.
        '\u{200b}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{feff}' => '\u{fffd}',
        _ => character,
    }
}

/// [`printable`] but for ASCII, so that every character stays at its byte.
pub fn printable_in_place(text: &str) -> Cow<'_, str> {
    let sign = |character: char| if character.is_ascii() { character } else { sign(character) };
    if text.chars().all(|character| sign(character) == character) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(sign).collect())
}

/// Cuts a text that is longer than `limit` characters.
pub fn cut(text: &str, limit: usize) -> Cow<'_, str> {
    match text.char_indices().nth(limit) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// The columns that a text takes on a terminal.
pub fn width(text: &str) -> usize {
    text.width()
}

/// Cuts a text that takes more than `columns` columns.
pub fn fit(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let Some(room) = columns.checked_sub(1) else { return Cow::Borrowed("") };
    let mut taken = 0;
    let fits = |(_, character): &(usize, char)| {
        taken += character.width().unwrap_or(0);
        taken > room
    };
    let end = text.char_indices().find(fits).map_or(text.len(), |(at, _)| at);
    Cow::Owned(format!("{}…", &text[..end]))
}

/// `1 problem`, `3 problems`.
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// `compose.yaml:9:13`.
pub fn place(sources: &Sources, span: Span) -> String {
    let position = sources.position(span);
    let name = printable(&sources.get(span.file).name).into_owned();
    format!("{name}:{}:{}", position.line, position.column)
}

/// The line on which a span begins, without indentation, cut around the span where it is long.
pub fn source_line(sources: &Sources, span: Span) -> String {
    const BEFORE: usize = 40;
    const LIMIT: usize = 100;
    let text = &*sources.get(span.file).text;
    let at = text.floor_char_boundary(span.start as usize);
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[at..].find('\n').map_or(text.len(), |newline| at + newline);
    let line = text[start..end].trim();
    if line.chars().nth(LIMIT).is_none() {
        return printable(line).into_owned();
    }
    let before = text[start..at].trim_start();
    let skip = before.chars().count().saturating_sub(BEFORE);
    let from = text[start..end].trim_start();
    let from = from.char_indices().nth(skip).map_or("", |(offset, _)| &from[offset..]);
    let lead = if skip > 0 { "…" } else { "" };
    format!("{lead}{}", cut(&printable(from), LIMIT))
}

#[cfg(test)]
mod tests {
    use super::{count, cut, fit, printable, printable_in_place, source_line, width};
    use crate::diagnostic::{Sources, Span};

    #[test]
    fn control_characters_become_signs() {
        assert_eq!(printable("a\x1b[31m\tb\x7f\u{9b}\u{202e}"), "a␛[31m b␡\u{a4}\u{fffd}");
        assert_eq!(printable("日本語"), "日本語");
        let hidden: String = ('\u{80}'..='\u{ffff}').collect();
        let shown = printable_in_place(&hidden);
        assert!(hidden.char_indices().map(|(at, _)| at).eq(shown.char_indices().map(|(at, _)| at)));
        assert!(!shown.contains(['\u{85}', '\u{9b}', '\u{202e}', '\u{2066}']));
    }

    #[test]
    fn counting_and_cutting() {
        assert_eq!(
            [count(1, "file"), count(0, "file")],
            ["1 file".to_owned(), "0 files".to_owned()]
        );
        assert_eq!(cut("日本語", 2), "日本…");
        assert_eq!(cut("ab", 2), "ab");
    }

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!(width("日本語"), 6);
        assert_eq!(
            [fit("日本語", 6), fit("日本語", 5), fit("日本語", 4)],
            ["日本語", "日本…", "日…"]
        );
        assert_eq!([fit("ab", 1), fit("ab", 0)], ["…", ""]);
    }

    #[test]
    fn long_lines_are_cut_around_the_span() {
        let mut sources = Sources::default();
        let text = format!("a: 1\n  {}HERE{}\r\nb", "x".repeat(500), "y".repeat(500));
        let start = text.find("HERE").expect("it is there");
        let file = sources.add("a", text);
        let line = source_line(&sources, Span::new(file, start, start + 4));
        assert_eq!(line, format!("…{}HERE{}…", "x".repeat(40), "y".repeat(56)));
        assert_eq!(source_line(&sources, Span::new(file, 0, 1)), "a: 1");
        assert_eq!(source_line(&sources, Span::new(file, 9999, 9999)), "b");
    }
}
