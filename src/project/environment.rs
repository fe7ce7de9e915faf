//! Env files and label files, and what their variables end up in.

use std::io::ErrorKind;
use std::path::Path;

use indexmap::IndexMap;

use crate::diagnostic::{Code, Diagnostic, Span};

use super::Variable;
use super::compose::Scope;
use super::cursor::Cursor;
use super::dotenv;
use super::merge::entry;
use super::node::{Entry, Map, Node, Value, VariableSource};
use super::normalize::from_environment;
use super::session::Session;
use super::source::Kind;
use super::variables::Variables;

/// Variables read from files, in order.
type Assigned = IndexMap<String, Set>;

/// The value of a variable, and the place in a file that sets it.
struct Set {
    value: String,
    span: Span,
}

impl From<Set> for Variable {
    fn from(set: Set) -> Self {
        Self { value: set.value, from: VariableSource::File(set.span) }
    }
}

/// How an env file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    Dotenv,
    Raw,
}

/// What the values of an env file may refer to.
struct Lookup<'l> {
    first: &'l dyn Fn(&str) -> Option<String>,
}

/// Reads one env file on top of those before it.
fn read(
    session: &mut Session<'_>,
    path: &Path,
    dialect: Dialect,
    lookup: &Lookup<'_>,
    assigned: &mut Assigned,
) -> Result<(), Box<Diagnostic>> {
    let problem = |message: String| Box::new(Diagnostic::error(Code::EnvFile, message));
    let file = session.read(path).map_err(|error| {
        let reason = error.reason();
        let message = format!("cannot read env file `{}`: {reason}", session.display(path));
        Box::new(error.show(*problem(message)))
    })?;
    let text = session.text(file);
    let lines = text.bytes().filter(|byte| *byte == b'\n').count();
    if !session.budget.spend_many(lines, text.len()) {
        session.exhaust();
        let message = "the env files hold more than Ketch reads".to_owned();
        return Err(Box::new(
            problem(message).at(Span::new(file, 0, 0), "the limit is reached here"),
        ));
    }
    let earlier = |name: &str| assigned.get(name).map(|set| set.value.clone());
    let parsed = match dialect {
        Dialect::Dotenv => dotenv::parse(&text, lookup.first, &earlier),
        Dialect::Raw => dotenv::parse_raw(&text, lookup.first),
    };
    let parsed = parsed.map_err(|error| {
        let span = Span::new(file, error.at.start, error.at.end);
        Box::new(Diagnostic::error(Code::EnvFile, error.message).at(span, "in this line"))
    })?;
    for unset in parsed.unset {
        session.unset(&unset.name, Span::new(file, unset.at.start, unset.at.end));
    }
    for (name, assignment) in parsed.assignments {
        let span = Span::new(file, assignment.at.start, assignment.at.end);
        assigned.insert(name, Set { value: assignment.value, span });
    }
    Ok(())
}

/// Reads the env files of the project. What the process sets wins.
pub(super) fn project(session: &mut Session<'_>, files: &[String], variables: &mut Variables) {
    let mut assigned = Assigned::new();
    for file in files {
        let known = variables.clone();
        let lookup = Lookup { first: &|name: &str| known.lookup(name) };
        let path = session.request.cwd.join(file);
        if let Err(diagnostic) = read(session, &path, Dialect::Dotenv, &lookup, &mut assigned) {
            session.report(*diagnostic);
        }
    }
    for (name, variable) in assigned {
        variables.add(&name, variable.into());
    }
}

/// Whether there is a `.env` to read. A folder of that name is none; anything else that cannot be
/// read is reported rather than passed over.
pub(super) fn has_default(session: &Session<'_>, file: &Path) -> bool {
    match session.source.kind(file) {
        Ok(kind) => kind != Kind::Directory,
        Err(error) => error.kind() != ErrorKind::NotFound,
    }
}

/// The variables of an included project: those of the including one, and of its own env files.
pub(super) fn include(
    session: &mut Session<'_>,
    env_files: &[Node],
    dir: &Path,
    scope: &Scope,
) -> Option<Variables> {
    let default = dir.join(".env");
    let has_default = matches!(session.source.kind(&default), Ok(Kind::File | Kind::Other));
    let paths = if !env_files.is_empty() {
        env_files
            .iter()
            .map(|node| (scope.base.dir.join(node.as_str().unwrap_or_default()), Some(node.span)))
            .collect()
    } else if has_default {
        vec![(default, None)]
    } else {
        Vec::new()
    };
    let mut variables = scope.variables.clone();
    let mut assigned = Assigned::new();
    for (path, span) in paths {
        let lookup = Lookup { first: &|name: &str| scope.variables.lookup(name) };
        if let Err(diagnostic) = read(session, &path, Dialect::Dotenv, &lookup, &mut assigned) {
            session.report(named(*diagnostic, span));
            return None;
        }
    }
    for (name, variable) in assigned {
        variables.add(&name, variable.into());
    }
    Some(variables)
}

/// Adds where an env file is named.
fn named(diagnostic: Diagnostic, span: Option<Span>) -> Diagnostic {
    match span {
        Some(span) => diagnostic.at(span, "named here"),
        None => diagnostic,
    }
}

/// Gives items of `environment` lists that have no value the one of the project's environment.
pub(super) fn resolve_lists(session: &mut Session<'_>, tree: &mut Node, variables: &Variables) {
    let Some(services) = tree.get_mut("services").and_then(Node::as_map_mut) else { return };
    for service in services.values_mut() {
        let environment = service.node.get_mut("environment").map(|node| &mut node.value);
        let Some(Value::Seq(items)) = environment else { continue };
        items.retain_mut(|item| {
            let Value::Str(text) = &mut item.value else { return false };
            if let Some(value) = variables.get(text) {
                if !session.afford((1, value.len()), item.span) {
                    return false;
                }
                item.trail.push(from_environment(text, variables));
                *text = format!("{text}={value}");
            }
            true
        });
    }
}

/// Reads the `env_file`s of a service (in its final form) into its `environment`.
pub(super) fn service(
    session: &mut Session<'_>,
    service: &mut Node,
    variables: &Variables,
    cursor: &Cursor<'_>,
) {
    let own = environment_of(session, service, variables);
    let known = |name: &str| {
        let set = |entry: &Entry| entry.node.as_str().map(str::to_owned);
        variables.lookup(name).or_else(|| own.get(name).and_then(set))
    };
    let mut assigned = Assigned::new();
    let files = service.as_map_mut().and_then(|map| map.shift_remove("env_file"));
    let files =
        files.and_then(
            |files| if let Value::Seq(items) = files.node.value { Some(items) } else { None },
        );
    for file in files.unwrap_or_default() {
        if let Err(diagnostic) = env_file(session, &file, &Lookup { first: &known }, &mut assigned)
        {
            session.report_at(*diagnostic, &file, cursor);
        }
    }
    let Some(map) = service.as_map_mut() else { return };
    if own.is_empty() && assigned.is_empty() {
        return;
    }
    let mut environment: Map = assigned.into_iter().map(assignment).collect();
    environment.extend(own);
    let span = first_key(&environment);
    map.insert("environment".to_owned(), entry(Node::map(environment, span)));
}

/// The place of a mapping that stands nowhere as a whole. It must not be empty.
fn first_key(map: &Map) -> Span {
    map.values().next().map(|entry| entry.key).expect("there is at least one variable")
}

/// A variable of a file as an entry of `environment` or `labels`.
fn assignment((name, assigned): (String, Set)) -> (String, Entry) {
    (name, entry(Node::string(assigned.value, assigned.span)))
}

/// The service's own variables; those without a value take the project's.
fn environment_of(session: &mut Session<'_>, service: &mut Node, variables: &Variables) -> Map {
    let Some(Value::Map(map)) = service.get_mut("environment").map(|node| &mut node.value) else {
        return Map::new();
    };
    let mut own = std::mem::take(map);
    for (name, entry) in &mut own {
        if let (true, Some(value)) = (entry.node.is_null(), variables.get(name))
            && session.afford((1, value.len()), entry.key)
        {
            entry.node.value = Value::Str(value.to_owned());
            entry.node.trail.push(from_environment(name, variables));
        }
    }
    own
}

fn env_file(
    session: &mut Session<'_>,
    file: &Node,
    lookup: &Lookup<'_>,
    assigned: &mut Assigned,
) -> Result<(), Box<Diagnostic>> {
    let path = file.get("path");
    let written = path.and_then(Node::as_str).unwrap_or_default();
    let span = path.map_or(file.span, |node| node.span);
    let place = session.request.cwd.join(written);
    let required =
        !matches!(file.get("required").map(|node| &node.value), Some(Value::Bool(false)));
    if !required && session.source.kind(&place).is_err() {
        return Ok(());
    }
    let dialect = match file.get("format").and_then(Node::as_str) {
        None | Some("" | ".env") => Dialect::Dotenv,
        Some("raw") => Dialect::Raw,
        Some(other) => {
            let format = file.get("format").map_or(span, |node| node.span);
            return Err(Box::new(
                Diagnostic::error(Code::EnvFile, format!("env files have no format `{other}`"))
                    .at(format, "unknown format")
                    .hint("leave `format` out, or use `raw`"),
            ));
        }
    };
    read(session, &place, dialect, lookup, assigned).map_err(|diagnostic| {
        let diagnostic = named(*diagnostic, Some(span));
        Box::new(if session.source.kind(&place).is_err() {
            diagnostic.hint("create it, or add `required: false`")
        } else {
            diagnostic
        })
    })
}

/// Reads the `label_file`s of a service (in its final form) into its `labels`.
pub(super) fn labels(session: &mut Session<'_>, service: &mut Node, cursor: &Cursor<'_>) {
    let files = service.as_map_mut().and_then(|map| map.shift_remove("label_file"));
    let Some(Value::Seq(files)) = files.map(|files| files.node.value) else { return };
    let mut assigned = Assigned::new();
    for file in files {
        let path = session.request.cwd.join(file.as_str().unwrap_or_default());
        let none = |_: &str| None;
        let outcome =
            read(session, &path, Dialect::Dotenv, &Lookup { first: &none }, &mut assigned);
        if let Err(mut diagnostic) = outcome {
            diagnostic.code = Code::LabelFile;
            diagnostic.message = diagnostic.message.replace("env file", "label file");
            session.report_at(named(*diagnostic, Some(file.span)), &file, cursor);
        }
    }
    if assigned.is_empty() {
        return;
    }
    let mut labels: Map = assigned.into_iter().map(assignment).collect();
    let span = first_key(&labels);
    let Some(map) = service.as_map_mut() else { return };
    if let Some(Entry { node: Node { value: Value::Map(own), .. }, .. }) =
        map.shift_remove("labels")
    {
        labels.extend(own);
    }
    map.insert("labels".to_owned(), entry(Node::map(labels, span)));
}
