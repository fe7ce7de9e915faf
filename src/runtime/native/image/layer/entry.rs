//! Entries of a tar archive: what a header and its extensions say.
//!
//! In: blocks of 512 bytes. Out: [`Entry`]. POSIX extensions are read here and not by the crate
//! `tar`, which cuts binary attributes at line breaks.

use std::ffi::{CString, OsString};
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use rustix::fs::Timespec;
use tar::{EntryType, Header};

use super::beneath::refused;
use super::sparse::{self, Sparse};

/// Where extended attributes are in POSIX extensions.
const XATTR: &[u8] = b"SCHILY.xattr.";
/// The bits of a mode that are kept.
const MODE: u32 = 0o7777;

/// Something in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) modified: Timespec,
    pub(super) attributes: Vec<(CString, Vec<u8>)>,
    /// Bytes that follow in the archive.
    pub(super) size: u64,
}

/// What it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Sparse(Sparse),
    Directory,
    Symlink(PathBuf),
    HardLink(PathBuf),
    CharacterDevice(u32, u32),
    BlockDevice(u32, u32),
    Fifo,
    /// Nothing that is unpacked.
    Ignored,
}

/// What extensions say about the next header.
#[derive(Debug, Default)]
pub(super) struct Extensions {
    /// GNU's names that are too long for a header.
    pub(super) long_path: Option<Vec<u8>>,
    pub(super) long_link: Option<Vec<u8>>,
    /// POSIX records.
    pub(super) records: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Extensions {
    fn get(&self, key: &str) -> Option<&[u8]> {
        let found = self.records.iter().rev().find(|(name, _)| name == key.as_bytes());
        found.map(|(_, value)| value.as_slice())
    }

    pub(super) fn number(&self, key: &str) -> io::Result<Option<u64>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
        number.map(Some).ok_or_else(|| refused(&format!("its `{key}` is no number")))
    }

    fn modified(&self, header: &Header) -> io::Result<Timespec> {
        let Some(value) = self.get("mtime") else {
            // Before 1970 is possible in GNU's form, which the crate reads as a huge number.
            let seconds = unless_blank(&header.as_old().mtime, || header.mtime())?.cast_signed();
            return Ok(Timespec { tv_sec: seconds, tv_nsec: 0 });
        };
        let text = String::from_utf8_lossy(value);
        let wrong = || refused("its time is none");
        let (seconds, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let mut whole: i64 = seconds.parse().map_err(|_| wrong())?;
        let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
        let mut nanos: i64 = digits.parse().map_err(|_| wrong())?;
        if seconds.starts_with('-') && nanos > 0 {
            whole = whole.saturating_sub(1);
            nanos = 1_000_000_000 - nanos;
        }
        Ok(Timespec { tv_sec: whole, tv_nsec: nanos })
    }

    fn attributes(&self) -> io::Result<Vec<(CString, Vec<u8>)>> {
        let mut found = Vec::new();
        for (key, value) in &self.records {
            let Some(name) = key.strip_prefix(XATTR) else { continue };
            let name = CString::new(name).map_err(|_| refused("an attribute has no name"))?;
            found.push((name, value.clone()));
        }
        Ok(found)
    }
}

/// Reads POSIX records: `LENGTH KEY=VALUE\n`, where values may hold anything.
pub(in super::super) fn records(mut bytes: &[u8]) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let wrong = || refused("its extended header is damaged");
    let mut found = Vec::new();
    while !bytes.is_empty() && bytes[0] != 0 {
        let space = bytes.iter().position(|byte| *byte == b' ').ok_or_else(wrong)?;
        let length: usize = std::str::from_utf8(&bytes[..space])
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or_else(wrong)?;
        let record = bytes.get(space + 1..length).ok_or_else(wrong)?;
        let record = record.strip_suffix(b"\n").ok_or_else(wrong)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(wrong)?;
        found.push((record[..equals].to_vec(), record[equals + 1..].to_vec()));
        bytes = &bytes[length..];
    }
    Ok(found)
}

/// What a header with its extensions says.
pub(super) fn entry(header: &Header, extensions: &Extensions) -> io::Result<Entry> {
    let path = extensions.get("path").or(extensions.long_path.as_deref());
    let path = extensions.get("GNU.sparse.name").or(path);
    let path = path.map_or_else(|| header.path_bytes().into_owned(), <[u8]>::to_vec);
    let kind = kind(header, extensions, &path)?;
    let size = match (&kind, extensions.number("size")?) {
        (Kind::File | Kind::Sparse(_) | Kind::Ignored, Some(size)) => size,
        (Kind::File | Kind::Sparse(_) | Kind::Ignored, None) => header.entry_size()?,
        // Old archives give sizes to what has no content.
        _ => 0,
    };
    let old = header.as_old();
    let id = |found: u64, key| -> io::Result<u32> {
        let number = match extensions.number(key)? {
            Some(number) => number,
            None => found,
        };
        // The largest one means "as it was" to the kernel.
        let id = u32::try_from(number).ok().filter(|id| *id < u32::MAX);
        id.ok_or_else(|| refused(&format!("its `{key}` is too large")))
    };
    Ok(Entry {
        kind,
        mode: unless_blank(&old.mode, || header.mode())? & MODE,
        uid: id(unless_blank(&old.uid, || header.uid())?, "uid")?,
        gid: id(unless_blank(&old.gid, || header.gid())?, "gid")?,
        modified: extensions.modified(header)?,
        attributes: extensions.attributes()?,
        size,
        path: path_of(path),
    })
}

/// A number that may be left out, as some archivers do.
fn unless_blank<T: Default>(field: &[u8], number: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let is_blank = field.iter().all(|byte| matches!(byte, 0 | b' '));
    if is_blank { Ok(T::default()) } else { number() }
}

fn path_of(bytes: Vec<u8>) -> PathBuf {
    OsString::from_vec(bytes).into()
}

fn kind(header: &Header, extensions: &Extensions, path: &[u8]) -> io::Result<Kind> {
    let link = || {
        let link = extensions.get("linkpath").or(extensions.long_link.as_deref());
        let link = link.map(<[u8]>::to_vec);
        let link = link.or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned));
        link.filter(|link| !link.is_empty())
            .map(path_of)
            .ok_or_else(|| refused("it links to nothing"))
    };
    let device = || -> io::Result<(u32, u32)> {
        let (major, minor) = (header.device_major()?, header.device_minor()?);
        Ok((major.unwrap_or(0), minor.unwrap_or(0)))
    };
    Ok(match header.entry_type() {
        // What ended in a slash was a directory before there was a type for it.
        EntryType::Regular if path.ends_with(b"/") => Kind::Directory,
        EntryType::Regular | EntryType::Continuous => match sparse::posix(extensions)? {
            Some(sparse) => Kind::Sparse(sparse),
            None => Kind::File,
        },
        EntryType::GNUSparse => Kind::Sparse(sparse::gnu(header)?),
        EntryType::Directory => Kind::Directory,
        EntryType::Symlink => Kind::Symlink(link()?),
        EntryType::Link => Kind::HardLink(link()?),
        EntryType::Char => device().map(|(major, minor)| Kind::CharacterDevice(major, minor))?,
        EntryType::Block => device().map(|(major, minor)| Kind::BlockDevice(major, minor))?,
        EntryType::Fifo => Kind::Fifo,
        EntryType::XGlobalHeader => Kind::Ignored,
        other => {
            let said = format!("its type `{}` is unknown", other.as_byte().escape_ascii());
            return Err(refused(&said));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::records;

    #[test]
    fn records_hold_any_bytes() {
        let text = b"14 a=one\ntwo\0\n6 b=1\n";
        let expected: Vec<(Vec<u8>, Vec<u8>)> =
            vec![(b"a".into(), b"one\ntwo\0".into()), (b"b".into(), b"1".into())];
        assert_eq!(records(text).unwrap(), expected);
        for wrong in ["x", "6 b=1", "99 b=1\n", "5 b1\n", "2 \n", "1 =\n", "-1 a=b\n"] {
            assert!(records(wrong.as_bytes()).is_err(), "{wrong:?}");
        }
    }
}
