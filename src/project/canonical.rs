//! Short forms to long forms.
//!
//! Without interpolation a short form may still hold variables; what cannot be read then stays as
//! it is.

use crate::diagnostic::{Code, Diagnostic, Span};

use super::attribute::Long;
use super::cursor::Cursor;
use super::merge::{entry, nothing, started, to_named};
use super::node::{Map, Node, Value};
use super::parallel;
use super::session::Session;
use super::short::{self, MountKind, ShortError};

/// Brings every attribute of a tree into its long form. False if this one cannot be read, which
/// has been reported: it has to go.
pub(super) fn canonical(session: &mut Session<'_>, node: &mut Node, cursor: &Cursor<'_>) -> bool {
    if !lengthen(session, node, cursor) {
        return false;
    }
    match &mut node.value {
        Value::Map(map) if cursor.has_rules() => {
            parallel::retain(session, map, cursor, |session, entry, cursor| {
                canonical(session, &mut entry.node, cursor)
            });
        }
        Value::Seq(items) if cursor.has_rules() => {
            let mut index = 0;
            items.retain_mut(|item| {
                index += 1;
                canonical(session, item, &cursor.item(index - 1)) && !item.is_null()
            });
        }
        _ => {}
    }
    true
}

fn lengthen(session: &mut Session<'_>, node: &mut Node, cursor: &Cursor<'_>) -> bool {
    let outcome = match cursor.attribute().long {
        Long::Same => Ok(()),
        Long::List => {
            list(node);
            Ok(())
        }
        Long::Under(key) => {
            under(node, key);
            Ok(())
        }
        Long::Text => {
            if let Value::Bool(value) = node.value {
                node.value = Value::Str(value.to_string());
            }
            Ok(())
        }
        Long::KeyValue => key_values(node, cursor),
        Long::DependsOn => {
            depends_on(node);
            Ok(())
        }
        Long::EnvFiles => {
            env_files(node);
            Ok(())
        }
        Long::Gpus => {
            gpus(node);
            Ok(())
        }
        Long::Named => {
            *node = to_named(std::mem::replace(node, nothing(node.span)), nothing);
            Ok(())
        }
        Long::Mount => mount(node, cursor),
        Long::Device => device(node, cursor),
        Long::Ports => ports(session, node, cursor),
        Long::Ssh => ssh(node, cursor),
        Long::External => external(session, node, cursor),
    };
    match outcome {
        Err(problems) if session.phases().interpolate => {
            for Problem { diagnostic, item } in problems {
                session.report_at(diagnostic, &item, cursor);
            }
            false
        }
        _ => true,
    }
}

/// What is wrong with a value or an item of it.
struct Problem {
    diagnostic: Diagnostic,
    item: Node,
}

/// Every problem; the value stays as it is then.
type Outcome = Result<(), Vec<Problem>>;

/// The problem of a value as a whole.
fn whole(diagnostic: Diagnostic, node: &Node) -> Vec<Problem> {
    vec![Problem { diagnostic, item: node.clone() }]
}

/// What was made of a list, if all of its items could be read.
fn all_read<T>(made: T, problems: Vec<Problem>) -> Result<T, Vec<Problem>> {
    if problems.is_empty() { Ok(made) } else { Err(problems) }
}

/// The diagnostic for a short form that cannot be read.
pub(super) fn short_error(error: &ShortError, node: &Node, cursor: &Cursor<'_>) -> Diagnostic {
    let mut diagnostic = Diagnostic::error(Code::InvalidValue, format!("`{cursor}`: {error}"))
        .at(node.span, "cannot be read");
    let text = node.as_str().unwrap_or_default();
    let stray = ['"', '\'']
        .into_iter()
        .find(|quote| text.ends_with(*quote) && text.matches(*quote).count() == 1);
    diagnostic.hint = match stray {
        Some(quote) => Some(format!("a `{quote}` is missing in front, or one too many at the end")),
        None => error.hint.clone(),
    };
    diagnostic
}

fn list(node: &mut Node) {
    if let Value::Str(_) = node.value {
        let item = node.clone();
        node.value = Value::Seq(vec![item]);
    }
}

fn under(node: &mut Node, key: &str) {
    if let Value::Str(_) = node.value {
        let value = node.clone();
        node.value = Value::Map(Map::from([(key.to_owned(), entry(value))]));
    }
}

fn key_values(node: &mut Node, cursor: &Cursor<'_>) -> Outcome {
    let Value::Seq(items) = &node.value else { return Ok(()) };
    let mut map = Map::with_capacity(items.len());
    let mut problems = Vec::new();
    for item in items {
        if let Some((key, value)) = item.as_str().and_then(|text| text.split_once('=')) {
            let node = Node { value: text(value), ..item.clone() };
            map.insert(key.to_owned(), entry(node));
            continue;
        }
        let message = format!("`{cursor}` takes `KEY=VALUE`, not {}", item.brief());
        let diagnostic = Diagnostic::error(Code::InvalidValue, message).at(item.span, "has no `=`");
        problems.push(Problem { diagnostic, item: item.clone() });
    }
    node.value = Value::Map(all_read(map, problems)?);
    Ok(())
}

fn depends_on(node: &mut Node) {
    *node = to_named(std::mem::replace(node, nothing(node.span)), started);
    let Value::Map(map) = &mut node.value else { return };
    for dependency in map.values_mut().map(|entry| &mut entry.node) {
        let Node { value: Value::Map(rules), span, .. } = dependency else { continue };
        let Node { value: Value::Map(implied), .. } = started(*span) else { continue };
        for (key, value) in implied {
            rules.entry(key).or_insert(value);
        }
    }
}

fn env_files(node: &mut Node) {
    list(node);
    let Value::Seq(items) = &mut node.value else { return };
    for item in items {
        under(item, "path");
        let span = item.span;
        if let Some(map) = item.as_map_mut() {
            map.entry("required".to_owned())
                .or_insert_with(|| entry(Node::new(Value::Bool(true), span)));
        }
    }
}

fn gpus(node: &mut Node) {
    if let Value::Str(_) = node.value {
        let request = Map::from([("count".to_owned(), entry(node.clone()))]);
        node.value = Value::Seq(vec![Node::map(request, node.span)]);
    }
}

/// Builds the long form of an item from the attributes that are not empty.
fn long_form(node: &mut Node, attributes: Vec<(&str, Value)>) {
    let span = node.span;
    let map = attributes
        .into_iter()
        .map(|(key, value)| (key.to_owned(), entry(Node::new(value, span))))
        .collect();
    node.value = Value::Map(map);
}

fn text(value: &str) -> Value {
    Value::Str(value.to_owned())
}

fn mount(node: &mut Node, cursor: &Cursor<'_>) -> Outcome {
    let Value::Str(written) = &node.value else { return Ok(()) };
    let mount =
        short::volume(written).map_err(|error| whole(short_error(&error, node, cursor), node))?;
    let kind = match mount.kind {
        MountKind::Bind => "bind",
        MountKind::Volume => "volume",
    };
    let mut attributes = vec![("type", text(kind))];
    if !mount.source.is_empty() {
        attributes.push(("source", text(&mount.source)));
    }
    attributes.push(("target", text(&mount.target)));
    if mount.read_only {
        attributes.push(("read_only", Value::Bool(true)));
    }
    if mount.has_bind {
        let mut bind = Vec::new();
        for (key, value) in [("selinux", &mount.selinux), ("propagation", &mount.propagation)] {
            if !value.is_empty() {
                bind.push((key, text(value)));
            }
        }
        if mount.kind == MountKind::Bind {
            bind.push(("create_host_path", Value::Bool(true)));
        }
        attributes.push(("bind", options(bind, node.span)));
    }
    if mount.has_volume {
        let nocopy = mount.nocopy.then_some(("nocopy", Value::Bool(true)));
        attributes.push(("volume", options(nocopy.into_iter().collect(), node.span)));
    }
    long_form(node, attributes);
    Ok(())
}

fn options(attributes: Vec<(&str, Value)>, span: Span) -> Value {
    let mut node = nothing(span);
    long_form(&mut node, attributes);
    node.value
}

fn device(node: &mut Node, cursor: &Cursor<'_>) -> Outcome {
    let Value::Str(written) = &node.value else { return Ok(()) };
    let device =
        short::device(written).map_err(|error| whole(short_error(&error, node, cursor), node))?;
    long_form(
        node,
        vec![
            ("source", text(&device.source)),
            ("target", text(&device.target)),
            ("permissions", text(&device.permissions)),
        ],
    );
    Ok(())
}

/// One item may stand for many ports, so the list is made anew.
fn ports(session: &mut Session<'_>, node: &mut Node, cursor: &Cursor<'_>) -> Outcome {
    let Value::Seq(items) = &node.value else { return Ok(()) };
    let mut long = Vec::with_capacity(items.len());
    let mut problems = Vec::new();
    for (index, item) in items.iter().enumerate() {
        if session.is_exhausted() {
            break;
        }
        if item.as_map().is_some() {
            long.push(item.clone());
            continue;
        }
        let written = item.scalar_text().unwrap_or_default();
        match short::ports(&written) {
            // A port in its long form is a mapping of five.
            Ok(ports) if !session.afford((6 * ports.len(), 0), item.span) => break,
            Ok(ports) => long.extend(ports.iter().map(|port| long_port(port, item))),
            Err(error) => {
                let diagnostic = short_error(&error, item, &cursor.item(index));
                problems.push(Problem { diagnostic, item: item.clone() });
            }
        }
    }
    node.value = Value::Seq(all_read(long, problems)?);
    Ok(())
}

fn long_port(port: &short::Port, item: &Node) -> Node {
    let mut attributes = vec![("mode", text("ingress"))];
    if !port.host_ip.is_empty() {
        attributes.push(("host_ip", text(&port.host_ip)));
    }
    attributes.push(("target", Value::Int(port.target.into())));
    if !port.published.is_empty() {
        attributes.push(("published", text(&port.published)));
    }
    attributes.push(("protocol", text(&port.protocol)));
    let mut node = item.clone();
    long_form(&mut node, attributes);
    node
}

fn ssh(node: &mut Node, cursor: &Cursor<'_>) -> Outcome {
    let Value::Seq(items) = &node.value else { return Ok(()) };
    let mut map = Map::with_capacity(items.len());
    let mut problems = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let written = item.as_str().unwrap_or_default();
        let (id, value) = match written.split_once('=') {
            Some((id, path)) => (id, text(path)),
            None if written == "default" => (written, Value::Null),
            None => {
                let message = format!("`{}` takes `default` or `ID=PATH`", cursor.item(index));
                let diagnostic =
                    Diagnostic::error(Code::InvalidValue, message).at(item.span, "has no path");
                problems.push(Problem { diagnostic, item: item.clone() });
                continue;
            }
        };
        map.insert(id.to_owned(), entry(Node { value, ..item.clone() }));
    }
    node.value = Value::Map(all_read(map, problems)?);
    Ok(())
}

/// The old `external: {name: …}`.
fn external(session: &mut Session<'_>, node: &mut Node, cursor: &Cursor<'_>) -> Outcome {
    let Some(map) = node.as_map_mut() else { return Ok(()) };
    let Some(old) = map.get("external").filter(|external| external.node.as_map().is_some()) else {
        return Ok(());
    };
    let old = old.clone();
    let flag = Node { value: Value::Bool(true), ..old.node.clone() };
    map.insert("external".to_owned(), super::node::Entry { key: old.key, node: flag });
    let Some(name) = old.node.as_map().and_then(|external| external.get("name")) else {
        return Ok(());
    };
    session.report(
        Diagnostic::warning(Code::Deprecated, format!("`{cursor}.external.name` is deprecated"))
            .at(name.key, "deprecated")
            .hint("set `name` and `external: true`"),
    );
    match map.get("name") {
        None => {
            map.insert("name".to_owned(), name.clone());
            Ok(())
        }
        Some(own) if own.node.as_str() == name.node.as_str() => Ok(()),
        Some(own) => Err(whole(
            Diagnostic::error(Code::Conflict, format!("`{cursor}` has two different names"))
                .at(name.node.span, "one name")
                .at(own.node.span, "another name")
                .hint("keep only `name`"),
            &own.node,
        )),
    }
}
