//! Attributes that say the same thing in two places.

use std::collections::BTreeSet;

use crate::diagnostic::{Code, Diagnostic};
use crate::project::node::{Node, Value};
use crate::project::session::Session;

use super::Service;

/// Old attributes, and where `deploy` says the same.
const TWICE: [(&str, &str, &str); 4] = [
    ("cpus", "limits", "cpus"),
    ("mem_limit", "limits", "memory"),
    ("mem_reservation", "reservations", "memory"),
    ("pids_limit", "limits", "pids"),
];

/// Where `deploy` says nothing, it takes the number of replicas from `scale`.
pub(super) fn align_replicas(tree: &mut Node, enabled: &BTreeSet<String>) {
    let Some(services) = tree.get_mut("services").and_then(Node::as_map_mut) else { return };
    for (_, entry) in services.iter_mut().filter(|(name, _)| enabled.contains(*name)) {
        let Some(scale) = entry.node.as_map().and_then(|map| map.get("scale")).cloned() else {
            continue;
        };
        if let Some(deploy) = entry.node.get_mut("deploy").and_then(Node::as_map_mut) {
            deploy.entry("replicas".to_owned()).or_insert(scale);
        }
    }
}

/// Checks replicas and limits of a service.
pub(super) fn check(session: &mut Session<'_>, service: &Service<'_>) {
    replicas(session, service);
    for row in TWICE {
        limit(session, service, row);
    }
}

/// A number to compare; nothing counts as zero.
fn number(node: Option<&Node>) -> f64 {
    match node.map(|node| &node.value) {
        #[expect(clippy::cast_precision_loss, reason = "compared with each other only")]
        Some(Value::Int(number)) => number.get() as f64,
        Some(Value::Float(number)) => *number,
        _ => 0.0,
    }
}

fn replicas(session: &mut Session<'_>, service: &Service<'_>) {
    let scale = service.get("scale");
    let replicas = service.get("deploy").and_then(|deploy| deploy.get("replicas"));
    if let (Some(scale), Some(replicas)) = (scale, replicas)
        && number(Some(scale)).total_cmp(&number(Some(replicas))).is_ne()
    {
        return conflict(session, service, (scale, "scale"), (replicas, "deploy.replicas"));
    }
    let Some(count) = scale.or(replicas) else { return };
    if number(Some(count)) < 0.0 {
        let message = format!("service `{}` cannot run {} times", service.name, count.brief());
        let diagnostic =
            Diagnostic::error(Code::InvalidValue, message).at(count.span, "must be 0 or more");
        service.report(session, diagnostic, count);
    } else if let (true, Some(name)) = (number(Some(count)) > 1.0, service.text("container_name")) {
        let message = format!(
            "service `{}` cannot run {} containers of the one name `{name}`",
            service.name,
            count.brief()
        );
        let place = service.get("container_name").map_or(count.span, |node| node.span);
        let diagnostic = Diagnostic::error(Code::Conflict, message)
            .at(place, "a name for one container")
            .at(count.span, "more than one container")
            .hint("remove `container_name`: containers are then numbered");
        service.report(session, diagnostic, count);
    }
}

/// As in Compose, a limit that `deploy` leaves out while it has others counts as zero.
fn limit(
    session: &mut Session<'_>,
    service: &Service<'_>,
    (old, section, new): (&str, &str, &str),
) {
    let resources = service.get("deploy").and_then(|deploy| deploy.get("resources"));
    let (Some(section_node), Some(own)) =
        (resources.and_then(|r| r.get(section)), service.get(old))
    else {
        return;
    };
    #[expect(clippy::cast_possible_truncation, reason = "the model keeps single precision")]
    let single = |node: Option<&Node>| number(node) as f32;
    if single(Some(own)) == 0.0
        || single(Some(own)).total_cmp(&single(section_node.get(new))).is_eq()
    {
        return;
    }
    let other = section_node.get(new).unwrap_or(section_node);
    conflict(session, service, (own, old), (other, &format!("deploy.resources.{section}.{new}")));
}

fn conflict(
    session: &mut Session<'_>,
    service: &Service<'_>,
    (a, a_name): (&Node, &str),
    (b, b_name): (&Node, &str),
) {
    let message =
        format!("service `{}` has different values for `{a_name}` and `{b_name}`", service.name);
    let diagnostic = Diagnostic::error(Code::Conflict, message)
        .at(a.span, "one value")
        .at(b.span, "another")
        .hint(format!("keep only `{b_name}`"));
    service.report(session, diagnostic, a);
}
