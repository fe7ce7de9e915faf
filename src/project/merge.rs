//! Merges a later tree onto an earlier one, attribute by attribute.
//!
//! The rules are those of the attribute table; each value that is replaced is remembered in the
//! trail of the one that takes its place.

use crate::diagnostic::{Code, Diagnostic, Span};

use super::attribute::Merge;
use super::cursor::Cursor;
use super::node::{Entry, Map, Node, Step, Value};
use super::session::Session;

/// Merges `over` onto `base`, which stand at the same place.
pub(super) fn merge(
    session: &mut Session<'_>,
    base: Node,
    over: Node,
    cursor: &Cursor<'_>,
) -> Node {
    let rule = cursor.attribute().merge;
    match rule {
        Merge::Replace => replace(&base, over),
        Merge::Sequence => append(to_sequence(base), to_sequence(over)),
        Merge::Hosts => {
            let base = to_sequence(base);
            let mut over = to_sequence(over);
            if let (Some(known), Value::Seq(items)) = (base.as_seq(), &mut over.value) {
                items.retain(|item| !known.iter().any(|other| other.as_str() == item.as_str()));
            }
            append(base, over)
        }
        Merge::Build => deep(session, to_build(base), to_build(over), cursor),
        Merge::DependsOn => deep(session, to_named(base, started), to_named(over, started), cursor),
        Merge::Named => deep(session, to_named(base, nothing), to_named(over, nothing), cursor),
        Merge::Logging if !same_driver(&base, &over) => replace(&base, over),
        Merge::Pools => pools(session, base, &over, cursor),
        Merge::Deep | Merge::Logging => deep(session, base, over, cursor),
    }
}

/// The general rule.
fn deep(session: &mut Session<'_>, base: Node, over: Node, cursor: &Cursor<'_>) -> Node {
    match (base.value, over.value) {
        (value, Value::Null) => Node { value, ..base },
        (Value::Map(earlier), Value::Map(later)) => {
            let map = mappings(session, earlier, later, cursor);
            Node { value: Value::Map(map), span: over.span, trail: base.trail }
        }
        (Value::Seq(mut earlier), Value::Seq(later)) => {
            earlier.extend(later);
            Node { value: Value::Seq(earlier), span: base.span, trail: base.trail }
        }
        (value @ (Value::Map(_) | Value::Seq(_)), other) => {
            let base = Node { value, ..base };
            mismatch(session, &base, &Node { value: other, ..over }, cursor);
            base
        }
        (value, other) => replace(&Node { value, ..base }, Node { value: other, ..over }),
    }
}

/// Merges mappings key by key.
fn mappings(session: &mut Session<'_>, mut base: Map, over: Map, cursor: &Cursor<'_>) -> Map {
    for (key, entry) in over {
        // Taking the value out and putting it back keeps the order of the keys.
        let merged = match base.get_mut(&key) {
            None => entry,
            Some(earlier) => {
                let earlier =
                    std::mem::replace(&mut earlier.node, Node::new(Value::Null, entry.key));
                let node = merge(session, earlier, entry.node, &cursor.key(&key));
                Entry { key: entry.key, node }
            }
        };
        base.insert(key, merged);
    }
    base
}

/// The later value, which remembers the earlier one.
pub(super) fn replace(base: &Node, mut over: Node) -> Node {
    // One text that comes in on two ways: nothing is replaced.
    if base.span == over.span {
        return over;
    }
    let mut trail = base.trail.clone();
    trail.push(Step::Replaced { span: base.span, was: base.brief() });
    trail.append(&over.trail);
    over.trail = trail;
    over
}

fn mismatch(session: &mut Session<'_>, base: &Node, over: &Node, cursor: &Cursor<'_>) {
    let message = format!("`{cursor}` is {} here but {} before", over.kind(), base.kind());
    let diagnostic = Diagnostic::error(Code::Override, message)
        .at(over.span, format!("this is {}", over.kind()))
        .at(base.span, format!("merged onto {}", base.kind()))
        .hint("use the same form in both, or `!override` to replace the earlier value");
    session.report_at(diagnostic, over, cursor);
}

fn append(mut base: Node, over: Node) -> Node {
    if let (Value::Seq(items), Value::Seq(more)) = (&mut base.value, over.value) {
        items.extend(more);
    }
    base
}

/// A mapping as sorted `KEY=VALUE` items, a string as a list of one; what else there may be is
/// dropped, as Compose drops it.
pub(super) fn to_sequence(mut node: Node) -> Node {
    let items = match std::mem::replace(&mut node.value, Value::Null) {
        Value::Seq(items) => items,
        Value::Map(mut map) => {
            let mut items: Vec<Node> =
                map.drain(..).flat_map(|(key, entry)| to_items(&key, &entry)).collect();
            items.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
            items
        }
        Value::Str(text) => vec![Node { value: Value::Str(text), ..node.clone() }],
        _ => Vec::new(),
    };
    Node { value: Value::Seq(items), ..node }
}

/// `KEY=VALUE` for a scalar, one for each item of a list, `KEY` for null.
fn to_items(key: &str, entry: &Entry) -> Vec<Node> {
    let span = together(entry.key, entry.node.span);
    let item = |text: String, node: &Node| Node {
        value: Value::Str(text),
        span,
        trail: node.trail.clone(),
    };
    match &entry.node.value {
        Value::Null => vec![item(key.to_owned(), &entry.node)],
        Value::Seq(values) => values
            .iter()
            .map(|value| item(format!("{key}={}", value.scalar_text().unwrap_or_default()), value))
            .collect(),
        _ => {
            let value = entry.node.scalar_text().unwrap_or_default();
            vec![item(format!("{key}={value}"), &entry.node)]
        }
    }
}

/// From a key to its value, if both stand in one file in this order.
pub(super) fn together(key: Span, value: Span) -> Span {
    if key.file == value.file && key.start <= value.start {
        Span { end: value.end.max(key.end), ..key }
    } else {
        value
    }
}

/// A path as a mapping. What is neither says nothing, as in Compose.
fn to_build(mut node: Node) -> Node {
    match node.value {
        Value::Map(_) => {}
        Value::Str(_) => {
            let context = node.clone();
            node.value = Value::Map(Map::from([("context".to_owned(), entry(context))]));
        }
        _ => node.value = Value::Null,
    }
    node
}

/// A list of names as a mapping.
pub(super) fn to_named(mut node: Node, value: fn(Span) -> Node) -> Node {
    if let Value::Seq(items) = &mut node.value {
        let named = items.drain(..).filter_map(|item| {
            let name = item.as_str()?.to_owned();
            Some((name, Entry { key: item.span, node: value(item.span) }))
        });
        node.value = Value::Map(named.collect());
    }
    node
}

/// What a plain name in `depends_on` stands for.
pub(super) fn started(span: Span) -> Node {
    let map = Map::from([
        ("condition".to_owned(), entry(Node::string("service_started", span))),
        ("required".to_owned(), entry(Node::new(Value::Bool(true), span))),
    ]);
    Node::map(map, span)
}

/// What a plain name in `networks` or `models` stands for.
pub(super) fn nothing(span: Span) -> Node {
    Node::new(Value::Null, span)
}

/// An entry that stands nowhere but where its value does.
pub(super) fn entry(node: Node) -> Entry {
    Entry { key: node.span, node }
}

/// Options of log drivers only make sense together with their driver.
fn same_driver(base: &Node, over: &Node) -> bool {
    match (base.get("driver"), over.get("driver")) {
        (Some(base), Some(over)) => base.as_str() == over.as_str(),
        _ => true,
    }
}

/// Address pools merge by their subnet.
fn pools(session: &mut Session<'_>, base: Node, over: &Node, cursor: &Cursor<'_>) -> Node {
    let (Some(earlier), Some(later)) = (base.as_seq(), over.as_seq()) else {
        mismatch(session, &base, over, cursor);
        return base;
    };
    let subnet = |pool: &Node| pool.get("subnet").and_then(Node::scalar_text);
    let mut merged: Vec<Node> = Vec::new();
    for pool in earlier {
        // Like Compose: every later pool is looked at once for each earlier one.
        let mut current = pool.clone();
        for other in later {
            if subnet(other) != subnet(&current)
                && !merged.iter().any(|known| subnet(known) == subnet(other))
            {
                merged.push(other.clone());
                continue;
            }
            current = deep(session, current, other.clone(), cursor);
            match merged.iter_mut().find(|known| subnet(known) == subnet(&current)) {
                Some(known) => *known = current.clone(),
                None => merged.push(current.clone()),
            }
        }
    }
    Node { value: Value::Seq(merged), ..base }
}
