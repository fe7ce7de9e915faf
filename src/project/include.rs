//! `include`: other projects whose resources become part of this one.
//!
//! Every entry is a small project of its own: its paths begin in its own folder, its variables are
//! those of the main project and of its own env files.

use std::path::PathBuf;

use crate::diagnostic::{Code, Diagnostic, closest};

use super::compose::{self, Parsed, Scope};
use super::environment;
use super::locations::{Base, relative};
use super::node::{Entry, Map, Node, Step, Value};
use super::session::Session;
use super::source::Kind;

/// As how many values an entry counts against the size of the project.
const ENTRY: usize = 20;

/// How deep files may include each other.
const MAX_CHAIN: usize = 64;

/// Top-level attributes that are imported.
const KINDS: [&str; 6] = ["services", "volumes", "networks", "secrets", "configs", "models"];

/// Replaces `include` in a document by what it includes.
pub(super) fn include(session: &mut Session<'_>, document: &mut Node, scope: &Scope) {
    let Some(include) = document.as_map_mut().and_then(|top| top.shift_remove("include")) else {
        return;
    };
    let Value::Seq(entries) = include.node.value else {
        if !include.node.is_null() {
            session.report(
                Diagnostic::error(
                    Code::Include,
                    format!("`include` must be a list, not {}", include.node.kind()),
                )
                .at(include.node.span, "begin the line with `- `"),
            );
        }
        return;
    };
    for entry in &entries {
        // Files that include others twice are many soon, however little they hold.
        if session.is_exhausted() || !session.afford((ENTRY, 0), entry.span) {
            return;
        }
        match load(session, entry, scope) {
            Some(imported) => import(session, document, imported, entry),
            // What refers to the resources in it is not wrong as well.
            None => session.incomplete = true,
        }
    }
}

/// One entry in its long form.
struct Included {
    paths: Vec<Node>,
    directory: Option<Node>,
    env_files: Vec<Node>,
}

fn read_entry(session: &mut Session<'_>, entry: &Node) -> Option<Included> {
    let list = |key: &str| match entry.get(key).map(|node| &node.value) {
        Some(Value::Str(_)) => entry.get(key).into_iter().cloned().collect(),
        Some(Value::Seq(items)) => items.clone(),
        _ => Vec::new(),
    };
    let included = match &entry.value {
        Value::Str(_) => {
            Included { paths: vec![entry.clone()], directory: None, env_files: Vec::new() }
        }
        _ => Included {
            paths: list("path"),
            directory: entry.get("project_directory").cloned(),
            env_files: list("env_file"),
        },
    };
    let strings =
        included.paths.iter().chain(&included.env_files).all(|node| node.as_str().is_some());
    let known = ["path", "project_directory", "env_file"];
    let unknown =
        entry.as_map().and_then(|map| map.iter().find(|(key, _)| !known.contains(&key.as_str())));
    if let Some((key, entry)) = unknown {
        session.report(
            Diagnostic::error(
                Code::UnknownAttribute,
                format!("unknown attribute `{key}` in `include`"),
            )
            .at(entry.key, "not part of the Compose specification")
            .hint(match closest(key, known) {
                Some(known) => format!("did you mean `{known}`?"),
                None => "known are `path`, `project_directory` and `env_file`".to_owned(),
            }),
        );
        return None;
    }
    if included.paths.is_empty() || !strings {
        session.report(
            Diagnostic::error(Code::Include, "an entry of `include` names no file")
                .at(entry.span, "a path, or a mapping with `path`"),
        );
        return None;
    }
    Some(included)
}

fn load(session: &mut Session<'_>, entry: &Node, scope: &Scope) -> Option<Node> {
    let included = read_entry(session, entry)?;
    let mut files = Vec::new();
    for path in &included.paths {
        if refuse_remote(session, path) {
            return None;
        }
        // Without `..`, so that a file has one name on whatever way it is reached.
        files.push(normal(&scope.base.dir.join(path.as_str()?)));
    }
    if let Some(position) = scope.chain.iter().position(|file| *file == files[0]) {
        report_circle(session, entry, &scope.chain[position..], &files[0]);
        return None;
    }
    if scope.chain.len() >= MAX_CHAIN {
        let message = format!("files include each other more than {MAX_CHAIN} deep");
        session.report(Diagnostic::error(Code::TooLarge, message).at(entry.span, "one too many"));
        return None;
    }
    let base = base(session, &included, &files[0], scope);
    let variables = environment::include(session, &included.env_files, &base.dir, scope)?;
    let scope = Scope { base, variables, chain: scope.chain.clone() };
    let mut parsed: Vec<Parsed> = Vec::new();
    for (file, path) in files.iter().zip(&included.paths) {
        parsed.push(compose::parse_file(session, file, Some(path.span))?);
    }
    compose::compose(session, parsed, &scope)
}

/// The folder of an included project: as said, else that of its first file.
fn base(session: &Session<'_>, included: &Included, main: &std::path::Path, scope: &Scope) -> Base {
    let parent = |path: &std::path::Path| path.parent().unwrap_or(path).to_owned();
    let outer = &scope.base.dir;
    match included.directory.as_ref().and_then(Node::as_str).filter(|text| !text.is_empty()) {
        None => {
            let dir = normal(&parent(main));
            Base { prefix: relative(outer, &dir), dir }
        }
        Some(directory) if directory.starts_with('/') => {
            Base { prefix: directory.to_owned(), dir: PathBuf::from(directory) }
        }
        Some(directory) => {
            let dir = normal(&outer.join(directory));
            let is_folder = matches!(session.source.kind(&dir), Ok(Kind::Directory));
            let shown = if is_folder { dir.clone() } else { parent(&dir) };
            Base { prefix: relative(outer, &shown), dir }
        }
    }
}

fn normal(path: &std::path::Path) -> PathBuf {
    PathBuf::from(super::short::clean(&path.to_string_lossy()))
}

/// Adds imported resources to a document. The same definition twice is fine, another is not.
fn import(session: &mut Session<'_>, document: &mut Node, imported: Node, from: &Node) {
    let Value::Map(mut imported) = imported.value else { return };
    for kind in KINDS {
        let Some(Entry { node: Node { value: Value::Map(resources), .. }, key }) =
            imported.shift_remove(kind)
        else {
            continue;
        };
        let Some(top) = document.as_map_mut() else { return };
        let target = top
            .entry(kind.to_owned())
            .or_insert_with(|| Entry { key, node: Node::map(Map::new(), key) });
        if target.node.is_null() {
            target.node.value = Value::Map(Map::new());
        }
        let Value::Map(target) = &mut target.node.value else { continue };
        for (name, mut resource) in resources {
            match target.get(&name) {
                Some(own) if same(&own.node, &resource.node) => {}
                Some(own) => {
                    let own = own.clone();
                    report_conflict(session, &format!("{kind}.{name}"), (&own, &resource), from);
                }
                None => {
                    if !session.afford((resource.node.size().0, 0), from.span) {
                        return;
                    }
                    resource.node.record(&Step::Included { span: from.span });
                    target.insert(name, resource);
                }
            }
        }
    }
}

/// Whether two trees hold the same values.
fn same(a: &Node, b: &Node) -> bool {
    match (&a.value, &b.value) {
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, entry)| {
                    b.get(key).is_some_and(|other| same(&entry.node, &other.node))
                })
        }
        (Value::Seq(a), Value::Seq(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Map(_) | Value::Seq(_), _) | (_, Value::Map(_) | Value::Seq(_)) => false,
        _ => a.kind() == b.kind() && a.scalar_text() == b.scalar_text(),
    }
}

fn report_conflict(
    session: &mut Session<'_>,
    name: &str,
    (own, other): (&Entry, &Entry),
    from: &Node,
) {
    let message = format!("`{name}` is defined here and in an included file");
    session.report(
        Diagnostic::error(Code::IncludeConflict, message)
            .at(own.key, "defined here")
            .at(other.key, "and here")
            .at(from.span, "included here")
            .hint("rename one, or list an override file in the `path` of the entry"),
    );
}

fn report_circle(
    session: &mut Session<'_>,
    entry: &Node,
    chain: &[PathBuf],
    again: &std::path::Path,
) {
    let names: Vec<String> = chain
        .iter()
        .map(PathBuf::as_path)
        .chain([again])
        .map(|path| format!("`{}`", session.display(path)))
        .collect();
    session.report(
        Diagnostic::error(
            Code::IncludeCycle,
            format!("files include each other in a circle: {}", names.join(" includes ")),
        )
        .at(entry.span, "the circle closes here"),
    );
}

/// Refuses what is not on this machine; true if so.
pub(super) fn refuse_remote(session: &mut Session<'_>, path: &Node) -> bool {
    let text = path.as_str().unwrap_or_default();
    if !is_remote(text) {
        return false;
    }
    session.report(
        Diagnostic::error(Code::RemoteInclude, format!("`{text}` is not on this machine"))
            .at(path.span, "Ketch reads local files only, so far")
            .hint("fetch it first and name the local file"),
    );
    true
}

/// Whether a reference names a git repository or an OCI artifact.
pub(super) fn is_remote(text: &str) -> bool {
    const PREFIXES: [&str; 7] =
        ["https://", "http://", "git://", "ssh://", "git@", "github.com/", "oci://"];
    PREFIXES.iter().any(|prefix| text.starts_with(prefix))
}
