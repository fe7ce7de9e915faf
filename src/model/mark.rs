//! What the fields of the model tell the renderer beyond serde's own words.
//!
//! YAML and JSON output differ in a few places, because Go's two encoders do. A value wrapped in
//! [`Only`] shows in one of them; [`super::render`] unwraps it. Other serialisers see an enum.

use serde::{Serialize, Serializer};

/// A value that one of the two formats leaves out.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) enum Only<T> {
    /// Shows in JSON.
    Json(T),
    /// Shows in YAML.
    Yaml(T),
}

/// Whether a value is the one that a missing attribute stands for, and need not be printed.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Serialises a value that JSON always shows, and YAML unless it is the default.
pub(super) fn always_in_json<T, S>(value: &T, serializer: S) -> Result<S::Ok, S::Error>
where
    T: Default + PartialEq + Serialize,
    S: Serializer,
{
    if is_default(value) {
        Only::Json(value).serialize(serializer)
    } else {
        value.serialize(serializer)
    }
}
