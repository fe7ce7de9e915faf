//! The archive that a layer was unpacked from, byte for byte.
//!
//! In: the directory of a layer. Out: a stream. Who needs to be sure takes its digest: files on
//! the disk may have been changed since.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Cursor, Read, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat2};

use super::beneath::{beneath, open, refused};
use super::recipe::{self, Piece};

/// Something that a later entry of the archive replaced: it is in `kept`, by its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Move {
    /// How many files had been named before.
    pub(super) after: u64,
    /// Where it was.
    pub(super) path: PathBuf,
}

impl Move {
    pub(super) fn write(moves: &[Self], file: &Path) -> io::Result<()> {
        let mut out = io::BufWriter::new(File::create_new(file)?);
        for one in moves {
            let path = one.path.as_os_str().as_bytes();
            out.write_all(&one.after.to_le_bytes())?;
            out.write_all(&(path.len() as u64).to_le_bytes())?;
            out.write_all(path)?;
        }
        out.flush()
    }

    fn read(file: &Path) -> io::Result<Vec<Self>> {
        let bytes = match fs::File::open(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            file => {
                let mut bytes = Vec::new();
                file?.read_to_end(&mut bytes)?;
                bytes
            }
        };
        let mut rest = &bytes[..];
        let mut moves = Vec::new();
        while !rest.is_empty() {
            let mut number = || -> io::Result<u64> {
                let mut bytes = [0; 8];
                rest.read_exact(&mut bytes)?;
                Ok(u64::from_le_bytes(bytes))
            };
            let (after, length) = (number()?, number()?);
            let length = usize::try_from(length).map_err(io::Error::other)?;
            let path = rest.get(..length).ok_or_else(|| refused("`moved` is damaged"))?;
            moves.push(Self { after, path: OsString::from_vec(path.to_vec()).into() });
            rest = &rest[length..];
        }
        Ok(moves)
    }
}

/// An archive that is written again.
#[derive(Debug)]
pub(in super::super) struct Archive {
    layer: OwnedFd,
    recipe: recipe::Reader,
    moves: Vec<Move>,
    /// How many files were named so far.
    named: u64,
    current: Current,
}

#[derive(Debug)]
enum Current {
    Bytes(Cursor<Vec<u8>>),
    File(File, u64),
    End,
}

impl Archive {
    /// The archive of a layer in this directory.
    pub(in super::super) fn open(layer: &Path) -> io::Result<Self> {
        Ok(Self {
            recipe: recipe::Reader::open(&layer.join("recipe.gz"))?,
            moves: Move::read(&layer.join("moved"))?,
            layer: open(CWD, layer.as_os_str())?,
            named: 0,
            current: Current::Bytes(Cursor::default()),
        })
    }

    fn advance(&mut self) -> io::Result<()> {
        self.current = match self.recipe.next()? {
            None => Current::End,
            Some(Piece::Bytes(bytes)) => Current::Bytes(Cursor::new(bytes)),
            Some(Piece::File { path, size }) => {
                self.named += 1;
                Current::File(self.file(&path)?, size)
            }
        };
        Ok(())
    }

    /// Opens what is, or was, at a path.
    fn file(&self, path: &Path) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let place = self.place(path);
        let file = openat2(&self.layer, &place, flags, Mode::empty(), beneath());
        let file = file.map_err(|error| changed(path, &error.to_string()))?;
        if !FileType::from_raw_mode(fstat(&file)?.st_mode).is_file() {
            return Err(changed(path, "it is no file any more"));
        }
        Ok(file.into())
    }

    /// Where it is now: replaced once, it stays where it was put.
    fn place(&self, path: &Path) -> PathBuf {
        let moved = self.moves.iter().enumerate().find_map(|(number, one)| {
            let is_later = one.after >= self.named;
            let rest = path.strip_prefix(&one.path).ok().filter(|_| is_later)?;
            Some((Path::new("kept").join(number.to_string()), rest))
        });
        match moved {
            Some((place, rest)) if rest.as_os_str().is_empty() => place,
            Some((place, rest)) => place.join(rest),
            None => Path::new("root").join(path),
        }
    }
}

fn changed(path: &Path, why: &str) -> io::Error {
    let said = format!("`{}` of the layer was changed on the disk: {why}", path.display());
    io::Error::new(io::ErrorKind::InvalidData, said)
}

impl Read for Archive {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let count = match &mut self.current {
                Current::End => return Ok(0),
                Current::Bytes(bytes) => bytes.read(buffer)?,
                Current::File(_, 0) => 0,
                Current::File(file, left) => {
                    let room =
                        usize::try_from(*left).map_or(buffer.len(), |left| left.min(buffer.len()));
                    let count = file.read(&mut buffer[..room])?;
                    if count == 0 {
                        return Err(refused("a file of the layer was cut on the disk"));
                    }
                    *left -= count as u64;
                    count
                }
            };
            if count > 0 {
                return Ok(count);
            }
            self.advance()?;
        }
    }
}
