//! What makes the same archive again: everything in it but the content of files.
//!
//! In: pieces of an archive as they are read. Out: `recipe.gz`, and the pieces again.
//!
//! The layout is a stream of records, numbers in little-endian order: `0`, length (4 bytes) and
//! bytes as they stand in the archive; or `1`, size (8 bytes), length (4 bytes) and the path of a
//! file whose content stands there.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

/// Bytes are put together up to here.
const PIECE: usize = 64 << 10;
const BYTES: u8 = 0;
const FILE: u8 = 1;

/// A piece of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// As it is.
    Bytes(Vec<u8>),
    /// The content of a file.
    File { path: PathBuf, size: u64 },
}

/// Writes a recipe.
#[derive(Debug)]
pub(super) struct Writer {
    out: GzEncoder<BufWriter<File>>,
    pending: Vec<u8>,
    /// How many files it has so far.
    pub(super) files: u64,
}

impl Writer {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let out = GzEncoder::new(BufWriter::new(File::create_new(path)?), Compression::fast());
        Ok(Self { out, pending: Vec::new(), files: 0 })
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(PIECE) {
            if self.pending.len() + piece.len() > PIECE {
                self.flush()?;
            }
            self.pending.extend_from_slice(piece);
        }
        Ok(())
    }

    pub(super) fn file(&mut self, path: &Path, size: u64) -> io::Result<()> {
        self.flush()?;
        let path = path.as_os_str().as_bytes();
        self.out.write_all(&[FILE])?;
        self.out.write_all(&size.to_le_bytes())?;
        self.out.write_all(&length(path)?)?;
        self.files += 1;
        self.out.write_all(path)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.out.write_all(&[BYTES])?;
        self.out.write_all(&length(&self.pending)?)?;
        self.out.write_all(&self.pending)?;
        self.pending.clear();
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.out.finish()?.flush()
    }
}

fn length(bytes: &[u8]) -> io::Result<[u8; 4]> {
    u32::try_from(bytes.len()).map(u32::to_le_bytes).map_err(io::Error::other)
}

/// Reads a recipe.
#[derive(Debug)]
pub(super) struct Reader {
    input: GzDecoder<BufReader<File>>,
}

impl Reader {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { input: GzDecoder::new(BufReader::new(File::open(path)?)) })
    }

    /// The next piece; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Piece>> {
        let mut kind = [0];
        if self.input.read(&mut kind)? == 0 {
            return Ok(None);
        }
        match kind[0] {
            BYTES => Ok(Some(Piece::Bytes(self.block()?))),
            FILE => {
                let mut size = [0; 8];
                self.input.read_exact(&mut size)?;
                let path = PathBuf::from(OsString::from_vec(self.block()?));
                Ok(Some(Piece::File { path, size: u64::from_le_bytes(size) }))
            }
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the recipe is damaged")),
        }
    }

    fn block(&mut self) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.input.read_exact(&mut length)?;
        let length = u64::from(u32::from_le_bytes(length)).min(PIECE as u64);
        let mut block = Vec::new();
        if (&mut self.input).take(length).read_to_end(&mut block)? as u64 != length {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        Ok(block)
    }
}
