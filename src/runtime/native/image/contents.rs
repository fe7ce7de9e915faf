//! Files by name, out of a directory or out of a tar archive that is not unpacked.
//!
//! In: a path. Out: the files that documents of images name.
//!
//! # Invariants
//!
//! - What an archive names is looked up in its own list; it never becomes a path of this machine.
//! - Names of a directory are digests and the few fixed ones that its layout has.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2};
use tar::{EntryType, Header};

use super::install::Source;
use super::layer::{Limits, decompressed};
use super::place::{Place, Staging, failed};
use super::spec::MAX_DOCUMENT;
use crate::runtime::{Result, RuntimeError};

const BLOCK: u64 = 512;
const ZEROS: [u8; 512] = [0; 512];
/// The most entries of an archive of images, and bytes of a name in it.
const MAX_ENTRIES: usize = 100_000;
const MAX_NAME: u64 = 64 << 10;

/// Files by name.
#[derive(Debug)]
pub(super) enum Contents {
    Directory(PathBuf),
    Archive(Archive),
}

impl Contents {
    /// The files of a directory.
    pub(super) fn of_directory(path: &Path) -> Result<Self> {
        if !path.is_dir() {
            let said = format!("`{}` is no directory", path.display());
            return Err(RuntimeError::NotFound(said));
        }
        Ok(Self::Directory(path.to_owned()))
    }

    /// The files of an archive, which may be compressed.
    pub(super) fn of_file(path: &Path, place: &Place) -> Result<Self> {
        let file = match open_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let said = format!("there is no file `{}`", path.display());
                return Err(RuntimeError::NotFound(said));
            }
            file => file.map_err(failed("open", path))?,
        };
        let mut first = [0; 4];
        let count = file.read_at(&mut first, 0).map_err(failed("read", path))?;
        let is_compressed = first.starts_with(&[0x1f, 0x8b])
            || first.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
            || (count > 2 && (first.starts_with(b"BZh") || first.starts_with(b"\xfd7zX")));
        if is_compressed {
            return Self::of_stream(file, place);
        }
        Archive::new(file, None).map(Self::Archive).map_err(failed("read", path))
    }

    /// The files of an archive that comes from somewhere; it is written to the disk.
    pub(super) fn of_stream(bytes: impl io::Read, place: &Place) -> Result<Self> {
        let staging = place.stage()?;
        let path = staging.path().join("archive.tar");
        let copy = || -> io::Result<File> {
            let mut file = File::options().read(true).write(true).create_new(true).open(&path)?;
            Limits::copy(&mut decompressed(bytes)?, &mut file)?;
            Ok(file)
        };
        let file = copy().map_err(|source| RuntimeError::Io {
            action: "read the archive of images".to_owned(),
            source,
        })?;
        Archive::new(file, Some(staging)).map(Self::Archive).map_err(failed("read", &path))
    }

    /// A small file; `None` if there is none.
    pub(super) fn document(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let source = match self.open(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            source => source?,
        };
        if source.size > MAX_DOCUMENT {
            let said = format!("`{name}` has more than {MAX_DOCUMENT} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, said));
        }
        let mut bytes = Vec::new();
        source.bytes.take(MAX_DOCUMENT).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// A file from its beginning.
    pub(super) fn open(&self, name: &str) -> io::Result<Source> {
        match self {
            Self::Directory(directory) => {
                let file = open_beneath(directory, name)?;
                let size = file.metadata()?.len();
                Ok(Source { bytes: Box::new(file), size })
            }
            Self::Archive(archive) => archive.open(name),
        }
    }
}

/// Not waiting for somebody to write to a pipe.
const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

fn open_file(path: &Path) -> io::Result<File> {
    regular(openat(CWD, path, FLAGS, Mode::empty())?)
}

/// Opens a file of a directory, which may hold links, but none that lead out.
fn open_beneath(directory: &Path, name: &str) -> io::Result<File> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let directory = File::open(directory)?;
    regular(openat2(directory, name, FLAGS, Mode::empty(), resolve)?)
}

/// A file that is one: no pipe, no device.
fn regular(file: OwnedFd) -> io::Result<File> {
    if !FileType::from_raw_mode(fstat(&file)?.st_mode).is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    Ok(file.into())
}

/// An archive of images.
#[derive(Debug)]
pub(super) struct Archive {
    file: Arc<File>,
    /// Where each file begins, and its length.
    files: HashMap<String, (u64, u64)>,
    /// The copy goes with it.
    _staging: Option<Staging>,
}

impl Archive {
    fn new(mut file: File, staging: Option<Staging>) -> io::Result<Self> {
        let files = index(&mut file)?;
        Ok(Self { file: Arc::new(file), files, _staging: staging })
    }

    fn open(&self, name: &str) -> io::Result<Source> {
        let (at, size) = self.files.get(name).copied().ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("the archive has no `{name}`"))
        })?;
        let bytes = Part { file: Arc::clone(&self.file), at, end: at + size };
        Ok(Source { bytes: Box::new(bytes), size })
    }
}

/// A part of a file that several read at once.
struct Part {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl io::Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.end - self.at;
        let room = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let count = self.file.read_at(&mut buffer[..room], self.at)?;
        if count == 0 && room > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive is cut off"));
        }
        self.at += count as u64;
        Ok(count)
    }
}

/// Where the files of an archive are; links between them are followed.
fn index(file: &mut File) -> io::Result<HashMap<String, (u64, u64)>> {
    let mut files = HashMap::new();
    let mut links: Vec<(String, String)> = Vec::new();
    let mut long = None;
    let mut at = 0_u64;
    let end = file.metadata()?.len();
    file.seek(SeekFrom::Start(0))?;
    while files.len() + links.len() <= MAX_ENTRIES {
        let mut block = ZEROS;
        if at + BLOCK <= end {
            file.read_exact_at(&mut block, at)?;
        }
        if block == ZEROS {
            for (from, to) in links {
                if let Some(place) = files.get(&to).copied() {
                    files.insert(from, place);
                }
            }
            return Ok(files);
        }
        let header = Header::from_byte_slice(&block);
        // What the reader says about a number that is none shows the bytes around it.
        let size = header.entry_size().map_err(|_| damaged())?;
        let content = at + BLOCK;
        at = size
            .checked_next_multiple_of(BLOCK)
            .and_then(|it| it.checked_add(content))
            .ok_or_else(damaged)?;
        let short = String::from_utf8_lossy(&header.path_bytes()).into_owned();
        match header.entry_type() {
            EntryType::GNULongName => {
                let bytes = part(file, content, size)?;
                let text = String::from_utf8_lossy(&bytes);
                long = Some(text.trim_end_matches('\0').to_owned());
                continue;
            }
            EntryType::XHeader => {
                let bytes = part(file, content, size)?;
                let records = super::layer::records(&bytes)?;
                let path = records.into_iter().rev().find(|(key, _)| key == b"path");
                long = path.map(|(_, value)| String::from_utf8_lossy(&value).into_owned()).or(long);
                continue;
            }
            EntryType::Regular | EntryType::Continuous => {
                files.insert(clean(long.as_deref().unwrap_or(&short)), (content, size));
            }
            EntryType::Symlink | EntryType::Link => {
                let name = clean(long.as_deref().unwrap_or(&short));
                let target = header.link_name_bytes().unwrap_or_default();
                links.push((name.clone(), target_of(&name, &String::from_utf8_lossy(&target))));
                at = content;
            }
            _ => {}
        }
        long = None;
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "the archive has too many entries"))
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is no archive of images, or is damaged")
}

fn part(file: &File, at: u64, size: u64) -> io::Result<Vec<u8>> {
    if size > MAX_NAME {
        return Err(damaged());
    }
    let mut bytes = vec![0; usize::try_from(size).map_err(|_| damaged())?];
    file.read_exact_at(&mut bytes, at)?;
    Ok(bytes)
}

/// A name as documents have it.
fn clean(name: &str) -> String {
    name.trim_start_matches("./").to_owned()
}

/// Where a link of the archive leads: old archives have each layer once.
fn target_of(name: &str, target: &str) -> String {
    let mut parts: Vec<&str> = name.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." | "" => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}
