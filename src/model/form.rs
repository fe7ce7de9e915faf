//! The ways in which users write attributes: short forms beside long ones, text beside numbers.
//!
//! These types hold nothing. Fields of the model name them in `#[schemars(with = …)]`, because the
//! schema describes what is written while the fields hold what is meant.
//!
//! # Invariants
//!
//! - Each form accepts exactly what the Compose specification accepts in its place.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use serde_json::Value;

use super::{DeviceRequest, FileObject};

/// Names of services, networks, volumes and so on.
pub const NAME_PATTERN: &str = "^[a-zA-Z0-9._-]+$";

/// Defines a form: its documentation, name, and schema. `inline` forms are written out where they
/// are used, the others once, under `$defs`.
macro_rules! form {
    ($(#[$doc:meta])* $name:ident $(<$($param:ident),+>)?, $placing:ident, $generator:ident => $schema:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name $(<$($param),+>(PhantomData<($($param,)+)>))?;

        impl $(<$($param: JsonSchema),+>)? JsonSchema for $name $(<$($param),+>)? {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                stringify!($placing) == "inline"
            }

            fn json_schema($generator: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

form!(
    /// Anything at all.
    Any, inline, _generator => json_schema!({})
);

form!(
    /// A boolean, or a variable that becomes one.
    BoolOrString, inline, _generator => json_schema!({ "type": ["boolean", "string"] })
);

form!(
    /// A number, or text that becomes one: a variable, or a number with a unit.
    NumberOrString, inline, _generator => json_schema!({ "type": ["number", "string"] })
);

form!(
    /// A whole number, or text that becomes one.
    IntegerOrString, inline, _generator => json_schema!({ "type": ["integer", "string"] })
);

form!(
    /// Text or nothing.
    StringOrNull, inline, _generator => json_schema!({ "type": ["string", "null"] })
);

form!(
    /// A number.
    Number, inline, _generator => json_schema!({ "type": "number" })
);

form!(
    /// A whole number.
    Integer, inline, _generator => json_schema!({ "type": "integer" })
);

form!(
    /// An object with any content.
    Object, inline, _generator => json_schema!({ "type": "object" })
);

form!(
    /// Options that map a key to text.
    StringMap, inline, _generator => json_schema!({
        "type": "object",
        "patternProperties": { "^.+$": { "type": "string" } },
        "additionalProperties": false,
    })
);

form!(
    /// Options that a driver takes.
    Options, inline, _generator => json_schema!({
        "type": "object",
        "patternProperties": { "^.+$": { "type": ["string", "number"] } },
    })
);

form!(
    /// Options that a driver takes, some without a value.
    NullableOptions, inline, _generator => json_schema!({
        "type": "object",
        "patternProperties": { "^.+$": { "type": ["string", "number", "null"] } },
    })
);

form!(
    /// Options of a provider, each with one value or several.
    ProviderOptions, inline, _generator => json_schema!({
        "type": "object",
        "patternProperties": { "^.+$": { "oneOf": [
            { "type": ["string", "number", "boolean"] },
            { "type": "array", "items": { "type": ["string", "number", "boolean"] } },
        ] } },
    })
);

form!(
    /// A list without duplicates.
    UniqueList<T>, inline, generator => json_schema!({
        "type": "array",
        "items": generator.subschema_for::<T>(),
        "uniqueItems": true,
    })
);

form!(
    /// One text or a list of texts, without duplicates.
    StringOrList, shared, generator => json_schema!({
        "description": "One value, or a list of different values.",
        "oneOf": [{ "type": "string" }, generator.subschema_for::<UniqueList<String>>()],
    })
);

form!(
    /// One text or a list of texts.
    StringOrPlainList, inline, _generator => json_schema!({
        "oneOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }],
    })
);

form!(
    /// A mapping, or a list of `KEY=VALUE`.
    ListOrDict, shared, generator => json_schema!({
        "description": "A mapping of keys to values, or a list of KEY=VALUE.",
        "oneOf": [
            {
                "type": "object",
                "patternProperties": { ".+": { "type": ["string", "number", "boolean", "null"] } },
                "additionalProperties": false,
            },
            generator.subschema_for::<UniqueList<String>>(),
        ],
    })
);

form!(
    /// A command: text that is split like a shell does, or the list of its words.
    Command, shared, _generator => json_schema!({
        "description": "A command line, or the list of its words. Empty: the image's own is cleared.",
        "oneOf": [
            { "type": "null" },
            { "type": "string", "description": "Is split into words as a shell does." },
            { "type": "array", "items": { "type": "string" } },
        ],
    })
);

form!(
    /// Files with variables.
    EnvFiles, shared, generator => json_schema!({
        "oneOf": [
            { "type": "string", "description": "Path of the file." },
            { "type": "array", "items": generator.subschema_for::<ShortOr<super::EnvFile>>() },
        ],
    })
);

form!(
    /// Entries for `/etc/hosts`.
    ExtraHosts, shared, generator => json_schema!({
        "description": "A mapping of host name to address or addresses, or a list of HOST=ADDRESS.",
        "oneOf": [
            {
                "type": "object",
                "patternProperties": { ".+": generator.subschema_for::<StringOrPlainList>() },
                "additionalProperties": false,
            },
            generator.subschema_for::<UniqueList<String>>(),
        ],
    })
);

form!(
    /// Limits by name: `nofile`, `nproc`, …
    Ulimits, shared, generator => json_schema!({
        "type": "object",
        "patternProperties": { "^[a-z]+$": { "oneOf": [
            { "type": ["integer", "string"], "description": "Both limits." },
            generator.subschema_for::<super::Ulimit>(),
        ] } },
    })
);

form!(
    /// `all`, or a list of devices. Unlike reserved devices, these are open objects.
    Gpus, inline, generator => {
        let mut request = DeviceRequest::json_schema(generator);
        request.remove("required");
        request.remove("patternProperties");
        request.insert("additionalProperties".into(), true.into());
        json_schema!({
            "oneOf": [
                { "type": "string", "enum": ["all"] },
                { "type": "array", "items": request },
            ],
        })
    }
);

form!(
    /// A short form in text, or an object.
    ShortOr<T>, inline, generator => json_schema!({
        "oneOf": [{ "type": "string" }, generator.subschema_for::<T>()],
    })
);

form!(
    /// A short form in a number or in text, or an object.
    NumberShortOr<T>, inline, generator => json_schema!({
        "oneOf": [{ "type": "number" }, { "type": "string" }, generator.subschema_for::<T>()],
    })
);

form!(
    /// An object that may be left empty.
    OrNull<T>, inline, generator => json_schema!({
        "oneOf": [generator.subschema_for::<T>(), { "type": "null" }],
    })
);

form!(
    /// A list of names, or a mapping of each name to more.
    NamesOr<T>, inline, generator => json_schema!({
        "oneOf": [
            generator.subschema_for::<UniqueList<String>>(),
            generator.subschema_for::<T>(),
        ],
    })
);

form!(
    /// A mapping of names, and nothing but names.
    ByName<T>, inline, generator => json_schema!({
        "type": "object",
        "patternProperties": { NAME_PATTERN: generator.subschema_for::<T>() },
        "additionalProperties": false,
    })
);

form!(
    /// A mapping of names; what is not a name may be anything.
    OpenByName<T>, inline, generator => json_schema!({
        "type": "object",
        "patternProperties": { NAME_PATTERN: generator.subschema_for::<T>() },
    })
);

form!(
    /// Whether a network or volume exists already.
    External, inline, _generator => json_schema!({
        "type": ["boolean", "string", "object"],
        "properties": { "name": {
            "type": "string",
            "deprecated": true,
            "description": "Name of the existing object. Write `name` beside `external` instead.",
        } },
        "patternProperties": { "^x-": {} },
        "additionalProperties": false,
    })
);

form!(
    /// Whether a config or secret exists already. Unlike [`External`], an open object.
    OpenExternal, inline, _generator => json_schema!({
        "type": ["boolean", "string", "object"],
        "properties": { "name": {
            "type": "string",
            "deprecated": true,
            "description": "Name of the existing object. Write `name` beside `external` instead.",
        } },
        "additionalProperties": true,
    })
);

/// A whole number within bounds, or text that becomes one. `i64::MAX` is no bound.
#[derive(Clone, Copy, Debug)]
pub struct RangeOrString<const MIN: i64, const MAX: i64>;

impl<const MIN: i64, const MAX: i64> JsonSchema for RangeOrString<MIN, MAX> {
    fn schema_name() -> Cow<'static, str> {
        format!("RangeOrString_{MIN}_{MAX}").into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut integer = json_schema!({ "type": "integer", "minimum": MIN });
        if MAX != i64::MAX {
            integer.insert("maximum".into(), MAX.into());
        }
        json_schema!({ "oneOf": [{ "type": "string" }, integer] })
    }
}

form!(
    /// A secret: a file object whose content never stands in the Compose file.
    Secret, shared, generator => file_object(generator, "A secret.", &["content"])
);

form!(
    /// A config: a file object without a driver.
    Config, shared, generator => file_object(generator, "A config.", &["driver", "driver_opts"])
);

/// The schema of a file object without some of its attributes.
fn file_object(generator: &mut SchemaGenerator, description: &str, without: &[&str]) -> Schema {
    let mut schema = FileObject::json_schema(generator);
    schema.insert("description".to_owned(), description.into());
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.retain(|name, _| !without.contains(&name.as_str()));
    }
    schema
}
