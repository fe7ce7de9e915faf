//! Sources of this machine: under which names their images are kept, and whether they changed.
//!
//! In: a [`Reference`]. Out: the name, and a stamp that another content has not.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::digest::Digest;
use super::record::Names;
use super::reference::Reference;

/// The name under which the image of a source is kept, and the stamp of the source.
pub(super) fn name_and_stamp(source: &Reference) -> io::Result<(String, String)> {
    let (kind, path, of, watched) = match source {
        Reference::Archive { file, name } => {
            let file = file.canonicalize()?;
            ("docker-archive", file.clone(), name, file)
        }
        Reference::Layout { directory, tag } => {
            let directory = directory.canonicalize()?;
            let index = directory.join("index.json");
            ("oci", directory, tag, index)
        }
        Reference::Registry(_) | Reference::RootFs(_) => {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
    };
    let mut name = format!("{kind}:{}", path.display());
    if !of.is_empty() {
        name.push(':');
        name.push_str(of);
    }
    Ok((name, stamp(&watched)?))
}

/// The image of a source that has not changed since it was loaded.
pub(super) fn find(source: &Reference, names: &Names) -> Option<Digest> {
    let (name, stamp) = name_and_stamp(source).ok()?;
    names.names.get(&name).filter(|named| named.stamp == stamp).map(|named| named.image.clone())
}

/// Whatever differs when a file was written again.
fn stamp(path: &Path) -> io::Result<String> {
    let of =
        |it: &Metadata| format!("{}:{}:{}.{}", it.ino(), it.len(), it.mtime(), it.mtime_nsec());
    Ok(of(&path.metadata()?))
}
