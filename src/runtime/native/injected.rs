//! Files that are put into a container before it starts: secrets and configs that the host has no
//! files of.
//!
//! In: files. Out: the same files at each start, until others take their place. They lie in a
//! directory that nobody else may read.

use std::os::unix::fs::PermissionsExt as _;

use serde::{Deserialize, Serialize};

use super::root::Place;
use super::state::{self, Durability, failed};
use crate::model::spec::InjectedFile;
use crate::runtime::Result;

#[derive(Serialize, Deserialize)]
struct Stored {
    path: String,
    content: String,
    uid: u64,
    gid: u64,
    mode: u32,
}

/// Keeps files for the next starts; none: those that are kept already stay.
pub(super) fn keep(place: &Place, files: &[InjectedFile]) -> Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    let stored: Vec<Stored> = files
        .iter()
        .cloned()
        .map(|InjectedFile { path, content, uid, gid, mode }| Stored {
            path,
            content,
            uid,
            gid,
            mode,
        })
        .collect();
    let path = place.injected();
    // What is written aside can be read by its owner alone.
    state::write(&path, &stored, Durability::Durable)?;
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&path, private).map_err(|error| failed("protect", &path, error))
}

/// The files that are kept.
pub(super) fn read(place: &Place) -> Result<Vec<InjectedFile>> {
    let stored: Vec<Stored> = state::read(&place.injected())?.unwrap_or_default();
    let file =
        |Stored { path, content, uid, gid, mode }| InjectedFile { path, content, uid, gid, mode };
    Ok(stored.into_iter().map(file).collect())
}
