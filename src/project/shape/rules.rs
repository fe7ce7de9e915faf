//! The schema in the form that the checker walks.
//!
//! Understood: `$ref`, `type`, `properties`, `patternProperties`, `additionalProperties` as a
//! boolean, `required`, `items`, `uniqueItems`, `enum`, `const`, `pattern`, `minimum`, `maximum`,
//! `oneOf`, `anyOf`. The schema is our own, so there is nothing else in it; a test says so.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex_lite::Regex;
use serde_json::Value as Json;

use crate::project::node::{Node, Value};

/// A type, as the schema counts types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "null" => Self::Null,
            "boolean" => Self::Boolean,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "string" => Self::String,
            "array" => Self::Array,
            "object" => Self::Object,
            _ => return None,
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

/// A pattern of keys. Those that the schema uses everywhere need no regular expression.
#[derive(Debug)]
enum Pattern {
    /// `^x-`
    Extension,
    /// `.+`
    Anything,
    /// `^[a-zA-Z0-9._-]+$`
    Name,
    Other(Regex),
}

impl Pattern {
    fn of(pattern: &str) -> Option<Self> {
        Some(match pattern {
            "^x-" => Self::Extension,
            // A line break in a key is no reason to refuse it.
            ".+" | "^.+$" => Self::Anything,
            "^[a-zA-Z0-9._-]+$" => Self::Name,
            _ => Self::Other(Regex::new(pattern).ok()?),
        })
    }

    fn fits(&self, key: &str) -> bool {
        let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        match self {
            Self::Extension => key.starts_with("x-"),
            Self::Anything => !key.is_empty(),
            Self::Name => !key.is_empty() && key.bytes().all(in_name),
            Self::Other(regex) => regex.is_match(key),
        }
    }
}

/// What holds for one value.
#[derive(Debug, Default)]
pub(super) struct Rule {
    /// Types that are taken; empty: all.
    kinds: Vec<Kind>,
    properties: HashMap<String, usize>,
    patterns: Vec<(Pattern, usize)>,
    /// Whether keys are taken that no rule names.
    pub(super) open: bool,
    pub(super) required: Vec<String>,
    pub(super) items: Option<usize>,
    pub(super) unique: bool,
    pub(super) allowed: Option<Vec<String>>,
    pub(super) pattern: Option<(String, Regex)>,
    pub(super) minimum: Option<f64>,
    pub(super) maximum: Option<f64>,
    /// Rules of which one must hold; everything else is empty then.
    pub(super) alternatives: Vec<usize>,
}

impl Rule {
    pub(super) fn takes(&self, kind: Kind) -> bool {
        self.kinds.is_empty()
            || self.kinds.contains(&kind)
            || kind == Kind::Integer && self.kinds.contains(&Kind::Number)
    }

    /// Whether every value is taken: what `x-*` holds.
    pub(super) fn takes_all(&self) -> bool {
        self.kinds.is_empty() && self.alternatives.is_empty()
    }

    /// The rule for the value of a key.
    pub(super) fn property(&self, key: &str) -> Option<usize> {
        self.properties.get(key).copied().or_else(|| {
            self.patterns.iter().find(|(pattern, _)| pattern.fits(key)).map(|(_, rule)| *rule)
        })
    }

    /// Whether keys are names that users choose.
    pub(super) fn is_named(&self) -> bool {
        self.properties.is_empty()
            && self.patterns.iter().any(|(pattern, _)| !matches!(pattern, Pattern::Extension))
    }

    /// The keys that are known, sorted.
    pub(super) fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.properties.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }
}

/// All rules of the schema; they refer to each other by index.
#[derive(Debug, Default)]
pub(super) struct Rules {
    rules: Vec<Rule>,
    /// Index of the rule for each `$ref`.
    definitions: HashMap<String, usize>,
}

impl Rules {
    /// The rules of Compose files.
    pub(super) fn compose() -> &'static Self {
        static RULES: LazyLock<Rules> = LazyLock::new(|| {
            let schema = crate::model::schema::compose();
            let mut rules = Rules::default();
            rules.add(&schema, &schema);
            rules
        });
        &RULES
    }

    pub(super) fn get(&self, index: usize) -> &Rule {
        &self.rules[index]
    }

    /// The rule of a whole file.
    pub(super) fn top(&self) -> &Rule {
        self.get(0)
    }

    /// The rule of one service.
    pub(super) fn service(&self) -> &Rule {
        let services = self.top().property("services").map(|index| self.get(index));
        let service = services.and_then(|rule| rule.property("a")).map(|index| self.get(index));
        service.unwrap_or_else(|| self.top())
    }

    /// What a value may be, in words.
    pub(super) fn wanted(&self, rule: &Rule) -> String {
        let mut kinds = Vec::new();
        self.collect_kinds(rule, &mut kinds);
        let words: Vec<&str> = kinds.iter().map(|kind| kind.words()).collect();
        match words.split_last() {
            None => "something else".to_owned(),
            Some((only, [])) => (*only).to_owned(),
            Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        }
    }

    fn collect_kinds(&self, rule: &Rule, kinds: &mut Vec<Kind>) {
        for kind in &rule.kinds {
            if !kinds.contains(kind) {
                kinds.push(*kind);
            }
        }
        for index in &rule.alternatives {
            self.collect_kinds(self.get(*index), kinds);
        }
    }

    /// Compiles `schema`, which is part of `root`; returns its index.
    fn add(&mut self, schema: &Json, root: &Json) -> usize {
        if let Some(reference) = schema.get("$ref").and_then(Json::as_str) {
            return self.definition(reference, root);
        }
        let index = self.rules.len();
        self.rules.push(Rule::default());
        self.rules[index] = self.compile(schema, root);
        index
    }

    fn definition(&mut self, reference: &str, root: &Json) -> usize {
        if let Some(index) = self.definitions.get(reference) {
            return *index;
        }
        let index = self.rules.len();
        self.rules.push(Rule::default());
        self.definitions.insert(reference.to_owned(), index);
        if let Some(schema) = root.pointer(reference.trim_start_matches('#')) {
            self.rules[index] = self.compile(schema, root);
        }
        index
    }

    fn compile(&mut self, schema: &Json, root: &Json) -> Rule {
        let alternatives = schema.get("oneOf").or_else(|| schema.get("anyOf"));
        if let Some(alternatives) = alternatives.and_then(Json::as_array) {
            let alternatives = alternatives.iter().map(|schema| self.add(schema, root)).collect();
            return Rule { alternatives, ..Rule::default() };
        }
        let number = |key: &str| schema.get(key).and_then(Json::as_f64);
        let mut rule = Rule {
            kinds: strings(schema.get("type"))
                .iter()
                .filter_map(|name| Kind::named(name))
                .collect(),
            open: schema.get("additionalProperties").and_then(Json::as_bool).unwrap_or(true),
            required: strings(schema.get("required")),
            items: schema.get("items").map(|items| self.add(items, root)),
            unique: schema.get("uniqueItems").and_then(Json::as_bool).unwrap_or(false),
            allowed: schema.get("enum").or_else(|| schema.get("const")).map(|v| strings(Some(v))),
            pattern: schema.get("pattern").and_then(Json::as_str).and_then(regex),
            minimum: number("minimum"),
            maximum: number("maximum"),
            ..Rule::default()
        };
        for (key, property) in object(schema.get("properties")) {
            rule.properties.insert(key.clone(), self.add(property, root));
        }
        for (pattern, property) in object(schema.get("patternProperties")) {
            if let Some(pattern) = Pattern::of(pattern) {
                rule.patterns.push((pattern, self.add(property, root)));
            }
        }
        rule
    }
}

fn object(schema: Option<&Json>) -> impl Iterator<Item = (&String, &Json)> {
    schema.and_then(Json::as_object).into_iter().flatten()
}

/// A string or a list of strings as a list.
fn strings(schema: Option<&Json>) -> Vec<String> {
    match schema {
        Some(Json::String(text)) => vec![text.clone()],
        Some(Json::Array(items)) => {
            items.iter().filter_map(Json::as_str).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

fn regex(pattern: &str) -> Option<(String, Regex)> {
    Some((pattern.to_owned(), Regex::new(pattern).ok()?))
}
