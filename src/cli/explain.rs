//! `ketch explain PATH`: tells where a value comes from.
//!
//! In: a path such as `services.web.ports.0` and the merged tree. Out: an
//! [`Explanation`], or what the path should have been.

use super::args::{ExplainArgs, ExplainFormat};
use super::exit::Failure;
use super::session::Session;
use super::usage::UsageError;
use crate::diagnostic::{Severity, closest};
use crate::project::Node;
use crate::project::node::{Entry, Map, Value};
use crate::project::path::{self, Found, quoted, written};
use crate::ui::explain::Explanation;

/// Explains one value.
pub(super) fn run(args: &ExplainArgs, session: &mut Session<'_>) -> Result<(), Failure> {
    let path = args.path.as_deref().filter(|path| !path.is_empty());
    let path = path.ok_or(UsageError::MissingPath)?;
    let request = session.request()?;
    let (loaded, mut report) = session.inspect(&request)?;
    // `ketch check` tells the warnings; here they would bury the answer.
    report.diagnostics.retain(|diagnostic| diagnostic.severity == Severity::Error);
    let (loaded, sources) = session.tell(loaded, report)?;
    let found = find(&loaded.tree, path)?;
    let variables =
        loaded.variables.iter().map(|(name, variable)| (name.as_str(), variable.value.as_str()));
    let explanation = Explanation {
        path: &found.path,
        node: found.node,
        trail: found.trail,
        span: found.span,
        sources: &sources,
        variables: variables.collect(),
    };
    match args.format {
        ExplainFormat::Human => session.screen.show(&explanation.human())?,
        ExplainFormat::Json => session.screen.data(&explanation.json())?,
    }
    Ok(())
}

/// Finds what a path names, or says what it should have been.
fn find<'a>(root: &'a Node, path: &str) -> Result<Found<'a>, Failure> {
    path::find(root, path).map_err(|missing| no_such_path(&missing.above, &missing.rest))
}

/// Says at which level a path fails, and what there is instead.
fn no_such_path(found: &Found<'_>, rest: &str) -> Failure {
    let segment = match quoted(rest) {
        Some((key, _)) => key,
        None => rest.split('.').next().unwrap_or(rest),
    };
    let at = match found.path.as_str() {
        "" => "the project".to_owned(),
        path => format!("`{path}`"),
    };
    let under = |key: &str| match found.path.as_str() {
        "" => written(key, found.node),
        path => format!("{path}.{}", written(key, found.node)),
    };
    if let Some(hint) = elsewhere(found, segment, rest) {
        return Failure::NoSuchPath { at, segment: segment.to_owned(), hint };
    }
    let hint = match &found.node.value {
        Value::Map(map) => match closest(segment, map.keys().map(String::as_str)) {
            Some(key) => format!("`{}` exists", under(key)),
            None => format!("it has {}", keys(map.keys().map(String::as_str))),
        },
        Value::Seq(items) if items.is_empty() => "it is an empty list".to_owned(),
        Value::Seq(items) => format!("it is a list, numbered from 0 to {}", items.len() - 1),
        _ => format!("it is {}, and nothing lies below it", found.node.kind()),
    };
    Failure::NoSuchPath { at, segment: segment.to_owned(), hint }
}

/// Where that is which a path looks for in the wrong place.
fn elsewhere(found: &Found<'_>, segment: &str, rest: &str) -> Option<String> {
    let map = found.node.as_map()?;
    if found.path.is_empty()
        && let Some(kind) = holder(map, segment)
    {
        return Some(format!("write `{kind}.{rest}`"));
    }
    used_up(segment).map(str::to_owned)
}

/// What became of attributes that leave no trace under their own name.
fn used_up(attribute: &str) -> Option<&'static str> {
    Some(match attribute {
        "extends" => "what it brings is in the other attributes, and they say so",
        "include" => "what it brings is in `services` and so on, and that says so",
        "env_file" => "what it brings is in `environment`, and that says so",
        "label_file" => "what it brings is in `labels`, and that says so",
        "version" => "it has no effect",
        _ => return None,
    })
}

/// The top-level attribute that has something of this name.
fn holder<'m>(top: &'m Map, name: &str) -> Option<&'m str> {
    let holds = |entry: &Entry| entry.node.get(name).is_some();
    top.iter().find(|(_, entry)| holds(entry)).map(|(kind, _)| kind.as_str())
}

/// A few keys for a hint.
fn keys<'a>(keys: impl ExactSizeIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 12;
    let more = keys.len().saturating_sub(SHOWN);
    let shown: Vec<String> = keys.take(SHOWN).map(|key| format!("`{key}`")).collect();
    match (shown.is_empty(), more) {
        (true, _) => "nothing in it".to_owned(),
        (_, 0) => shown.join(", "),
        _ => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::find;
    use crate::diagnostic::{Sources, Span};
    use crate::project::Node;
    use crate::project::node::{Entry, Map, Value};

    fn nowhere() -> Span {
        Span::new(Sources::default().add("a", ""), 0, 0)
    }

    fn map(entries: impl IntoIterator<Item = (&'static str, Node)>) -> Node {
        let entries = entries
            .into_iter()
            .map(|(key, node)| (key.to_owned(), Entry { key: nowhere(), node }))
            .collect::<Map>();
        Node::map(entries, nowhere())
    }

    fn tree() -> Node {
        let text = |text: &str| Node::string(text, nowhere());
        let ports = Node::new(Value::Seq(vec![text("80:80"), text("81:81")]), nowhere());
        let labels = map([
            ("a", map([("b", text("nested"))])),
            ("a.b", text("dotted")),
            ("a.b.c", text("x")),
        ]);
        map([("services", map([("web", map([("ports", ports), ("labels", labels)]))]))])
    }

    fn ask(path: &str) -> String {
        match find(&tree(), path) {
            Ok(found) => format!("{} = {}", found.path, found.node.brief()),
            Err(failure) => {
                format!("{failure} / {}", crate::cli::exit::hint_for_tests(&failure))
            }
        }
    }

    #[test]
    fn paths_find_keys_and_items() {
        assert_eq!(ask("services.web.ports.1"), "services.web.ports.1 = \"81:81\"");
        assert_eq!(ask("services.web.labels.a.b"), "services.web.labels.\"a.b\" = \"dotted\"");
        assert_eq!(ask("services.web.labels.'a'.b"), "services.web.labels.a.b = \"nested\"");
        assert_eq!(ask("services.web.labels.\"a.b.c\""), "services.web.labels.\"a.b.c\" = \"x\"");
        assert_eq!(ask("services.web.labels.a"), "services.web.labels.a = a mapping of 1");
    }

    #[test]
    fn a_path_that_fails_says_where() {
        insta::assert_snapshot!(ask("service.web"), @"the project has no `service` / `services` exists");
        insta::assert_snapshot!(ask("services.wbe.image"), @"`services` has no `wbe` / `services.web` exists");
        insta::assert_snapshot!(ask("services.web.ports.2"), @"`services.web.ports` has no `2` / it is a list, numbered from 0 to 1");
        insta::assert_snapshot!(ask("services.web.ports.0.x"), @"`services.web.ports.0` has no `x` / it is a string, and nothing lies below it");
        insta::assert_snapshot!(ask("services.web.environment"), @"`services.web` has no `environment` / it has `ports`, `labels`");
        insta::assert_snapshot!(ask("services.web."), @"services.web = a mapping of 2");
        insta::assert_snapshot!(ask("\"services"), @r#"the project has no `"services` / `services` exists"#);
        insta::assert_snapshot!(ask(".."), @"the project has no `` / it has `services`");
    }
}
