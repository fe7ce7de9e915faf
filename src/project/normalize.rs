//! Writes out what a project leaves unsaid: the default network, names, implied dependencies.

use super::merge::{entry, nothing};
use super::node::{Map, Node, Step, Value};
use super::session::Session;
use super::variables::Variables;

/// Normalises the whole model. Top-level resources that are null become mappings.
///
/// `variables` is `None` for a model that stays as it is written: nothing is inherited then.
pub(super) fn normalize(
    session: &mut Session<'_>,
    tree: &mut Node,
    name: &str,
    variables: Option<&Variables>,
) {
    connect_to_default(tree);
    if let Some(services) = tree.get_mut("services").and_then(Node::as_map_mut) {
        for service in services.values_mut() {
            normalize_service(session, &mut service.node, variables);
        }
    }
    for kind in ["networks", "volumes", "configs", "secrets"] {
        name_resources(tree, kind, name);
    }
}

fn implied(value: Value, near: &Node, rule: &'static str) -> Node {
    Node::new(value, near.span).with(Step::Default { rule })
}

/// Services without networks use `default`, which exists only if one does.
fn connect_to_default(tree: &mut Node) {
    let span = tree.span;
    let Some(services) = tree.get_mut("services").and_then(Node::as_map_mut) else { return };
    let mut used = false;
    for service in services.values_mut().map(|entry| &mut entry.node) {
        if service.get("provider").is_some() || service.get("network_mode").is_some() {
            continue;
        }
        let networks = service.get("networks").and_then(Node::as_map);
        if networks.is_some_and(|networks| !networks.is_empty()) {
            used |= networks.is_some_and(|networks| networks.contains_key("default"));
            continue;
        }
        used = true;
        let rule = "services without networks use the default one";
        let default = implied(Value::Null, service, rule);
        let map = Map::from([("default".to_owned(), entry(default))]);
        let networks = implied(Value::Map(map), service, rule);
        if let Some(service) = service.as_map_mut() {
            service.insert("networks".to_owned(), entry(networks));
        }
    }
    if !used {
        return;
    }
    if let Some(networks) = resources(tree, "networks", span) {
        let default = nothing(span).with(Step::Default { rule: "a service uses it" });
        networks.entry("default".to_owned()).or_insert_with(|| entry(default));
    }
}

/// The top-level mapping `kind`, made if it is not there.
fn resources<'t>(
    tree: &'t mut Node,
    kind: &str,
    span: crate::diagnostic::Span,
) -> Option<&'t mut Map> {
    let made = || entry(nothing(span).with(Step::Default { rule: "a service needs one" }));
    let node = &mut tree.as_map_mut()?.entry(kind.to_owned()).or_insert_with(made).node;
    if node.is_null() {
        node.value = Value::Map(Map::new());
    }
    node.as_map_mut()
}

fn normalize_service(session: &mut Session<'_>, service: &mut Node, variables: Option<&Variables>) {
    if let Some(policy) = service.get_mut("pull_policy")
        && policy.as_str() == Some("if_not_present")
    {
        policy.value = Value::Str("missing".to_owned());
    }
    if let Some(build) = service.get_mut("build") {
        normalize_build(session, build, variables);
    }
    if let (Some(environment), Some(variables)) = (service.get_mut("environment"), variables) {
        inherit(session, environment, variables, Unset::Keep);
    }
    if let Some(Value::Seq(mounts)) = service.get_mut("volumes").map(|node| &mut node.value) {
        for mount in mounts {
            if let Some(Value::Str(target)) = mount.get_mut("target").map(|node| &mut node.value) {
                *target = super::short::clean(target);
            }
        }
    }
    add_dependencies(service);
}

fn normalize_build(session: &mut Session<'_>, build: &mut Node, variables: Option<&Variables>) {
    super::implied::set(build, "context", ".", "the folder of the project");
    if build.get("dockerfile_inline").is_none() {
        super::implied::set(build, "dockerfile", "Dockerfile", "the usual name");
    }
    if let (Some(args), Some(variables)) = (build.get_mut("args"), variables) {
        inherit(session, args, variables, Unset::Drop);
    }
}

/// What to do with a key that has no value here nor in the project's environment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unset {
    Keep,
    Drop,
}

/// Gives keys without a value the one of the project's environment.
fn inherit(session: &mut Session<'_>, node: &mut Node, variables: &Variables, unset: Unset) {
    match &mut node.value {
        Value::Map(map) => map.retain(|key, entry| {
            let absent = entry.node.is_null();
            if let (true, Some(value)) = (absent, variables.get(key)) {
                if !session.afford((1, value.len()), entry.key) {
                    return false;
                }
                entry.node.value = Value::Str(value.to_owned());
                entry.node.note(from_environment(key, variables));
                return true;
            }
            !absent || unset == Unset::Keep
        }),
        Value::Seq(items) => items.retain_mut(|item| {
            let Some(key) = item.as_str().filter(|text| !text.contains('=')).map(str::to_owned)
            else {
                return item.as_str().is_some();
            };
            let Some(value) = variables.get(&key) else { return unset == Unset::Keep };
            if !session.afford((1, value.len()), item.span) {
                return false;
            }
            item.value = Value::Str(format!("{key}={value}"));
            item.note(from_environment(&key, variables));
            true
        }),
        _ => {}
    }
}

/// The step of a value that the project's environment gives.
pub(super) fn from_environment(key: &str, variables: &Variables) -> Step {
    Step::Variable { name: key.to_owned(), from: variables.origin(key) }
}

/// Links, shared namespaces and `volumes_from` are dependencies too.
fn add_dependencies(service: &mut Node) {
    let mut implied: Vec<(String, Node, &'static str)> = Vec::new();
    let items = |key: &str| service.get(key).and_then(Node::as_seq).unwrap_or_default();
    for link in items("links") {
        let text = link.as_str().unwrap_or_default();
        let mut parts = text.split(':');
        let first = parts.next().unwrap_or_default();
        let name = if text.split(':').count() == 2 { first } else { text };
        implied.push((name.to_owned(), link.clone(), "linked"));
    }
    for key in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
        let Some(node) = service.get(key) else { continue };
        if let Some(name) = node.as_str().and_then(|mode| mode.strip_prefix("service:")) {
            implied.push((name.to_owned(), node.clone(), "its namespace is shared"));
        }
    }
    for source in items("volumes_from") {
        let text = source.as_str().unwrap_or_default();
        if !text.starts_with("container:") {
            let name = text.split(':').next().unwrap_or_default();
            implied.push((name.to_owned(), source.clone(), "its volumes are used"));
        }
    }
    if implied.is_empty() {
        return;
    }
    let span = service.span;
    let Some(map) = service.as_map_mut() else { return };
    let depends_on =
        map.entry("depends_on".to_owned()).or_insert_with(|| entry(Node::map(Map::new(), span)));
    let Some(depends_on) = depends_on.node.as_map_mut() else { return };
    for (name, near, rule) in implied {
        let restart = Value::Bool(rule != "its volumes are used");
        depends_on.entry(name).or_insert_with(|| entry(dependency(&near, rule, restart)));
    }
}

fn dependency(near: &Node, rule: &'static str, restart: Value) -> Node {
    let plain = |value: Value| entry(Node::new(value, near.span));
    let map = Map::from([
        ("condition".to_owned(), plain(Value::Str("service_started".to_owned()))),
        ("restart".to_owned(), plain(restart)),
        ("required".to_owned(), plain(Value::Bool(true))),
    ]);
    implied(Value::Map(map), near, rule)
}

/// Resources without a name are called after the project and their key.
fn name_resources(tree: &mut Node, kind: &str, project: &str) {
    let Some(map) = tree.get_mut(kind).and_then(Node::as_map_mut) else { return };
    for (key, resource) in map {
        let resource = &mut resource.node;
        if resource.is_null() {
            resource.value = Value::Map(Map::new());
        }
        if resource.get("name").is_some_and(|name| !name.is_null()) {
            continue;
        }
        let name = if is_external(resource) { key.clone() } else { format!("{project}_{key}") };
        let name = implied(Value::Str(name), resource, "named after project and key");
        if let Some(resource) = resource.as_map_mut() {
            resource.insert("name".to_owned(), entry(name));
        }
    }
}

/// Whether a resource is not the project's own.
pub(super) fn is_external(resource: &Node) -> bool {
    let external = resource.get("external").and_then(Node::scalar_text);
    matches!(external.as_deref(), Some("true" | "True" | "TRUE" | "1" | "t" | "T"))
}
