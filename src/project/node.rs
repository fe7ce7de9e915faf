//! The tree that all loading phases work on: YAML values that know where they stand.
//!
//! In: built by `yaml`. Out: read by `lower`, which makes the typed
//! [`Project`](crate::model::Project) from it, and by `ketch explain`.
//!
//! # Invariants
//!
//! - Every node has the span of the text that it came from, whatever merged it into its place.
//! - [`Node::trail`] tells what happened to it on the way, oldest step first; it is empty for a
//!   value that stands in one file and is used as it is.

use std::fmt;

use crate::diagnostic::Span;

pub use super::map::Map;
pub use super::trail::Trail;

/// A value and where it came from.
#[derive(Clone, Debug)]
pub struct Node {
    /// The value itself.
    pub value: Value,
    /// Where it stands.
    pub span: Span,
    /// How it got here.
    pub trail: Trail,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub enum Value {
    /// `null`, `~`, or nothing at all.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(Int),
    /// Any other number.
    Float(f64),
    /// Text.
    Str(String),
    /// An unquoted date or time, which YAML 1.1 makes a type of its own and Compose refuses.
    Timestamp(String),
    /// A list.
    Seq(Vec<Node>),
    /// A mapping with string keys, in the order of the file.
    Map(Map),
}

/// A whole number, wide enough for every 64-bit integer, signed or not. It is kept in halves: an
/// `i128` would align every node to 16 bytes, and of nodes a project has many.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Int([u64; 2]);

impl fmt::Debug for Int {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

impl Int {
    /// The number.
    pub fn get(self) -> i128 {
        (u128::from(self.0[0]) << 64 | u128::from(self.0[1])).cast_signed()
    }
}

impl<T: Into<i128>> From<T> for Int {
    #[expect(clippy::cast_possible_truncation, reason = "each half by itself")]
    fn from(number: T) -> Self {
        let bits = number.into().cast_unsigned();
        Self([(bits >> 64) as u64, bits as u64])
    }
}

/// One value of a mapping, and where its key stands.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where the key stands.
    pub key: Span,
    /// The value.
    pub node: Node,
}

/// Something that happened to a value between its file and the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It took the place of an earlier value.
    Replaced {
        /// Where the earlier value stands.
        span: Span,
        /// The earlier value, shortened.
        was: String,
    },
    /// A variable was put into it.
    Variable {
        /// Name of the variable.
        name: String,
        /// Where its value comes from.
        from: VariableSource,
    },
    /// It came in through `extends`.
    Extended {
        /// Where `extends` stands.
        span: Span,
    },
    /// It came in through `<<`.
    Merged {
        /// Where `<<` stands.
        span: Span,
    },
    /// It came in through `include`.
    Included {
        /// Where the entry of `include` stands.
        span: Span,
    },
    /// It came in with a file that an attribute names.
    File {
        /// The attribute, `env_file` or `label_file`.
        attribute: &'static str,
        /// Where the file is named.
        span: Span,
    },
    /// It was not written anywhere: Compose's rules add it.
    Default {
        /// The rule, in a few words.
        rule: &'static str,
    },
}

/// Where the value of a variable comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VariableSource {
    /// The environment of the process.
    Process,
    /// A line of an env file.
    File(Span),
    /// Ketch itself (`COMPOSE_PROJECT_NAME`).
    Ketch,
    /// Not set: blank.
    Unset,
    /// Not set: the default that the expression names.
    DefaultValue,
}

impl Node {
    /// A node without a history.
    pub fn new(value: Value, span: Span) -> Self {
        Self { value, span, trail: Trail::default() }
    }

    /// A text node.
    pub fn string(text: impl Into<String>, span: Span) -> Self {
        Self::new(Value::Str(text.into()), span)
    }

    /// A mapping node.
    pub fn map(map: Map, span: Span) -> Self {
        Self::new(Value::Map(map), span)
    }

    /// Adds a step to the trail.
    #[must_use]
    pub fn with(mut self, step: Step) -> Self {
        self.note(step);
        self
    }

    /// Adds a step to the trail.
    pub fn note(&mut self, step: Step) {
        self.trail.push(step);
    }

    /// Adds a step to the trail of this node and of all that is in it.
    pub fn record(&mut self, step: &Step) {
        self.record_all(&Trail::from(step.clone()));
    }

    /// Gives a trail to this node and to all that is in it, where there is none. All share it:
    /// merges in merges must stay cheap.
    pub fn begin_trails(&mut self, trail: &Trail) {
        if !self.trail.is_empty() {
            return;
        }
        self.trail = trail.clone();
        match &mut self.value {
            Value::Seq(items) => items.iter_mut().for_each(|item| item.begin_trails(trail)),
            Value::Map(map) => map.values_mut().for_each(|entry| entry.node.begin_trails(trail)),
            _ => {}
        }
    }

    fn record_all(&mut self, steps: &Trail) {
        if !self.trail.is_long() {
            self.trail.append(steps);
        }
        match &mut self.value {
            Value::Seq(items) => items.iter_mut().for_each(|item| item.record_all(steps)),
            Value::Map(map) => map.values_mut().for_each(|entry| entry.node.record_all(steps)),
            _ => {}
        }
    }

    /// The mapping, if it is one.
    pub fn as_map(&self) -> Option<&Map> {
        if let Value::Map(map) = &self.value { Some(map) } else { None }
    }

    /// The mapping, if it is one, to change it.
    pub fn as_map_mut(&mut self) -> Option<&mut Map> {
        if let Value::Map(map) = &mut self.value { Some(map) } else { None }
    }

    /// The list, if it is one.
    pub fn as_seq(&self) -> Option<&[Node]> {
        if let Value::Seq(seq) = &self.value { Some(seq) } else { None }
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        if let Value::Str(text) = &self.value { Some(text) } else { None }
    }

    /// Whether there is no value.
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// The child of a mapping with this key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_map()?.get(key).map(|entry| &entry.node)
    }

    /// The child of a mapping with this key, to change it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.as_map_mut()?.get_mut(key).map(|entry| &mut entry.node)
    }

    /// A scalar as Compose writes it into text (`environment`, labels); `None` for null, lists
    /// and mappings.
    pub fn scalar_text(&self) -> Option<String> {
        match &self.value {
            Value::Bool(value) => Some(value.to_string()),
            Value::Int(value) => Some(value.get().to_string()),
            Value::Float(value) => Some(crate::model::number::general(*value)),
            Value::Str(text) | Value::Timestamp(text) => Some(text.clone()),
            Value::Null | Value::Seq(_) | Value::Map(_) => None,
        }
    }

    /// How much there is in it: nodes, each with the latest step of its history, which alone is its
    /// own, and bytes of text.
    pub fn size(&self) -> (usize, usize) {
        let mut size = (1 + usize::from(!self.trail.is_empty()), self.as_str().map_or(0, str::len));
        let mut add = |(nodes, bytes): (usize, usize)| {
            size.0 += nodes;
            size.1 += bytes;
        };
        match &self.value {
            Value::Seq(items) => items.iter().for_each(|item| add(item.size())),
            Value::Map(map) => map.iter().for_each(|(key, entry)| {
                add((0, key.len()));
                add(entry.node.size());
            }),
            _ => {}
        }
        size
    }

    /// A few words that show the value in a message.
    pub fn brief(&self) -> String {
        const LIMIT: usize = 40;
        match &self.value {
            Value::Null => "null".to_owned(),
            Value::Seq(items) => format!("a list of {}", items.len()),
            Value::Map(map) => format!("a mapping of {}", map.len()),
            Value::Str(text) => match text.char_indices().nth(LIMIT) {
                Some((end, _)) => format!("{:?}", format!("{}…", &text[..end])),
                None => format!("{text:?}"),
            },
            _ => self.scalar_text().unwrap_or_default(),
        }
    }

    /// The type in the words of a message.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Int(_) => "an integer",
            Value::Float(_) => "a number",
            Value::Str(_) => "a string",
            Value::Timestamp(_) => "a date",
            Value::Seq(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}
