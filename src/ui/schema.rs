//! The JSON schemas of what Ketch tells programs: the event stream and the plan.
//!
//! In: the types that are written. Out: schemas, which `schemas/` holds too.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::plan::PlanReport;
use crate::event::Event;

/// One line of `--progress json`.
pub fn events() -> Value {
    written::<Event>("Ketch event")
}

/// What `ketch plan --format json` prints.
pub fn plan() -> Value {
    written::<PlanReport>("Ketch plan")
}

fn written<T: JsonSchema>(title: &str) -> Value {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut schema = generator.into_root_schema_for::<T>();
    schema.insert("title".to_owned(), Value::from(title));
    schema.to_value()
}
