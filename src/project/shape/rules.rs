//! The schema in the form that the checker walks.
//!
//! Understood: `$ref`, `type`, `properties`, `patternProperties`, `additionalProperties` as a
//! boolean, `required`, `items`, `uniqueItems`, `enum`, `pattern`, `minimum`, `maximum`, `oneOf`,
//! `anyOf`. The schema is our own, so there is nothing else in it; a test says so.
//!
//! It is read from the file that `model` generates: generating it took most of a small load. After
//! a change of the types, tests say that the file is behind; `UPDATE=1 cargo test` writes it anew.
//! A definition is read when a file first uses it: most projects use few, and load in little more
//! time than it takes to read all.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{LazyLock, OnceLock};

use foldhash::HashMap;
use regex_lite::Regex;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{IntoDeserializer as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::project::node::{Node, Value};

/// A type, as the schema counts types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Null,
    Boolean,
    Integer,
    Number,
    String,
    Array,
    Object,
}

impl Kind {
    /// The type of a node; `None` for dates, which no attribute takes.
    pub(super) fn of(node: &Node) -> Option<Self> {
        Some(match &node.value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Boolean,
            Value::Int(_) => Self::Integer,
            Value::Float(number) if number.fract() == 0.0 => Self::Integer,
            Value::Float(_) => Self::Number,
            Value::Str(_) => Self::String,
            Value::Timestamp(_) => return None,
            Value::Seq(_) => Self::Array,
            Value::Map(_) => Self::Object,
        })
    }

    /// In the words of a message.
    fn words(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Integer => "an integer",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Array => "a list",
            Self::Object => "a mapping",
        }
    }
}

/// What holds for one value.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Rule {
    /// The definition that stands in its place.
    #[serde(rename = "$ref")]
    reference: Option<&'static str>,
    /// Types that are taken; empty: all.
    #[serde(rename = "type", deserialize_with = "one_or_many")]
    kinds: Vec<Kind>,
    #[serde(borrow)]
    properties: HashMap<&'static str, Rule>,
    #[serde(rename = "patternProperties", borrow)]
    patterns: BTreeMap<&'static str, Rule>,
    /// Whether keys are taken that no rule names.
    #[serde(rename = "additionalProperties", default = "open")]
    pub(super) open: bool,
    pub(super) required: Vec<String>,
    items: Option<Box<Rule>>,
    #[serde(rename = "uniqueItems")]
    pub(super) unique: bool,
    #[serde(rename = "enum")]
    pub(super) allowed: Option<Vec<String>>,
    pub(super) pattern: Option<Pattern>,
    pub(super) minimum: Option<f64>,
    pub(super) maximum: Option<f64>,
    /// Rules of which one must hold; everything else is empty then.
    #[serde(rename = "oneOf", alias = "anyOf")]
    alternatives: Vec<Rule>,
    #[serde(rename = "$defs", borrow)]
    definitions: HashMap<&'static str, Definition>,
}

/// A rule that others refer to.
#[derive(Debug)]
struct Definition {
    text: &'static RawValue,
    rule: OnceLock<Rule>,
}

impl Deserialize<'static> for Definition {
    fn deserialize<D: Deserializer<'static>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Deserialize::deserialize(deserializer)?;
        Ok(Self { text, rule: OnceLock::new() })
    }
}

impl Definition {
    fn rule(&self) -> &Rule {
        self.rule.get_or_init(|| read(self.text.get()))
    }
}

/// Reads the schema or a part of it.
fn read(schema: &'static str) -> Rule {
    serde_json::from_str(schema).expect("the tests check what the schema holds")
}

/// What the schema says by not saying whether there may be other keys.
fn open() -> bool {
    true
}

/// A list, or the only item of one.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Kind>, D::Error> {
    struct OneOrMany;

    impl<'de> Visitor<'de> for OneOrMany {
        type Value = Vec<Kind>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a type or a list of types")
        }

        fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Vec<Kind>, E> {
            Kind::deserialize(name.into_deserializer()).map(|kind| vec![kind])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, kinds: A) -> Result<Vec<Kind>, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(kinds))
        }
    }
    deserializer.deserialize_any(OneOrMany)
}

impl Rule {
    /// The rule of a whole file.
    pub(super) fn top() -> &'static Self {
        static TOP: LazyLock<Rule> =
            LazyLock::new(|| read(include_str!("../../../schemas/compose.schema.json")));
        &TOP
    }

    /// The rule of one service.
    pub(super) fn service() -> &'static Self {
        let services = Self::top().property("services");
        services.and_then(|rule| rule.property("a")).unwrap_or_else(Self::top)
    }

    /// The rule itself, or the definition that it refers to.
    fn resolved(&'static self) -> &'static Self {
        let Some(reference) = self.reference else { return self };
        let name = reference.trim_start_matches("#/$defs/");
        Self::top().definitions.get(name).map_or(self, Definition::rule)
    }

    fn takes(&self, kind: Kind) -> bool {
        self.kinds.is_empty()
            || self.kinds.contains(&kind)
            || kind == Kind::Integer && self.kinds.contains(&Kind::Number)
    }

    /// The rule among alternatives that a node of this type means.
    pub(super) fn alternative(&'static self, node: &Node) -> Option<&'static Self> {
        if self.kinds.is_empty() && self.alternatives.is_empty() {
            // Every value is taken: what `x-*` holds.
            return Some(self);
        }
        let kind = Kind::of(node)?;
        if self.alternatives.is_empty() {
            return self.takes(kind).then_some(self);
        }
        self.alternatives.iter().find_map(|rule| rule.resolved().alternative(node))
    }

    /// The rule for the value of a key.
    pub(super) fn property(&'static self, key: &str) -> Option<&'static Self> {
        let rule = self.properties.get(key).or_else(|| {
            self.patterns.iter().find(|(pattern, _)| fits(pattern, key)).map(|(_, rule)| rule)
        });
        rule.map(Self::resolved)
    }

    /// The rule for the items of a list.
    pub(super) fn items(&'static self) -> Option<&'static Self> {
        self.items.as_deref().map(Self::resolved)
    }

    /// Whether keys are names that users choose.
    pub(super) fn is_named(&self) -> bool {
        self.properties.is_empty() && self.patterns.keys().any(|pattern| *pattern != EXTENSION)
    }

    /// The keys that are known, sorted.
    pub(super) fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.properties.keys().copied().collect();
        names.sort_unstable();
        names
    }

    /// What a value may be, in words.
    pub(super) fn wanted(&'static self) -> String {
        let mut kinds = Vec::new();
        self.collect_kinds(&mut kinds);
        let words: Vec<&str> = kinds.iter().map(|kind| kind.words()).collect();
        match words.split_last() {
            None => "something else".to_owned(),
            Some((only, [])) => (*only).to_owned(),
            Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        }
    }

    fn collect_kinds(&'static self, kinds: &mut Vec<Kind>) {
        for kind in &self.kinds {
            if !kinds.contains(kind) {
                kinds.push(*kind);
            }
        }
        for rule in &self.alternatives {
            rule.resolved().collect_kinds(kinds);
        }
    }
}

const EXTENSION: &str = "^x-";
const NAME: &str = "^[a-zA-Z0-9._-]+$";

/// Whether a key matches one of the patterns that the schema has for keys.
fn fits(pattern: &str, key: &str) -> bool {
    let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    match pattern {
        EXTENSION => key.starts_with("x-"),
        // A line break in a key is no reason to refuse it.
        ".+" | "^.+$" => !key.is_empty(),
        "^[a-z]+$" => !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase()),
        NAME => !key.is_empty() && key.bytes().all(in_name),
        _ => false,
    }
}

/// What a text must match; compiled when the first text has to.
#[derive(Debug, Deserialize)]
#[serde(from = "String")]
pub(super) struct Pattern {
    pub(super) text: String,
    compiled: OnceLock<Option<Regex>>,
}

impl From<String> for Pattern {
    fn from(text: String) -> Self {
        Self { text, compiled: OnceLock::new() }
    }
}

impl Pattern {
    pub(super) fn is_match(&self, text: &str) -> bool {
        let regex = self.compiled.get_or_init(|| Regex::new(&self.text).ok());
        regex.as_ref().is_none_or(|regex| regex.is_match(text))
    }
}

#[cfg(test)]
mod tests {
    use super::{Definition, Rule, fits};

    /// Calls `visit` for a rule and all below it.
    fn walk(rule: &Rule, visit: &mut impl FnMut(&Rule)) {
        visit(rule);
        let children = rule.properties.values().chain(rule.patterns.values());
        let definitions = rule.definitions.values().map(Definition::rule);
        let children = children.chain(definitions).chain(&rule.alternatives);
        children.chain(rule.items.as_deref()).for_each(|child| walk(child, visit));
    }

    #[test]
    fn the_schema_is_understood() {
        let mut rules = 0;
        walk(Rule::top(), &mut |rule| {
            rules += 1;
            for pattern in rule.patterns.keys() {
                assert!(["x-a", "a"].iter().any(|key| fits(pattern, key)), "{pattern}");
            }
            if let Some(pattern) = &rule.pattern {
                assert!(!pattern.is_match("\n") && pattern.is_match("weekly"), "{}", pattern.text);
            }
        });
        assert!(rules > 400, "{rules}");
        assert!(Rule::service().property("image").is_some());
    }

    #[test]
    fn the_schema_says_nothing_that_is_not_understood() {
        let known = [
            "$schema",
            "$defs",
            "$ref",
            "title",
            "description",
            "deprecated",
            "default",
            "type",
            "properties",
            "patternProperties",
            "additionalProperties",
            "required",
            "items",
            "uniqueItems",
            "enum",
            "pattern",
            "minimum",
            "maximum",
            "oneOf",
            "anyOf",
        ];
        let schema = include_str!("../../../schemas/compose.schema.json");
        let named = ["properties", "patternProperties", "$defs"];
        let mut open = vec![serde_json::from_str(schema).expect("the schema is JSON")];
        while let Some(value) = open.pop() {
            match value {
                serde_json::Value::Object(map) => {
                    for (key, value) in map {
                        assert!(known.contains(&key.as_str()), "{key}");
                        match value {
                            serde_json::Value::Object(map) if named.contains(&key.as_str()) => {
                                open.extend(map.into_iter().map(|(_, value)| value));
                            }
                            other => open.push(other),
                        }
                    }
                }
                serde_json::Value::Array(items) => open.extend(items),
                _ => {}
            }
        }
    }
}
