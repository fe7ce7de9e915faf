//! Limits for block devices.

use schemars::JsonSchema;
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Serialize, Serializer};

use super::mark::{Only, is_default};
use super::{Bytes, form};

/// Limits for block devices.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BlkioConfig {
    /// Weight against other containers, 10 to 1000. Default: 500.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::IntegerOrString")]
    pub weight: u16,
    /// Weights for single devices.
    #[serde(skip_serializing_if = "is_default")]
    pub weight_device: Vec<WeightDevice>,
    /// Most bytes per second to read from a device.
    #[serde(skip_serializing_if = "is_default")]
    pub device_read_bps: Vec<ThrottleDevice>,
    /// Most read operations per second on a device.
    #[serde(skip_serializing_if = "is_default")]
    pub device_read_iops: Vec<ThrottleDevice>,
    /// Most bytes per second to write to a device.
    #[serde(skip_serializing_if = "is_default")]
    pub device_write_bps: Vec<ThrottleDevice>,
    /// Most write operations per second on a device.
    #[serde(skip_serializing_if = "is_default")]
    pub device_write_iops: Vec<ThrottleDevice>,
}

/// The weight of one device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WeightDevice {
    /// Path of the device, such as `/dev/sda`.
    pub path: String,
    /// Its weight, 10 to 1000.
    #[schemars(with = "form::IntegerOrString")]
    pub weight: u16,
}

/// The limit of one device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ThrottleDevice {
    /// Path of the device, such as `/dev/sda`.
    pub path: String,
    /// Bytes (with a unit if you like) or operations per second.
    #[schemars(with = "form::IntegerOrString")]
    pub rate: Bytes,
}

// Go names the keys of these two after its own fields in JSON, and lowers them in YAML.

impl Serialize for WeightDevice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("WeightDevice", 4)?;
        fields.serialize_field("Path", &Only::Json(&self.path))?;
        fields.serialize_field("Weight", &Only::Json(self.weight))?;
        fields.serialize_field("path", &Only::Yaml(&self.path))?;
        fields.serialize_field("weight", &Only::Yaml(self.weight))?;
        fields.end()
    }
}

impl Serialize for ThrottleDevice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("ThrottleDevice", 4)?;
        fields.serialize_field("Path", &Only::Json(&self.path))?;
        fields.serialize_field("Rate", &Only::Json(self.rate))?;
        fields.serialize_field("path", &Only::Yaml(&self.path))?;
        fields.serialize_field("rate", &Only::Yaml(self.rate))?;
        fields.end()
    }
}
