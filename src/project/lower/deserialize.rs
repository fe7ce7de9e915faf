//! A finished tree as serde's data: what [`typed`](super::typed) reads the model from.
//!
//! The `x-*` attributes of an object come under one key, and its nulls are left out.

use serde::de::value::{Error, MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use serde_yaml::Value as Yaml;

use crate::model::Duration;
use crate::project::attribute::Type;
use crate::project::cursor::Cursor;
use crate::project::node::{Map, Node, Value};

/// The key under which the `x-*` attributes of an object are handed to serde.
const EXTENSIONS: &str = "#extensions";

/// A part of a finished tree.
#[derive(Clone, Copy)]
pub(super) enum Finished<'n, 'c> {
    /// A node and its place.
    Node(&'n Node, Cursor<'c>),
    /// The `x-*` attributes of an object.
    Extensions(&'n Map),
}

impl Finished<'_, '_> {
    fn is_null(self) -> bool {
        matches!(self, Self::Node(node, _) if node.is_null())
    }

    /// Collections and text; anything else has no place of its own in the model.
    fn visit<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Node(Node { value: Value::Map(map), .. }, cursor) => {
                object(map, &cursor, visitor)
            }
            Self::Node(Node { value: Value::Seq(items), .. }, cursor) => {
                let items = items.iter().enumerate();
                let items = items.map(|(index, item)| Finished::Node(item, cursor.item(index)));
                let mut items = SeqDeserializer::new(items);
                let value = visitor.visit_seq(&mut items)?;
                items.end().map(|()| value)
            }
            Self::Node(Node { value: Value::Str(text), .. }, cursor) => {
                let is_duration = cursor.attribute().kind == Type::Duration;
                match is_duration.then(|| Duration::parse(text)) {
                    Some(Ok(duration)) => visitor.visit_i64(duration.0),
                    _ => visitor.visit_str(text),
                }
            }
            Self::Node(node, _) => plain(Yaml::from(node), visitor),
            Self::Extensions(map) => {
                let pair = |(key, value): (&String, Yaml)| (Yaml::from(key.as_str()), value);
                let entries = extensions(map).map(|(key, node)| pair((key, node.into())));
                plain(Yaml::Mapping(entries.collect()), visitor)
            }
        }
    }
}

/// A value of any form, as the file has it.
fn plain<'de, V: Visitor<'de>>(value: Yaml, visitor: V) -> Result<V::Value, Error> {
    value.deserialize_any(visitor).map_err(serde::de::Error::custom)
}

fn extensions(map: &Map) -> impl Iterator<Item = (&String, &Node)> {
    map.iter().filter(|(key, _)| key.starts_with("x-")).map(|(key, entry)| (key, &entry.node))
}

fn object<'de, V: Visitor<'de>>(
    map: &Map,
    cursor: &Cursor<'_>,
    visitor: V,
) -> Result<V::Value, Error> {
    let keyed = !matches!(cursor.attribute().kind, Type::Checked);
    let own = map
        .iter()
        .filter(|(key, entry)| keyed || !entry.node.is_null() && !key.starts_with("x-"))
        .map(|(key, entry)| (key.as_str(), Finished::Node(&entry.node, cursor.key(key))));
    let extended = !keyed && extensions(map).next().is_some();
    let extensions = extended.then_some((EXTENSIONS, Finished::Extensions(map)));
    let mut entries = MapDeserializer::new(own.chain(extensions));
    let value = visitor.visit_map(&mut entries)?;
    entries.end().map(|()| value)
}

impl<'de> Deserializer<'de> for Finished<'_, '_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.visit(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    /// Null is a list without items.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_null() {
            return visitor.visit_seq(SeqDeserializer::new(std::iter::empty::<Self>()));
        }
        self.visit(visitor)
    }

    /// Null is an object without attributes.
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Node(node, cursor) if node.is_null() => object(&Map::new(), &cursor, visitor),
            _ => self.visit(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self {
            Self::Node(Node { value: Value::Str(text), .. }, _) => {
                let text: serde::de::value::StrDeserializer<'_, Error> =
                    text.as_str().into_deserializer();
                text.deserialize_enum(name, variants, visitor)
            }
            _ => self.visit(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct tuple tuple_struct identifier ignored_any
    }
}

impl IntoDeserializer<'_, Error> for Finished<'_, '_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}
