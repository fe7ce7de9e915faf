//! Variables in words: `$NAME`, `${NAME}` and its modifiers, and quotes.
//!
//! In: a word as it is written, and values. Out: what it stands for.
//!
//! # Invariants
//!
//! - What comes out is bounded, however often variables hold each other; so is the depth.

use std::iter::Peekable;
use std::vec::IntoIter;

use regex_lite::Regex;

/// The most bytes of a word.
const MAX_SIZE: usize = 1 << 20;
/// The most modifiers in each other.
const MAX_DEPTH: usize = 32;

/// What becomes of quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quotes {
    /// They go, and what is in single ones stays as it is.
    Remove,
    /// They are text like any other.
    Keep,
}

/// Substitutes variables.
#[derive(Clone, Copy)]
pub struct Expander<'a> {
    /// The character that takes away the meaning of the next one.
    pub escape: char,
    /// What becomes of quotes.
    pub quotes: Quotes,
    /// The value of a variable; `None`: it is not set.
    pub lookup: &'a dyn Fn(&str) -> Option<String>,
}

impl std::fmt::Debug for Expander<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Expander").field("escape", &self.escape).finish_non_exhaustive()
    }
}

type Checked<T> = Result<T, String>;

impl Expander<'_> {
    /// What a word stands for.
    ///
    /// # Errors
    ///
    /// A quote or brace is not closed, a modifier is unknown, a variable is required, or the
    /// result is too long.
    pub fn word(&self, text: &str) -> Checked<String> {
        let chars = text.chars().collect::<Vec<_>>().into_iter().peekable();
        let mut reader = Reader { expander: self, chars, depth: 0 };
        reader.until(None)
    }
}

/// Which value a `-` or `+` is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Empty {
    IsUnset,
    IsSet,
}

struct Reader<'a> {
    expander: &'a Expander<'a>,
    chars: Peekable<IntoIter<char>>,
    depth: usize,
}

impl Reader<'_> {
    /// Reads up to a character, which is taken too; `None`: to the end.
    fn until(&mut self, end: Option<&[char]>) -> Checked<String> {
        let mut out = String::new();
        let quotes = self.expander.quotes == Quotes::Remove;
        while let Some(char) = self.chars.next() {
            match char {
                char if end.is_some_and(|end| end.contains(&char)) => return Ok(out),
                '\'' if quotes => self.single(&mut out)?,
                '"' if quotes => self.double(&mut out)?,
                '$' => out.push_str(&self.dollar()?),
                char if char == self.expander.escape => self.escaped(&mut out),
                char => out.push(char),
            }
            if out.len() > MAX_SIZE {
                return Err(format!("with its variables it has more than {MAX_SIZE} bytes"));
            }
        }
        match end {
            None => Ok(out),
            Some(_) => Err("a `${` is not closed".to_owned()),
        }
    }

    fn escaped(&mut self, out: &mut String) {
        let escape = self.expander.escape;
        match self.chars.next() {
            Some(next) if self.expander.quotes == Quotes::Keep => {
                if next != '$' && next != escape {
                    out.push(escape);
                }
                out.push(next);
            }
            Some(next) => out.push(next),
            None => out.push(escape),
        }
    }

    fn single(&mut self, out: &mut String) -> Checked<()> {
        for char in self.chars.by_ref() {
            if char == '\'' {
                return Ok(());
            }
            out.push(char);
        }
        Err("a single quote is not closed".to_owned())
    }

    fn double(&mut self, out: &mut String) -> Checked<()> {
        let escape = self.expander.escape;
        while let Some(char) = self.chars.next() {
            match char {
                '"' => return Ok(()),
                '$' => out.push_str(&self.dollar()?),
                char if char == escape => match self.chars.next() {
                    Some(next) if next == '"' || next == '$' || next == escape => out.push(next),
                    next => out.extend([char].into_iter().chain(next)),
                },
                char => out.push(char),
            }
            if out.len() > MAX_SIZE {
                return Err(format!("with its variables it has more than {MAX_SIZE} bytes"));
            }
        }
        Err("a double quote is not closed".to_owned())
    }

    /// What follows a `$`.
    fn dollar(&mut self) -> Checked<String> {
        if self.chars.next_if_eq(&'{').is_none() {
            let name = self.name();
            if name.is_empty() {
                return Ok("$".to_owned());
            }
            return Ok((self.expander.lookup)(&name).unwrap_or_default());
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} `${{` stand in each other"));
        }
        let value = self.braced();
        self.depth -= 1;
        value
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        if let Some(special) = self.chars.next_if(|char| "@*#?-$!".contains(*char)) {
            return special.to_string();
        }
        if self.chars.peek().is_some_and(char::is_ascii_digit) {
            while let Some(char) = self.chars.next_if(char::is_ascii_digit) {
                name.push(char);
            }
            return name;
        }
        while let Some(char) = self.chars.next_if(|it| it.is_alphanumeric() || *it == '_') {
            name.push(char);
        }
        name
    }

    fn braced(&mut self) -> Checked<String> {
        let name = self.name();
        if name.is_empty() {
            return Err("`${` has no name after it".to_owned());
        }
        let found = (self.expander.lookup)(&name);
        let next = self.chars.next().ok_or("a `${` is not closed")?;
        match next {
            '}' => Ok(found.unwrap_or_default()),
            ':' => {
                let how = self.chars.next().unwrap_or(' ');
                self.default(&name, found, (how, Empty::IsUnset))
            }
            '-' | '+' | '?' => self.default(&name, found, (next, Empty::IsSet)),
            '#' | '%' => self.trimmed(&found.unwrap_or_default(), next),
            '/' => self.replaced(&found.unwrap_or_default()),
            other => Err(format!("`${{{name}` is followed by `{other}`, which is no modifier")),
        }
    }

    fn default(
        &mut self,
        name: &str,
        found: Option<String>,
        (how, empty): (char, Empty),
    ) -> Checked<String> {
        let word = self.until(Some(&['}']))?;
        let found = found.filter(|value| empty == Empty::IsSet || !value.is_empty());
        match (how, found) {
            ('-', found) => Ok(found.unwrap_or(word)),
            ('+', Some(_)) => Ok(word),
            ('+', None) => Ok(String::new()),
            ('?', Some(value)) => Ok(value),
            ('?', None) if word.is_empty() => Err(format!("`{name}` is required and not set")),
            ('?', None) => Err(format!("`{name}` is required: {word}")),
            (other, _) => Err(format!("`${{{name}:{other}` is no modifier")),
        }
    }

    /// `#`, `##`, `%` and `%%`: what matches at the begin or end goes.
    fn trimmed(&mut self, value: &str, kind: char) -> Checked<String> {
        let is_long = self.chars.next_if_eq(&kind).is_some();
        let pattern = self.pattern(&['}'])?.0;
        let many = if is_long { "*" } else { "*?" };
        let reversed = |text: &str| text.chars().rev().collect::<String>();
        let (value, pieces): (String, Vec<Piece>) = if kind == '#' {
            (value.to_owned(), pattern)
        } else {
            (reversed(value), pattern.into_iter().rev().collect())
        };
        let regex = regex(&format!("^{}", expression(&pieces, many)))?;
        let rest = regex.find(&value).map_or(value.as_str(), |found| &value[found.end()..]);
        Ok(if kind == '#' { rest.to_owned() } else { reversed(rest) })
    }

    /// `/PATTERN/TEXT` for the first and `//PATTERN/TEXT` for all.
    fn replaced(&mut self, value: &str) -> Checked<String> {
        let is_all = self.chars.next_if_eq(&'/').is_some();
        let (pattern, end) = self.pattern(&['/', '}'])?;
        let by = if end == '/' { self.until(Some(&['}']))? } else { String::new() };
        if pattern.is_empty() {
            return Ok(value.to_owned());
        }
        let regex = regex(&expression(&pattern, "*"))?;
        let limit = usize::from(!is_all);
        let mut out = String::new();
        let mut from = 0;
        for (count, found) in regex.find_iter(value).enumerate() {
            if (limit > 0 && count >= limit) || out.len() > MAX_SIZE {
                break;
            }
            out.push_str(&value[from..found.start()]);
            out.push_str(&by);
            from = found.end();
        }
        out.push_str(&value[from..]);
        Ok(out)
    }

    /// A pattern up to one of these characters, and which it was.
    fn pattern(&mut self, ends: &[char]) -> Checked<(Vec<Piece>, char)> {
        let mut pieces = Vec::new();
        while let Some(char) = self.chars.next() {
            match char {
                char if ends.contains(&char) => return Ok((pieces, char)),
                '*' => pieces.push(Piece::Any),
                '?' => pieces.push(Piece::One),
                '$' => pieces.extend(self.dollar()?.chars().map(Piece::Char)),
                char if char == self.expander.escape => {
                    pieces.extend(self.chars.next().map(Piece::Char));
                }
                char => pieces.push(Piece::Char(char)),
            }
            if pieces.len() > MAX_SIZE {
                break;
            }
        }
        Err("a `${` is not closed".to_owned())
    }
}

/// A piece of a pattern.
#[derive(Clone, Copy)]
enum Piece {
    Any,
    One,
    Char(char),
}

fn expression(pieces: &[Piece], many: &str) -> String {
    let mut text = String::from("(?s:");
    for piece in pieces {
        match piece {
            Piece::Any => {
                text.push('.');
                text.push_str(many);
            }
            Piece::One => text.push('.'),
            Piece::Char(char) => text.push_str(&regex_lite::escape(&char.to_string())),
        }
    }
    text.push(')');
    text
}

fn regex(expression: &str) -> Checked<Regex> {
    Regex::new(expression).map_err(|_| "the pattern is too long".to_owned())
}
