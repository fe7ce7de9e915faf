//! Which services and resources take part: profiles, names on the command line.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::{Code, Diagnostic, closest};

use super::node::{Map, Node, Value};
use super::session::Session;

/// The services that the active profiles enable. `*` stands for all profiles.
pub(super) fn enabled(tree: &Node, profiles: &[String]) -> BTreeSet<String> {
    let active = |service: &Node| {
        let own = service.get("profiles").and_then(Node::as_seq).unwrap_or_default();
        let own: Vec<&str> = own.iter().filter_map(Node::as_str).collect();
        own.is_empty() || profiles.iter().any(|p| p == "*" || own.contains(&p.as_str()))
    };
    services(tree).filter(|(_, service)| active(service)).map(|(name, _)| name.to_owned()).collect()
}

fn services(tree: &Node) -> impl Iterator<Item = (&str, &Node)> {
    let map = tree.get("services").and_then(Node::as_map);
    map.into_iter().flatten().map(|(name, entry)| (name.as_str(), &entry.node))
}

/// Adds the profiles of named services, which naming them activates.
pub(super) fn activate(tree: &Node, names: &[String], profiles: &mut Vec<String>) {
    let enabled = enabled(tree, profiles);
    for name in names.iter().filter(|name| !enabled.contains(*name)) {
        let own = tree.get("services").and_then(|services| services.get(name));
        let own = own.and_then(|service| service.get("profiles")).and_then(Node::as_seq);
        let own = own.unwrap_or_default().iter().filter_map(Node::as_str);
        profiles.extend(own.map(str::to_owned));
    }
}

/// Keeps the named services and what they depend on; the others are disabled, and no longer
/// depended on.
pub(super) fn select(
    session: &mut Session<'_>,
    tree: &mut Node,
    names: &[String],
    enabled: &mut BTreeSet<String>,
) {
    if names.is_empty() {
        return;
    }
    let mut kept = BTreeSet::new();
    let mut open: Vec<String> = Vec::new();
    for name in names {
        let matching: Vec<&String> =
            enabled.iter().filter(|service| matches(name, service)).collect();
        if matching.is_empty() {
            report_unknown(session, tree, name, enabled);
        }
        open.extend(matching.into_iter().cloned());
    }
    while let Some(name) = open.pop() {
        if enabled.contains(&name) && kept.insert(name.clone()) {
            open.extend(dependencies(tree, &name));
        }
    }
    *enabled = kept;
    let Some(services) = tree.get_mut("services").and_then(Node::as_map_mut) else { return };
    for (_, entry) in services.iter_mut().filter(|(name, _)| enabled.contains(*name)) {
        if let Some(Value::Map(map)) = entry.node.get_mut("depends_on").map(|node| &mut node.value)
        {
            map.retain(|name, _| enabled.contains(name));
        }
    }
}

fn dependencies(tree: &Node, name: &str) -> Vec<String> {
    let service = tree.get("services").and_then(|services| services.get(name));
    let map = service.and_then(|service| service.get("depends_on")).and_then(Node::as_map);
    map.into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

fn report_unknown(session: &mut Session<'_>, tree: &Node, name: &str, enabled: &BTreeSet<String>) {
    let message = format!("no such service: `{name}`");
    let mut diagnostic = Diagnostic::error(Code::UndefinedService, message);
    let known = services(tree).find(|(known, _)| *known == name);
    if let Some((_, service)) = known {
        diagnostic = diagnostic.at(service.span, "no active profile enables it");
    } else if let Some(similar) = closest(name, enabled.iter().map(String::as_str)) {
        diagnostic = diagnostic.hint(format!("a service with a similar name exists: `{similar}`"));
    }
    session.report(diagnostic);
}

/// Shell patterns with `*` and `?`.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    // `reach[j]`: the pattern up to here matches the first `j` characters of the name.
    let mut reach = vec![false; name.len() + 1];
    reach[0] = true;
    for part in pattern {
        let mut next = vec![false; name.len() + 1];
        for at in 0..=name.len() {
            next[at] = match part {
                '*' => reach[at] || at > 0 && next[at - 1],
                '?' => at > 0 && reach[at - 1],
                other => at > 0 && reach[at - 1] && name[at - 1] == other,
            };
        }
        reach = next;
    }
    reach[name.len()]
}

/// Drops resources that no enabled service uses.
pub(super) fn drop_unused(tree: &mut Node, enabled: &BTreeSet<String>) {
    let mut used: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (_, service) in services(tree).filter(|(name, _)| enabled.contains(*name)) {
        for (kind, name) in uses(service) {
            used.entry(kind).or_default().insert(name);
        }
    }
    for kind in ["networks", "volumes", "secrets", "configs", "models"] {
        if let Some(map) = tree.get_mut(kind).and_then(Node::as_map_mut) {
            let used = used.get(kind);
            map.retain(|name, _| used.is_some_and(|used| used.contains(name)));
        }
    }
}

/// Kind and name of every resource that a service uses.
fn uses(service: &Node) -> Vec<(&'static str, String)> {
    let mut uses = Vec::new();
    for kind in ["networks", "models"] {
        let map: Option<&Map> = service.get(kind).and_then(Node::as_map);
        uses.extend(map.into_iter().flatten().map(|(name, _)| (kind, name.clone())));
    }
    let sources = |list: Option<&Node>| {
        let items = list.and_then(Node::as_seq).unwrap_or_default();
        let source = |item: &Node| item.get("source").and_then(Node::as_str).map(str::to_owned);
        items.iter().filter_map(source).collect::<Vec<_>>()
    };
    for kind in ["secrets", "configs"] {
        uses.extend(sources(service.get(kind)).into_iter().map(|name| (kind, name)));
    }
    let build = service.get("build").and_then(|build| build.get("secrets"));
    uses.extend(sources(build).into_iter().map(|name| ("secrets", name)));
    // A bind mount has a source that is no volume; a volume of that name would be none either.
    for mount in service.get("volumes").and_then(Node::as_seq).unwrap_or_default() {
        if mount.get("type").and_then(Node::as_str) == Some("volume") {
            let source = mount.get("source").and_then(Node::as_str);
            uses.extend(source.map(|name| ("volumes", name.to_owned())));
        }
    }
    uses
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, name, expected) in [
            ("web", "web", true),
            ("web", "web2", false),
            ("w*", "web", true),
            ("*b", "web", true),
            ("w?b", "web", true),
            ("w?", "web", false),
            ("*", "", true),
            ("**a", "a", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
