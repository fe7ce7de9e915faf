//! Env files and label files, and what their variables end up in.

use std::cell::Cell;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use crate::diagnostic::{Code, Diagnostic, FileId, Span};

use super::Variable;
use super::compose::Scope;
use super::cursor::Cursor;
use super::dotenv::{self, DotenvError, Parsed};
use super::merge::{self, entry};
use super::node::{Entry, Map, Node, Step, Trail, Value, VariableSource};
use super::normalize::from_environment;
use super::session::Session;
use super::source::Kind;
use super::template::Outcome;
use super::variables::Variables;

/// How an env file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Dialect {
    Dotenv,
    Raw,
}

/// What the values of an env file may refer to.
struct Lookup<'l> {
    first: &'l dyn Fn(&str) -> Option<String>,
    /// Where those come from.
    origin: &'l dyn Fn(&str) -> VariableSource,
    /// How the variables get into a service, if they do.
    through: Trail,
}

/// Reads one env file on top of those before it.
fn read(
    session: &mut Session<'_>,
    path: &Path,
    dialect: Dialect,
    lookup: &Lookup<'_>,
    assigned: &mut Map,
) -> Result<(), Vec<Diagnostic>> {
    let problem = |message: String| Diagnostic::error(Code::EnvFile, message);
    let file =
        session.read(path).map_err(|error| {
            let reason = error.reason();
            vec![error.show(problem(format!(
                "cannot read env file `{}`: {reason}",
                session.display(path)
            )))]
        })?;
    let text = session.text(file);
    let lines = text.bytes().filter(|byte| *byte == b'\n').count();
    if !session.budget.spend_many(lines, text.len()) {
        session.exhaust();
        let message = "the env files hold more than Ketch reads".to_owned();
        return Err(vec![problem(message).at(Span::new(file, 0, 0), "the limit is reached here")]);
    }
    let (parsed, errors) = parse(session, (file, dialect), lookup, assigned);
    for unset in &parsed.unset {
        session.unset(&unset.name, Span::new(file, unset.at.start, unset.at.end));
    }
    let room = assigned.capacity() - assigned.len();
    assigned.reserve(parsed.assignments.len() + room);
    for (name, assignment) in &parsed.assignments {
        let span = Span::new(file, assignment.at.start, assignment.at.end);
        let mut node = Node::string(&assignment.value, span);
        let in_file = |name: &str| {
            let above = parsed.assignments.get(name).map(|other| &other.at);
            let above = above.map(|at| Span::new(file, at.start, at.end));
            above.or_else(|| assigned.get(name).map(|entry| entry.node.span))
        };
        for (name, outcome) in &assignment.uses {
            let from = match outcome {
                Outcome::Unset => VariableSource::Unset,
                Outcome::Default => VariableSource::DefaultValue,
                Outcome::Set => match in_file(name) {
                    Some(span) if (lookup.first)(name).is_none() => VariableSource::File(span),
                    _ => (lookup.origin)(name),
                },
            };
            node.trail.push_variable(name, from);
        }
        node.trail.append(&lookup.through);
        assigned.insert(name.clone(), entry(node));
    }
    let problem = |error: DotenvError| {
        let span = Span::new(file, error.at.start, error.at.end);
        let problem = Diagnostic::error(Code::EnvFile, error.message).at(span, "in this line");
        Diagnostic { hint: error.hint, ..problem }
    };
    if errors.is_empty() { Ok(()) } else { Err(errors.into_iter().map(problem).collect()) }
}

/// Parses an env file: once, if nothing that it says depends on who reads it.
fn parse(
    session: &mut Session<'_>,
    (file, dialect): (FileId, Dialect),
    lookup: &Lookup<'_>,
    assigned: &Map,
) -> (Arc<Parsed>, Vec<DotenvError>) {
    if let Some(parsed) = session.env_files.get(&(file, dialect)) {
        return (parsed.clone(), Vec::new());
    }
    let text = session.text(file);
    let depends = Cell::new(false);
    let known = |name: &str| {
        depends.set(true);
        (lookup.first)(name)
    };
    let earlier = |name: &str| assigned.get(name).and_then(text_of);
    let (parsed, errors) = match dialect {
        Dialect::Dotenv => dotenv::parse_all(&text, &known, &earlier),
        Dialect::Raw => match dotenv::parse_raw(&text, &known) {
            Ok(parsed) => (parsed, Vec::new()),
            Err(error) => (Parsed::default(), vec![error]),
        },
    };
    let parsed = Arc::new(parsed);
    if !depends.get() && errors.is_empty() {
        session.env_files.insert((file, dialect), parsed.clone());
    }
    (parsed, errors)
}

/// The text of an entry, to keep.
fn text_of(entry: &Entry) -> Option<String> {
    entry.node.as_str().map(str::to_owned)
}

/// Reads the env files of the project. What the process sets wins.
pub(super) fn project(session: &mut Session<'_>, files: &[String], variables: &mut Variables) {
    let mut assigned = Map::new();
    for file in files {
        let known = variables.clone();
        let lookup = Lookup {
            first: &|name: &str| known.lookup(name),
            origin: &|name: &str| known.origin(name),
            through: Trail::default(),
        };
        let path = session.request.cwd.join(file);
        if let Err(problems) = read(session, &path, Dialect::Dotenv, &lookup, &mut assigned) {
            session.lacks_variables = true;
            for problem in problems {
                session.report(problem);
            }
        }
    }
    add_all(variables, assigned);
}

/// Adds the variables of files, as far as they are not set.
fn add_all(variables: &mut Variables, assigned: Map) {
    for (name, Entry { node, .. }) in assigned {
        let from = VariableSource::File(node.span);
        if let Value::Str(value) = node.value {
            variables.add(&name, Variable { value, from });
        }
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
    let mut assigned = Map::new();
    for (path, span) in paths {
        let lookup = Lookup {
            first: &|name: &str| scope.variables.lookup(name),
            origin: &|name: &str| scope.variables.origin(name),
            through: Trail::default(),
        };
        if let Err(problems) = read(session, &path, Dialect::Dotenv, &lookup, &mut assigned) {
            for problem in problems {
                session.report(named(problem, span));
            }
            return None;
        }
    }
    add_all(&mut variables, assigned);
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
                let step = from_environment(text, variables);
                *text = format!("{text}={value}");
                item.note(step);
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
    let known = |name: &str| variables.lookup(name).or_else(|| own.get(name).and_then(text_of));
    let origin = |name: &str| match own.get(name) {
        Some(entry) if variables.get(name).is_none() => VariableSource::File(entry.node.span),
        _ => variables.origin(name),
    };
    // With room for the service's own variables, so that those of a file do not move for them.
    let mut assigned = Map::with_capacity(own.len());
    let files = service.as_map_mut().and_then(|map| map.shift_remove("env_file"));
    let files =
        files.and_then(
            |files| if let Value::Seq(items) = files.node.value { Some(items) } else { None },
        );
    for file in files.unwrap_or_default() {
        let span = file.get("path").map_or(file.span, |path| path.span);
        let through = Trail::from(Step::File { attribute: "env_file", span });
        let lookup = Lookup { first: &known, origin: &origin, through };
        let outcome = env_file(session, &file, &lookup, &mut assigned);
        for problem in outcome.err().into_iter().flatten() {
            session.report_at(problem, &file, cursor);
        }
    }
    let Some(map) = service.as_map_mut() else { return };
    if own.is_empty() && assigned.is_empty() {
        return;
    }
    overlay(&mut assigned, own);
    let span = first_key(&assigned);
    map.insert("environment".to_owned(), entry(Node::map(assigned, span)));
}

/// The place of a mapping that stands nowhere as a whole. It must not be empty.
fn first_key(map: &Map) -> Span {
    map.values().next().map(|entry| entry.key).expect("there is at least one variable")
}

/// Puts what a service says itself over what its files say.
fn overlay(files: &mut Map, own: Map) {
    for (name, mut entry) in own {
        if let Some(earlier) = files.get(&name) {
            entry.node = merge::replace(&earlier.node, entry.node);
        }
        files.insert(name, entry);
    }
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
            entry.node.note(from_environment(name, variables));
        }
    }
    own
}

fn env_file(
    session: &mut Session<'_>,
    file: &Node,
    lookup: &Lookup<'_>,
    assigned: &mut Map,
) -> Result<(), Vec<Diagnostic>> {
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
            return Err(vec![
                Diagnostic::error(Code::EnvFile, format!("env files have no format `{other}`"))
                    .at(format, "unknown format")
                    .hint("leave `format` out, or use `raw`"),
            ]);
        }
    };
    read(session, &place, dialect, lookup, assigned).map_err(|problems| {
        let is_missing = session.source.kind(&place).is_err();
        let named = |problem| match named(problem, Some(span)) {
            problem if is_missing => problem.hint("create it, or add `required: false`"),
            problem => problem,
        };
        problems.into_iter().map(named).collect()
    })
}

/// Reads the `label_file`s of a service (in its final form) into its `labels`.
pub(super) fn labels(session: &mut Session<'_>, service: &mut Node, cursor: &Cursor<'_>) {
    let files = service.as_map_mut().and_then(|map| map.shift_remove("label_file"));
    let Some(Value::Seq(files)) = files.map(|files| files.node.value) else { return };
    let mut assigned = Map::new();
    for file in files {
        let path = session.request.cwd.join(file.as_str().unwrap_or_default());
        let none = |_: &str| None;
        let through = Trail::from(Step::File { attribute: "label_file", span: file.span });
        let lookup = Lookup { first: &none, origin: &|_: &str| VariableSource::Unset, through };
        let outcome = read(session, &path, Dialect::Dotenv, &lookup, &mut assigned);
        for mut problem in outcome.err().into_iter().flatten() {
            problem.code = Code::LabelFile;
            problem.message = problem.message.replace("env file", "label file");
            session.report_at(named(problem, Some(file.span)), &file, cursor);
        }
    }
    if assigned.is_empty() {
        return;
    }
    let span = first_key(&assigned);
    let Some(map) = service.as_map_mut() else { return };
    if let Some(Entry { node: Node { value: Value::Map(own), .. }, .. }) =
        map.shift_remove("labels")
    {
        overlay(&mut assigned, own);
    }
    map.insert("labels".to_owned(), entry(Node::map(assigned, span)));
}
