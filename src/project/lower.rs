//! The composed tree to the typed [`Project`](crate::model::Project).
//!
//! First every value becomes what its type wants ([`finish`]): durations are nanoseconds, sizes are
//! bytes, commands are words, `KEY=VALUE` lists are mappings. What does not fit is reported with
//! its place and taken out. Then the tree is handed to serde ([`typed`]), which cannot fail any
//! more but for a bug.

mod deserialize;
mod mappings;
mod scalars;

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use crate::diagnostic::{Code, Diagnostic, Span};

use super::attribute::Type;
use super::cursor::Cursor;
use super::merge::entry;
use super::node::{Entry, Map, Node, Value};
use super::parallel;
use super::session::Session;
use deserialize::Finished;

/// Why a value does not fit its type: the problem, and what to do.
struct Misfit {
    message: String,
    hint: Option<&'static str>,
    /// Where, if it is only a part of the value.
    part: Option<Span>,
}

impl Misfit {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, part: None }
    }

    fn at(self, part: Span) -> Self {
        Self { part: Some(part), ..self }
    }

    fn hint(self, hint: &'static str) -> Self {
        Self { hint: Some(hint), ..self }
    }
}

type Fit = Result<Value, Misfit>;

/// What becomes of a value with parts that may not fit, each by itself.
type Fits = Result<Value, Vec<Misfit>>;

impl From<Misfit> for Vec<Misfit> {
    fn from(misfit: Misfit) -> Self {
        vec![misfit]
    }
}

/// Brings every value of a tree into its final form.
pub(super) fn finish(session: &mut Session<'_>, tree: &mut Node) {
    node(session, tree, &Cursor::top());
}

/// Finishes one node. False if it does not fit and has to go.
fn node(session: &mut Session<'_>, node: &mut Node, cursor: &Cursor<'_>) -> bool {
    match fit(session, node, cursor) {
        Ok(None) => {}
        Ok(Some(value)) => node.value = value,
        Err(misfits) => {
            for misfit in misfits {
                let message = format!("`{cursor}` {}", misfit.message);
                let mut diagnostic = Diagnostic::error(Code::InvalidValue, message)
                    .at(misfit.part.unwrap_or(node.span), "does not fit");
                diagnostic.hint = misfit.hint.map(str::to_owned);
                session.report_at(diagnostic, node, cursor);
            }
            return false;
        }
    }
    let keyed = matches!(cursor.attribute().kind, Type::Keyed | Type::Nullable);
    match &mut node.value {
        Value::Map(map) if cursor.has_rules() => {
            let top_level = keyed && cursor.depth() == 1;
            for entry in map.values_mut().filter(|entry| top_level && entry.node.is_null()) {
                entry.node.value = Value::Map(Map::new());
            }
            parallel::retain(session, map, cursor, |session, entry, cursor| {
                cursor.name().starts_with("x-") && !keyed
                    || self::node(session, &mut entry.node, cursor)
            });
        }
        Value::Seq(items) => {
            let mut index = 0;
            items.retain_mut(|item| {
                index += 1;
                self::node(session, item, &cursor.item(index - 1))
            });
        }
        _ => {}
    }
    true
}

/// The final value of a node, if it changes.
fn fit(
    session: &mut Session<'_>,
    node: &mut Node,
    cursor: &Cursor<'_>,
) -> Result<Option<Value>, Vec<Misfit>> {
    let value = match cursor.attribute().kind {
        Type::Checked | Type::Keyed | Type::Nullable => return Ok(None),
        _ if node.is_null() => return Ok(None),
        Type::Bool => scalars::boolean(session, node)?,
        Type::Int => scalars::wrapped_int(session, node)?,
        Type::Unsigned(limit) => scalars::unsigned(node, limit)?,
        Type::Float => scalars::float(node)?,
        Type::Text => scalars::text(node)?,
        Type::Duration => scalars::duration(node)?,
        Type::Bytes => scalars::bytes(session, node)?,
        Type::FileMode => scalars::file_mode(node)?,
        Type::DeviceCount => scalars::device_count(node)?,
        Type::Command => scalars::command(session, node)?,
        Type::HealthTest => scalars::health_test(node),
        Type::Strings => scalars::strings(node),
        Type::Numbers => scalars::numbers(node),
        Type::Environment => mappings::environment(node)?,
        Type::Mapping => mappings::mapping(node),
        Type::MultiMapping => mappings::multi_mapping(node),
        Type::Hosts => mappings::hosts(node)?,
        Type::Ulimit => mappings::ulimit(node)?,
        Type::Ssh => mappings::ssh(node),
    };
    Ok(Some(value))
}

/// A part of the tree as its type in the model.
pub(super) fn typed<T: DeserializeOwned>(
    node: &Node,
    cursor: &Cursor<'_>,
) -> Result<T, Box<Diagnostic>> {
    if let Ok(typed) = T::deserialize(Finished::Node(node, *cursor)) {
        return Ok(typed);
    }
    // Finding out where it fails costs more than all the rest, so that is done only then.
    serde_path_to_error::deserialize(Finished::Node(node, *cursor)).map_err(|error| {
        let path = error.path().to_string();
        let place = path.split('.').try_fold(node, |node, key| node.get(key)).unwrap_or(node);
        Box::new(
            Diagnostic::error(Code::Internal, format!("`{cursor}.{path}`: {}", error.into_inner()))
                .at(place.span, "does not fit the model")
                .hint("this is a bug in Ketch; please report it with this file"),
        )
    })
}

/// The resources of one kind, by name.
pub(super) fn resources<T: DeserializeOwned + Send>(
    tree: &Node,
    cursor: &Cursor<'_>,
) -> Result<BTreeMap<String, T>, Box<Diagnostic>> {
    let mut entries: Vec<_> =
        tree.get(cursor.name()).and_then(Node::as_map).into_iter().flatten().collect();
    // Services are large: what is in order already is not moved about.
    entries.sort_by_key(|(name, _)| *name);
    let typed = |(name, entry): &(&String, &Entry)| {
        Ok(((*name).clone(), typed(&entry.node, &cursor.key(name))?))
    };
    parallel::map(&entries, typed).into_iter().collect()
}

/// A text without a history, at the place of another.
fn text_at(text: impl Into<String>, near: &Node) -> Node {
    Node { value: Value::Str(text.into()), span: near.span, trail: near.trail.clone() }
}

/// An entry for a text at the place of another.
fn text_entry(text: impl Into<String>, near: &Node) -> Entry {
    entry(text_at(text, near))
}
