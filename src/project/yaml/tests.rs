//! What go-yaml makes of YAML, and what no YAML may be.

use super::*;
use crate::diagnostic::Sources;
use crate::project::node::Value;

fn parse_text(text: &str) -> Result<Vec<Document>, Box<Diagnostic>> {
    let mut sources = Sources::default();
    let file = sources.add("compose.yaml", text);
    let mut problems = Vec::new();
    let documents = parse(text, file, &Budget::default(), &mut problems)?;
    match problems.into_iter().next() {
        Some(problem) => Err(Box::new(problem)),
        None => Ok(documents),
    }
}

fn only(text: &str) -> Node {
    parse_text(text).unwrap().remove(0).node
}

fn value(text: &str) -> String {
    format!("{:?}", scalar::plain_value(text))
}

#[test]
fn plain_scalars_mean_what_go_yaml_makes_of_them() {
    for (text, expected) in [
        ("yes", "Str(\"yes\")"),
        ("22:22", "Str(\"22:22\")"),
        ("010", "Int(8)"),
        ("08", "Float(8.0)"),
        ("0o17", "Int(15)"),
        ("-0b11", "Int(-3)"),
        ("1_000", "Int(1000)"),
        ("+12", "Int(12)"),
        ("18446744073709551615", "Int(18446744073709551615)"),
        ("18446744073709551616", "Float(1.8446744073709552e19)"),
        ("1e3", "Float(1000.0)"),
        ("1.", "Float(1.0)"),
        (".5", "Float(0.5)"),
        ("-", "Str(\"-\")"),
        ("1.2.3", "Str(\"1.2.3\")"),
        ("0x", "Str(\"0x\")"),
        ("2001-12-14", "Timestamp(\"2001-12-14\")"),
        ("2001-02-30", "Str(\"2001-02-30\")"),
        ("2001-12-14t21:59:43.10-05:00", "Timestamp(\"2001-12-14t21:59:43.10-05:00\")"),
        ("2001-12-14 21:59", "Str(\"2001-12-14 21:59\")"),
        ("", "Null"),
        ("~", "Null"),
    ] {
        assert_eq!(value(text), expected, "{text:?}");
    }
}

#[test]
fn local_keys_win_over_merged_ones_and_earlier_sources_over_later() {
    let top = only("a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc:\n  <<: [*a, *b]\n  x: 3\n");
    let c = top.get("c").unwrap();
    let read = |key: &str| c.get(key).unwrap().scalar_text().unwrap();
    assert_eq!((read("x"), read("y"), read("z")), ("3".into(), "1".into(), "2".into()));
}

#[test]
fn a_quoted_merge_key_is_a_plain_key() {
    assert!(only("\"<<\": {a: 1}").get("<<").is_some());
}

#[test]
fn a_reset_leaves_nothing_but_its_path() {
    let document =
        parse_text("services:\n  web:\n    ports: !reset []\n    image: x\n").unwrap().remove(0);
    assert!(document.node.get("services").unwrap().get("web").unwrap().get("ports").is_none());
    assert_eq!(document.resets[0].path, ["services", "web", "ports"]);
}

#[test]
fn a_key_that_stands_twice_is_shown_at_both_places() {
    let error = parse_text("a: 1\nb: 2\na: 3\n").unwrap_err();
    assert_eq!(error.code, Code::DuplicateKey);
    assert_eq!((error.labels[0].span.start, error.labels[1].span.start), (10, 0));
}

#[test]
fn keys_that_are_not_strings_are_refused() {
    for text in ["1: a", "true: a", "~: a", "[a]: b", "2001-01-01: a"] {
        assert_eq!(parse_text(text).unwrap_err().code, Code::NonStringKey, "{text}");
    }
}

#[test]
fn an_alias_bomb_ends_in_an_error() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let alias = format!("*a{}", level - 1);
        let items = vec![alias; 10].join(", ");
        let line = format!("a{level}: &a{level} [{items}]\n");
        text.push_str(&line);
    }
    let error = parse_text(&text).unwrap_err();
    assert_eq!(error.code, Code::TooLarge);
    // It points at the alias that expands to too much, and at the end of its chain.
    let start = |label: usize| error.labels[label].span.start as usize;
    assert_eq!(text[..start(0)].lines().count(), 6);
    assert!(text[start(1)..].starts_with('x'));
    assert!(error.hint.is_some());
}

#[test]
fn a_long_file_without_aliases_is_not_blamed_on_them() {
    let error = parse_text(&"- x\n".repeat(600_000)).unwrap_err();
    assert_eq!((error.code, error.hint), (Code::TooLarge, None));
}

#[test]
fn an_alias_to_its_own_collection_is_refused() {
    assert_eq!(parse_text("a: &a {b: *a}").unwrap_err().code, Code::Alias);
}

#[test]
fn deep_nesting_is_refused() {
    assert!(parse_text(&"[".repeat(10_000)).is_err());
    assert!(parse_text(&"- ".repeat(10_000)).is_err());
}

#[test]
fn every_document_of_a_file_is_read() {
    assert_eq!(parse_text("a: 1\n---\nb: 2\n").unwrap().len(), 2);
    assert!(parse_text("# nothing\n").unwrap().is_empty());
    assert!(matches!(only("---\n").value, Value::Null));
}

#[test]
fn binary_text_is_decoded() {
    assert_eq!(only("a: !!binary aGVsbG8=").get("a").unwrap().as_str(), Some("hello"));
}

#[test]
fn timestamps_are_printed_as_go_prints_them() {
    for (text, expected) in [
        ("2001-12-14", "2001-12-14T00:00:00Z"),
        ("2001-2-3 4:5:6.10", "2001-02-03T04:05:06.1Z"),
        ("2001-12-14t21:59:43.10-05:00", "2001-12-14T21:59:43.1-05:00"),
    ] {
        assert_eq!(rfc3339(text), expected);
    }
}
