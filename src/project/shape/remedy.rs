//! What to do about attributes and values that do not fit the schema, in terms of what was written.

use crate::diagnostic::closest;
use crate::project::attribute::Type;
use crate::project::cursor::Cursor;
use crate::project::node::{Node, Value};
use crate::project::yaml::{in_quotes, with_colon};

use super::rules::Rule;

/// How much of the user's text a hint repeats at most, in bytes.
const QUOTED: usize = 60;

/// What to do about a value of the wrong type; `wanted` are the right ones, in words.
pub(super) fn wrong_type(node: &Node, wanted: &str, cursor: &Cursor<'_>) -> Option<String> {
    let text = node.scalar_text();
    if let (Type::Duration, Some(text)) = (cursor.attribute().kind, &text) {
        return Some(format!("write it with a unit: `{text}s`"));
    }
    match (&node.value, text) {
        (Value::Str(text), _) => from_text(text, wanted, cursor.name()),
        (_, Some(text)) if wanted.contains("a string") => {
            Some(format!("put quotes around it: \"{text}\""))
        }
        (_, Some(text)) if wanted.contains("a list") => Some(as_list(&text, cursor.name())),
        (Value::Seq(_), _) if wanted.contains("a mapping") => {
            Some("leave out the `- ` in front".to_owned())
        }
        (Value::Seq(_), _) if wanted.contains("a string") => {
            Some("write a single value, without `- ` and without brackets".to_owned())
        }
        (Value::Map(_), _) if wanted.contains("a list") => {
            Some("write a list: each item begins with `- `".to_owned())
        }
        (Value::Null, _) if in_services(cursor) => {
            Some(format!("indent its attributes deeper than `{}:`, or remove it", cursor.name()))
        }
        (Value::Null, _) => Some("give it a value, or remove it".to_owned()),
        _ => None,
    }
}

/// Whether a place is that of a service.
fn in_services(cursor: &Cursor<'_>) -> bool {
    matches!(cursor.keys()[..], [Some("services"), Some(_)])
}

/// What to write in place of a text.
fn from_text(text: &str, wanted: &str, name: &str) -> Option<String> {
    let (list, mapping) = (wanted.contains("a list"), wanted.contains("a mapping"));
    if let (true, Some(rest)) = (list, text.strip_prefix('-')) {
        let first = rest.split(" - ").next().map(str::trim).filter(|item| item.len() <= QUOTED);
        let written = first.map(|item| format!(": `- {item}`"));
        return Some(format!("put a blank behind the `-`{}", written.unwrap_or_default()));
    }
    if let (true, true, Some((key, value))) = (list, mapping, pair(text)) {
        let or = "on a line of its own below";
        return Some(format!("write `{key}: {value}` or `- {text}` {or} `{name}:`"));
    }
    if let (true, Some((first, _))) = (list, text.split_once(" - ")) {
        // The items on the lines below were read as more of the text.
        let item = if first.len() <= QUOTED { first } else { "…" };
        return Some(format!("write `- {item}` on a line of its own below `{name}:`"));
    }
    if list {
        return Some(as_list(text, name));
    }
    let first = text.split(": ").next().unwrap_or_default();
    let word = if text.contains(' ') && first.contains(':') {
        // Lines without a blank behind the colon are read as one text.
        text.split(' ').next().unwrap_or_default()
    } else {
        text
    };
    match with_colon(word).filter(|_| mapping && word.contains([' ', ':']))? {
        written if word.contains(':') => Some(format!("put a blank behind the `:`: `{written}`")),
        written => Some(format!("is a `:` missing? write `{written}`")),
    }
}

/// `FOO=bar` or `host:1.2.3.4`, short enough to repeat.
fn pair(text: &str) -> Option<(&str, &str)> {
    let short = text.len() <= QUOTED && !text.contains(['\n', ' ']);
    text.split_once('=').or_else(|| text.split_once(':')).filter(|_| short)
}

fn as_list(text: &str, name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let is_word = text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(plain);
    match if is_word { Some(text.to_owned()) } else { in_quotes(text) } {
        Some(item) => format!("write a list: `{name}: [{item}]`, or `- {item}` below `{name}:`"),
        None => format!("write a list: each item on a line below `{name}:`, begun with `- `"),
    }
}

/// Whether an attribute of services stands where services are named: it is called like one, and
/// does not hold what a service holds.
pub(super) fn is_misplaced(key: &str, node: &Node) -> bool {
    if Rule::service().property(key).is_none() || key.starts_with("x-") {
        return false;
    }
    match &node.value {
        Value::Map(map) => !map.is_empty() && !is_service(node),
        Value::Null => false,
        _ => true,
    }
}

/// Whether a mapping has an attribute of services.
fn is_service(node: &Node) -> bool {
    let service = Rule::service();
    let known = |key: &String| !key.starts_with("x-") && service.property(key).is_some();
    node.as_map().is_some_and(|map| map.keys().any(known))
}

/// An attribute that does not exist.
pub(super) struct Unknown<'u> {
    pub(super) key: &'u str,
    pub(super) node: &'u Node,
    /// The path of what it stands in; blank at the top.
    pub(super) parent: &'u str,
    /// The attribute before it.
    pub(super) before: Option<&'u str>,
}

/// What may have been meant by an unknown attribute.
pub(super) fn unknown(rule: &Rule, unknown: &Unknown<'_>) -> Option<String> {
    let Unknown { key, node, parent, before } = unknown;
    let known = closest(key, rule.names());
    if parent.is_empty() && known.is_none() && is_service(node) {
        return Some(format!("`{key}` looks like a service: put it below `services:`, indented"));
    }
    if let Some(known) = known {
        return Some(format!("did you mean `{known}`?"));
    }
    if parent.is_empty() && Rule::service().property(key).is_some() {
        return Some(format!("`{key}` is an attribute of services: put it below one of them"));
    }
    if let (true, Some(kind)) = (parent.is_empty(), before.filter(|kind| holds_names(kind)))
        && (node.is_null() || node.as_map().is_some())
    {
        return Some(format!("if `{key}` is one of the `{kind}` above, indent it"));
    }
    if parent.starts_with("services.") && Rule::top().property(key).is_some() {
        return Some(format!("`{key}` is a top-level attribute: is it indented too far?"));
    }
    (rule.names().len() < 12).then(|| {
        let names: Vec<String> = rule.names().iter().map(|name| format!("`{name}`")).collect();
        format!("known are {}; extensions begin with `x-`", names.join(", "))
    })
}

/// Whether a top-level attribute holds things by their names.
fn holds_names(kind: &str) -> bool {
    matches!(kind, "services" | "networks" | "volumes" | "secrets" | "configs" | "models")
}
