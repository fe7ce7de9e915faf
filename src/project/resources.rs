//! Contradictions inside single resources and items: what the schema cannot say.

use std::net::IpAddr;

use crate::diagnostic::{Code, Diagnostic};

use super::cursor::Cursor;
use super::node::{Node, Value};
use super::session::Session;

/// Checks every resource and item of a tree in its long form.
pub(super) fn check(session: &mut Session<'_>, tree: &mut Node) {
    let top = Cursor::top();
    for (kind, keys) in [
        ("configs", &["file", "environment", "content"][..]),
        ("secrets", &["file", "environment"][..]),
    ] {
        each(tree, &top, kind, &mut |resource, cursor| {
            file_object(session, resource, keys, cursor);
        });
    }
    each(tree, &top, "volumes", &mut |volume, cursor| external(session, volume, cursor));
    each(tree, &top, "services", &mut |service, cursor| {
        items(service, cursor, &["ports"], &mut |port, cursor| host_address(session, port, cursor));
        items(service, cursor, &["develop", "watch"], &mut |watch, cursor| {
            watched(session, watch, cursor);
        });
        for path in [&["gpus"][..], &["deploy", "resources", "reservations", "devices"][..]] {
            items(service, cursor, path, &mut |device, cursor| devices(session, device, cursor));
        }
    });
}

type Visit<'v> = &'v mut dyn FnMut(&Node, &Cursor<'_>);

/// Visits every resource of a kind.
fn each(tree: &Node, top: &Cursor<'_>, kind: &str, visit: Visit<'_>) {
    let kind_cursor = top.key(kind);
    for (name, entry) in tree.get(kind).and_then(Node::as_map).into_iter().flatten() {
        visit(&entry.node, &kind_cursor.key(name));
    }
}

/// Visits every item of the list at `path`.
fn items(node: &Node, cursor: &Cursor<'_>, path: &[&str], visit: Visit<'_>) {
    match path.split_first() {
        Some((key, rest)) => {
            if let Some(child) = node.get(key) {
                items(child, &cursor.key(key), rest, visit);
            }
        }
        None => {
            for (index, item) in node.as_seq().unwrap_or_default().iter().enumerate() {
                visit(item, &cursor.item(index));
            }
        }
    }
}

fn quoted(keys: &[&str]) -> String {
    let names: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
    names.join(", ")
}

/// A config or secret has exactly one source.
fn file_object(session: &mut Session<'_>, node: &Node, keys: &[&str], cursor: &Cursor<'_>) {
    let Some(map) = node.as_map() else { return };
    let set: Vec<_> = keys.iter().filter_map(|key| map.get(*key)).collect();
    if set.len() > 1 {
        let message =
            format!("`{cursor}` has more than one source: only one of {} goes", quoted(keys));
        let diagnostic = Diagnostic::error(Code::Conflict, message)
            .at(set[1].key, "one too many")
            .at(set[0].key, "the other");
        session.report_at(diagnostic, node, cursor);
    } else if session.is_tainted(cursor) {
        // What was there was wrong, and has been reported.
    } else if set.is_empty() && !map.contains_key("driver") && !map.contains_key("external") {
        let message = format!("`{cursor}` has no source: one of {} is needed", quoted(keys));
        let diagnostic = Diagnostic::error(Code::MissingAttribute, message)
            .at(node.span, "nothing to take it from")
            .hint("add one of them, or `external: true`");
        session.report_at(diagnostic, node, cursor);
    }
}

/// An external volume has a name, and nothing that would create it.
fn external(session: &mut Session<'_>, node: &Node, cursor: &Cursor<'_>) {
    let Some(map) = node.as_map() else { return };
    let Some(external) = map.get("external").filter(|e| matches!(e.node.value, Value::Bool(true)))
    else {
        return;
    };
    let known = |key: &str| key == "name" || key == "external" || key.starts_with("x-");
    if let Some((key, other)) = map.iter().find(|(key, _)| !known(key)) {
        let message = format!("`{cursor}` is external, so `{key}` has no effect");
        let diagnostic = Diagnostic::error(Code::Conflict, message)
            .at(other.key, "contradicts `external`")
            .at(external.key, "declared external here")
            .hint(format!("remove `{key}` or `external`"));
        session.report_at(diagnostic, node, cursor);
    }
}

fn host_address(session: &mut Session<'_>, port: &Node, cursor: &Cursor<'_>) {
    let Some(address) = port.get("host_ip") else { return };
    let text = address.as_str().unwrap_or_default();
    if text.parse::<IpAddr>().is_err() {
        let message = format!("`{cursor}.host_ip` is not an IP address: {text:?}");
        let diagnostic = Diagnostic::error(Code::InvalidValue, message)
            .at(address.span, "not an IP address")
            .hint("for example `127.0.0.1` or `::1`");
        session.report_at(diagnostic, address, cursor);
    }
}

fn watched(session: &mut Session<'_>, watch: &Node, cursor: &Cursor<'_>) {
    let Some(path) = watch.get("path") else { return };
    if path.as_str() == Some("") {
        let diagnostic = Diagnostic::error(Code::InvalidValue, format!("`{cursor}.path` is blank"))
            .at(path.span, "nothing to watch");
        session.report_at(diagnostic, path, cursor);
    }
}

fn devices(session: &mut Session<'_>, device: &Node, cursor: &Cursor<'_>) {
    let Some(map) = device.as_map() else { return };
    if let (Some(count), Some(ids)) = (map.get("count"), map.get("device_ids")) {
        let message = format!("`{cursor}` has both `count` and `device_ids`");
        let diagnostic = Diagnostic::error(Code::Conflict, message)
            .at(count.key, "either this")
            .at(ids.key, "or this");
        session.report_at(diagnostic, device, cursor);
    }
}
