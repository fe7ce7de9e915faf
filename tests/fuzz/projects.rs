//! Projects of several files, made of pieces of valid ones: they get past the parser and the
//! shape, into merging, `extends`, `include`, interpolation, the short forms and the model.

use std::path::Path;
use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_yaml::value::{Tag, TaggedValue};
use serde_yaml::{Mapping, Value};

use crate::binary::root;

/// The files of a made-up project; the last two are reached through `extends` and `include`.
const FILES: [&str; 4] =
    ["compose.yaml", "compose.override.yaml", "base.yaml", "part/compose.yaml"];

/// Scalars that some attribute or another might stumble over.
const SCALARS: &[&str] = &[
    "",
    "0",
    "-1",
    "1.5",
    "1e400",
    ".nan",
    "true",
    "0x7fffffffffffffff",
    "18446744073709551616",
    "9999999999999999999999",
    "1h2m3.5s",
    "99999999999999999h",
    "16EiB",
    "-5k",
    "0-65535",
    "65536:80",
    "[::1]:1-2:3-4/udp",
    "127.0.0.1:8000-9000:80/tcp",
    ":",
    "::",
    "./a:/b:ro,z",
    "C:\\a:/b",
    "~/x:/y",
    "service:web",
    "container:x",
    "A=",
    "=",
    "2001-01-01",
    "é\u{301}\u{202e}",
    "\u{7f}\u{85}",
    "${A}",
    "${A:-${B-${C:+d}}}",
    "${A:?why}",
    "${A?}",
    "$$",
    "$A$B${LONG}",
    "${",
    "..",
    "/",
];

/// The values of the example files.
struct Pool {
    files: Vec<Value>,
    /// A key, its value, and the pattern of the path that they stand under.
    entries: Vec<(String, Value, Value)>,
}

static POOL: LazyLock<Pool> = LazyLock::new(|| {
    let mut pool = Pool { files: Vec::new(), entries: Vec::new() };
    for folder in ["examples", "tests/load"] {
        collect(&root().join(folder), &mut pool.files);
    }
    for file in &pool.files {
        gather(file, "", &mut pool.entries);
    }
    pool
});

/// All mappings in the YAML files below a folder, in the same order each time.
fn collect(folder: &Path, found: &mut Vec<Value>) {
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|end| end == "yaml" || end == "yml")
            && let Ok(value @ Value::Mapping(_)) =
                serde_yaml::from_slice(&std::fs::read(&path).unwrap())
        {
            found.push(value);
        }
    }
}

fn gather(value: &Value, pattern: &str, found: &mut Vec<(String, Value, Value)>) {
    match value {
        Value::Mapping(map) => {
            for (key, value) in map {
                found.push((pattern.to_owned(), key.clone(), value.clone()));
                gather(value, &below(pattern, key), found);
            }
        }
        Value::Sequence(items) => {
            for item in items {
                gather(item, &format!("{pattern}.[]"), found);
            }
        }
        _ => {}
    }
}

/// `services.*.ports`: names that users give become `*`.
fn below(pattern: &str, key: &Value) -> String {
    let top = !pattern.is_empty() && !pattern.contains('.');
    let key = if top { "*" } else { key.as_str().unwrap_or("?") };
    if pattern.is_empty() { key.to_owned() } else { format!("{pattern}.{key}") }
}

/// One change to one file.
#[derive(Clone, Debug)]
pub(super) struct Edit {
    file: usize,
    at: Index,
    other: Index,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Adds an attribute that stands at the same place in some example.
    Grow,
    /// Any value of any example, wherever it fits or not.
    Swap,
    Scalar,
    /// The value again, as the default of a variable.
    Template,
    Wrap,
    Unwrap,
    Null,
    Remove,
    Reset,
    Override,
    Extend,
    Include,
}

const KINDS: &[Kind] = &[
    Kind::Grow,
    Kind::Grow,
    Kind::Grow,
    Kind::Swap,
    Kind::Scalar,
    Kind::Scalar,
    Kind::Template,
    Kind::Wrap,
    Kind::Unwrap,
    Kind::Null,
    Kind::Remove,
    Kind::Reset,
    Kind::Override,
    Kind::Extend,
    Kind::Include,
];

/// A project before its edits: which example each file begins as, and the arguments of `ketch`.
#[derive(Clone, Debug)]
pub(super) struct Made {
    starts: Vec<Index>,
    edits: Vec<Edit>,
    pub(super) arguments: &'static str,
}

const ARGUMENTS: &[&str] = &[
    "config",
    "config",
    "config",
    "config --format json",
    "config --no-interpolate",
    "config --no-consistency --no-normalize --no-path-resolution",
    "config --variables",
    "config --hash *",
    "--profile * config",
    "--all-resources config --no-env-resolution",
    "check",
    "check --format json",
    "explain services.web",
];

pub(super) fn made() -> impl Strategy<Value = Made> {
    let edit = (0..FILES.len(), any::<Index>(), any::<Index>(), select(KINDS))
        .prop_map(|(file, at, other, kind)| Edit { file, at, other, kind });
    (vec(any::<Index>(), FILES.len()), vec(edit, 0..12), select(ARGUMENTS))
        .prop_map(|(starts, edits, arguments)| Made { starts, edits, arguments })
}

impl Made {
    /// The files of the project, by path.
    pub(super) fn files(&self) -> Vec<(&'static str, String)> {
        let mut trees: Vec<Value> =
            self.starts.iter().map(|start| start.get(&POOL.files).clone()).collect();
        for edit in &self.edits {
            edit.apply(&mut trees[edit.file]);
        }
        let text = |tree| serde_yaml::to_string(tree).unwrap_or_default();
        FILES.into_iter().zip(trees.iter().map(text)).collect()
    }
}

impl Edit {
    fn apply(&self, tree: &mut Value) {
        match self.kind {
            Kind::Grow => return self.grow(tree),
            Kind::Extend => return self.extend(tree),
            Kind::Include => return self.include(tree),
            Kind::Remove => return self.remove(tree),
            _ => {}
        }
        let mut at = self.at.index(count(tree));
        let Some(node) = nth(tree, &mut at) else { return };
        let old = std::mem::take(node);
        *node = match (self.kind, old) {
            (Kind::Swap, _) => self.other.get(&POOL.entries).2.clone(),
            (Kind::Scalar, _) => {
                let text: &str = SCALARS[self.other.index(SCALARS.len())];
                serde_yaml::from_str(text).unwrap_or_else(|_| text.into())
            }
            (Kind::Template, Value::String(text)) => format!("${{A:-{text}}}").into(),
            (Kind::Template, Value::Number(number)) => format!("${{A-{number}}}").into(),
            (Kind::Wrap, old) => Value::Sequence(vec![old]),
            (Kind::Unwrap, Value::Sequence(items)) => items.into_iter().next().unwrap_or_default(),
            (Kind::Unwrap, Value::Mapping(map)) => Value::Sequence(map.into_keys().collect()),
            (Kind::Reset, old) => tagged("!reset", old),
            (Kind::Override, old) => tagged("!override", old),
            (Kind::Null, _) => Value::Null,
            (_, old) => old,
        };
    }

    fn grow(&self, tree: &mut Value) {
        let (pattern, key, value) = self.other.get(&POOL.entries);
        let mut places = Vec::new();
        find(tree, "", pattern, &mut places);
        if !places.is_empty() {
            let place = self.at.index(places.len());
            places.swap_remove(place).insert(key.clone(), value.clone());
        }
    }

    fn extend(&self, tree: &mut Value) {
        let Some(Value::Mapping(services)) = tree.get_mut("services") else { return };
        if services.is_empty() {
            return;
        }
        let names: Vec<Value> = services.keys().cloned().collect();
        let (name, other) = (self.at.get(&names), self.other.get(&names));
        let mut extends = Mapping::from_iter([("service".into(), other.clone())]);
        let file = self.other.index(FILES.len() + 1);
        if let Some(file) = FILES.get(file) {
            extends.insert("file".into(), (*file).into());
        }
        if let Some(Value::Mapping(service)) = services.get_mut(name) {
            service.insert("extends".into(), Value::Mapping(extends));
        }
    }

    fn include(&self, tree: &mut Value) {
        if let Value::Mapping(top) = tree {
            top.insert("include".into(), vec![Value::from(*self.at.get(&FILES))].into());
        }
    }

    fn remove(&self, tree: &mut Value) {
        let mut at = self.at.index(count(tree));
        match nth(tree, &mut at) {
            Some(Value::Mapping(map)) if !map.is_empty() => {
                let key = self.other.index(map.len());
                let key = map.keys().nth(key).cloned();
                key.map(|key| map.remove(key));
            }
            Some(Value::Sequence(items)) if !items.is_empty() => {
                items.remove(self.other.index(items.len()));
            }
            _ => {}
        }
    }
}

fn tagged(tag: &str, value: Value) -> Value {
    if matches!(value, Value::Tagged(_)) {
        return value;
    }
    Value::Tagged(Box::new(TaggedValue { tag: Tag::new(tag), value }))
}

/// All mappings of a tree at a pattern.
fn find<'v>(tree: &'v mut Value, here: &str, pattern: &str, found: &mut Vec<&'v mut Mapping>) {
    match tree {
        Value::Mapping(map) => {
            if here == pattern {
                return found.push(map);
            }
            for (key, value) in map {
                find(value, &below(here, key), pattern, found);
            }
        }
        Value::Sequence(items) => {
            let here = format!("{here}.[]");
            for item in items {
                find(item, &here, pattern, found);
            }
        }
        _ => {}
    }
}

/// How many values there are in a tree.
fn count(tree: &Value) -> usize {
    1 + match tree {
        Value::Mapping(map) => map.values().map(count).sum(),
        Value::Sequence(items) => items.iter().map(count).sum(),
        _ => 0,
    }
}

/// The value of a tree with this number.
fn nth<'v>(tree: &'v mut Value, at: &mut usize) -> Option<&'v mut Value> {
    if *at == 0 {
        return Some(tree);
    }
    *at -= 1;
    match tree {
        Value::Mapping(map) => map.values_mut().find_map(|value| nth(value, at)),
        Value::Sequence(items) => items.iter_mut().find_map(|item| nth(item, at)),
        _ => None,
    }
}
