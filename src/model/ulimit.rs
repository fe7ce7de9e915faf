//! Limits of processes.

use schemars::JsonSchema;
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Serialize, Serializer};

use super::form;
use super::mark::Only;

/// A soft and a hard limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["soft", "hard"], "patternProperties" = { "^x-": {} }))]
pub struct Ulimit {
    /// One number for both limits. 0: there are two.
    #[schemars(skip)]
    pub single: i64,
    /// The limit that holds; processes may raise it up to `hard`.
    #[schemars(with = "form::IntegerOrString")]
    pub soft: i64,
    /// The limit that processes cannot raise.
    #[schemars(with = "form::IntegerOrString")]
    pub hard: i64,
}

impl Serialize for Ulimit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.single != 0 {
            return serializer.serialize_i64(self.single);
        }
        let mut fields = serializer.serialize_struct("Ulimit", 2)?;
        for (name, value) in [("soft", self.soft), ("hard", self.hard)] {
            if value == 0 {
                fields.serialize_field(name, &Only::Yaml(value))?;
            } else {
                fields.serialize_field(name, &value)?;
            }
        }
        fields.end()
    }
}
