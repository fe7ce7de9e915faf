//! Scalars that are numbers inside and text outside: durations, sizes and file modes.
//!
//! In: integers (nanoseconds, bytes, permission bits). Out: the text that Compose prints. Reading
//! what users write (`1m30s`, `2gb`) is not here: the loader does it and hands over integers.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::duration::Duration;
use super::size::Bytes;

/// The permission bits of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileMode(pub i64);

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "0{sign}{:o}", self.0.unsigned_abs())
    }
}

/// Gives a scalar its two faces, and the schema of the form in which users write it.
macro_rules! scalar {
    ($type:ident, $schema:tt) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                i64::deserialize(deserializer).map(Self)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

scalar!(Duration, { "type": "string" });
scalar!(Bytes, { "type": ["number", "string"] });
scalar!(FileMode, { "type": ["number", "string"] });

#[cfg(test)]
mod tests {
    use super::{Bytes, Duration, FileMode};

    #[test]
    fn scalars_are_integers_inside_and_text_outside() {
        let duration: Duration = serde_yaml::from_str("90000000000").expect("an integer");
        assert_eq!(serde_yaml::to_string(&duration).expect("text"), "1m30s\n");
        let bytes: Bytes = serde_yaml::from_str("1024").expect("an integer");
        assert_eq!(serde_yaml::to_string(&bytes).expect("text"), "'1024'\n");
        let mode: FileMode = serde_yaml::from_str("288").expect("an integer");
        assert_eq!(mode.to_string(), "0440");
    }

    #[test]
    fn a_negative_file_mode_keeps_the_zero_first() {
        assert_eq!(FileMode(-8).to_string(), "0-10");
    }
}
