//! What steps of builds have made, by what they were made of.
//!
//! In: the digest of all inputs of a step. Out: its layer, if it is still here.
//!
//! # Invariants
//!
//! - An entry names a layer that was whole when the entry was written; one whose layer is gone is
//!   as good as none.
//! - Inputs are known by digest alone: nothing that a step was told stands here in clear.

use std::fs;

use serde::{Deserialize, Serialize};

use super::assemble::Layer;
use super::place::{failed, read_json};
use super::store::Store;
use crate::runtime::Result;

/// What a step has made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its layer; `None`: it changes no files.
    pub layer: Option<Layer>,
    /// When, as RFC 3339 has it.
    pub created: String,
}

impl Store {
    /// What a step has made earlier.
    ///
    /// # Errors
    ///
    /// The entry cannot be read.
    pub fn step(&self, key: &str) -> Result<Option<Step>> {
        let step: Option<Step> = read_json(&self.place.path("steps").join(key))?;
        Ok(step.filter(|step| step.layer.as_ref().is_none_or(|layer| self.has(layer))))
    }

    /// Writes down what a step has made.
    ///
    /// # Errors
    ///
    /// The entry cannot be written.
    pub fn keep_step(&self, key: &str, step: &Step) -> Result<()> {
        let lock = self.place.lock()?;
        self.place.write(&self.place.path("steps").join(key), step, &lock)
    }

    /// Forgets all that steps have made: layers that no image has are free to go. Gives how many
    /// there were.
    ///
    /// # Errors
    ///
    /// An entry cannot be removed.
    pub fn forget_steps(&self) -> Result<usize> {
        let _lock = self.place.lock()?;
        let directory = self.place.path("steps");
        let mut count = 0;
        for entry in fs::read_dir(&directory).map_err(failed("read", &directory))?.flatten() {
            fs::remove_file(entry.path()).map_err(failed("remove", &entry.path()))?;
            count += 1;
        }
        Ok(count)
    }

    /// The directories of the layers that steps have made.
    pub(super) fn layers_of_steps(&self) -> Result<Vec<String>> {
        let directory = self.place.path("steps");
        let mut found = Vec::new();
        for entry in fs::read_dir(&directory).map_err(failed("read", &directory))?.flatten() {
            let step: Option<Step> = read_json(&entry.path())?;
            found.extend(step.and_then(|step| step.layer).map(|layer| layer.record.directory));
        }
        Ok(found)
    }
}
