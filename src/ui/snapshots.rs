//! `snapshot ls`: the snapshots of projects.
//!
//! In: what there is, as plain values. Out: a [`Listing`].

use serde_json::{Value, json};

use super::listing::{Columns, Listing, Row};
use super::size::decimal;
use super::time::full;
use crate::model::snapshot::Snapshot;

const COLUMNS: Columns = &[
    ("Name", "NAME"),
    ("Project", "PROJECT"),
    ("CreatedAt", "CREATED AT"),
    ("Size", "SIZE"),
    ("Services", "SERVICES"),
    ("Volumes", "VOLUMES"),
];

/// What `snapshot ls` prints.
pub fn listing(snapshots: &[Snapshot]) -> Listing {
    Listing { rows: snapshots.iter().map(row).collect(), columns: COLUMNS, more: &[], raw: "" }
}

fn row(snapshot: &Snapshot) -> Row {
    let fields: [(&'static str, Value); 6] = [
        ("Name", json!(snapshot.name)),
        ("Project", json!(snapshot.project)),
        ("CreatedAt", json!(full(snapshot.created))),
        ("Size", json!(decimal(snapshot.size, 3))),
        ("Services", json!(snapshot.services.join(","))),
        ("Volumes", json!(snapshot.volumes.join(","))),
    ];
    Row { fields: fields.into_iter().collect(), ..Row::default() }
}
