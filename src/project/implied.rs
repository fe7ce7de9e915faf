//! Defaults that Compose fills in before it checks anything.

use super::attribute::Implied;
use super::cursor::Cursor;
use super::merge::entry;
use super::node::{Node, Step, Value};

/// Adds what is implied, in the whole tree.
pub(super) fn imply(node: &mut Node, cursor: &Cursor<'_>) {
    let rule = cursor.attribute().implied;
    add(node, rule);
    // Nothing is implied inside a `build` section.
    if rule == Implied::BuildContext || !cursor.has_rules() {
        return;
    }
    match &mut node.value {
        Value::Map(map) => {
            for (key, entry) in map {
                imply(&mut entry.node, &cursor.key(key));
            }
        }
        Value::Seq(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                imply(item, &cursor.item(index));
            }
        }
        _ => {}
    }
}

fn add(node: &mut Node, rule: Implied) {
    match rule {
        Implied::Nothing => {}
        Implied::BuildContext => set(node, "context", ".", "the folder of the project"),
        Implied::SecretTarget => {
            let source = node.get("source").and_then(Node::scalar_text).unwrap_or_default();
            set(node, "target", &format!("/run/secrets/{source}"), "secrets are mounted there");
        }
        Implied::Port => {
            set(node, "protocol", "tcp", "ports are TCP");
            set(node, "mode", "ingress", "the only mode");
        }
        Implied::DeviceCount => {
            if node.get("device_ids").is_none() {
                set(node, "count", "all", "all devices");
            }
        }
    }
}

/// Sets an attribute that is not there.
pub(super) fn set(node: &mut Node, key: &str, value: &str, rule: &'static str) {
    let implied = Node::string(value, node.span).with(Step::Default { rule });
    if let Some(map) = node.as_map_mut()
        && !map.contains_key(key)
    {
        map.insert(key.to_owned(), entry(implied));
    }
}
