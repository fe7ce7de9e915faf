//! Several files and documents to one tree.
//!
//! Each document goes the same way: interpolate, extend, take away what it resets, include, merge
//! onto what there is, check the shape, lengthen short forms.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;

use crate::diagnostic::{Code, Diagnostic, FileId, Span};

use super::cursor::Cursor;
use super::extends::Extender;
use super::locations::{self, Base};
use super::node::{Map, Node, Value};
use super::session::{STDIN, Session};
use super::variables::Variables;
use super::yaml::{self, Document, Reset};
use super::{
    canonical, environment, implied, include, interpolate, merge, resources, shape, unique,
};

/// A file that was read and parsed.
#[derive(Debug)]
pub(super) struct Parsed {
    /// The file, absolute; `-` for standard input.
    pub(super) path: PathBuf,
    /// Its documents.
    pub(super) documents: Vec<Document>,
}

/// What the files of one project, or of one entry of `include`, share.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    /// Where their paths begin.
    pub(super) base: Base,
    /// What their `${…}` see.
    pub(super) variables: Variables,
    /// The files that led here, for circles of includes.
    pub(super) chain: Vec<PathBuf>,
}

/// Reads and parses a file. Problems are reported; `from` is where the file is named.
pub(super) fn parse_file(
    session: &mut Session<'_>,
    path: &Path,
    from: Option<Span>,
) -> Option<Parsed> {
    let read = if path == Path::new(STDIN) { session.read_stdin() } else { session.read(path) };
    match read {
        Ok(file) => parse_text(session, path, file),
        Err(error) => {
            session.unreadable(path, &error, from);
            None
        }
    }
}

fn parse_text(session: &mut Session<'_>, path: &Path, file: FileId) -> Option<Parsed> {
    let text: Arc<str> = session.text(file);
    let mut problems = Vec::new();
    let documents = yaml::parse(&text, file, &session.budget, &mut problems);
    for problem in problems {
        session.report(problem);
    }
    match documents {
        Ok(documents) => Some(Parsed { path: path.to_owned(), documents }),
        Err(diagnostic) => {
            // Whatever is read next would hit the same limit.
            if diagnostic.code == Code::TooLarge {
                session.exhaust();
            }
            session.report(*diagnostic);
            None
        }
    }
}

/// Composes parsed files into one tree, with defaults and absolute paths.
pub(super) fn compose(
    session: &mut Session<'_>,
    files: Vec<Parsed>,
    scope: &Scope,
) -> Option<Node> {
    let mut tree: Option<Node> = None;
    for file in files {
        let mut chain = scope.chain.clone();
        chain.push(file.path.clone());
        let scope = Scope { chain, ..scope.clone() };
        let mut extender = Extender::new(&scope, &file.path);
        for document in file.documents {
            if let Some(next) = prepare(session, document, tree.as_mut(), &mut extender, &scope) {
                let whole = match tree.take() {
                    None => next,
                    Some(tree) => merge::merge(session, tree, next, &Cursor::top()),
                };
                let place = whole.span;
                if !session.budget.visit(whole.size().0) {
                    session.too_large(place);
                    return None;
                }
                tree = Some(settle(session, whole));
            }
        }
    }
    let mut tree = tree?;
    if session.is_exhausted() {
        return None;
    }
    implied::imply(&mut tree, &Cursor::top());
    resources::check(session, &mut tree);
    if session.phases().resolve_paths || !scope.chain.is_empty() {
        locations::resolve(session, &mut tree, &scope.base);
    }
    if session.phases().interpolate {
        environment::resolve_lists(session, &mut tree, &scope.variables);
    }
    Some(tree)
}

/// Makes a document ready to be merged onto `tree`.
fn prepare(
    session: &mut Session<'_>,
    document: Document,
    tree: Option<&mut Node>,
    extender: &mut Extender<'_>,
    scope: &Scope,
) -> Option<Node> {
    let Document { mut node, resets } = document;
    if !matches!(node.value, Value::Map(_)) {
        let message = format!("a project file must hold a mapping, not {}", node.kind());
        session.report(
            Diagnostic::error(Code::WrongType, message)
                .at(node.span, format!("this is {}", node.kind()))
                .hint("begin with `services:`"),
        );
        return None;
    }
    if session.phases().interpolate {
        interpolate::interpolate(session, &mut node, &scope.variables);
        if session.is_exhausted() {
            return None;
        }
    }
    extender.extend_all(session, &mut node, &resets);
    if let Some(tree) = tree {
        apply_resets(tree, &resets);
    }
    include::include(session, &mut node, scope);
    Some(node)
}

/// Brings the merged tree into order.
fn settle(session: &mut Session<'_>, mut tree: Node) -> Node {
    unique::enforce(session, &mut tree, &Cursor::top());
    shape::check(session, &mut tree);
    drop_version(session, &mut tree);
    lengthen(session, &mut tree);
    tree
}

/// Short forms to long ones; that may show that two items mean the same.
pub(super) fn lengthen(session: &mut Session<'_>, tree: &mut Node) {
    canonical::canonical(session, tree, &Cursor::top());
    drop_blank_dns(tree);
    unique::enforce(session, tree, &Cursor::top());
}

/// `version` says nothing any more.
fn drop_version(session: &mut Session<'_>, tree: &mut Node) {
    let Some(version) = tree.as_map_mut().and_then(|top| top.shift_remove("version")) else {
        return;
    };
    session.report(
        Diagnostic::warning(
            Code::ObsoleteVersion,
            "the attribute `version` is obsolete and ignored",
        )
        .at(version.key, "not needed")
        .hint("remove the line"),
    );
}

/// Blank name servers come from variables that are not set.
fn drop_blank_dns(tree: &mut Node) {
    let Some(services) = tree.get_mut("services").and_then(Node::as_map_mut) else { return };
    for service in services.values_mut() {
        if let Some(Value::Seq(servers)) = service.node.get_mut("dns").map(|node| &mut node.value) {
            servers.retain(|server| server.as_str() != Some("") && !server.is_null());
        }
    }
}

/// Takes away from `tree` what a later document resets.
pub(super) fn apply_resets(tree: &mut Node, resets: &[Reset]) {
    for reset in resets {
        remove(tree, &reset.path);
    }
}

fn remove(node: &mut Node, path: &[String]) {
    let (Some(map), Some((key, rest))) = (node.as_map_mut(), path.split_first()) else { return };
    if rest.is_empty() {
        map.shift_remove(key);
    } else if let Some(entry) = map.get_mut(key) {
        remove(&mut entry.node, rest);
    }
}

/// The mapping of services, taken out of a document.
pub(super) fn take_services(document: &mut Node) -> Option<Map> {
    match document.get_mut("services") {
        Some(Node { value: Value::Map(map), .. }) => Some(std::mem::take(map)),
        _ => None,
    }
}

/// Files by name, so that a file is parsed once however many services extend from it.
pub(super) type Cache<T> = IndexMap<String, T>;
