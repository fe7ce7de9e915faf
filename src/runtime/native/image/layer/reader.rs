//! An archive entry by entry, with everything but the content of files written to a recipe.
//!
//! In: a tar archive without compression. Out: [`Entry`]s, each followed by its content.
//!
//! # Invariants
//!
//! - What is read is either recorded or, as the content of a file, named in the recipe: nothing is
//!   lost.
//! - The headers of one entry take bounded memory.

use std::io::{self, Read};
use std::path::Path;

use tar::{EntryType, Header};

use super::beneath::refused;
use super::entry::{self, Entry, Extensions};
use super::limits::Limits;
use super::recipe::Writer;

const BLOCK: usize = 512;

/// An archive that is being read.
pub(super) struct Reader<R> {
    input: R,
    recipe: Writer,
    limits: Limits,
    /// Bytes read so far.
    pub(super) taken: u64,
    entries: u64,
}

/// Bytes that are recorded as they are read.
pub(super) struct Recorded<'a, R>(&'a mut Reader<R>);

impl<R: Read> Read for Recorded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.content(buffer)?;
        self.0.recipe.bytes(&buffer[..count])?;
        Ok(count)
    }
}

impl<R: Read> Reader<R> {
    pub(super) fn new(input: R, recipe: Writer, limits: Limits) -> Self {
        Self { input, recipe, limits, taken: 0, entries: 0 }
    }

    /// The next entry; its content and the padding after it are to be read before the next one.
    pub(super) fn next(&mut self) -> io::Result<Option<Entry>> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(self.limits.too_many());
        }
        let mut extensions = Extensions::default();
        let mut room = self.limits.header;
        loop {
            let Some(header) = self.header()? else { return Ok(None) };
            let kind = header.entry_type();
            if !matches!(kind, EntryType::GNULongName | EntryType::GNULongLink | EntryType::XHeader)
            {
                return entry::entry(&header, &extensions).map(Some);
            }
            let size = header.entry_size()?;
            room = room.checked_sub(size).ok_or_else(|| refused("its headers are too large"))?;
            let bytes = self.block(size)?;
            match kind {
                EntryType::GNULongName => extensions.long_path = Some(until_zero(bytes)),
                EntryType::GNULongLink => extensions.long_link = Some(until_zero(bytes)),
                _ => extensions.records.extend(entry::records(&bytes)?),
            }
        }
    }

    /// The next block if it is a header; the end of the archive is `None`.
    fn header(&mut self) -> io::Result<Option<Header>> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.recorded().read(&mut block[filled..])? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it is cut off")),
                count => filled += count,
            }
        }
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let header = Header::from_byte_slice(&block).clone();
        if header.cksum()? != sum(&block) {
            return Err(refused("it is no tar archive, or is damaged: a checksum is wrong"));
        }
        Ok(Some(header))
    }

    /// A few bytes with their padding.
    fn block(&mut self, size: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if self.recorded().take(size).read_to_end(&mut bytes)? as u64 != size {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it is cut off"));
        }
        self.padding(size)?;
        Ok(bytes)
    }

    /// What follows so many bytes up to the next block.
    pub(super) fn padding(&mut self, size: u64) -> io::Result<()> {
        let used = usize::try_from(size % BLOCK as u64).unwrap_or(0);
        if used > 0 {
            self.recorded().read_exact(&mut [0; BLOCK][used..])?;
        }
        Ok(())
    }

    /// Bytes that the recipe keeps.
    pub(super) fn recorded(&mut self) -> Recorded<'_, R> {
        Recorded(self)
    }

    /// Says in the recipe that the content of a file follows.
    pub(super) fn name_content(&mut self, path: &Path, size: u64) -> io::Result<()> {
        self.recipe.file(path, size)
    }

    /// How many files have been named.
    pub(super) fn named(&self) -> u64 {
        self.recipe.files
    }

    /// Bytes that the recipe does not keep.
    pub(super) fn content(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.taken += count as u64;
        if self.taken > self.limits.bytes {
            return Err(self.limits.too_large());
        }
        Ok(count)
    }

    /// Passes over something that is not unpacked.
    pub(super) fn skip(&mut self, size: u64) -> io::Result<()> {
        let skipped = io::copy(&mut self.recorded().take(size), &mut io::sink())?;
        if skipped != size {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it is cut off"));
        }
        self.padding(size)
    }

    /// Reads what stands behind the end, and completes the recipe.
    pub(super) fn finish(mut self) -> io::Result<R> {
        io::copy(&mut self.recorded(), &mut io::sink())?;
        self.recipe.finish()?;
        Ok(self.input)
    }
}

fn until_zero(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    bytes.truncate(end);
    bytes
}

/// The sum of a header's bytes, with blanks where the sum stands.
fn sum(block: &[u8; BLOCK]) -> u32 {
    const PLACE: std::ops::Range<usize> = 148..156;
    let others = block.iter().enumerate().filter(|(at, _)| !PLACE.contains(at));
    others.map(|(_, byte)| u32::from(*byte)).sum::<u32>() + 8 * u32::from(b' ')
}
