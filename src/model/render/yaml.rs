//! Writes a tree as go-yaml does with an indent of two.
//!
//! # Invariants
//!
//! - Lists stand two spaces deeper than their key; lines are never folded.
//! - Text that would be read as something else stands in quotes.

use std::fmt::Write as _;

use super::style::{self, Style};
use super::tree::Tree;
use crate::model::number;

/// Writes a whole document.
pub(super) fn document(tree: &Tree) -> String {
    let mut writer = Writer { out: String::new(), fresh: true };
    writer.node(tree, 0);
    if !writer.fresh {
        writer.out.push('\n');
    }
    writer.out
}

/// The width of a level, and of `- `, `? ` and `: `.
const STEP: usize = 2;

/// The text so far.
struct Writer {
    out: String,
    /// Whether the next character is the first one of a line.
    fresh: bool,
}

/// Where a list or mapping begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Begin {
    /// Where the writer stands: at the start of the document, or after `- `, `? ` or `: `.
    Here,
    /// On a line of its own, after `key:`.
    NextLine,
}

impl Writer {
    /// Writes a value where the writer stands; what it holds is indented by `indent`.
    fn node(&mut self, tree: &Tree, indent: usize) {
        match tree {
            Tree::Map(entries) if !entries.is_empty() => self.map(entries, indent, Begin::Here),
            Tree::List(items) if !items.is_empty() => self.list(items, indent, Begin::Here),
            _ => self.scalar(tree, indent),
        }
    }

    /// Writes the value of a key after its colon.
    fn value(&mut self, tree: &Tree, indent: usize) {
        match tree {
            Tree::Map(entries) if !entries.is_empty() => {
                self.map(entries, indent, Begin::NextLine);
            }
            Tree::List(items) if !items.is_empty() => self.list(items, indent, Begin::NextLine),
            _ => {
                self.push(" ");
                self.scalar(tree, indent);
            }
        }
    }

    /// Writes the entries of a mapping.
    fn map(&mut self, entries: &[(String, Tree)], indent: usize, begin: Begin) {
        for (index, (key, value)) in entries.iter().enumerate() {
            if index > 0 || begin == Begin::NextLine {
                self.line(indent);
            }
            if style::is_simple_key(key) {
                self.text(key, indent + STEP);
                self.push(":");
                self.value(value, indent + STEP);
            } else {
                self.push("? ");
                self.text(key, indent + STEP);
                self.line(indent);
                self.push(": ");
                self.node(value, indent + STEP);
            }
        }
    }

    /// Writes the items of a list.
    fn list(&mut self, items: &[Tree], indent: usize, begin: Begin) {
        for (index, item) in items.iter().enumerate() {
            if index > 0 || begin == Begin::NextLine {
                self.line(indent);
            }
            self.push("- ");
            self.node(item, indent + STEP);
        }
    }

    /// Writes a value that needs no line of its own.
    fn scalar(&mut self, tree: &Tree, indent: usize) {
        match tree {
            Tree::Null => self.push("null"),
            Tree::Bool(true) => self.push("true"),
            Tree::Bool(false) => self.push("false"),
            Tree::Integer(value) => self.push(&value.to_string()),
            Tree::Float(value) => self.push(&float(*value)),
            Tree::Text(text) => self.text(text, indent.max(STEP)),
            Tree::Time(text) => self.push(text),
            Tree::List(_) => self.push("[]"),
            Tree::Map(_) => self.push("{}"),
        }
    }

    /// Writes text in the style that fits.
    fn text(&mut self, text: &str, indent: usize) {
        match style::choose(text) {
            Style::Plain => self.push(text),
            Style::Single => {
                self.push("'");
                self.lines(&text.replace('\'', "''"), indent);
                self.push("'");
            }
            Style::Double => self.push(&quoted(text)),
            Style::Literal => {
                self.push("|");
                self.push(&hints(text));
                self.out.push('\n');
                self.fresh = true;
                self.lines(text, indent);
            }
        }
    }

    /// Writes text line by line; empty lines are not indented.
    fn lines(&mut self, text: &str, indent: usize) {
        for c in text.chars() {
            let ends_line = style::is_break(c);
            if self.fresh && !ends_line {
                self.out.extend(std::iter::repeat_n(' ', indent));
            }
            self.out.push(c);
            self.fresh = ends_line;
        }
    }

    /// Starts a new line, unless the writer is at the start of one.
    fn line(&mut self, indent: usize) {
        if !self.fresh {
            self.out.push('\n');
        }
        self.out.extend(std::iter::repeat_n(' ', indent));
        self.fresh = false;
    }

    /// Writes text that has no line breaks.
    fn push(&mut self, text: &str) {
        self.out.push_str(text);
        self.fresh = false;
    }
}

/// What stands after the `|` of a block: the indent if the text starts with space, and whether
/// the line breaks at its end are dropped (`-`) or kept (`+`).
fn hints(text: &str) -> String {
    let indent = if text.starts_with(|c| c == ' ' || style::is_break(c)) {
        STEP.to_string()
    } else {
        String::new()
    };
    let mut ends = text.chars().rev().map(style::is_break);
    let chomp = match (ends.next().unwrap_or(false), ends.next().unwrap_or(true)) {
        (false, _) => "-",
        (true, true) => "+",
        (true, false) => "",
    };
    indent + chomp
}

/// A number with a fraction, or one of YAML's names for what is none.
fn float(value: f64) -> String {
    if value.is_nan() {
        ".nan".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { ".inf".to_owned() } else { "-.inf".to_owned() }
    } else {
        number::general(value)
    }
}

/// Text in double quotes.
fn quoted(text: &str) -> String {
    // After a byte order mark go-yaml escapes everything.
    let all = text.starts_with('\u{feff}');
    let mut out = String::from("\"");
    for c in text.chars() {
        if all || !style::is_printable(c) || style::is_break(c) || matches!(c, '"' | '\\') {
            escape(&mut out, c);
        } else {
            out.push(c);
        }
    }
    out.push('"');
    out
}

/// Writes the escape of a character.
fn escape(out: &mut String, c: char) {
    let short = match c {
        '\0' => '0',
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\u{b}' => 'v',
        '\u{c}' => 'f',
        '\r' => 'r',
        '\u{1b}' => 'e',
        '"' | '\\' => c,
        '\u{85}' => 'N',
        '\u{a0}' => '_',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        _ => {
            let code = u32::from(c);
            // Writing to a string cannot fail.
            let _ = match code {
                0..=0xff => write!(out, "\\x{code:02X}"),
                0x100..=0xffff => write!(out, "\\u{code:04X}"),
                _ => write!(out, "\\U{code:08X}"),
            };
            return;
        }
    };
    out.extend(['\\', short]);
}

#[cfg(test)]
mod tests {
    use super::{Tree, document};

    fn text(value: &str) -> Tree {
        Tree::Text(value.to_owned())
    }

    fn map(entries: &[(&str, Tree)]) -> Tree {
        Tree::Map(entries.iter().map(|(key, tree)| ((*key).to_owned(), tree.clone())).collect())
    }

    #[test]
    fn text_has_the_style_that_go_yaml_chooses() {
        for (value, expected) in TEXTS {
            let tree = map(&[("k", Tree::List(vec![text(value)]))]);
            assert_eq!(document(&tree), format!("k:\n  - {expected}"), "{value:?}");
        }
    }

    #[test]
    fn lists_and_mappings_nest_as_in_go_yaml() {
        let list = |items: &[Tree]| Tree::List(items.to_vec());
        let tree = map(&[
            ("e", list(&[])),
            ("f", map(&[])),
            ("l", list(&[list(&[text("a"), text("b")]), list(&[map(&[("c", Tree::Null)])])])),
            ("m", list(&[map(&[("c", Tree::Integer(1)), ("d", list(&[Tree::Bool(true)]))])])),
            ("o", map(&[("y", Tree::Float(1e7))])),
        ]);
        let expected = "\
e: []
f: {}
l:
  - - a
    - b
  - - c: null
m:
  - c: 1
    d:
      - true
o:
  \"y\": 1e+07
";
        assert_eq!(document(&tree), expected);
    }

    #[test]
    fn long_keys_and_keys_of_several_lines_stand_behind_a_question_mark() {
        let long = "x".repeat(129);
        let tree = map(&[
            ("a\nb", map(&[("c", Tree::Null), ("d", Tree::Null)])),
            (&long, Tree::List(vec![text("a"), text("b")])),
            (&long[1..], text("a")),
        ]);
        let expected = format!(
            "? |-\n  a\n  b\n: c: null\n  d: null\n? {long}\n: - a\n  - b\n{}: a\n",
            &long[1..]
        );
        assert_eq!(document(&tree), expected);
    }

    #[test]
    fn what_is_no_number_has_a_name() {
        let floats = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN].map(Tree::Float);
        assert_eq!(document(&Tree::List(floats.to_vec())), "- .inf\n- -.inf\n- .nan\n");
    }

    /// Text, and what docker compose 2.40.3 prints for it as an item of a list below a key.
    const TEXTS: &[(&str, &str)] = &[
        ("", "\"\"\n"),
        ("a", "a\n"),
        ("a b", "a b\n"),
        (" a", "' a'\n"),
        ("a ", "'a '\n"),
        ("a\tb", "\"a\\tb\"\n"),
        ("a: b", "'a: b'\n"),
        ("a:", "'a:'\n"),
        ("a:b", "a:b\n"),
        ("a #b", "'a #b'\n"),
        ("a#b", "a#b\n"),
        ("#a", "'#a'\n"),
        ("- a", "'- a'\n"),
        ("-a", "-a\n"),
        ("-", "'-'\n"),
        ("---", "'---'\n"),
        ("...", "'...'\n"),
        ("? a", "'? a'\n"),
        ("?a", "?a\n"),
        (": a", "': a'\n"),
        (":a", ":a\n"),
        ("[a", "'[a'\n"),
        ("a[", "a[\n"),
        ("{", "'{'\n"),
        ("&a", "'&a'\n"),
        ("*a", "'*a'\n"),
        ("!a", "'!a'\n"),
        ("|", "'|'\n"),
        (">", "'>'\n"),
        ("'a", "'''a'\n"),
        ("\"a", "'\"a'\n"),
        ("it's", "it's\n"),
        ("a\"b", "a\"b\n"),
        ("a\\b", "a\\b\n"),
        ("%a", "'%a'\n"),
        ("@a", "'@a'\n"),
        ("`a", "'`a'\n"),
        (",a", "',a'\n"),
        ("=", "=\n"),
        ("<<", "<<\n"),
        ("true", "\"true\"\n"),
        ("yes", "\"yes\"\n"),
        ("Off", "\"Off\"\n"),
        ("null", "\"null\"\n"),
        ("~", "\"~\"\n"),
        ("1", "\"1\"\n"),
        ("1.5", "\"1.5\"\n"),
        ("0777", "\"0777\"\n"),
        ("0o7", "\"0o7\"\n"),
        ("12:30", "\"12:30\"\n"),
        ("2001-01-01", "\"2001-01-01\"\n"),
        (".inf", "\".inf\"\n"),
        ("10MB", "10MB\n"),
        ("1.2.3", "1.2.3\n"),
        ("é", "é\n"),
        ("日本", "日本\n"),
        ("😀", "\"\\U0001F600\"\n"),
        ("\u{7}\u{1b}\u{7f}", "\"\\a\\e\\x7F\"\n"),
        ("\u{a0}", "\u{a0}\n"),
        ("\u{feff}a", "\"\\uFEFF\\x61\"\n"),
        ("a\u{feff}", "\"a\\uFEFF\"\n"),
        ("a\u{2028}b", "'a\u{2028}    b'\n"),
        ("\u{2028}", "'\u{2028}'\n"),
        ("a\rb", "\"a\\rb\"\n"),
        ("a\nb", "|-\n    a\n    b\n"),
        ("a\nb\n", "|\n    a\n    b\n"),
        ("a\nb\n\n", "|+\n    a\n    b\n\n"),
        ("\n", "|2+\n\n"),
        ("\na", "|2-\n\n    a\n"),
        (" a\nb", "|2-\n     a\n    b\n"),
        ("a \nb", "\"a \\nb\"\n"),
        ("a\n b", "|-\n    a\n     b\n"),
        ("a\nb ", "\"a\\nb \"\n"),
        ("a\tb\nc", "|-\n    a\tb\n    c\n"),
        ("a\r\nb", "\"a\\r\\nb\"\n"),
        ("it's: x", "'it''s: x'\n"),
    ];
}
