//! Files of variables: the dialect of `.env`, and the raw one of `docker run --env-file`.
//!
//! In: the text of a file and ways to look variables up. Out: what it assigns, each assignment
//! with its place, and which variables were missing.
//!
//! # Invariants
//!
//! - Every range is an offset into the text of the file, on character boundaries.
//! - Time is linear in the text, and variables add at most [`MAX_GROWTH`] bytes.
//!
//! # Rules that surprise
//!
//! - A name at the very end of a file, without a line break, is the *value* of a variable whose
//!   name is empty.
//! - The value of `A= #x` is `#x`: a comment needs a character between `=` and its space.
//! - What follows a quoted value on its line is the next assignment: `A="x" B=y`.
//!
//! Not here: which files are read, and which assignment wins over another file's.

use std::cell::Cell;
use std::ops::Range;

use indexmap::IndexMap;
use thiserror::Error;

use super::template::{self, Outcome, TemplateError};

/// How many bytes the values of variables may add to one file.
pub const MAX_GROWTH: usize = 16 << 20;

/// How many variables of one value are remembered: nobody reads more.
const MAX_USES: usize = 8;

/// How much of the user's text a hint repeats at most, in bytes.
const QUOTED: usize = 60;

/// How many problems of one file are told: each may take as long as the file is.
const MAX_ERRORS: usize = 20;

/// Looks up a variable.
type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What a file of variables holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// Names and values; the last assignment of a name counts.
    pub assignments: Assignments,
    /// Variables that were replaced by a blank.
    pub unset: Vec<Unset>,
}

/// Names and what is assigned to them, in the order of their first assignment.
pub type Assignments = IndexMap<String, Assignment>;

/// The value of one variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The value, expanded.
    pub value: String,
    /// Where `NAME=value` stands in the file.
    pub at: Range<usize>,
    /// The first variables that the value uses, and what came of each.
    pub uses: Vec<(String, Outcome)>,
}

/// A variable that has no value where a value uses it, of which Compose warns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unset {
    /// Its name.
    pub name: String,
    /// Where it is used.
    pub at: Range<usize>,
}

/// Why a file of variables cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct DotenvError {
    /// What is wrong.
    pub message: String,
    /// Where.
    pub at: Range<usize>,
    /// What to write instead.
    pub hint: Option<String>,
}

impl DotenvError {
    fn new(message: impl Into<String>, at: Range<usize>) -> Self {
        Self { message: message.into(), at, hint: None }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// What helps whoever wrote a name that is none.
const ASSIGNMENT: &str = "write `NAME=value`, with no blank in the name; a comment begins with `#`";

/// Reads a file in the dialect of `.env`.
///
/// A value may use variables. They are looked up in `known` first, then in the lines above, then
/// in `earlier`, which stands for the files before this one. A name alone on its line takes its
/// value from `known`, and is left out if that has none.
///
/// # Errors
///
/// If a name or a quote is malformed, or a value cannot be expanded.
pub fn parse(text: &str, known: Lookup<'_>, earlier: Lookup<'_>) -> Result<Parsed, DotenvError> {
    let parsed = Parsed::default();
    let mut parser =
        Parser { text, at: after_mark(text), known, earlier, parsed, growth: 0, uses: Vec::new() };
    while parser.find_statement() {
        parser.statement()?;
    }
    Ok(parser.parsed)
}

/// Reads a file in the dialect of `.env` as [`parse`] does, but goes on behind a line that cannot
/// be read: what the others assign, and every problem.
pub fn parse_all(text: &str, known: Lookup<'_>, earlier: Lookup<'_>) -> (Parsed, Vec<DotenvError>) {
    let parsed = Parsed::default();
    let mut parser =
        Parser { text, at: after_mark(text), known, earlier, parsed, growth: 0, uses: Vec::new() };
    let mut errors = Vec::new();
    while errors.len() < MAX_ERRORS && parser.find_statement() {
        if let Err(error) = parser.statement() {
            parser.at = parser.at.max(error.at.end);
            if !text[..parser.at].ends_with('\n') {
                parser.skip_line();
            }
            errors.push(error);
        }
    }
    (parser.parsed, errors)
}

/// Reads a file in the raw dialect: no quotes, no variables, no comments behind values.
///
/// A name alone on its line takes its value from `known`, and is left out if that has none.
///
/// # Errors
///
/// If a name is missing or has spaces or tabs in it.
pub fn parse_raw(text: &str, known: Lookup<'_>) -> Result<Parsed, DotenvError> {
    let mut parsed = Parsed::default();
    let mut next = after_mark(text);
    for line in text[next..].split_inclusive('\n') {
        let end = next + line.len();
        let line = line.strip_suffix('\n').unwrap_or(line);
        let line = line.strip_suffix('\r').unwrap_or(line);
        let statement = line.trim_start();
        let start = next + line.len() - statement.len();
        next = end;
        if statement.is_empty() || statement.starts_with('#') {
            continue;
        }
        let at = start..start + statement.len();
        let (name, value) = raw_assignment(statement, &at)?;
        if let Some(value) = value.or_else(|| known(name)) {
            parsed.assignments.insert(name.to_owned(), Assignment { value, at, uses: Vec::new() });
        }
    }
    Ok(parsed)
}

/// Splits a line of the raw dialect; `at` is where it stands.
fn raw_assignment<'t>(
    line: &'t str,
    at: &Range<usize>,
) -> Result<(&'t str, Option<String>), DotenvError> {
    let (name, value) = match line.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (line, None),
    };
    if name.is_empty() {
        return Err(DotenvError::new("no variable name before `=`", at.clone()).hint(ASSIGNMENT));
    }
    if name.contains([' ', '\t']) {
        let message = format!("variable name `{name}` contains white space");
        let at = at.start..at.start + name.len();
        return Err(DotenvError::new(message, at).hint(ASSIGNMENT));
    }
    Ok((name, value))
}

/// Where the text begins: behind the mark that Windows editors put in front.
fn after_mark(text: &str) -> usize {
    const MARK: char = '\u{feff}';
    if text.starts_with(MARK) { MARK.len_utf8() } else { 0 }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    known: Lookup<'a>,
    earlier: Lookup<'a>,
    parsed: Parsed,
    growth: usize,
    /// What the value that was expanded last uses.
    uses: Vec<(String, Outcome)>,
}

/// A name, and whether its value follows.
struct Name<'t> {
    text: &'t str,
    start: usize,
    alone: bool,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Moves to the next statement, if there is one.
    fn find_statement(&mut self) -> bool {
        loop {
            self.at = self.text.len() - self.rest().trim_start().len();
            if !self.rest().starts_with('#') {
                return !self.rest().is_empty();
            }
            self.skip_line();
        }
    }

    /// Moves behind the line and returns it without its end.
    fn skip_line(&mut self) -> &'a str {
        let (line, behind) = self.rest().split_once('\n').unwrap_or((self.rest(), ""));
        self.at = self.text.len() - behind.len();
        line
    }

    fn skip_blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start_matches(is_blank).len();
    }

    fn statement(&mut self) -> Result<(), DotenvError> {
        let Name { text: name, start, alone } = self.name()?;
        if alone {
            if let Some(value) = (self.known)(name) {
                self.assign(name, value, start..start + name.len());
            }
            return Ok(());
        }
        let (value, end) = match self.rest().bytes().next() {
            Some(b'\'') => (self.quoted('\'')?, self.at),
            Some(b'"') => {
                let open = self.at;
                let value = unescape(&self.quoted('"')?);
                (self.expand(&value, open + 1..self.at - 1)?, self.at)
            }
            _ => self.unquoted()?,
        };
        self.assign(name, value, start..end);
        Ok(())
    }

    fn assign(&mut self, name: &str, value: String, at: Range<usize>) {
        let uses = std::mem::take(&mut self.uses);
        self.parsed.assignments.insert(name.to_owned(), Assignment { value, at, uses });
    }

    /// Reads a name and what separates it from its value.
    fn name(&mut self) -> Result<Name<'a>, DotenvError> {
        self.skip_export()?;
        let start = self.at;
        let rest = self.rest();
        // A text that ends without a separator is all value: the name stays empty.
        let mut name = Name { text: "", start, alone: false };
        for (offset, char) in rest.char_indices() {
            if matches!(char, '=' | ':' | '\n') {
                name.text = rest[..offset].trim_end();
                name.alone = char == '\n';
                self.at += offset + 1;
                break;
            }
            if !is_blank(char) && !is_name(char) {
                let found = &rest[..offset + char.len_utf8()];
                let message = format!("unexpected character in variable name `{found}`");
                let at = start + offset;
                let error = DotenvError::new(message, at..at + char.len_utf8());
                return Err(error.hint(self.name_hint(start)));
            }
        }
        if name.text.contains(' ') {
            let message = format!("variable name `{}` contains a space", name.text);
            let error = DotenvError::new(message, start..start + name.text.len());
            return Err(error.hint(ASSIGNMENT));
        }
        self.skip_blanks();
        Ok(name)
    }

    /// How to write a name, or what was before it if that was meant to go on.
    fn name_hint(&self, start: usize) -> String {
        let before = &self.text[..start];
        let last = self.parsed.assignments.last();
        if let Some((name, last)) = last
            && last.at.end == before.trim_end().len()
            && self.text[last.at.clone()].contains('\n')
        {
            return format!("the value of `{name}` goes up to here: close its quote where it ends");
        }
        let line = &before[before.rfind('\n').map_or(0, |end| end + 1)..];
        let hint = match line.trim_end().chars().next_back() {
            Some('"') => {
                "the value ends at the `\"` before; write `\\\"` for one that belongs to it"
            }
            Some('\'') => {
                "the value ends at the `'` before; write `\\'` for one that belongs to it"
            }
            _ => "a name has letters, digits, `_`, `.` and `-`; a comment begins with `#`",
        };
        hint.to_owned()
    }

    fn skip_export(&mut self) -> Result<(), DotenvError> {
        let start = self.at;
        let Some(behind) = self.rest().strip_prefix("export") else { return Ok(()) };
        if behind.starts_with(['\t', '\n', '\x0c', '\r', ' ']) {
            self.at = self.text.len() - behind.len();
            self.skip_blanks();
            if self.rest().is_empty() {
                let at = start..start + "export".len();
                let error = DotenvError::new("`export` without a variable", at);
                return Err(error.hint("write `export NAME=value`"));
            }
        }
        Ok(())
    }

    /// Reads a value up to the end of its line or a comment, and tells where it ends.
    fn unquoted(&mut self) -> Result<(String, usize), DotenvError> {
        let start = self.at;
        let line = self.skip_line();
        let value = line.split_once(" #").map_or(line, |(value, _)| value).trim_end();
        let end = start + value.len();
        Ok((self.expand(value, start..end)?, end))
    }

    /// Reads a quoted value and moves behind it; a backslash is kept unless a quote follows.
    fn quoted(&mut self, quote: char) -> Result<String, DotenvError> {
        let inside = &self.rest()[quote.len_utf8()..];
        let mut value = String::new();
        let mut escaped = false;
        for (offset, char) in inside.char_indices() {
            match char {
                _ if char == quote && !escaped => {
                    self.at += offset + 2 * quote.len_utf8();
                    return Ok(value);
                }
                '\\' if !escaped => {
                    escaped = true;
                    continue;
                }
                _ if char != quote && escaped => value.push('\\'),
                _ => {}
            }
            value.push(char);
            escaped = false;
        }
        let open = self.at;
        let message = format!("unterminated quoted value: no closing `{quote}`");
        let line = self.skip_line().trim_end();
        let error = DotenvError::new(message, open..open + line.len());
        Err(error.hint(match line.len() {
            0..QUOTED => format!("close it: `{line}{quote}`"),
            _ => format!("put `{quote}` where it ends"),
        }))
    }

    /// Replaces the variables of a value, which comes from `place` in the file.
    fn expand(&mut self, value: &str, place: Range<usize>) -> Result<String, DotenvError> {
        // Where escapes made the value differ from the file, its places tell nothing.
        let same = self.text[place.clone()] == *value;
        let locate = |at: Range<usize>| {
            if same { place.start + at.start..place.start + at.end } else { place.clone() }
        };
        let growth = Cell::new(self.growth);
        let lookup = |name: &str| {
            let value = self.look_up(name)?;
            growth.set(growth.get().saturating_add(value.len()));
            Some(value)
        };
        let failed = |error: TemplateError| match &error {
            TemplateError::Invalid { at } => {
                let fault = template::fault(value, at.start);
                let message = format!("`${{` in the value {}", fault.message);
                DotenvError::new(message, locate(fault.at)).hint(fault.hint)
            }
            TemplateError::Required { at, variable, .. } => {
                DotenvError::new(error.to_string(), locate(at.clone()))
                    .hint(format!("set `{variable}` in the lines above or in the environment"))
            }
            TemplateError::TooDeep { at } => {
                DotenvError::new(error.to_string(), locate(at.clone()))
            }
            TemplateError::TooLarge => DotenvError::new(error.to_string(), place.clone()),
        };
        let expanded = template::expand(value, &lookup).map_err(failed)?;
        self.growth = growth.get();
        if self.growth > MAX_GROWTH {
            let message = "variables make the file more than 16 MiB longer";
            return Err(DotenvError::new(message, place));
        }
        let first = expanded.uses.iter().take(MAX_USES);
        self.uses = first.map(|one| (one.name.clone(), one.outcome)).collect();
        let unset = expanded.uses.into_iter().filter(|one| one.outcome == Outcome::Unset);
        let unset = unset.map(|one| Unset { name: one.name, at: locate(one.at) });
        self.parsed.unset.extend(unset);
        Ok(expanded.text)
    }

    fn look_up(&self, name: &str) -> Option<String> {
        (self.known)(name)
            .or_else(|| self.parsed.assignments.get(name).map(|found| found.value.clone()))
            .or_else(|| (self.earlier)(name))
    }
}

/// White space within a line.
fn is_blank(char: char) -> bool {
    matches!(char, '\t' | '\x0b' | '\x0c' | '\r' | ' ' | '\u{85}' | '\u{a0}')
}

/// Whether a name may have this character.
///
/// Compose takes letters and numbers by their Unicode category. Rust's alphabetic characters are
/// these and a few vowel signs more, which do no harm.
fn is_name(char: char) -> bool {
    char.is_alphanumeric() || matches!(char, '_' | '.' | '-' | '[' | ']')
}

/// Replaces the escapes of a text in double quotes; `\$` becomes `$$`, which expands to `$`.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('\\') {
        out.push_str(before);
        let (replacement, length) = match behind.bytes().next() {
            Some(b'a') => ("\x07", 1),
            Some(b'b') => ("\x08", 1),
            Some(b'f') => ("\x0c", 1),
            Some(b'n') => ("\n", 1),
            Some(b'r') => ("\r", 1),
            Some(b't') => ("\t", 1),
            Some(b'v') => ("\x0b", 1),
            Some(b'"') => ("\"", 1),
            Some(b'\\') => ("\\", 1),
            Some(b'$') => ("$$", 1),
            Some(b'0') => ("", 1 + push_octal(&behind[1..], &mut out)),
            _ => ("\\", 0),
        };
        out.push_str(replacement);
        rest = &behind[length..];
    }
    out.push_str(rest);
    out
}

/// Writes the character behind `\0`, and returns how many digits it has.
///
/// Anything but three octal digits keeps its backslash and its digits, yet loses the zero.
fn push_octal(text: &str, out: &mut String) -> usize {
    let length = text.bytes().take(3).take_while(u8::is_ascii_digit).count();
    let digits = &text[..length];
    match u8::from_str_radix(digits, 8) {
        Ok(code) if length == 3 => out.push(char::from(code)),
        _ => {
            out.push('\\');
            out.push_str(digits);
        }
    }
    length
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::{any, proptest};

    use super::{DotenvError, Parsed, parse, parse_raw};

    fn known(name: &str) -> Option<String> {
        (name == "IN").then(|| "inherited".to_owned())
    }

    fn earlier(name: &str) -> Option<String> {
        ["IN", "A", "OLD"].contains(&name).then(|| "old".to_owned())
    }

    fn show(result: Result<Parsed, DotenvError>) -> String {
        match result {
            Ok(parsed) => {
                let all = parsed.assignments.iter();
                all.map(|(name, one)| [name, "=", &one.value, ";"].concat()).collect()
            }
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn the_dialect_of_compose_is_read() {
        for (text, expected) in [
            ("", ""),
            ("#only", ""),
            ("\n \n# c\n#d\n", ""),
            ("ONE=1\nTWO='2'\nTHREE = \"3\"", "ONE=1;TWO=2;THREE=3;"),
            ("A=1\r\nB=\"2\"\r\nC\r\n", "A=1;B=2;"),
            ("\u{feff}A=1", "A=1;"),
            ("A=\nB=2", "A=;B=2;"),
            ("A=1\nB=2\nA=3\n", "A=3;B=2;"),
            ("A:1\nB: \"x\"\n", "A=1;B=x;"),
            ("A==1\nB = = 1\n", "A==1;B== 1;"),
            ("=x\n", "=x;"),
            ("[a].b-c=1\nÉ=2\nⅧ=3\n", "[a].b-c=1;É=2;Ⅷ=3;"),
            ("FOO\tBAR=1\n", "FOO\tBAR=1;"),
            ("export A=1\nexport\tB=2\nexport\nC=3\n", "A=1;B=2;C=3;"),
            ("export export=2\nexportA=3\nexport=4\n", "export=4;exportA=3;"),
            ("IN\nNO\n", "IN=inherited;"),
            ("IN=own\nIN\n", "IN=inherited;"),
            ("OLD\n", ""),
            ("A=1\nFOO", "A=1;=FOO;"),
            ("A B", "=A B;"),
            ("IN", "=IN;"),
            ("A= #foo\nB=x#foo\nC=1 # c # d\nD=\u{b}1\t#\n", "A=#foo;B=x#foo;C=1;D=1\t#;"),
            ("A=`x` y  \n", "A=`x` y;"),
            ("A=\"x\" B=2\nC='x'y\n", "A=x;B=2;C=x;"),
            ("A='it\\'s $IN \\n \\\\'\n", "A=it's $IN \\n \\\\;"),
            ("A=\"two\nlines\"\nB='two\nlines'", "A=two\nlines;B=two\nlines;"),
            ("A=\"a\\\"b\" # c\n", "A=a\"b;"),
            ("A=\"\\$IN \\\\ \\n$$x \\\\$IN\"", "A=$IN \\ \n$x \\inherited;"),
            ("A=\"\\a\\b\\f\\r\\t\\v\\c\\x\\é\"", "A=\x07\x08\x0c\r\t\x0b\\c\\x\\é;"),
            (
                "A=\"\\0123 \\012 \\0 \\0189 \\0377 \\0400 \\0012|\\00123\"",
                "A=S \\12 \\ \\189 ÿ \\400 \n|\n3;",
            ),
            ("B=$OLD\nA=1\nC=$A$IN${NO:-d}$NO\n", "B=old;A=1;C=1inheritedd;"),
            ("IN=own\nB=$IN\n", "IN=own;B=inherited;"),
        ] {
            assert_eq!(show(parse(text, &known, &earlier)), expected, "{text:?}");
        }
    }

    #[test]
    fn the_raw_dialect_is_read() {
        for (text, expected) in [
            ("", ""),
            ("\r\nA=1", "A=1;"),
            ("A=1\n#c\n  # c\n  B=\"q\" # x\nC=$A ${A}\n", "A=1;B=\"q\" # x;C=$A ${A};"),
            ("IN\nNO\nA:1\nD=  x  \n\nE=a\r\n", "IN=inherited;D=  x  ;E=a;"),
            ("A=1\r\r\nB=2\r", "A=1\r;B=2;"),
            ("\u{feff}A=1\n\u{feff}B=2\n", "A=1;\u{feff}B=2;"),
            ("A\u{a0}B=1\nA\x0c=2\n\u{2003}C==3\n", "A\u{a0}B=1;A\x0c=2;C==3;"),
            ("IN=\nIN\n", "IN=inherited;"),
            ("X Y=1\n", "error: variable name `X Y` contains white space"),
            ("IN \n", "error: variable name `IN ` contains white space"),
            ("A\t=1", "error: variable name `A\t` contains white space"),
            ("export A=1", "error: variable name `export A` contains white space"),
            (" =1\n", "error: no variable name before `=`"),
        ] {
            assert_eq!(show(parse_raw(text, &known)), expected, "{text:?}");
        }
    }

    #[test]
    fn assignments_know_their_places() {
        let text = "\u{feff}# é\nexport A = \"x\ny\" B=1  # c\r\nIN\nFOO";
        let parsed = parse(text, &known, &earlier).unwrap();
        let places: Vec<&str> =
            parsed.assignments.values().map(|one| &text[one.at.clone()]).collect();
        assert_eq!(places, ["A = \"x\ny\"", "B=1", "IN", "FOO"]);

        let text = "# é\r\n  A=1 \r\nIN\r\n";
        let parsed = parse_raw(text, &known).unwrap();
        let places: Vec<&str> =
            parsed.assignments.values().map(|one| &text[one.at.clone()]).collect();
        assert_eq!(places, ["A=1 ", "IN"]);
    }

    #[test]
    fn missing_variables_know_their_places() {
        let text = "A=$NO\nB=\"é ${MISS}\"\nC=\"\\n${GONE}\"\nD=${E:-d}\n";
        let parsed = parse(text, &known, &earlier).unwrap();
        let unset: Vec<(&str, &str)> =
            parsed.unset.iter().map(|one| (one.name.as_str(), &text[one.at.clone()])).collect();
        assert_eq!(unset, [("NO", "$NO"), ("MISS", "${MISS}"), ("GONE", "\\n${GONE}")]);
    }

    #[test]
    fn errors_point_at_the_culprit() {
        for (text, place, message) in [
            ("A B=1\n", "A B", "variable name `A B` contains a space"),
            ("# c\nA\"=1\n", "\"", "unexpected character in variable name `A\"`"),
            ("A=\"a\"b\"\n", "\"", "unexpected character in variable name `b\"`"),
            ("ⓐx\u{feff}=2\n", "\u{feff}", "unexpected character in variable name `ⓐx\u{feff}`"),
            ("A=1\nB=\"é\nC=2", "\"é", "unterminated quoted value: no closing `\"`"),
            ("A='", "'", "unterminated quoted value: no closing `'`"),
            ("export ", "export", "`export` without a variable"),
            ("A=x${B\n", "${B", "`${` in the value is never closed: there is no `}` on its line"),
            (
                "A=\"\\n${B\"",
                "\\n${B",
                "`${` in the value is never closed: there is no `}` on its line",
            ),
            ("A=${NO:?why}", "${NO:?why}", "required variable `NO` is missing a value: why"),
        ] {
            let error = parse(text, &known, &earlier).unwrap_err();
            assert_eq!((&text[error.at], error.message.as_str()), (place, message), "{text:?}");
        }
        let error = parse_raw("A=1\n  X Y=2", &known).unwrap_err();
        assert_eq!(error.at, 6..9);
    }

    #[test]
    fn errors_say_what_to_write() {
        let hint = |text: &&str| parse(text, &known, &earlier).unwrap_err().hint.unwrap();
        let hints: Vec<String> = [
            "A B=1\n",
            "A?=1\n",
            "A=\"a\"b\"\n",
            "A='a'b'\n",
            "A=\"a\nB=\"b\"\n",
            "B=\"c  \r\n",
            "export ",
            "A=${B\n",
            "A=${NO:?}",
        ]
        .iter()
        .map(hint)
        .collect();
        insta::assert_snapshot!(hints.join("\n"), @r##"
        write `NAME=value`, with no blank in the name; a comment begins with `#`
        a name has letters, digits, `_`, `.` and `-`; a comment begins with `#`
        the value ends at the `"` before; write `\"` for one that belongs to it
        the value ends at the `'` before; write `\'` for one that belongs to it
        the value of `A` goes up to here: close its quote where it ends
        close it: `"c"`
        write `export NAME=value`
        write `${B}`; for a plain dollar sign write `$$`
        set `NO` in the lines above or in the environment
        "##);
    }

    #[test]
    fn doubling_values_stops_soon() {
        let lines: Vec<String> = (0..100).map(|i| format!("A{}=$A{i}$A{i}\n", i + 1)).collect();
        let lines = lines.concat();
        let error = parse(&format!("A0=xxxxxxxx\n{lines}"), &known, &earlier).unwrap_err();
        assert_eq!(error.message, "variables make the text more than 1 MiB longer");

        let large = |_: &str| Some("x".repeat(1 << 19));
        let lines = "B=${A:+}\n".repeat(100_000);
        let error = parse(&lines, &large, &earlier).unwrap_err();
        assert_eq!(error.message, "variables make the file more than 16 MiB longer");
    }

    #[test]
    fn long_files_are_read_in_little_time() {
        let start = Instant::now();
        for piece in
            ["A", "A=", "A\n", "#\n", "A=\"x\" ", "A='", "A=\"\\", "export ", "A=$B\n", " "]
        {
            let text = piece.repeat((1 << 20) / piece.len());
            let _ = parse(&text, &known, &earlier);
            let _ = parse_raw(&text, &known);
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in any::<String>()) {
            let _ = parse(&text, &known, &earlier);
            let _ = parse_raw(&text, &known);
        }

        #[test]
        fn text_made_of_syntax_keeps_its_ranges_on_boundaries(
            text in "([A\"'=: #\\\\0n$\n\r\té{}-]|export |\\$\\{A|=\"|='|\u{a0})*",
        ) {
            for result in [parse(&text, &known, &earlier), parse_raw(&text, &known)] {
                match result {
                    Ok(parsed) => {
                        for at in parsed.assignments.values().map(|one| one.at.clone()) {
                            assert!(text.get(at).is_some());
                        }
                        for at in parsed.unset.into_iter().map(|one| one.at) {
                            assert!(text.get(at).is_some());
                        }
                    }
                    Err(error) => assert!(text.get(error.at).is_some()),
                }
            }
        }
    }
}
