//! `ketch schema`: JSON schemas of Compose files, for editors, and of what Ketch tells programs.

use super::args::{SchemaArgs, SchemaOf};
use super::exit::Failure;
use crate::model::schema as compose;
use crate::ui::{Screen, report, schema};

/// Prints a schema.
pub(super) fn run(args: &SchemaArgs, screen: &mut Screen) -> Result<(), Failure> {
    let schema = match args.of {
        SchemaOf::Compose => compose::compose(),
        SchemaOf::Events => schema::events(),
        SchemaOf::Plan => schema::plan(),
    };
    Ok(screen.data(&report::pretty(&schema))?)
}
