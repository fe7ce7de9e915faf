//! Images: a store of them, and the ways in and out.
//!
//! In: references, registries, archives, directories. Out: an [`Image`]: its config, and the
//! directories that an overlay is mounted on.
//!
//! ```text
//! D/images/
//!   lock               held while anything below but `partial` and `staging` changes
//!   names.json         names -> images
//!   images/HEX/        config.json (HEX is its digest), record.json, manifest.json
//!   layers/HEX/        root/ (what an overlay takes), recipe.gz, layer.json
//!   covers/HEX/        root/ that lies over the host's own files, for `rootfs:/`
//!   steps/HEX          the layer that a step of a build has made; HEX is the digest of its inputs
//!   holds/HEX/         one file for each container of an image
//!   busy               held by many while images are made, by one who removes what no image has
//!   partial/HEX        downloads that go on where they were cut
//!   staging/           what is being made; each entry has a lock of its own
//! ```
//!
//! # Invariants
//!
//! - Everything is named by its digest, and the digest was checked before it got the name.
//! - What is in `images` and `layers` is whole: it was made in `staging` and renamed. A process
//!   that is killed leaves nothing but entries in `staging` whose lock nobody holds; the next
//!   command that changes something removes them.
//! - Archives, manifests and registries are hostile: sizes, numbers and memory are bounded, and
//!   every path of an archive is resolved beneath the directory that it is unpacked to.
//! - A layer is unpacked once, whatever images share it.
//!
//! # Not here
//!
//! Containers: they tell the store what they use by [`Store::hold`].

mod ask;
mod assemble;
mod change;
mod commit;
mod contents;
mod digest;
mod install;
mod layer;
mod load;
mod overlay;
mod place;
mod platform;
mod pull;
mod push;
mod record;
mod reference;
mod registry;
mod remove;
mod rootfs;
mod save;
mod source;
mod spec;
mod steps;
mod store;
mod task;

use std::path::PathBuf;
use std::sync::Arc;

pub use ask::{Force, Input, Pruned, Removed, Snapshot, Unneeded};
pub use assemble::{Layer, Origin, Scratch, is_too_large, plain};
pub use digest::{Digest, NotADigest};
pub use load::Loaded;
pub use platform::{NotAPlatform, Platform};
pub use reference::{Name, NotAReference, Reference};
pub use registry::{Downloaded, download};
pub use rootfs::PATH;
pub use save::Output;
pub use spec::{Defaults, HealthCheck, History, ImageConfig, RootFs};
pub use steps::Step;
pub use store::Store;

/// An image that is here.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// Its identity: the digest of its config.
    pub id: Digest,
    /// Its names with tags as people write them, such as `busybox:1`; sources of this machine by
    /// their reference.
    pub names: Vec<String>,
    /// Its names with the digests by which registries gave it, such as `busybox@sha256:…`.
    pub digests: Vec<String>,
    /// When it was made, in seconds since 1970; 0 if unknown.
    pub created: i64,
    /// When it was last tagged or pulled here: seconds since 1970 and nanoseconds.
    pub tagged: (i64, i32),
    /// Bytes of all its layers, unpacked.
    pub size: u64,
    /// Its config.
    pub config: Arc<ImageConfig>,
    /// The directory of this machine that lies below its layers.
    pub below: Option<PathBuf>,
    /// Directories of its layers, lowest first. Whiteouts are those of overlayfs. What else an
    /// overlay needs is made when it is needed: [`Store::files`].
    pub layers: Vec<PathBuf>,
}

#[cfg(test)]
mod tests;
