//! Writes a tree as Go's `encoding/json` does.

use std::fmt::Write as _;

use super::tree::Tree;
use crate::model::number;

/// Writes it in one line, without spaces.
pub(super) fn compact(tree: &Tree) -> String {
    write(tree, None)
}

/// Writes it over several lines, indented by two spaces. There is no line break at the end.
pub(super) fn indented(tree: &Tree) -> String {
    write(tree, Some(0))
}

/// Writes it with this indent, or without any.
fn write(tree: &Tree, indent: Option<usize>) -> String {
    let mut out = String::new();
    node(&mut out, tree, indent);
    out
}

/// Writes one value.
fn node(out: &mut String, tree: &Tree, indent: Option<usize>) {
    match tree {
        Tree::Null => out.push_str("null"),
        Tree::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Tree::Integer(value) => out.push_str(&value.to_string()),
        Tree::Float(value) => out.push_str(&number::json(*value)),
        Tree::Text(text) | Tree::Time(text) => string(out, text),
        Tree::List(items) => group(out, "[]", items, indent, node),
        Tree::Map(entries) => group(out, "{}", entries, indent, |out, (key, value), indent| {
            string(out, key);
            out.push_str(if indent.is_some() { ": " } else { ":" });
            node(out, value, indent);
        }),
    }
}

/// Writes the items of a list or mapping between two brackets.
fn group<T>(
    out: &mut String,
    brackets: &str,
    items: &[T],
    indent: Option<usize>,
    item: impl Fn(&mut String, &T, Option<usize>),
) {
    let (open, close) = brackets.split_at(1);
    let inner = indent.map(|indent| indent + 2);
    out.push_str(open);
    for (index, value) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        line(out, inner);
        item(out, value, inner);
    }
    if !items.is_empty() {
        line(out, indent);
    }
    out.push_str(close);
}

/// Starts a new line, if there are lines.
fn line(out: &mut String, indent: Option<usize>) {
    if let Some(indent) = indent {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', indent));
    }
}

/// Writes text in quotes. Go escapes what HTML and JavaScript would trip over, too.
fn string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..' ' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::{Tree, compact, indented};

    fn sample() -> Tree {
        let list = Tree::List(vec![Tree::Null, Tree::Bool(true), Tree::Integer(-1)]);
        Tree::Map(vec![
            ("a".to_owned(), list),
            ("b".to_owned(), Tree::Map(Vec::new())),
            ("c".to_owned(), Tree::List(Vec::new())),
            ("d".to_owned(), Tree::Float(0.5)),
        ])
    }

    #[test]
    fn compact_output_has_no_spaces() {
        assert_eq!(compact(&sample()), r#"{"a":[null,true,-1],"b":{},"c":[],"d":0.5}"#);
    }

    #[test]
    fn indented_output_has_one_value_a_line_and_no_final_line_break() {
        let lines = [
            "{",
            "  \"a\": [",
            "    null,",
            "    true,",
            "    -1",
            "  ],",
            "  \"b\": {},",
            "  \"c\": [],",
            "  \"d\": 0.5",
            "}",
        ];
        assert_eq!(indented(&sample()), lines.join("\n"));
    }

    #[test]
    fn text_is_escaped_as_go_does() {
        let text = Tree::Text("\"\\\n\r\t\u{8}\u{c}\u{1b}\u{7f}<>&\u{2028}é".to_owned());
        let expected = "\"\\\"\\\\\\n\\r\\t\\b\\f\\u001b\u{7f}\\u003c\\u003e\\u0026\\u2028é\"";
        assert_eq!(compact(&text), expected);
    }
}
