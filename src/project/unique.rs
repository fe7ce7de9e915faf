//! Items of lists that mean the same thing: the later one takes the place of the earlier.

use std::borrow::Cow;

use indexmap::IndexMap;

use crate::diagnostic::{Code, Diagnostic};

use super::attribute::Unique;
use super::cursor::Cursor;
use super::merge;
use super::node::{Node, Value};
use super::parallel;
use super::session::Session;
use super::short;

/// Removes what is defined again, in the whole tree.
pub(super) fn enforce(session: &mut Session<'_>, node: &mut Node, cursor: &Cursor<'_>) {
    match &mut node.value {
        Value::Map(map) if cursor.has_rules() => {
            parallel::retain(session, map, cursor, |session, entry, cursor| {
                enforce(session, &mut entry.node, cursor);
                true
            });
        }
        Value::Seq(items) => {
            let rule = cursor.attribute().unique;
            if rule != Unique::No && !are_distinct(items, rule) {
                let taken = std::mem::take(items);
                *items = unique(session, taken, rule, cursor);
            }
        }
        _ => {}
    }
}

/// Whether each item has a key of its own, as nearly always.
fn are_distinct(items: &[Node], rule: Unique) -> bool {
    let keys: Result<Vec<_>, _> = items.iter().map(|item| key(item, rule)).collect();
    keys.is_ok_and(|mut keys| {
        keys.sort_unstable();
        keys.windows(2).all(|pair| pair[0] != pair[1])
    })
}

fn unique(
    session: &mut Session<'_>,
    items: Vec<Node>,
    rule: Unique,
    cursor: &Cursor<'_>,
) -> Vec<Node> {
    let mut kept: IndexMap<String, Node> = IndexMap::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        match key(&item, rule) {
            Ok(key) => {
                let key = key.into_owned();
                let item = match kept.get(&key) {
                    Some(earlier) => replace(earlier, item, rule),
                    None => item,
                };
                kept.insert(key, item);
            }
            Err(Problem::Missing(_)) if session.is_broken(&cursor.item(index)) => {}
            Err(problem) => {
                let cursor = cursor.item(index);
                let diagnostic = problem.diagnostic(&item, &cursor);
                session.report_at(diagnostic, &item, &cursor);
            }
        }
    }
    kept.into_values().collect()
}

/// The later item, which remembers the earlier one: of `KEY=VALUE`, its value.
fn replace(earlier: &Node, item: Node, rule: Unique) -> Node {
    match earlier.as_str().and_then(|text| text.split_once('=')) {
        Some((_, value)) if rule == Unique::Key => {
            let value = Value::Str(value.to_owned());
            merge::replace(&Node { value, ..earlier.clone() }, item)
        }
        _ => merge::replace(earlier, item),
    }
}

/// Why an item has no key.
enum Problem {
    Type(&'static str),
    Missing(&'static str),
    Short(short::ShortError),
}

impl Problem {
    fn diagnostic(self, item: &Node, cursor: &Cursor<'_>) -> Diagnostic {
        match self {
            Self::Type(wanted) => {
                let message = format!("`{cursor}` must be {wanted}, not {}", item.kind());
                let mut diagnostic = Diagnostic::error(Code::WrongType, message)
                    .at(item.span, format!("this is {}", item.kind()));
                diagnostic.hint = item_remedy(item);
                diagnostic
            }
            Self::Missing(key) => {
                Diagnostic::error(Code::MissingAttribute, format!("`{cursor}` has no `{key}`"))
                    .at(item.span, format!("`{key}` is missing"))
            }
            Self::Short(error) => super::canonical::short_error(&error, item, cursor),
        }
    }
}

/// What to write in place of an item that is no text.
fn item_remedy(item: &Node) -> Option<String> {
    if let Some(text) = item.scalar_text() {
        return Some(format!("put quotes around it: \"{text}\""));
    }
    let (key, entry) = item.as_map()?.first()?;
    let value = entry.node.scalar_text()?;
    Some(format!("write `- {key}={value}`, or leave out the `- ` in front of every line"))
}

/// What tells an item apart.
fn key(item: &Node, rule: Unique) -> Result<Cow<'_, str>, Problem> {
    match rule {
        Unique::No => Ok(Cow::default()),
        Unique::Key => {
            let text = item.as_str().ok_or(Problem::Type("a string"))?;
            Ok(text.split('=').next().unwrap_or_default().into())
        }
        Unique::Mount => match &item.value {
            Value::Map(_) => attribute(item, "target"),
            Value::Str(text) => {
                short::volume(text).map(|mount| mount.target.into()).map_err(Problem::Short)
            }
            _ => Ok(Cow::default()),
        },
        Unique::Device => match &item.value {
            Value::Map(_) => attribute(item, "target"),
            Value::Str(text) => {
                let mut parts = text.split(':');
                let source = parts.next().unwrap_or_default();
                Ok(parts.next().unwrap_or(source).into())
            }
            _ => Ok(Cow::default()),
        },
        Unique::File(folder) => file(item, folder),
        Unique::Expose => match item.value {
            Value::Str(_) | Value::Int(_) => Ok(item.scalar_text().unwrap_or_default().into()),
            _ => Err(Problem::Type("a port number or a string")),
        },
        Unique::Port => port(item),
        Unique::EnvFile => match &item.value {
            Value::Str(text) => Ok(text.into()),
            Value::Map(_) => attribute(item, "path"),
            _ => Ok(Cow::default()),
        },
    }
}

fn attribute<'n>(item: &'n Node, name: &'static str) -> Result<Cow<'n, str>, Problem> {
    let text = item.get(name).and_then(Node::as_str);
    text.map(Cow::from).ok_or(Problem::Missing(name))
}

fn file<'n>(item: &'n Node, folder: &str) -> Result<Cow<'n, str>, Problem> {
    match &item.value {
        Value::Str(source) => Ok(format!("{folder}/{source}").into()),
        Value::Map(map) => {
            if map.get("target").is_some() {
                attribute(item, "target")
            } else {
                let source = item.get("source").and_then(Node::scalar_text).unwrap_or_default();
                Ok(format!("{folder}/{source}").into())
            }
        }
        _ => Err(Problem::Type("a string or a mapping")),
    }
}

/// `80` and `"80"` are not the same port to Compose, so the type is part of the key.
fn port(item: &Node) -> Result<Cow<'_, str>, Problem> {
    if item.as_map().is_none() {
        return Ok(item.scalar_text().unwrap_or_default().into());
    }
    let part = |name: &str| item.get(name).map(|node| (node.kind(), node.scalar_text()));
    let target = part("target").ok_or(Problem::Missing("target"))?;
    let text = |name: &str, default: &str| {
        item.get(name).and_then(Node::scalar_text).unwrap_or_else(|| default.to_owned())
    };
    Ok(format!(
        "{}:{:?}:{target:?}/{}",
        text("host_ip", "0.0.0.0"),
        part("published"),
        text("protocol", "tcp")
    )
    .into())
}
