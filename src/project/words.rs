//! A command line to words, as Compose splits `command: a "b c"`.
//!
//! In: one text. Out: its words, without quotes. No variables, no globs and no commands are
//! expanded: backquotes and `$(…)` keep a word together and stay in it.
//!
//! # Rules that surprise
//!
//! - The first `;`, `&`, `|`, `<` or `>` outside of quotes ends the command line, and what
//!   follows is dropped without a word. A digit word in front of `>` goes with it: `2>file`.
//! - `(` is allowed behind `$` only; a `)` without one begins such a group just as well.

use std::ops::Range;

use thiserror::Error;

/// Why a text is not a command line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WordsError {
    /// A quote or a parenthesis has no partner.
    #[error("unclosed `{mark}` in the command line")]
    Unclosed {
        /// The quote or parenthesis.
        mark: char,
        /// Where it stands.
        at: Range<usize>,
    },
    /// The text ends in a backslash.
    #[error("nothing follows the backslash at the end of the command line")]
    Backslash {
        /// Where it stands.
        at: Range<usize>,
    },
    /// A `(` that does not follow `$`.
    #[error("unexpected `(` in the command line")]
    Parenthesis {
        /// Where it stands.
        at: Range<usize>,
    },
}

/// Splits a command line into words.
///
/// # Errors
///
/// If quotes, parentheses or a backslash are left open.
pub fn split(text: &str) -> Result<Vec<String>, WordsError> {
    let mut splitter = Splitter::default();
    for (at, char) in text.char_indices() {
        if splitter.step(at, char)? == Step::Stop {
            break;
        }
    }
    splitter.finish()
}

#[derive(PartialEq, Eq)]
enum Step {
    Continue,
    Stop,
}

/// A quote or group and where it opened, if it is open.
type Opened = Option<(usize, char)>;

#[derive(Default)]
struct Splitter {
    words: Vec<String>,
    /// The word so far; `None` between words.
    word: Option<String>,
    escape: Option<usize>,
    single: Opened,
    double: Opened,
    back: Opened,
    group: Opened,
}

impl Splitter {
    fn step(&mut self, at: usize, char: char) -> Result<Step, WordsError> {
        if self.escape.take().is_some() {
            self.push(char);
            return Ok(Step::Continue);
        }
        match char {
            '\\' if self.single.is_none() => self.escape = Some(at),
            ' ' | '\t' | '\r' | '\n' if self.open().is_none() => {
                self.words.extend(self.word.take());
            }
            '`' if self.single.or(self.double).or(self.group).is_none() => {
                toggle(&mut self.back, at, char);
                self.push(char);
            }
            ')' if self.single.or(self.double).or(self.back).is_none() => {
                toggle(&mut self.group, at, char);
                self.push(char);
            }
            '(' if self.single.or(self.double).or(self.back).is_none() => self.begin_group(at)?,
            '"' if self.single.or(self.group).is_none() => {
                toggle(&mut self.double, at, char);
                self.word.get_or_insert_default();
            }
            '\'' if self.double.or(self.group).is_none() => {
                toggle(&mut self.single, at, char);
                self.word.get_or_insert_default();
            }
            ';' | '&' | '|' | '<' | '>' if self.open().is_none() => {
                self.drop_descriptor(char);
                return Ok(Step::Stop);
            }
            _ => self.push(char),
        }
        Ok(Step::Continue)
    }

    fn push(&mut self, char: char) {
        self.word.get_or_insert_default().push(char);
    }

    fn begin_group(&mut self, at: usize) -> Result<(), WordsError> {
        let follows_dollar = self.word.as_ref().is_some_and(|word| word.ends_with('$'));
        if self.group.is_some() || !follows_dollar {
            return Err(WordsError::Parenthesis { at: at..at + 1 });
        }
        self.group = Some((at, '('));
        self.push('(');
        Ok(())
    }

    /// In front of `>`, a word that begins with a digit is taken for a file descriptor.
    fn drop_descriptor(&mut self, end: char) {
        let is_descriptor = |word: &String| word.starts_with(|c: char| c.is_ascii_digit());
        if end == '>' && self.word.as_ref().is_some_and(is_descriptor) {
            self.word = None;
        }
    }

    /// What is open: the outermost, roughly, as it is what to complain about.
    fn open(&self) -> Opened {
        [self.single, self.double, self.back, self.group].into_iter().flatten().min()
    }

    fn finish(mut self) -> Result<Vec<String>, WordsError> {
        if let Some((at, mark)) = self.open() {
            return Err(WordsError::Unclosed { mark, at: at..at + 1 });
        }
        if let Some(at) = self.escape {
            return Err(WordsError::Backslash { at: at..at + 1 });
        }
        self.words.extend(self.word);
        Ok(self.words)
    }
}

fn toggle(opened: &mut Opened, at: usize, mark: char) {
    *opened = if opened.is_some() { None } else { Some((at, mark)) };
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::{any, proptest};

    use super::{WordsError, split};

    #[test]
    fn command_lines_split_as_in_compose() {
        for (text, expected) in [
            ("", &[] as &[&str]),
            (" \t\r\n", &[]),
            ("a b", &["a", "b"]),
            ("a\u{a0}b\u{b}c", &["a\u{a0}b\u{b}c"]),
            ("a \"b c\" d", &["a", "b c", "d"]),
            ("a 'b c'd", &["a", "b cd"]),
            ("a'b'", &["ab"]),
            ("\"\"", &[""]),
            ("a \"\" b", &["a", "", "b"]),
            ("a\\ b", &["a b"]),
            ("'a\\b'", &["a\\b"]),
            ("\"a\\\"b\"", &["a\"b"]),
            ("\"a\\nb\"", &["anb"]),
            ("\"'\" '\"'", &["'", "\""]),
            ("a ; b", &["a"]),
            ("a&b", &["a"]),
            ("a|b", &["a"]),
            ("a<b", &["a"]),
            ("a>b", &["a"]),
            ("a 2>x", &["a"]),
            ("a 2b>x", &["a"]),
            ("a 2<x", &["a", "2"]),
            ("a b2>x", &["a", "b2"]),
            (">", &[]),
            ("a \"x;y\" z", &["a", "x;y", "z"]),
            ("a \\; b", &["a", ";", "b"]),
            ("a $(b c) d", &["a", "$(b c)", "d"]),
            ("a $(b \"c;) d", &["a", "$(b \"c;)", "d"]),
            ("\"$(a b)\"", &["$(a b)"]),
            ("a `b c` d", &["a", "`b c`", "d"]),
            ("a `b;(c` d", &["a", "`b;(c`", "d"]),
            ("))", &["))"]),
            ("a ) b ) c", &["a", ") b )", "c"]),
            ("é \"ü\"", &["é", "ü"]),
        ] {
            let expected = expected.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(split(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_left_open_is_pointed_at() {
        let unclosed = |mark, at: usize| WordsError::Unclosed { mark, at: at..at + 1 };
        for (text, expected) in [
            ("a \"b", unclosed('"', 2)),
            ("é 'b", unclosed('\'', 3)),
            ("a)", unclosed(')', 1)),
            ("a $(b", unclosed('(', 3)),
            ("`a \"b` c\"", unclosed('`', 0)),
            ("a\\", WordsError::Backslash { at: 1..2 }),
            ("a(b)", WordsError::Parenthesis { at: 1..2 }),
            (")(", WordsError::Parenthesis { at: 1..2 }),
            ("$((", WordsError::Parenthesis { at: 2..3 }),
            ("a \"b\\", unclosed('"', 2)),
        ] {
            assert_eq!(split(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn long_text_is_split_in_little_time() {
        let start = Instant::now();
        for piece in ["a ", "\"", "`", ")", "\\", "$(", "$()"] {
            let _ = split(&piece.repeat(1 << 19));
        }
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in any::<String>(), syntax in "[a2 $()`'\"\\\\;>é]*") {
            let _ = split(&text);
            let _ = split(&syntax);
        }

        #[test]
        fn quoted_words_come_back(words in proptest::collection::vec("[^']*", 0..5)) {
            let line: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
            assert_eq!(split(&line.join(" ")), Ok(words));
        }
    }
}
