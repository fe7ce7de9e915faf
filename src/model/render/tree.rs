//! What is to be printed, as a tree.
//!
//! In: anything that implements `Serialize`. Out: a [`Tree`] for one [`Format`]. Everything that
//! depends on the format but not on its syntax is decided here:
//!
//! - the order of the keys of mappings (fields of structs keep theirs),
//! - values that only one format shows ([`Only`](crate::model::mark::Only)),
//! - `x-` attributes: YAML shows them at the end of their object, JSON not at all.

use std::fmt::Display;

use serde::ser::{
    Error as _, Impossible, Serialize, SerializeMap, SerializeSeq, SerializeStruct, Serializer,
};

use super::{RenderError, natural};
use crate::model::number;

/// How the tree will be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// As JSON.
    Json,
    /// As JSON, for values that no type describes: there Go prints empty lists as null.
    RawJson,
    /// As YAML.
    Yaml,
}

impl Format {
    /// Whether it is one of the JSON formats.
    fn is_json(self) -> bool {
        self != Format::Yaml
    }
}

/// A value to print.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Tree {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i128),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(String),
    /// A point in time, as text; YAML shows it without quotes.
    Time(String),
    /// A list.
    List(Vec<Tree>),
    /// A mapping, its keys in the order of the output.
    Map(Vec<(String, Tree)>),
}

impl Tree {
    /// Whether it is empty text, an empty list or an empty mapping.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Tree::Text(text) => text.is_empty(),
            Tree::List(items) => items.is_empty(),
            Tree::Map(entries) => entries.is_empty(),
            _ => false,
        }
    }
}

/// Builds the tree of a value.
pub(super) fn build<T: Serialize + ?Sized>(value: &T, format: Format) -> Result<Tree, RenderError> {
    Ok(value.serialize(Builder { format })?.unwrap_or(Tree::Null))
}

impl serde::ser::Error for RenderError {
    fn custom<T: Display>(message: T) -> Self {
        Self::Unsupported(message.to_string())
    }
}

/// The tree of a value, or nothing if the format does not show the value.
type Built = Result<Option<Tree>, RenderError>;

/// Turns calls of serde into a tree.
#[derive(Clone, Copy)]
struct Builder {
    format: Format,
}

/// The key under which the model holds `x-` attributes.
const EXTENSIONS: &str = "#extensions";

/// The tag of a point in time among raw values: RFC 3339 text.
const TIMESTAMP: &str = "!timestamp";

/// The tag of an empty list that JSON shows as such even among raw values.
const LIST: &str = "!list";

/// Implements methods of `Serializer` for scalars.
macro_rules! scalars {
    ($($method:ident($type:ty) => |$value:ident| $tree:expr;)+) => {
        $(fn $method(self, $value: $type) -> Built {
            Ok(Some($tree))
        })+
    };
}

impl Serializer for Builder {
    type Ok = Option<Tree>;
    type Error = RenderError;
    type SerializeSeq = ListBuilder;
    type SerializeTuple = Impossible<Self::Ok, RenderError>;
    type SerializeTupleStruct = Impossible<Self::Ok, RenderError>;
    type SerializeTupleVariant = Impossible<Self::Ok, RenderError>;
    type SerializeMap = MapBuilder;
    type SerializeStruct = StructBuilder;
    type SerializeStructVariant = Impossible<Self::Ok, RenderError>;

    scalars! {
        serialize_bool(bool) => |value| Tree::Bool(value);
        serialize_i8(i8) => |value| Tree::Integer(value.into());
        serialize_i16(i16) => |value| Tree::Integer(value.into());
        serialize_i32(i32) => |value| Tree::Integer(value.into());
        serialize_i64(i64) => |value| Tree::Integer(value.into());
        serialize_i128(i128) => |value| Tree::Integer(value);
        serialize_u8(u8) => |value| Tree::Integer(value.into());
        serialize_u16(u16) => |value| Tree::Integer(value.into());
        serialize_u32(u32) => |value| Tree::Integer(value.into());
        serialize_u64(u64) => |value| Tree::Integer(value.into());
        serialize_char(char) => |value| Tree::Text(value.to_string());
        serialize_str(&str) => |value| Tree::Text(value.to_owned());
        serialize_unit_struct(&'static str) => |_name| Tree::Null;
    }

    fn serialize_f32(self, value: f32) -> Built {
        self.serialize_f64(number::single(value))
    }

    fn serialize_f64(self, value: f64) -> Built {
        if self.format.is_json() && !value.is_finite() {
            return Err(RenderError::Number(number::general(value)));
        }
        Ok(Some(Tree::Float(value)))
    }

    fn serialize_bytes(self, _: &[u8]) -> Built {
        Err(RenderError::custom("the model holds no bytes"))
    }

    fn serialize_none(self) -> Built {
        Ok(Some(Tree::Null))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Built {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Built {
        Ok(Some(Tree::Null))
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Built {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Built {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Built {
        match (name, variant, self.format.is_json()) {
            ("Only", "Json", true) | ("Only", "Yaml", false) => value.serialize(self),
            ("Only", ..) => Ok(None),
            _ => Err(RenderError::custom("the model holds no other variants")),
        }
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<ListBuilder, RenderError> {
        Ok(ListBuilder { builder: self, items: Vec::new() })
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, RenderError> {
        Err(RenderError::custom("the model holds no tuples"))
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleStruct, RenderError> {
        self.serialize_tuple(len)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleVariant, RenderError> {
        self.serialize_tuple(len)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<MapBuilder, RenderError> {
        Ok(MapBuilder { builder: self, key: String::new(), entries: Vec::new() })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<StructBuilder, RenderError> {
        Ok(StructBuilder { builder: self, fields: Vec::new(), extensions: Vec::new() })
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, RenderError> {
        self.serialize_tuple(len)
    }
}

/// Collects the items of a list.
struct ListBuilder {
    builder: Builder,
    items: Vec<Tree>,
}

impl SerializeSeq for ListBuilder {
    type Ok = Option<Tree>;
    type Error = RenderError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), RenderError> {
        self.items.extend(value.serialize(self.builder)?);
        Ok(())
    }

    fn end(self) -> Built {
        if self.items.is_empty() && self.builder.format == Format::RawJson {
            return Ok(Some(Tree::Null));
        }
        Ok(Some(Tree::List(self.items)))
    }
}

/// Collects the entries of a mapping, and sorts them.
struct MapBuilder {
    builder: Builder,
    key: String,
    entries: Vec<(String, Tree)>,
}

impl SerializeMap for MapBuilder {
    type Ok = Option<Tree>;
    type Error = RenderError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), RenderError> {
        self.key = match build(key, self.builder.format)? {
            Tree::Text(text) => text,
            Tree::Integer(number) => number.to_string(),
            Tree::Bool(value) => value.to_string(),
            _ => return Err(RenderError::custom("a key of a mapping is not text")),
        };
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), RenderError> {
        let key = std::mem::take(&mut self.key);
        self.entries.extend(value.serialize(self.builder)?.map(|tree| (key, tree)));
        Ok(())
    }

    fn end(mut self) -> Built {
        if let [(tag, tree)] = &self.entries[..]
            && let Some(tree) = tagged(tag, tree)
        {
            return Ok(Some(tree));
        }
        Ok(Some(Tree::Map(if self.builder.format.is_json() {
            self.entries.sort_by(|(one, _), (other, _)| one.cmp(other));
            self.entries
        } else {
            natural::sort(self.entries)
        })))
    }
}

/// The meaning of a tagged raw value. serde_yaml shows it as a mapping with the tag for its key.
fn tagged(tag: &str, tree: &Tree) -> Option<Tree> {
    match (tag, tree) {
        (TIMESTAMP, Tree::Text(time)) => Some(Tree::Time(time.clone())),
        (LIST, Tree::Null | Tree::List(_)) => Some(Tree::List(Vec::new())),
        _ => None,
    }
}

/// Collects the fields of a struct, in their order.
struct StructBuilder {
    builder: Builder,
    fields: Vec<(String, Tree)>,
    extensions: Vec<(String, Tree)>,
}

impl SerializeStruct for StructBuilder {
    type Ok = Option<Tree>;
    type Error = RenderError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), RenderError> {
        if name != EXTENSIONS {
            let tree = value.serialize(self.builder)?;
            self.fields.extend(tree.map(|tree| (name.to_owned(), tree)));
        } else if self.builder.format == Format::Yaml
            && let Tree::Map(entries) = build(value, Format::Yaml)?
        {
            self.extensions = entries;
        }
        Ok(())
    }

    fn end(mut self) -> Built {
        self.fields.append(&mut self.extensions);
        Ok(Some(Tree::Map(self.fields)))
    }
}
