//! The merged tree as plain YAML values, without places.
//!
//! In: a [`Node`]. Out: a [`serde_yaml::Value`] with the same keys in the same order.
//!
//! # Not here
//!
//! Writing it out (`model::render`), the typed model ([`super::lower`]).

use serde_yaml::value::{Tag, TaggedValue};
use serde_yaml::{Mapping, Number, Value as Yaml};

use super::attribute::Unique;
use super::cursor::Cursor;
use super::node::{Entry, Node, Value};

impl From<&Node> for Yaml {
    fn from(node: &Node) -> Self {
        match &node.value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Int(value) => Self::Number(integer(value.get())),
            Value::Float(value) => Self::Number(Number::from(*value)),
            Value::Str(text) => Self::String(text.clone()),
            Value::Timestamp(text) => tagged("timestamp", super::yaml::rfc3339(text).into()),
            Value::Seq(items) => Self::Sequence(items.iter().map(Self::from).collect()),
            Value::Map(map) => {
                let pair = |(key, value)| (Self::String(key), value);
                let pairs = map.iter().map(|(key, entry)| (key.clone(), Self::from(&entry.node)));
                Self::Mapping(pairs.map(pair).collect::<Mapping>())
            }
        }
    }
}

/// A value that `model::render` treats apart.
fn tagged(tag: &str, value: Yaml) -> Yaml {
    Yaml::Tagged(Box::new(TaggedValue { tag: Tag::new(tag), value }))
}

/// A tree that was not interpolated, as Compose prints it: only lists whose items are unique stay
/// lists when they are empty.
pub(super) fn uninterpolated(node: &Node, cursor: &Cursor<'_>) -> Yaml {
    match &node.value {
        Value::Seq(items) if items.is_empty() && cursor.attribute().unique != Unique::No => {
            tagged("list", Yaml::Sequence(Vec::new()))
        }
        Value::Seq(items) => {
            let items = items.iter().enumerate();
            items.map(|(index, item)| uninterpolated(item, &cursor.item(index))).collect()
        }
        Value::Map(map) => {
            let pair = |(key, entry): (&String, &Entry)| {
                (Yaml::String(key.clone()), uninterpolated(&entry.node, &cursor.key(key)))
            };
            Yaml::Mapping(map.iter().map(pair).collect::<Mapping>())
        }
        _ => node.into(),
    }
}

/// The number itself where 64 bits hold it, else the closest that a float can say.
fn integer(value: i128) -> Number {
    #[expect(clippy::cast_precision_loss, reason = "YAML has no integers beyond 64 bits")]
    let approximate = || Number::from(value as f64);
    let signed = || i64::try_from(value).map(Number::from).ok();
    u64::try_from(value).map(Number::from).ok().or_else(signed).unwrap_or_else(approximate)
}

#[cfg(test)]
mod tests {
    use super::{Entry, Node, Value, Yaml, integer};
    use crate::diagnostic::{Sources, Span};
    use crate::project::node::Map;

    #[test]
    fn keeps_order_and_types() {
        let span = Span::new(Sources::default().add("a", ""), 0, 0);
        let node = |value| Node::new(value, span);
        let entry = |value| Entry { key: span, node: node(value) };
        let map = Map::from([
            ("z".to_owned(), entry(Value::Int(1.into()))),
            ("a".to_owned(), entry(Value::Seq(vec![node(Value::Null), node(Value::Bool(true))]))),
            ("m".to_owned(), entry(Value::Str("1".to_owned()))),
        ]);
        let text = serde_yaml::to_string(&Yaml::from(&Node::map(map, span))).expect("plain data");
        assert_eq!(text, "z: 1\na:\n- null\n- true\nm: '1'\n");
    }

    #[test]
    fn integers_of_any_size() {
        assert_eq!(integer(i128::from(u64::MAX)).as_u64(), Some(u64::MAX));
        assert_eq!(integer(-5).as_i64(), Some(-5));
        assert_eq!(integer(i128::MAX).as_f64(), Some(1.701_411_834_604_692_3e38));
    }
}
