//! Raw tree to [`Node`]s: resolves scalars, aliases, merge keys, `!reset` and `!override`.

use crate::diagnostic::{Code, Diagnostic, FileId, Span};
use crate::project::node::{Entry, Map, Node, Value};

use super::events::{Raw, RawKind, RawNode, Style};
use super::{Budget, Document, MAX_DEPTH, Reset, scalar, too_deep, too_large};

type Outcome<T> = Result<T, Box<Diagnostic>>;

/// Resolves a whole document.
pub(super) fn document(raw: &Raw, file: FileId, budget: &mut Budget) -> Outcome<Document> {
    let mut expander =
        Expander { raw, budget, path: Vec::new(), active: Vec::new(), resets: Vec::new() };
    let top = expander.node(Raw::ROOT)?;
    let node = top.unwrap_or_else(|| Node::new(Value::Null, Span::new(file, 0, 0)));
    Ok(Document { node, resets: expander.resets })
}

struct Expander<'a> {
    raw: &'a Raw,
    budget: &'a mut Budget,
    /// Keys down to the node at hand.
    path: Vec<&'a str>,
    /// Collections that are being resolved, to notice an alias to one of them.
    active: Vec<usize>,
    resets: Vec<Reset>,
}

impl<'a> Expander<'a> {
    /// Resolves one node; `None` if it is `!reset`, which leaves nothing in the tree.
    fn node(&mut self, index: usize) -> Outcome<Option<Node>> {
        let raw: &'a RawNode = self.raw.node(index);
        if let RawKind::Alias(anchor) = raw.kind {
            return self.alias(anchor, raw.span);
        }
        if !self.budget.spend(0) {
            return Err(too_large(raw.span));
        }
        match raw.tag.as_deref() {
            Some("!reset") => {
                self.record(raw.span);
                return Ok(None);
            }
            Some("!override") => self.record(raw.span),
            _ => {}
        }
        let value = match &raw.kind {
            RawKind::Scalar { text, style } => self.scalar(raw, text, *style)?,
            RawKind::Seq(items) => self.nested(index, |this| this.seq(items))?,
            RawKind::Map(items) => self.nested(index, |this| this.map(items))?,
            RawKind::Alias(_) => Value::Null,
        };
        Ok(Some(Node::new(value, raw.span)))
    }

    fn scalar(&mut self, raw: &RawNode, text: &str, style: Style) -> Outcome<Value> {
        if !self.budget.spend(text.len()) {
            return Err(too_large(raw.span));
        }
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

    fn alias(&mut self, anchor: usize, span: Span) -> Outcome<Option<Node>> {
        let Some(target) = self.raw.anchored(anchor) else {
            return Err(Box::new(
                Diagnostic::error(Code::Alias, "unknown anchor").at(span, "no such anchor"),
            ));
        };
        if self.active.contains(&target) {
            return Err(Box::new(
                Diagnostic::error(Code::Alias, "an anchor holds an alias to itself")
                    .at(span, "refers to a collection that it is in")
                    .at(self.raw.node(target).span, "the collection begins here"),
            ));
        }
        self.node(target)
    }

    /// Runs `resolve` for the children of the collection `index`.
    fn nested(
        &mut self,
        index: usize,
        resolve: impl FnOnce(&mut Self) -> Outcome<Value>,
    ) -> Outcome<Value> {
        if self.active.len() >= MAX_DEPTH {
            return Err(too_deep(self.raw.node(index).span));
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
        for pair in items.chunks_exact(2) {
            let (key, value) = (pair[0], pair[1]);
            let raw_key = self.raw.node(key);
            if is_merge(raw_key) {
                if let Some(first) = merge.replace((value, raw_key.span)) {
                    return Err(duplicate("<<", raw_key.span, first.1));
                }
                continue;
            }
            let (name, span) = self.key(key)?;
            if let Some(earlier) = map.get(name) {
                let earlier: &Entry = earlier;
                return Err(duplicate(name, span, earlier.key));
            }
            self.path.push(name);
            if let Some(node) = self.node(value)? {
                map.insert(name.to_owned(), Entry { key: span, node });
            }
            self.path.pop();
        }
        if let Some((value, span)) = merge {
            self.merge(&mut map, value, span)?;
        }
        Ok(Value::Map(map))
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
        let sources = match self.node(value)?.map(|node| node.value) {
            None => Vec::new(),
            Some(Value::Map(source)) => vec![source],
            Some(Value::Seq(items)) => items
                .into_iter()
                .map(|item| match item.value {
                    Value::Map(source) => Ok(source),
                    _ => Err(not_mergeable(item.span, key)),
                })
                .collect::<Outcome<_>>()?,
            Some(_) => return Err(not_mergeable(place, key)),
        };
        for (name, entry) in sources.into_iter().flatten() {
            map.entry(name).or_insert(entry);
        }
        Ok(())
    }

    fn record(&mut self, span: Span) {
        let path = self.path.iter().map(|key| (*key).to_owned()).collect();
        self.resets.push(Reset { path, span });
    }
}

/// A quoted `"<<"` is a key like any other.
fn is_merge(key: &RawNode) -> bool {
    matches!(&key.kind, RawKind::Scalar { text, style: Style::Plain } if text == "<<")
}

fn duplicate(key: &str, second: Span, first: Span) -> Box<Diagnostic> {
    Box::new(
        Diagnostic::error(
            Code::DuplicateKey,
            format!("the key `{key}` stands twice in one mapping"),
        )
        .at(second, "again here")
        .at(first, "first here")
        .hint("remove or rename one of the two"),
    )
}

fn not_mergeable(span: Span, key: Span) -> Box<Diagnostic> {
    Box::new(
        Diagnostic::error(Code::MergeKey, "`<<` takes a mapping or a list of mappings")
            .at(span, "this is neither")
            .at(key, "merged here"),
    )
}
