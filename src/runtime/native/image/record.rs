//! What the store writes down: names, and of each image the directories of its layers.
//!
//! In and out: JSON files of the store.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::spec::Descriptor;
use crate::runtime::{Result, RuntimeError};

/// `names.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Names {
    /// By whole names with tag or digest, and references of sources.
    pub(super) names: BTreeMap<String, Named>,
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Named {
    /// The image.
    pub(super) image: Digest,
    /// When it got the name: seconds since 1970, nanoseconds.
    pub(super) at: (i64, i32),
    /// Of sources of this machine: what tells whether they have changed since.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) stamp: String,
}

/// `record.json` of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// A directory of this machine that lies below them all: the image was built from
    /// `rootfs:DIR`, and is one of this machine only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) below: Option<PathBuf>,
    /// Its layers, lowest first.
    pub(super) layers: Vec<LayerRecord>,
}

impl Record {
    /// Refuses an image of which not all files are in the store.
    pub(super) fn check_whole(&self, reference: &str) -> Result<()> {
        let Some(below) = &self.below else { return Ok(()) };
        Err(RuntimeError::Unsupported(format!(
            "`{reference}` was built from `rootfs:{0}`: the files of `{0}` are not in it, so it is \
             of use on this machine only",
            below.display()
        )))
    }
}

/// A layer of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LayerRecord {
    /// Its directory below `layers`.
    pub(super) directory: String,
    /// Bytes of its files.
    pub(super) size: u64,
    /// The archive as a registry has it, if it came from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) compressed: Option<Descriptor>,
}

/// `layer.json` of a layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LayerInfo {
    /// Digest of its archive before compression.
    pub(super) diff_id: Digest,
    /// Bytes of that archive.
    pub(super) archive_size: u64,
    /// Bytes of its files.
    pub(super) size: u64,
}
