//! The JSON schema of the Compose file, generated from the model and its documentation.
//!
//! In: the types of [`crate::model`]. Out: a schema that accepts and rejects exactly what the
//! Compose specification does, and whose descriptions editors show.
//!
//! # Invariants
//!
//! - Only the keywords that our own validator knows appear in it.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::transform::transform_subschemas;
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use super::{FileObject, Include, Model, Network, Service, Volume, form};

/// Describes a project: services, and the networks, volumes and files that they share.
#[derive(Clone, Debug, Default, JsonSchema)]
#[schemars(default, title = "Compose file", extend("patternProperties" = { "^x-": {} }))]
pub struct ComposeFile {
    /// Accepted and ignored: remove it.
    #[schemars(extend("deprecated" = true))]
    pub version: String,
    /// Name of the project. Default: the name of its directory.
    pub name: String,
    /// Other Compose applications to take in: the path of a file, or an object.
    #[schemars(with = "Vec<form::ShortOr<Include>>")]
    pub include: Vec<Include>,
    /// The services: containers and how to run them.
    #[schemars(with = "form::ByName<Service>")]
    pub services: BTreeMap<String, Service>,
    /// Networks that services share.
    #[schemars(with = "form::OpenByName<Network>")]
    pub networks: BTreeMap<String, Network>,
    /// Volumes that services share.
    #[schemars(with = "form::ByName<Volume>")]
    pub volumes: BTreeMap<String, Volume>,
    /// Secrets that services may see as files.
    #[schemars(with = "form::ByName<form::Secret>")]
    pub secrets: BTreeMap<String, FileObject>,
    /// Configs that services may see as files.
    #[schemars(with = "form::ByName<form::Config>")]
    pub configs: BTreeMap<String, FileObject>,
    /// AI models that services use.
    #[schemars(with = "form::OpenByName<Model>")]
    pub models: BTreeMap<String, Model>,
}

/// Makes the JSON schema of a whole Compose file.
pub fn compose() -> Value {
    SchemaSettings::draft2020_12()
        .with_transform(tidy)
        .into_generator()
        .into_root_schema_for::<ComposeFile>()
        .to_value()
}

/// Turns what schemars derives into what the specification says: objects refuse unknown attributes
/// but may take `x-` ones, and only defaults that say something are shown.
fn tidy(schema: &mut Schema) {
    transform_subschemas(&mut tidy, schema);
    schema.remove("writeOnly");
    if schema.get("default").is_some_and(|value| *value != Value::Bool(true)) {
        schema.remove("default");
    }
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    if properties.shift_remove("#extensions").is_some() {
        schema.insert("patternProperties".to_owned(), serde_json::json!({ "^x-": {} }));
    }
    if schema.get("additionalProperties").is_none() {
        schema.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::compose;

    /// Calls `visit` for the object and all below it.
    fn walk(value: &Value, visit: &mut impl FnMut(&serde_json::Map<String, Value>)) {
        match value {
            Value::Object(map) => {
                visit(map);
                map.values().for_each(|child| walk(child, visit));
            }
            Value::Array(items) => items.iter().for_each(|child| walk(child, visit)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let schema = compose();
        let mut references = 0;
        walk(&schema, &mut |map| {
            if let Some(Value::String(target)) = map.get("$ref") {
                references += 1;
                let pointer = target.strip_prefix('#').expect("a local reference");
                assert!(schema.pointer(pointer).is_some(), "{target}");
            }
        });
        assert!(references > 50);
    }

    #[test]
    fn every_attribute_says_what_it_means() {
        walk(&compose(), &mut |map| {
            let Some(Value::Object(properties)) = map.get("properties") else { return };
            for (name, schema) in properties {
                let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
                assert!(!text.is_empty(), "{name} has no description");
            }
        });
    }

    #[test]
    fn objects_are_closed_but_for_extensions() {
        let schema = compose();
        let service = &schema["$defs"]["Service"];
        assert_eq!(service["additionalProperties"], Value::Bool(false));
        assert!(service["patternProperties"]["^x-"].is_object());
        assert!(service["properties"].get("#extensions").is_none());
    }

    #[test]
    fn only_a_default_that_says_something_is_shown() {
        let schema = compose();
        let dependency = &schema["$defs"]["Dependency"]["properties"];
        assert_eq!(dependency["required"]["default"], Value::Bool(true));
        assert!(dependency["condition"].get("default").is_none());
    }
}
