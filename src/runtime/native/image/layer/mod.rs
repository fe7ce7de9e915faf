//! Layers: archives that become directories, and become the same archives again.
//!
//! In: a stream of bytes that may be compressed. Out: a directory `root` as overlayfs takes it,
//! and beside it what is needed to write the same archive again, byte for byte: `recipe.gz` has
//! all that is no content of a file.
//!
//! ```text
//! bytes ──> compression ──> Recorder ──> tar ──> Entry ──> Unpacker ──> Tree (beneath `root`)
//!                              └────────────────────────> recipe.gz ──> Archive (the bytes again)
//! ```
//!
//! # Invariants
//!
//! - A layer is unpacked on its own. Only one whose archive leaves directories out, or links to
//!   files of lower layers, needs those below ([`NeedsLower`]) and is then the layer of this one
//!   pile.
//! - Nothing is written or read outside `root`, whatever the archive says.
//! - Memory is bounded whatever the archive says; so is the disk, by [`Limits`].

mod archive;
mod beneath;
mod compression;
mod entry;
mod limits;
mod lower;
mod pack;
mod reader;
mod recipe;
mod sparse;
mod unpack;

pub(super) use archive::Archive;
pub(super) use compression::{decompressed, wants_too_much};
pub(super) use entry::records;
pub(super) use limits::Limits;
pub(super) use lower::NeedsLower;
pub(super) use pack::{Newest, pack};
pub(super) use unpack::{Job, unpack};

#[cfg(test)]
mod tests;
