//! Raw tree to [`Node`]s: resolves scalars, aliases, merge keys, `!reset` and `!override`.

use crate::diagnostic::{Code, Diagnostic, FileId, Span};
use crate::project::node::{Entry, Map, Node, Step, Trail, Value};

use super::events::{Raw, RawKind, RawNode, Style};
use super::{Budget, Document, MAX_DEPTH, Reset, scalar, too_large, too_nested};

type Outcome<T> = Result<T, Box<Diagnostic>>;

/// How many problems of one document are kept: an alias may repeat one very often.
const MAX_PROBLEMS: usize = 1_000;

/// Resolves a whole document. What cannot be resolved is put into `problems` and left out.
pub(super) fn document(
    raw: &Raw<'_>,
    file: FileId,
    budget: &Budget,
    problems: &mut Vec<Diagnostic>,
) -> Outcome<Document> {
    let mut expander = Expander {
        raw,
        budget,
        problems,
        path: Vec::new(),
        active: Vec::new(),
        aliases: Vec::new(),
        resets: Vec::new(),
    };
    let top = expander.node(Raw::ROOT)?;
    let node = top.unwrap_or_else(|| Node::new(Value::Null, Span::new(file, 0, 0)));
    Ok(Document { node, resets: expander.resets })
}

struct Expander<'a> {
    raw: &'a Raw<'a>,
    budget: &'a Budget,
    problems: &'a mut Vec<Diagnostic>,
    /// Keys down to the node at hand.
    path: Vec<&'a str>,
    /// Collections that are being resolved, to notice an alias to one of them.
    active: Vec<usize>,
    /// Where the aliases stand that led to the node at hand.
    aliases: Vec<Span>,
    resets: Vec<Reset>,
}

impl<'a> Expander<'a> {
    /// Resolves one node; `None` if it leaves nothing in the tree: it is `!reset`, or wrong.
    fn node(&mut self, index: usize) -> Outcome<Option<Node>> {
        let raw: &'a RawNode<'a> = self.raw.node(index);
        if let RawKind::Alias(anchor) = raw.kind {
            return self.alias(anchor, raw.span);
        }
        self.spend(0, raw.span)?;
        match raw.tag.as_deref() {
            Some("!reset") => {
                self.record(raw.span);
                return Ok(None);
            }
            Some("!override") => self.record(raw.span),
            _ => {}
        }
        let value = match &raw.kind {
            RawKind::Scalar { text, style } => {
                self.spend(text.len(), raw.span)?;
                match scalar_value(raw, text, *style) {
                    Ok(value) => value,
                    Err(problem) => return Ok(self.leave_out(*problem)),
                }
            }
            RawKind::Seq(items) => self.nested(index, |this| this.seq(items))?,
            RawKind::Map(items) => self.nested(index, |this| this.map(items))?,
            RawKind::Alias(_) => Value::Null,
        };
        Ok(Some(Node::new(value, raw.span)))
    }

    fn spend(&mut self, bytes: usize, span: Span) -> Outcome<()> {
        match (self.budget.spend(bytes), self.aliases.as_slice()) {
            (true, _) => Ok(()),
            (false, []) => Err(too_large(span)),
            (false, [outermost, ..]) => Err(Box::new(bomb(*outermost, span))),
        }
    }

    /// Keeps a problem of a node, which leaves nothing in the tree.
    fn leave_out(&mut self, problem: Diagnostic) -> Option<Node> {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        }
        None
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Outcome<Option<Node>> {
        let Some(target) = self.raw.anchored(anchor) else {
            let problem =
                Diagnostic::error(Code::Alias, "unknown anchor").at(span, "no such anchor");
            return Ok(self.leave_out(problem));
        };
        if self.active.contains(&target) {
            let problem = Diagnostic::error(Code::Alias, "an anchor holds an alias to itself")
                .at(span, "refers to a collection that it is in")
                .at(self.raw.node(target).span, "the collection begins here");
            return Ok(self.leave_out(problem));
        }
        self.aliases.push(span);
        let node = self.node(target);
        self.aliases.pop();
        node
    }

    /// Runs `resolve` for the children of the collection `index`.
    fn nested(
        &mut self,
        index: usize,
        resolve: impl FnOnce(&mut Self) -> Outcome<Value>,
    ) -> Outcome<Value> {
        if self.active.len() >= MAX_DEPTH {
            return Err(too_nested(self.raw.node(index).span));
        }
        self.active.push(index);
        let value = resolve(self);
        self.active.pop();
        value
    }

    fn seq(&mut self, items: &'a [usize]) -> Outcome<Value> {
        let mut seq = Vec::with_capacity(items.len());
        self.path.push("[]");
        for item in items {
            seq.extend(self.node(*item)?);
        }
        self.path.pop();
        Ok(Value::Seq(seq))
    }

    fn map(&mut self, items: &'a [usize]) -> Outcome<Value> {
        let mut map = Map::with_capacity(items.len() / 2);
        let mut merge = None;
        let mut resets = Vec::new();
        for pair in items.chunks_exact(2) {
            let (key, value) = (pair[0], pair[1]);
            let raw_key = self.raw.node(key);
            if is_merge(raw_key) {
                match merge {
                    None => merge = Some((value, raw_key.span)),
                    Some((_, first)) => drop(self.leave_out(two_merges(raw_key.span, first))),
                }
                continue;
            }
            match self.key(key) {
                Ok((name, span)) => {
                    let raw = self.raw.node(value);
                    if raw.tag.as_deref() == Some("!reset") {
                        resets.push((name, raw.span));
                    }
                    self.pair(&mut map, (name, span), value)?;
                }
                Err(problem) => drop(self.leave_out(*problem)),
            }
        }
        if let Some((value, span)) = merge {
            self.merge(&mut map, value, span)?;
            for (name, reset) in resets {
                if let Some(entry) = map.get(name) {
                    self.leave_out(undone(name, reset, entry.key));
                }
            }
        }
        Ok(Value::Map(map))
    }

    /// Adds a key and its value.
    fn pair(&mut self, map: &mut Map, (name, key): (&'a str, Span), value: usize) -> Outcome<()> {
        if let Some(earlier) = map.get(name) {
            self.leave_out(duplicate(name, key, earlier.key));
        }
        self.path.push(name);
        let node = self.node(value)?;
        self.path.pop();
        match (map.get_mut(name), node) {
            (_, None) => {}
            (Some(earlier), Some(node)) => unite(&mut earlier.node, node),
            (None, Some(node)) => drop(map.insert(name.to_owned(), Entry { key, node })),
        }
        Ok(())
    }

    /// The text of a key; aliases to strings are fine, anything but a string is not.
    fn key(&self, index: usize) -> Outcome<(&'a str, Span)> {
        let raw = self.raw.node(index);
        let target = match raw.kind {
            RawKind::Alias(anchor) => self.raw.anchored(anchor).map(|target| self.raw.node(target)),
            _ => Some(raw),
        };
        let (what, hint) = match target.map(|target| (&target.kind, &target.tag)) {
            Some((RawKind::Scalar { text, style }, tag)) => {
                match scalar::resolve(text, *style, tag.as_deref()) {
                    Ok(Value::Str(_)) => return Ok((text, raw.span)),
                    Ok(value) => {
                        let kind = Node::new(value, raw.span).kind();
                        (kind, format!("put quotes around it: \"{text}\""))
                    }
                    Err(mismatch) => (mismatch.is, "remove the tag".to_owned()),
                }
            }
            _ => ("a collection", "keys are plain text".to_owned()),
        };
        Err(Box::new(
            Diagnostic::error(Code::NonStringKey, format!("a key must be a string, not {what}"))
                .at(raw.span, format!("this is {what}"))
                .hint(hint),
        ))
    }

    /// Adds what `<<` names, as far as it is not there.
    fn merge(&mut self, map: &mut Map, value: usize, key: Span) -> Outcome<()> {
        let place = self.raw.node(value).span;
        let Some(node) = self.node(value)? else { return Ok(()) };
        let sources = match node.value {
            Value::Seq(items) => items,
            value => vec![Node { value, span: place, ..node }],
        };
        let came = Trail::from(Step::Merged { span: key });
        for source in sources {
            if let Value::Map(source) = source.value {
                for (name, mut entry) in source {
                    map.entry(name).or_insert_with(|| {
                        entry.node.begin_trails(&came);
                        entry
                    });
                }
            } else {
                self.leave_out(not_mergeable(&source, key));
            }
        }
        Ok(())
    }

    fn record(&mut self, span: Span) {
        let path = self.path.iter().map(|key| (*key).to_owned()).collect();
        self.resets.push(Reset { path, span });
    }
}

fn scalar_value(raw: &RawNode<'_>, text: &str, style: Style) -> Outcome<Value> {
    let tag = raw.tag.as_deref().filter(|tag| *tag != "!override" && *tag != "!");
    let style = if raw.tag.as_deref() == Some("!") { Style::Quoted } else { style };
    scalar::resolve(text, style, tag).map_err(|mismatch| {
        let tag = tag.unwrap_or_default();
        Box::new(
            Diagnostic::error(Code::Syntax, format!("`{text}` is not of type `{tag}`"))
                .at(raw.span, format!("this is `{}`", mismatch.is))
                .hint("remove the tag or change the value"),
        )
    })
}

/// The error for aliases that multiply beyond the budget: `alias` is the outermost of them.
fn bomb(alias: Span, target: Span) -> Diagnostic {
    Diagnostic::error(Code::TooLarge, "the file expands to more than Ketch reads")
        .at(alias, "this alias stands for too much")
        .at(target, "the limit is reached in this")
        .hint("look for anchors that refer to each other many times over")
}

/// Adds what a later mapping has and an earlier one under the same key has not: what refers to it
/// is not wrong as well.
fn unite(earlier: &mut Node, later: Node) {
    if let (Value::Map(earlier), Value::Map(later)) = (&mut earlier.value, later.value) {
        for (key, entry) in later {
            earlier.entry(key).or_insert(entry);
        }
    }
}

/// A quoted `"<<"` is a key like any other.
fn is_merge(key: &RawNode<'_>) -> bool {
    matches!(&key.kind, RawKind::Scalar { text, style: Style::Plain } if text == "<<")
}

fn duplicate(key: &str, second: Span, first: Span) -> Diagnostic {
    let message = format!("the key `{key}` stands twice in one mapping");
    Diagnostic::error(Code::DuplicateKey, message)
        .at(second, "again here")
        .at(first, "first here")
        .hint("remove or rename one of the two")
}

fn two_merges(second: Span, first: Span) -> Diagnostic {
    duplicate("<<", second, first).hint("name all of them in one list: `<<: [*a, *b]`")
}

/// The warning for a `!reset` that has no effect on what `<<` brings, as in Compose.
fn undone(key: &str, reset: Span, source: Span) -> Diagnostic {
    let message = format!("`!reset` does not take away the `{key}` that `<<` brings");
    Diagnostic::warning(Code::MergeKey, message)
        .at(reset, format!("`{key}` stays"))
        .at(source, "comes from here")
        .hint(format!("`!reset` is for earlier files and `extends`: take `{key}` out of the anchor, or give it a value here"))
}

fn not_mergeable(node: &Node, key: Span) -> Diagnostic {
    let problem = Diagnostic::error(Code::MergeKey, "`<<` takes a mapping or a list of mappings")
        .at(node.span, format!("this is {}", node.kind()))
        .at(key, "merged here");
    match node.as_str() {
        Some(name) => problem.hint(format!("write `<<: *{name}` for what is marked `&{name}`")),
        None => problem,
    }
}
