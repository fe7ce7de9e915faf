//! Sparse files in archives: GNU's own form, and the three that it has in POSIX archives.
//!
//! In: headers, extensions, and for the newest form the beginning of the content. Out: where the
//! content goes.
//!
//! # Invariants
//!
//! - Pieces are in order, do not overlap, end within the file, and are as long as the content.

use std::io::{self, Read};

use tar::{GnuExtSparseHeader, GnuSparseHeader, Header};

use super::beneath::refused;
use super::entry::Extensions;

/// The most pieces of a file.
const MAX_PIECES: usize = 100_000;
const BLOCK: usize = 512;

/// Where the content of a sparse file goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sparse {
    /// Bytes of the file.
    pub(super) size: u64,
    /// Offset and length of each piece.
    pub(super) pieces: Vec<(u64, u64)>,
    /// More of them come first in what follows the header.
    pub(super) rest: Rest,
}

/// Where the rest of the pieces stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Rest {
    #[default]
    Nowhere,
    /// In blocks between header and content.
    Blocks,
    /// In the content itself.
    Content,
}

/// GNU's own form.
pub(super) fn gnu(header: &Header) -> io::Result<Sparse> {
    let gnu = header.as_gnu().ok_or_else(|| refused("its sparse header is none"))?;
    let mut sparse = Sparse { size: gnu.real_size()?, ..Sparse::default() };
    for piece in &gnu.sparse {
        sparse.push(piece)?;
    }
    if gnu.is_extended() {
        sparse.rest = Rest::Blocks;
    }
    Ok(sparse)
}

/// The forms in POSIX extensions; `None` if it is not sparse.
pub(super) fn posix(extensions: &Extensions) -> io::Result<Option<Sparse>> {
    let number = |key: &str| extensions.number(key);
    if number("GNU.sparse.major")? == Some(1) {
        let size = number("GNU.sparse.realsize")?.unwrap_or(0);
        return Ok(Some(Sparse { size, rest: Rest::Content, ..Sparse::default() }));
    }
    let Some(size) = number("GNU.sparse.size")? else { return Ok(None) };
    let mut numbers = Vec::new();
    for (key, value) in &extensions.records {
        match key.as_slice() {
            b"GNU.sparse.map" => {
                numbers =
                    value.split(|byte| *byte == b',').map(decimal).collect::<io::Result<_>>()?;
            }
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => numbers.push(decimal(value)?),
            _ => {}
        }
    }
    let pieces = numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    Ok(Some(Sparse { size, pieces, rest: Rest::Nowhere }))
}

fn decimal(text: &[u8]) -> io::Result<u64> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.trim().parse().ok());
    number.ok_or_else(|| refused("its map of pieces is damaged"))
}

impl Sparse {
    fn push(&mut self, piece: &GnuSparseHeader) -> io::Result<()> {
        if !piece.is_empty() {
            self.pieces.push((piece.offset()?, piece.length()?));
        }
        if self.pieces.len() > MAX_PIECES {
            return Err(refused("it has too many pieces"));
        }
        Ok(())
    }

    /// Reads the pieces that do not stand in the header; returns how many bytes of the content
    /// they took.
    pub(super) fn complete(&mut self, input: &mut impl Read) -> io::Result<u64> {
        match std::mem::take(&mut self.rest) {
            Rest::Nowhere => Ok(0),
            Rest::Blocks => self.blocks(input).map(|()| 0),
            Rest::Content => self.map(input),
        }
    }

    fn blocks(&mut self, input: &mut impl Read) -> io::Result<()> {
        loop {
            let mut more = GnuExtSparseHeader::new();
            input.read_exact(more.as_mut_bytes())?;
            for piece in more.sparse() {
                self.push(piece)?;
            }
            if !more.is_extended() {
                return Ok(());
            }
        }
    }

    /// Decimal numbers, one a line: how many pieces, then offset and length of each.
    fn map(&mut self, input: &mut impl Read) -> io::Result<u64> {
        let mut text = Vec::new();
        let mut numbers = Vec::new();
        let mut wanted = None;
        let mut taken = 0;
        while wanted.is_none_or(|wanted| numbers.len() < wanted) {
            let mut block = [0; BLOCK];
            input.read_exact(&mut block)?;
            taken += BLOCK as u64;
            text.extend_from_slice(&block);
            while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                let number = decimal(&text[..end])?;
                text.drain(..=end);
                match wanted {
                    None => {
                        let pieces = usize::try_from(number).ok();
                        let pieces = pieces.filter(|pieces| *pieces <= MAX_PIECES);
                        let pieces = pieces.ok_or_else(|| refused("it has too many pieces"))?;
                        wanted = Some(pieces * 2);
                    }
                    Some(wanted) if numbers.len() < wanted => numbers.push(number),
                    Some(_) => return Err(refused("its map of pieces is damaged")),
                }
            }
            // A number has no more digits than this.
            if text.len() > BLOCK + 32 {
                return Err(refused("its map of pieces is damaged"));
            }
        }
        self.pieces = numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        Ok(taken)
    }

    /// Checks the pieces against the bytes that are there for them.
    pub(super) fn check(&self, content: u64) -> io::Result<()> {
        let mut end = 0_u64;
        let mut sum = 0_u64;
        for (offset, length) in &self.pieces {
            let next = offset.checked_add(*length).filter(|next| *next <= self.size);
            match next {
                Some(next) if *offset >= end => end = next,
                _ => return Err(refused("its pieces overlap, or end beyond the file")),
            }
            sum += length;
        }
        if sum != content {
            return Err(refused("its pieces are not as long as its content"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(text: &str) -> io::Result<(Vec<(u64, u64)>, u64)> {
        let mut block = text.as_bytes().to_vec();
        block.resize(block.len().next_multiple_of(BLOCK), 0);
        let mut sparse = Sparse { rest: Rest::Content, ..Sparse::default() };
        let taken = sparse.complete(&mut &block[..])?;
        Ok((sparse.pieces, taken))
    }

    #[test]
    fn maps_are_read_and_damaged_ones_refused() {
        assert_eq!(map("2\n0\n5\n100\n7\n").unwrap(), (vec![(0, 5), (100, 7)], 512));
        assert_eq!(map("0\n").unwrap(), (vec![], 512));
        for wrong in ["", "x\n", "99999999\n", "1\n-1\n2\n", "1\n2\n", &"7".repeat(3000)] {
            assert!(map(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn pieces_must_fit() {
        let check = |pieces: &[(u64, u64)], content| {
            Sparse { size: 100, pieces: pieces.to_vec(), rest: Rest::Nowhere }.check(content)
        };
        assert!(check(&[(0, 10), (90, 10)], 20).is_ok());
        assert!(check(&[], 0).is_ok());
        for (pieces, content) in [
            (&[(0, 10), (5, 10)][..], 20),
            (&[(95, 10)], 10),
            (&[(u64::MAX, 10)], 10),
            (&[(0, 10)], 11),
        ] {
            assert!(check(pieces, content).is_err(), "{pieces:?}");
        }
    }
}
