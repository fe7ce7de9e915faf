//! Files with environment variables.

use schemars::JsonSchema;
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Serialize, Serializer};

use super::form;
use super::mark::Only;

/// A file with environment variables.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["path"]))]
pub struct EnvFile {
    /// Path of the file.
    pub path: String,
    /// Whether it must exist. Default: true.
    #[schemars(with = "form::BoolOrString")]
    pub required: bool,
    /// How it is read. `raw`: values as they stand, without quotes and variables.
    pub format: String,
}

impl Default for EnvFile {
    fn default() -> Self {
        Self { path: String::new(), required: true, format: String::new() }
    }
}

impl Serialize for EnvFile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.required {
            return serializer.serialize_str(&self.path);
        }
        let mut fields = serializer.serialize_struct("EnvFile", 3)?;
        fields.serialize_field("path", &self.path)?;
        fields.serialize_field("required", &self.required)?;
        if !self.format.is_empty() {
            fields.serialize_field("format", &Only::Json(&self.format))?;
        }
        fields.end()
    }
}
