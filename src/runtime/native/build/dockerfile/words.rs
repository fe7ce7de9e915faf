//! Words of an instruction, with their quotes.
//!
//! In: a line. Out: pieces of it, each as it is written.

use std::str::Chars;

/// The words of a text, where blanks in quotes and after an escape do not part.
pub(super) fn split(text: &str, escape: char) -> Vec<String> {
    pieces(text, escape).collect()
}

/// The same one after the other: who wants the first one reads no further.
pub(super) fn pieces(text: &str, escape: char) -> impl Iterator<Item = String> {
    let mut chars = text.chars();
    std::iter::from_fn(move || {
        let word = piece(&mut chars, escape);
        (!word.is_empty()).then_some(word)
    })
}

/// The next word; empty: there is none.
fn piece(chars: &mut Chars<'_>, escape: char) -> String {
    let mut word = String::new();
    let mut quote = None;
    while let Some(char) = chars.next() {
        match quote {
            None if char.is_whitespace() && word.is_empty() => continue,
            None if char.is_whitespace() => break,
            None if char == '"' || char == '\'' => quote = Some(char),
            Some(open) if char == open => quote = None,
            _ => {}
        }
        word.push(char);
        if char == escape && quote != Some('\'') {
            word.extend(chars.next());
        }
    }
    word
}

/// The first word and what follows it, without blanks around.
pub(super) fn first(text: &str) -> (&str, &str) {
    let text = text.trim();
    match text.find(char::is_whitespace) {
        Some(end) => (&text[..end], text[end..].trim_start()),
        None => (text, ""),
    }
}

/// A JSON list of texts; `None` if it is none.
pub(super) fn json(text: &str) -> Option<Vec<String>> {
    let text = text.trim();
    if text.starts_with('[') { serde_json::from_str(text).ok() } else { None }
}
