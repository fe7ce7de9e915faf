//! `ketch schema`: the JSON schema of Compose files, for editors.

use super::exit::Failure;
use crate::model::schema;
use crate::ui::{Screen, report};

/// Prints the schema.
pub(super) fn run(screen: &mut Screen) -> Result<(), Failure> {
    Ok(screen.data(&report::pretty(&schema::compose()))?)
}
