//! Relative paths to absolute ones.

use std::path::{Path, PathBuf};

use crate::diagnostic::{Code, Diagnostic};

use super::attribute::Location;
use super::cursor::Cursor;
use super::node::{Node, Value};
use super::parallel;
use super::session::Session;
use super::short;

/// Where relative paths begin.
#[derive(Clone, Debug)]
pub(super) struct Base {
    /// What is put before them: absolute, or relative to the project that includes this one.
    pub(super) prefix: String,
    /// The same folder, absolute.
    pub(super) dir: PathBuf,
}

/// Resolves all paths of a tree.
pub(super) fn resolve(session: &mut Session<'_>, node: &mut Node, base: &Base) {
    walk(session, node, base, &Cursor::top());
}

fn walk(session: &mut Session<'_>, node: &mut Node, base: &Base, cursor: &Cursor<'_>) {
    match cursor.attribute().location {
        Location::No => children(session, node, base, cursor),
        Location::Local => change(node, |path| local(session, path, base)),
        Location::MaybeWindows => change(node, |path| maybe_windows(session, path, base)),
        Location::Context => {
            change(node, |path| {
                if is_remote(path) { path.to_owned() } else { local(session, path, base) }
            });
        }
        Location::Followed => change(node, |path| followed(session, path, base)),
        Location::Mount => mount(session, node, base, cursor),
        Location::Volume => volume(session, node, base),
    }
}

fn children(session: &mut Session<'_>, node: &mut Node, base: &Base, cursor: &Cursor<'_>) {
    if !cursor.has_rules() {
        return;
    }
    match &mut node.value {
        Value::Map(map) => {
            parallel::retain(session, map, cursor, |session, entry, cursor| {
                walk(session, &mut entry.node, base, cursor);
                true
            });
        }
        Value::Seq(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                walk(session, item, base, &cursor.item(index));
            }
        }
        _ => {}
    }
}

/// A folder may be called `77`, which YAML takes for a number.
fn change(node: &mut Node, resolve: impl FnOnce(&str) -> String) {
    if let Some(path) = node.scalar_text() {
        node.value = Value::Str(resolve(&path));
    }
}

fn local(session: &Session<'_>, path: &str, base: &Base) -> String {
    let path = expand_home(session, path);
    if path.is_empty() || path.starts_with('/') {
        path
    } else {
        short::clean(&format!("{}/{path}", base.prefix))
    }
}

fn maybe_windows(session: &Session<'_>, path: &str, base: &Base) -> String {
    let path = expand_home(session, path);
    if path.starts_with('/') || short::is_windows_abs(&path) {
        path
    } else {
        short::clean(&format!("{}/{path}", base.prefix))
    }
}

/// `~` is the home of the user, whatever follows it.
pub(super) fn expand_home(session: &Session<'_>, path: &str) -> String {
    let home = session.request.environment.get("HOME").filter(|home| !home.is_empty());
    match (path.strip_prefix('~'), home) {
        (Some(rest), Some(home)) => short::clean(&format!("{home}/{rest}")),
        _ => path.to_owned(),
    }
}

/// Whether a build context is not on this machine.
fn is_remote(context: &str) -> bool {
    const PREFIXES: [&str; 7] =
        ["https://", "http://", "git://", "ssh://", "github.com/", "git@", "service:"];
    context.contains("://") || PREFIXES.iter().any(|prefix| context.starts_with(prefix))
}

/// Replaces the first link in a path by what it leads to.
fn followed(session: &Session<'_>, path: &str, base: &Base) -> String {
    let path = local(session, path, base);
    let absolute = base.dir.join(&path);
    for (index, _) in path.match_indices('/').chain([(path.len(), "")]) {
        let head = &path[..index];
        let place = if head.is_empty() { PathBuf::from("/") } else { base.dir.join(head) };
        match session.source.canonical(&place) {
            Err(_) => break,
            Ok(target) if target != place && absolute.starts_with(&place) => {
                return format!("{}{}", target.display(), &path[index..]);
            }
            Ok(_) => {}
        }
    }
    path
}

fn mount(session: &mut Session<'_>, node: &mut Node, base: &Base, cursor: &Cursor<'_>) {
    if node.get("type").and_then(Node::as_str) != Some("bind") {
        return;
    }
    if let Some(source) = node.get_mut("source") {
        change(source, |path| maybe_windows(session, path, base));
    } else {
        let message = format!("`{cursor}` is a bind mount without `source`");
        let diagnostic = Diagnostic::error(Code::MissingAttribute, message)
            .at(node.span, "`source` is missing")
            .hint("add `source:` with a path on this machine, or use `type: volume`");
        session.report_at(diagnostic, node, cursor);
    }
}

/// A volume of the local driver with `o: bind` is a folder on this machine.
fn volume(session: &Session<'_>, node: &mut Node, base: &Base) {
    if node.get("driver").and_then(Node::as_str) != Some("local") {
        return;
    }
    let Some(options) = node.get_mut("driver_opts") else { return };
    if options.get("o").and_then(Node::as_str) == Some("bind")
        && let Some(device) = options.get_mut("device")
    {
        change(device, |path| maybe_windows(session, path, base));
    }
}

/// How a path is called in messages to somebody who is in `cwd`: the short way.
pub fn display(cwd: &Path, path: &Path) -> String {
    let whole = path.display().to_string();
    let way = relative(cwd, path);
    if path.is_absolute() && way.len() < whole.len() { way } else { whole }
}

/// The way from folder `from` to `to`, both absolute.
pub(super) fn relative(from: &Path, to: &Path) -> String {
    let (from, to): (Vec<_>, Vec<_>) = (from.components().collect(), to.components().collect());
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let mut way: Vec<String> = vec!["..".to_owned(); from.len() - common];
    way.extend(to[common..].iter().map(|part| part.as_os_str().to_string_lossy().into_owned()));
    if way.is_empty() { ".".to_owned() } else { way.join("/") }
}
