//! Flags of an instruction: `--NAME[=VALUE]` before its words.
//!
//! In: what follows the name of an instruction. Out: flags, each taken once by who knows it.
//!
//! # Invariants
//!
//! - A flag that nobody takes is a fault, with the nearest one that there is.

use super::words;

/// The flags of an instruction.
#[derive(Debug, Default)]
pub(super) struct Flags {
    all: Vec<(String, Option<String>)>,
    known: Vec<&'static str>,
}

/// A fault without its line.
type Checked<T> = Result<T, String>;

impl Flags {
    /// The flags at the begin of a text, and the rest.
    pub(super) fn split(text: &str, escape: char) -> (Self, &str) {
        let mut flags = Self::default();
        let mut rest = text.trim_start();
        while rest.starts_with("--") {
            let end = end_of_word(rest, escape);
            let (word, after) = rest.split_at(end);
            rest = after.trim_start();
            if word == "--" {
                break;
            }
            let plain = unquoted(&word[2..], escape);
            flags.all.push(match plain.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (plain, None),
            });
        }
        (flags, rest)
    }

    /// All values of a flag that may stand several times.
    pub(super) fn values(&mut self, name: &'static str) -> Checked<Vec<String>> {
        self.known.push(name);
        let (own, others) = std::mem::take(&mut self.all).into_iter().partition(|it| it.0 == name);
        self.all = others;
        let own: Vec<(String, Option<String>)> = own;
        own.into_iter().map(|(_, value)| value.ok_or_else(|| no_value(name))).collect()
    }

    /// The value of a flag; empty: it is not there.
    pub(super) fn value(&mut self, name: &'static str) -> Checked<String> {
        let mut values = self.values(name)?;
        match values.len() {
            0 => Ok(String::new()),
            1 => Ok(values.remove(0)),
            _ => Err(format!("the flag `--{name}` stands there twice")),
        }
    }

    /// Whether a flag is on; `None`: it is not there.
    pub(super) fn switch(&mut self, name: &'static str) -> Checked<Option<bool>> {
        self.known.push(name);
        let Some(at) = self.all.iter().position(|flag| flag.0 == name) else { return Ok(None) };
        match self.all.remove(at).1.as_deref() {
            None | Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(format!("`--{name}={other}`: it is `true` or `false`")),
        }
    }

    /// Fails if a flag is left.
    pub(super) fn finish(self, instruction: &str) -> Checked<()> {
        let Some((name, _)) = self.all.into_iter().next() else { return Ok(()) };
        let known = self.known.iter().map(|known| format!("--{known}"));
        let near = nearest(&format!("--{name}"), known);
        Err(format!("`{instruction}` has no flag `--{name}`{near}"))
    }
}

/// What is meant instead of a word, as the end of a sentence.
pub(super) fn nearest(word: &str, known: impl Iterator<Item = String>) -> String {
    const FAR: usize = 3;
    let ranked = known.map(|known| (strsim::damerau_levenshtein(word, &known), known));
    match ranked.min() {
        Some((distance, known)) if distance <= FAR => format!(", did you mean `{known}`?"),
        _ => String::new(),
    }
}

fn no_value(name: &str) -> String {
    format!("the flag `--{name}` takes a value: `--{name}=VALUE`")
}

fn end_of_word(text: &str, escape: char) -> usize {
    // The first word as it is written is a prefix of the text.
    words::pieces(text, escape).next().map_or(0, |word| word.len())
}

/// A word without its quotes.
fn unquoted(word: &str, escape: char) -> String {
    let mut plain = String::new();
    let mut quote = None;
    let mut chars = word.chars();
    while let Some(char) = chars.next() {
        match quote {
            None if char == '"' || char == '\'' => quote = Some(char),
            Some(open) if char == open => quote = None,
            _ if char == escape && quote != Some('\'') => match chars.next() {
                // Variables are substituted later.
                Some('$') => plain.extend([escape, '$']),
                next => plain.extend(next),
            },
            _ => plain.push(char),
        }
    }
    plain
}
