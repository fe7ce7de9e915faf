//! References to services and resources.

use crate::diagnostic::{Code, Diagnostic, Span, closest};
use crate::project::node::{Map, Node, Step, Value};
use crate::project::session::Session;

use super::{Model, Service};

/// Checks everything that a service refers to.
pub(super) fn check(session: &mut Session<'_>, model: &Model<'_>, service: &Service<'_>) {
    dependencies(session, model, service);
    network_mode(session, model, service);
    // Beside `network_mode` the networks are wrong altogether, which is reported there.
    let networks = service.get("networks").filter(|_| service.text("network_mode").is_none());
    for (name, entry) in networks.and_then(Node::as_map).into_iter().flatten() {
        resource(session, model, service, &Reference { kind: "networks", name, span: entry.key });
    }
    for (name, entry) in service.get("models").and_then(Node::as_map).into_iter().flatten() {
        resource(session, model, service, &Reference { kind: "models", name, span: entry.key });
    }
    for kind in ["configs", "secrets"] {
        sources(session, model, service, (service.get(kind), kind));
    }
    volumes(session, model, service);
    if let Some(build) = service.get("build") {
        sources(session, model, service, (build.get("secrets"), "secrets"));
        contexts(session, model, service, build);
    }
}

/// A name that has to be defined at top level.
struct Reference<'r> {
    kind: &'static str,
    name: &'r str,
    span: Span,
}

fn defined<'t>(model: &Model<'t>, kind: &str) -> Option<&'t Map> {
    model.tree.get(kind).and_then(Node::as_map)
}

fn resource(
    session: &mut Session<'_>,
    model: &Model<'_>,
    service: &Service<'_>,
    reference: &Reference<'_>,
) {
    let Reference { kind, name, span } = reference;
    let known = defined(model, kind);
    let is_known = known.is_some_and(|known| known.contains_key(*name));
    if is_known || session.misplaced.contains(*name) {
        return;
    }
    let one = kind.trim_end_matches('s');
    let message =
        format!("service `{}` uses the {one} `{name}`, which is not defined", service.name);
    let diagnostic =
        Diagnostic::error(Code::UndefinedResource, message).at(*span, format!("no such {one}"));
    let names = known.into_iter().flat_map(|known| known.keys().map(String::as_str));
    let diagnostic = diagnostic.hint(match closest(name, names) {
        Some(similar) => format!("a {one} with a similar name exists: `{similar}`"),
        None => format!("define it below the top-level `{kind}:`"),
    });
    service.report(session, diagnostic, service.node());
}

/// Items with a `source`.
fn sources(
    session: &mut Session<'_>,
    model: &Model<'_>,
    service: &Service<'_>,
    (list, kind): (Option<&Node>, &'static str),
) {
    for item in list.and_then(Node::as_seq).unwrap_or_default() {
        let source = item.get("source");
        let Some(name) = source.and_then(Node::as_str).filter(|name| !name.is_empty()) else {
            let one = kind.trim_end_matches('s');
            let message = format!("service `{}` uses a {one} without a name", service.name);
            let diagnostic = Diagnostic::error(Code::UndefinedResource, message)
                .at(source.map_or(item.span, |node| node.span), "no name")
                .hint(format!("add `source:` with the name of a {one}"));
            service.report(session, diagnostic, item);
            continue;
        };
        let span = source.map_or(item.span, |node| node.span);
        resource(session, model, service, &Reference { kind, name, span });
    }
}

fn volumes(session: &mut Session<'_>, model: &Model<'_>, service: &Service<'_>) {
    for mount in service.get("volumes").and_then(Node::as_seq).unwrap_or_default() {
        let text = |key: &str| mount.get(key).and_then(Node::as_str).unwrap_or_default();
        if text("type") == "volume" && !text("source").is_empty() {
            let span = mount.get("source").map_or(mount.span, |node| node.span);
            resource(
                session,
                model,
                service,
                &Reference { kind: "volumes", name: text("source"), span },
            );
        }
    }
}

fn dependencies(session: &mut Session<'_>, model: &Model<'_>, service: &Service<'_>) {
    for (name, entry) in service.get("depends_on").and_then(Node::as_map).into_iter().flatten() {
        let required =
            !matches!(entry.node.get("required").map(|r| &r.value), Some(Value::Bool(false)));
        match model.services.get(name) {
            Some(_) if model.enabled.contains(name) => {}
            Some(_) if !required => {}
            Some(other) => {
                let message = format!(
                    "service `{}` depends on `{name}`, which no active profile enables",
                    service.name
                );
                let mut diagnostic = disabled(message, entry.key, &other.node);
                let is_written = !matches!(entry.node.trail.last(), Some(Step::Default { .. }));
                if let (true, Some(hint)) = (is_written, &mut diagnostic.hint) {
                    hint.push_str(", or let the dependency have `required: false`");
                }
                service.report(session, diagnostic, service.node());
            }
            None if session.misplaced.contains(name) => {}
            None => {
                let message =
                    format!("service `{}` depends on `{name}`, which is not defined", service.name);
                let diagnostic = Diagnostic::error(Code::UndefinedService, message)
                    .at(entry.key, "no such service");
                service.report(session, similar(model, service, name, diagnostic), service.node());
            }
        }
    }
}

/// The error for a reference at `place` to a service that is there, but that no active profile
/// enables.
fn disabled(message: String, place: Span, service: &Node) -> Diagnostic {
    let diagnostic = Diagnostic::error(Code::UndefinedService, message).at(place, "not enabled");
    let profiles = service.get("profiles").and_then(Node::as_seq).unwrap_or_default();
    let Some(first) = profiles.first() else { return diagnostic };
    let name = first.as_str().unwrap_or("*");
    let diagnostic = diagnostic.at(first.span, "its profile");
    diagnostic.hint(format!("add `--profile {name}`"))
}

/// Adds which other service may have been meant.
fn similar(
    model: &Model<'_>,
    service: &Service<'_>,
    name: &str,
    diagnostic: Diagnostic,
) -> Diagnostic {
    let others = model.services.keys().map(String::as_str);
    match closest(name, others.filter(|other| *other != service.name)) {
        Some(similar) => {
            diagnostic.hint(format!("a service with a similar name exists: `{similar}`"))
        }
        None => diagnostic,
    }
}

fn network_mode(session: &mut Session<'_>, model: &Model<'_>, service: &Service<'_>) {
    let (Some(mode), Some(node)) = (service.text("network_mode"), service.get("network_mode"))
    else {
        return;
    };
    if let Some(networks) =
        service.get("networks").filter(|n| n.as_map().is_some_and(|map| !map.is_empty()))
    {
        let message = format!("service `{}` has both `network_mode` and `networks`", service.name);
        let diagnostic = Diagnostic::error(Code::Conflict, message)
            .at(node.span, "either this")
            .at(networks.span, "or this")
            .hint("remove one of the two");
        service.report(session, diagnostic, node);
    }
    let Some(name) = mode.strip_prefix("service:") else { return };
    let implied =
        service.get("depends_on").is_some_and(|depends_on| depends_on.get(name).is_some());
    if implied || model.enabled.contains(name) {
        return;
    }
    let message = format!("service `{}` shares the network of `{name}`, which", service.name);
    let diagnostic = if let Some(other) = model.services.get(name) {
        disabled(format!("{message} no active profile enables"), node.span, &other.node)
    } else {
        let message = format!("{message} is not defined");
        let missing = Diagnostic::error(Code::UndefinedService, message);
        similar(model, service, name, missing.at(node.span, "no such service"))
    };
    service.report(session, diagnostic, node);
}

/// Build contexts that are other services' images.
fn contexts(session: &mut Session<'_>, model: &Model<'_>, service: &Service<'_>, build: &Node) {
    let contexts = build.get("additional_contexts").and_then(Node::as_map);
    for (context, entry) in contexts.into_iter().flatten() {
        let Some(name) = entry.node.as_str().and_then(|text| text.strip_prefix("service:")) else {
            continue;
        };
        let is = format!(
            "build context `{context}` of service `{}` is service `{name}`, which",
            service.name
        );
        let span = entry.node.span;
        let error = |problem: &str| {
            let message = format!("{is} {problem}");
            Diagnostic::error(Code::UndefinedService, message).at(span, problem)
        };
        let diagnostic = match model.services.get(name) {
            None => similar(model, service, name, error("is not defined")),
            Some(other) if !model.enabled.contains(name) => {
                disabled(format!("{is} no active profile enables"), span, &other.node)
            }
            Some(other) if other.node.get("build").is_none() => {
                error("is not built").hint(format!("give service `{name}` a `build` section"))
            }
            Some(_) => continue,
        };
        service.report(session, diagnostic, &entry.node);
    }
}
