//! Checks that need the whole project: references, contradictions, circles.
//!
//! In: the finished tree, and which services are enabled.

mod limits;
mod references;

use std::collections::{BTreeSet, HashMap};

use crate::diagnostic::{Code, Diagnostic, closest};
use crate::graph::Graph;

use super::cursor::Cursor;
use super::node::{Entry, Map, Node, Value};
use super::session::Session;

/// The project as the checks see it.
pub(super) struct Model<'t> {
    tree: &'t Node,
    services: &'t Map,
    enabled: &'t BTreeSet<String>,
}

impl<'t> Model<'t> {
    /// Services that are enabled.
    fn enabled(&self) -> impl Iterator<Item = (&'t str, &'t Entry)> {
        let enabled = self.services.iter().filter(|(name, _)| self.enabled.contains(*name));
        enabled.map(|(name, entry)| (name.as_str(), entry))
    }
}

/// Checks the project.
pub(super) fn check(session: &mut Session<'_>, tree: &mut Node, enabled: &BTreeSet<String>) {
    limits::align_replicas(tree, enabled);
    let none = Map::new();
    let services = tree.get("services").and_then(Node::as_map).unwrap_or(&none);
    let model = Model { tree, services, enabled };
    let top = Cursor::top();
    let parent = top.key("services");
    for (name, entry) in model.enabled() {
        let service = Service { name, entry, cursor: parent.key(name) };
        // Something may only be missing because it was wrong, and has been reported.
        if !session.is_tainted(&service.cursor) {
            service.source(session);
            service.watch_targets(session);
            limits::check(session, &service);
        }
        service.restart_policy(session);
        service.health_test(session);
        service.mounts(session);
        references::check(session, &model, &service);
    }
    secrets(session, tree);
    container_names(session, &model);
    circles(session, &model);
}

/// One service during the checks.
struct Service<'t> {
    name: &'t str,
    entry: &'t Entry,
    cursor: Cursor<'t>,
}

impl Service<'_> {
    fn node(&self) -> &Node {
        &self.entry.node
    }

    fn get(&self, key: &str) -> Option<&Node> {
        self.node().get(key)
    }

    /// Text that is there and not blank.
    fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Node::as_str).filter(|text| !text.is_empty())
    }

    fn report(&self, session: &mut Session<'_>, diagnostic: Diagnostic, node: &Node) {
        session.report_at(diagnostic, node, &self.cursor);
    }

    /// An image comes from somewhere, and from one place only.
    fn source(&self, session: &mut Session<'_>) {
        let Some(build) = self.get("build") else {
            if let (Some(image), None) = (self.get("image"), self.get("provider")) {
                self.image(session, image);
            } else if self.get("provider").is_none() {
                let message = format!("service `{}` has neither `image` nor `build`", self.name);
                let diagnostic = Diagnostic::error(Code::NoImage, message)
                    .at(self.entry.key, "nothing to run")
                    .hint("add `image: NAME` or `build: PATH`");
                self.report(session, diagnostic, self.node());
            }
            return;
        };
        if let (Some(file), Some(inline)) =
            (build.get("dockerfile"), build.get("dockerfile_inline"))
            && file.as_str() != Some("")
            && inline.as_str() != Some("")
        {
            let message =
                format!("service `{}` has both `dockerfile` and `dockerfile_inline`", self.name);
            let diagnostic = Diagnostic::error(Code::Conflict, message)
                .at(inline.span, "either this")
                .at(file.span, "or this");
            self.report(session, diagnostic, inline);
        }
        self.platform(session, build);
    }

    fn image(&self, session: &mut Session<'_>, image: &Node) {
        if self.text("image").is_none() {
            let message = format!("the `image` of service `{}` is blank", self.name);
            let diagnostic =
                Diagnostic::error(Code::NoImage, message).at(image.span, "nothing to run");
            self.report(session, diagnostic.hint("name an image, or add `build: PATH`"), image);
        }
    }

    fn platform(&self, session: &mut Session<'_>, build: &Node) {
        let platforms = build.get("platforms").and_then(Node::as_seq).unwrap_or_default();
        let (Some(platform), false) = (self.get("platform"), platforms.is_empty()) else { return };
        let wanted = platform.as_str().unwrap_or_default();
        if !wanted.is_empty() && !platforms.iter().any(|built| built.as_str() == Some(wanted)) {
            let message = format!(
                "service `{}` runs on `{wanted}`, which `build.platforms` does not list",
                self.name
            );
            let diagnostic = Diagnostic::error(Code::Conflict, message)
                .at(platform.span, "not built for this")
                .at(platforms[0].span, "built for these");
            self.report(session, diagnostic, platform);
        }
    }

    /// Compose leaves it to the engine to refuse a policy, which is late.
    fn restart_policy(&self, session: &mut Session<'_>) {
        const POLICIES: [&str; 4] = ["no", "always", "on-failure", "unless-stopped"];
        let (Some(written), Some(node)) = (self.text("restart"), self.get("restart")) else {
            return;
        };
        let (policy, count) = written.split_once(':').unwrap_or((written, "0"));
        if POLICIES.contains(&policy) && count.parse::<u32>().is_ok() {
            return;
        }
        let message =
            format!("`services.{}.restart` is not a restart policy: `{written}`", self.name);
        let hint = match closest(policy, POLICIES) {
            Some(policy) if policy != written => format!("did you mean `{policy}`?"),
            _ => "the policies are `no`, `always`, `on-failure`, `on-failure:TIMES` and `unless-stopped`".to_owned(),
        };
        session.report(
            Diagnostic::warning(Code::InvalidValue, message)
                .at(node.span, "engines refuse this")
                .hint(hint),
        );
    }

    fn health_test(&self, session: &mut Session<'_>) {
        let test = self.get("healthcheck").and_then(|check| check.get("test"));
        let Some(first) = test.and_then(Node::as_seq).and_then(<[Node]>::first) else { return };
        if !matches!(first.as_str(), Some("CMD" | "CMD-SHELL" | "NONE")) {
            let message = format!(
                "`services.{}.healthcheck.test` must begin with `CMD`, `CMD-SHELL` or `NONE`",
                self.name
            );
            let diagnostic = Diagnostic::error(Code::InvalidValue, message)
                .at(first.span, "begins with something else")
                .hint("write `[\"CMD\", …]`, or the command as one string to run it in a shell");
            self.report(session, diagnostic, first);
        }
    }

    fn watch_targets(&self, session: &mut Session<'_>) {
        let watch = self.get("develop").and_then(|develop| develop.get("watch"));
        for trigger in watch.and_then(Node::as_seq).unwrap_or_default() {
            let action = trigger.get("action").and_then(Node::as_str).unwrap_or_default();
            let target = trigger.get("target").and_then(Node::as_str).unwrap_or_default();
            if target.is_empty() && !matches!(action, "rebuild" | "restart") {
                let message = format!(
                    "`services.{}.develop.watch` has no `target` for `{action}`",
                    self.name
                );
                let diagnostic = Diagnostic::error(Code::MissingAttribute, message)
                    .at(
                        trigger.get("action").map_or(trigger.span, |node| node.span),
                        "needs a target",
                    )
                    .hint("add `target:` with a path in the container");
                self.report(session, diagnostic, trigger);
            }
        }
    }

    /// No two mounts at one place.
    fn mounts(&self, session: &mut Session<'_>) {
        let mut taken: HashMap<&str, &Node> = HashMap::new();
        let items = |key: &str| self.get(key).and_then(Node::as_seq).unwrap_or_default();
        let tmpfs = items("tmpfs").iter().filter_map(|item| {
            item.as_str().map(|text| (text.split(':').next().unwrap_or_default(), item))
        });
        let mounts = items("volumes")
            .iter()
            .map(|mount| (mount.get("target").and_then(Node::as_str).unwrap_or_default(), mount));
        for (target, item) in tmpfs.chain(mounts) {
            if let Some(other) = taken.insert(target, item) {
                let message = format!("service `{}` mounts two things at `{target}`", self.name);
                let diagnostic = Diagnostic::error(Code::DuplicateMount, message)
                    .at(item.span, "mounted again here")
                    .at(other.span, "mounted here");
                self.report(session, diagnostic, item);
            }
        }
    }
}

/// Secrets of the project come from a file or a variable.
fn secrets(session: &mut Session<'_>, tree: &Node) {
    for (name, entry) in tree.get("secrets").and_then(Node::as_map).into_iter().flatten() {
        let text = |key: &str| entry.node.get(key).and_then(Node::as_str).unwrap_or_default();
        let external =
            matches!(entry.node.get("external").map(|e| &e.value), Some(Value::Bool(true)));
        let top = Cursor::top();
        let reported = session.is_tainted(&top.key("secrets").key(name));
        if !external && !reported && text("file").is_empty() && text("environment").is_empty() {
            let message = format!("secret `{name}` has neither `file` nor `environment`");
            session.report(
                Diagnostic::error(Code::MissingAttribute, message)
                    .at(entry.key, "nothing to take it from"),
            );
        }
    }
}

/// Container names are unique in an engine, so they are in a project.
fn container_names(session: &mut Session<'_>, model: &Model<'_>) {
    let mut taken: HashMap<&str, (&str, &Node)> = HashMap::new();
    for (service, entry) in model.enabled() {
        let Some(node) = entry.node.get("container_name") else { continue };
        let Some(name) = node.as_str().filter(|name| !name.is_empty()) else { continue };
        if let Some((other, place)) = taken.insert(name, (service, node)) {
            let message =
                format!("services `{other}` and `{service}` have the same container name `{name}`");
            session.report(
                Diagnostic::error(Code::DuplicateName, message)
                    .at(node.span, "taken")
                    .at(place.span, "by this"),
            );
        }
    }
}

/// Shows every place on the way round.
fn circles(session: &mut Session<'_>, model: &Model<'_>) {
    let mut graph = Graph::default();
    let mut places: HashMap<(&str, &str), &Entry> = HashMap::new();
    for (name, entry) in model.services.iter().filter(|(name, _)| model.enabled.contains(*name)) {
        graph.add(name);
        for (to, dependency) in
            entry.node.get("depends_on").and_then(Node::as_map).into_iter().flatten()
        {
            if model.enabled.contains(to) {
                graph.depend(name, to);
                places.insert((name, to), dependency);
            }
        }
    }
    for circle in graph.circles() {
        let closed: Vec<&str> = circle.iter().chain(circle.first()).copied().collect();
        let names: Vec<String> = closed.iter().map(|name| format!("`{name}`")).collect();
        let message = format!("services depend on each other in a circle: {}", names.join(" -> "));
        let mut diagnostic = Diagnostic::error(Code::DependencyCycle, message);
        for pair in closed.windows(2) {
            if let Some(place) = places.get(&(pair[0], pair[1])) {
                diagnostic = diagnostic.at(place.key, format!("`{}` needs `{}`", pair[0], pair[1]));
            }
        }
        let diagnostic = diagnostic.hint(match circle.as_slice() {
            [_] => "a service cannot wait for itself: remove this",
            _ => "remove one of these, so that one service can start first",
        });
        session.report(diagnostic);
    }
}
