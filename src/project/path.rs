//! Follows paths such as `services.web.ports.0` through the merged tree.
//!
//! In: a tree and a path. Out: the node, where it stands, and its history.
//!
//! # Invariants
//!
//! - Of several keys that fit a path with dots, the longest wins; quotes settle it.

use super::Node;
use super::node::{Trail, Value};
use crate::diagnostic::Span;

/// A node and the path that leads to it.
#[derive(Debug)]
pub struct Found<'a> {
    /// The path, with quotes where keys have dots.
    pub path: String,
    /// What is there.
    pub node: &'a Node,
    /// Where it comes from.
    pub trail: &'a Trail,
    /// Where it stands: a list or mapping where its key does.
    pub span: Span,
}

/// A path that leads nowhere.
#[derive(Debug)]
pub struct Missing<'a> {
    /// As far as it goes.
    pub above: Found<'a>,
    /// What is not there.
    pub rest: String,
}

/// Follows a path through the tree; `.` is the whole of it, and `[0]` may stand for `.0`, as in
/// messages.
///
/// # Errors
///
/// Nothing is there.
pub fn find<'a>(root: &'a Node, path: &str) -> Result<Found<'a>, Missing<'a>> {
    let path = path.strip_prefix('.').unwrap_or(path);
    follow(root, path).or_else(|missing| {
        if !path.contains('[') {
            return Err(missing);
        }
        follow(root, &path.replace('[', ".").replace(']', ""))
    })
}

fn follow<'a>(root: &'a Node, path: &str) -> Result<Found<'a>, Missing<'a>> {
    let mut found = Found { path: String::new(), node: root, trail: &root.trail, span: root.span };
    let mut rest = path;
    while !rest.is_empty() {
        let Some((key, child, after)) = step(found.node, rest) else {
            return Err(Missing { above: found, rest: rest.to_owned() });
        };
        let dot = if found.path.is_empty() { "" } else { "." };
        found.path = format!("{}{dot}{}", found.path, written(key, found.node));
        found.span = span(found.node, key, child);
        // What was made of a short form has the history of the form.
        let is_part = child.trail.is_empty() && child.span == found.node.span;
        found.trail = if is_part { found.trail } else { &child.trail };
        found.node = child;
        rest = after;
    }
    Ok(found)
}

/// Where the value at a path stands.
pub fn span_at(root: &Node, path: &str) -> Option<Span> {
    find(root, path).ok().map(|found| found.span)
}

/// The child that a path begins with: how the path calls it, the child, and the rest of the path.
fn step<'a, 'p>(node: &'a Node, path: &'p str) -> Option<(&'p str, &'a Node, &'p str)> {
    if let Some((key, rest)) = quoted(path) {
        return Some((key, child(node, key)?, after_dot(rest)?));
    }
    let ends = path.match_indices('.').map(|(dot, _)| dot).chain([path.len()]);
    let mut longest_first: Vec<usize> = ends.collect();
    longest_first.reverse();
    longest_first.into_iter().find_map(|end| {
        let key = &path[..end];
        Some((key, child(node, key)?, after_dot(&path[end..])?))
    })
}

/// The key in quotes at the beginning of a path, and what follows.
pub fn quoted(path: &str) -> Option<(&str, &str)> {
    let quote = path.chars().next().filter(|first| matches!(first, '"' | '\''))?;
    path[1..].split_once(quote)
}

/// What follows a key: nothing, or a dot and more.
fn after_dot(rest: &str) -> Option<&str> {
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('.') }
}

fn child<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    match &node.value {
        Value::Map(map) => map.get(key).map(|entry| &entry.node),
        Value::Seq(items) => items.get(key.parse::<usize>().ok()?),
        _ => None,
    }
}

/// Where a value stands: a list or mapping under a key stands where the key does, since its own
/// text may begin lines below.
fn span(parent: &Node, key: &str, child: &Node) -> Span {
    match (&child.value, parent.as_map().and_then(|map| map.get(key))) {
        (Value::Map(_) | Value::Seq(_), Some(entry)) => entry.key,
        _ => child.span,
    }
}

/// A key as a path must write it: in quotes if it would be taken for several.
pub fn written(key: &str, parent: &Node) -> String {
    let quote = parent.as_map().is_some() && (key.contains('.') || key.is_empty());
    if quote { format!("\"{key}\"") } else { key.to_owned() }
}
