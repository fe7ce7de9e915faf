//! Checks a tree against the JSON schema of Compose files.
//!
//! Own and small, because it works on nodes with places, reports everything at once, and takes
//! what it has reported out of the tree, so that later phases see only what fits.
//!
//! The schema itself is generated from the types in `model`; see [`rules`] for what is understood.

mod remedy;
mod rules;

use std::collections::hash_map;

use foldhash::HashMap;

use crate::diagnostic::{Code, Diagnostic, Span, closest};

use super::cursor::Cursor;
use super::node::{Entry, Map, Node, Trail, Value};
use super::parallel;
use super::session::Session;
use remedy::Unknown;
use rules::Rule;

/// Checks a whole project file.
pub(super) fn check(session: &mut Session<'_>, node: &mut Node) {
    Checker { session }.node(node, Rule::top(), &Cursor::top());
}

struct Checker<'s, 'a> {
    session: &'s mut Session<'a>,
}

impl Checker<'_, '_> {
    /// Reports what is wrong with a node. False if the node has to go.
    fn node(&mut self, node: &mut Node, rule: &'static Rule, cursor: &Cursor<'_>) -> bool {
        let Some(rule) = rule.alternative(node) else {
            self.wrong_type(node, rule, cursor);
            return false;
        };
        let fits = self.value(node, rule, cursor);
        match &mut node.value {
            Value::Map(map) => {
                self.map(map, rule, cursor);
                let missing = rule.required.iter().find(|name| !map.contains_key(*name));
                self.required(node, missing, cursor)
            }
            Value::Seq(items) => {
                self.seq(items, rule, cursor);
                true
            }
            _ => fits,
        }
    }

    /// Checks the entries of a mapping.
    fn map(&mut self, map: &mut Map, rule: &'static Rule, cursor: &Cursor<'_>) {
        if cursor.depth() > 0 {
            self.drop_misplaced(map, cursor);
            return parallel::retain(self.session, map, cursor, |session, entry, cursor| {
                Checker { session }.entry((cursor.name(), None), entry, rule, cursor)
            });
        }
        let mut before: Option<String> = None;
        map.retain(|key, entry| {
            let entry_of = (key.as_str(), before.as_deref());
            let stays = self.entry(entry_of, entry, rule, &cursor.key(key));
            if stays {
                before = Some(key.clone());
            }
            stays
        });
    }

    /// Reports attributes of services that stand where services are named.
    fn drop_misplaced(&mut self, map: &mut Map, cursor: &Cursor<'_>) {
        if cursor.depth() != 1 || cursor.name() != "services" {
            return;
        }
        let mut before: Option<String> = None;
        map.retain(|key, entry| {
            let is_misplaced = remedy::is_misplaced(key, &entry.node);
            if is_misplaced {
                self.misplaced((key, before.as_deref()), entry, &cursor.key(key));
            } else {
                before = Some(key.clone());
            }
            !is_misplaced
        });
    }

    fn wrong_type(&mut self, node: &Node, rule: &'static Rule, cursor: &Cursor<'_>) {
        let wanted = rule.wanted();
        let message = format!("`{cursor}` must be {wanted}, not {}", node.kind());
        let mut diagnostic = Diagnostic::error(Code::WrongType, message)
            .at(node.span, format!("this is {}", node.kind()));
        diagnostic.hint = remedy::wrong_type(node, &wanted, cursor);
        self.session.report_at(diagnostic, node, cursor);
    }

    /// Checks a scalar, and what holds for collections as a whole.
    fn value(&mut self, node: &Node, rule: &Rule, cursor: &Cursor<'_>) -> bool {
        let problem = match &node.value {
            Value::Str(text) => text_problem(text, rule),
            #[expect(clippy::cast_precision_loss, reason = "limits are small numbers")]
            Value::Int(number) => number_problem(number.get() as f64, rule),
            Value::Float(number) => number_problem(*number, rule),
            _ => None,
        };
        let Some((message, hint)) = problem else { return true };
        let mut diagnostic = Diagnostic::error(Code::InvalidValue, format!("`{cursor}` {message}"))
            .at(node.span, "not allowed here");
        diagnostic.hint = hint;
        self.session.report_at(diagnostic, node, cursor);
        false
    }

    /// Reports what is wrong with an entry of a mapping, which follows the entry `before`. False if
    /// it has to go.
    fn entry(
        &mut self,
        (key, before): (&str, Option<&str>),
        entry: &mut Entry,
        rule: &'static Rule,
        cursor: &Cursor<'_>,
    ) -> bool {
        let Some(known) = rule.property(key) else {
            if !rule.open {
                self.unknown((key, entry, before), rule, cursor);
            }
            return rule.open;
        };
        if self.node(&mut entry.node, known, cursor) {
            return true;
        }
        // The resource stays known, so that references to it are not reported as well.
        let stays = rule.is_named() && cursor.depth() == 2;
        if stays {
            entry.node = Node::map(Map::new(), entry.node.span);
        }
        stays
    }

    /// An attribute of services where services are named.
    fn misplaced(
        &mut self,
        (key, before): (&str, Option<&str>),
        entry: &Entry,
        cursor: &Cursor<'_>,
    ) {
        let message = format!("`{key}` stands where services are named, but it is an attribute");
        let diagnostic = Diagnostic::error(Code::WrongType, message)
            .at(entry.key, "not a service")
            .hint(match before {
                Some(service) => format!("indent it deeper, as part of service `{service}`"),
                None => "indent it deeper, below the name of a service".to_owned(),
            });
        self.session.report_at(diagnostic, &entry.node, cursor);
    }

    fn required(&mut self, node: &Node, missing: Option<&String>, cursor: &Cursor<'_>) -> bool {
        let Some(name) = missing else { return true };
        // An attribute that was there but wrong has been reported already.
        if !self.session.is_broken(cursor) {
            let message = format!("`{cursor}` has no `{name}`");
            let diagnostic = Diagnostic::error(Code::MissingAttribute, message)
                .at(node.span, format!("`{name}` is missing"))
                .hint(format!("add `{name}:`"));
            self.session.report_at(diagnostic, node, cursor);
        }
        false
    }

    fn seq(&mut self, items: &mut Vec<Node>, rule: &'static Rule, cursor: &Cursor<'_>) {
        let unique = rule.unique && !are_distinct(items);
        let mut seen: HashMap<String, (Span, Trail)> = HashMap::default();
        let mut index = 0;
        items.retain_mut(|item| {
            let here = cursor.item(index);
            index += 1;
            if !rule.items().is_none_or(|rule| self.node(item, rule, &here)) {
                return false;
            }
            if !unique {
                return true;
            }
            match seen.entry(fingerprint(item)) {
                hash_map::Entry::Vacant(first) => {
                    first.insert((item.span, item.trail.clone()));
                    true
                }
                hash_map::Entry::Occupied(first) => {
                    self.repeated(item, first.get(), &here);
                    false
                }
            }
        });
    }

    /// Reports an item that is there already.
    fn repeated(&mut self, item: &Node, (first, came): &(Span, Trail), cursor: &Cursor<'_>) {
        let message = format!("`{}` lists {} twice", cursor.parent_text(), item.brief());
        let diagnostic = Diagnostic::error(Code::InvalidValue, message);
        let diagnostic = if *first == item.span {
            // It comes in on two ways, and each is shown.
            diagnostic.at(*first, "comes in twice").hint("bring it in on one way only")
        } else {
            let diagnostic = diagnostic.at(item.span, "again here").at(*first, "first here");
            diagnostic.hint("remove one of the two")
        };
        let diagnostic = Session::with_trail(diagnostic, came);
        self.session.report_at(diagnostic, item, cursor);
    }

    fn unknown(
        &mut self,
        (key, entry, before): (&str, &Entry, Option<&str>),
        rule: &Rule,
        cursor: &Cursor<'_>,
    ) {
        let (node, place) = (&entry.node, entry.key);
        let parent = cursor.parent_text();
        if parent.is_empty() {
            self.session.misplaced.insert(key.to_owned());
        }
        let diagnostic = if rule.is_named() {
            Diagnostic::error(
                Code::InvalidName,
                format!("`{key}` is not a valid name in `{parent}`"),
            )
            .at(place, "this name")
            .hint("names are made of letters, digits, `.`, `_` and `-`")
        } else {
            let message = match parent.as_str() {
                "" => format!("unknown top-level attribute `{key}`"),
                parent => format!("unknown attribute `{key}` in `{parent}`"),
            };
            let diagnostic = Diagnostic::error(Code::UnknownAttribute, message)
                .at(place, "not part of the Compose specification");
            match remedy::unknown(rule, &Unknown { key, node, parent: &parent, before }) {
                Some(hint) => diagnostic.hint(hint),
                None => diagnostic,
            }
        };
        self.session.report_at(diagnostic, node, cursor);
    }
}

/// What is wrong with a text, and what to do.
fn text_problem(text: &str, rule: &Rule) -> Option<(String, Option<String>)> {
    if let Some(allowed) =
        rule.allowed.as_ref().filter(|allowed| !allowed.iter().any(|a| a == text))
    {
        let mut names: Vec<String> = allowed.iter().map(|value| format!("`{value}`")).collect();
        let last = names.split_off(names.len().saturating_sub(2)).join(" or ");
        names.push(last);
        // `healthy` is short for `service_healthy`.
        let whole = allowed.iter().map(String::as_str);
        let mut long = whole.clone().filter(|value| value.split('_').any(|part| part == text));
        let hint = closest(text, whole).or(long.next().filter(|_| long.next().is_none()));
        return Some((
            format!("must be {}, not {text:?}", names.join(", ")),
            hint.map(|value| format!("did you mean `{value}`?")),
        ));
    }
    let pattern = rule.pattern.as_ref().filter(|pattern| !pattern.is_match(text))?;
    let words: Vec<&str> = pattern
        .text
        .split('|')
        .filter(|word| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
        .collect();
    let hint = closest(text, words).map(|value| format!("did you mean `{value}`?"));
    Some((format!("does not match `{}`: {text:?}", pattern.text), hint))
}

fn number_problem(number: f64, rule: &Rule) -> Option<(String, Option<String>)> {
    if let Some(least) = rule.minimum.filter(|least| number < *least) {
        return Some((format!("must be at least {least}, not {number}"), None));
    }
    let most = rule.maximum.filter(|most| number > *most)?;
    Some((format!("must be at most {most}, not {number}"), None))
}

/// Whether a list is one of texts that all differ, as nearly always.
fn are_distinct(items: &[Node]) -> bool {
    let Some(mut texts) = items.iter().map(Node::as_str).collect::<Option<Vec<_>>>() else {
        return false;
    };
    texts.sort_unstable();
    texts.windows(2).all(|pair| pair[0] != pair[1])
}

/// Equal for values that JSON calls equal.
fn fingerprint(node: &Node) -> String {
    match &node.value {
        Value::Seq(items) => {
            let items: Vec<String> = items.iter().map(fingerprint).collect();
            format!("[{}]", items.join(","))
        }
        Value::Map(map) => {
            let mut pairs: Vec<String> = map
                .iter()
                .map(|(key, entry)| format!("{key:?}:{}", fingerprint(&entry.node)))
                .collect();
            pairs.sort();
            format!("{{{}}}", pairs.join(","))
        }
        Value::Str(text) => format!("{text:?}"),
        _ => node.scalar_text().unwrap_or_default(),
    }
}
