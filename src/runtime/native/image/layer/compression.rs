//! Which compression some bytes have, and what they are without it.
//!
//! In: bytes. Out: bytes. What something says that it is does not count: its first bytes do.
//!
//! # Invariants
//!
//! - Memory is bounded: a frame of zstd that wants a window above 128 MiB is refused.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

/// How much is read at once.
const BUFFER: usize = 256 << 10;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// The first of sixteen magic numbers of frames that are skipped; they differ in the low bits.
const ZSTD_SKIPPED: &[u8] = &[0x2a, 0x4d, 0x18];
const BZIP2: &[u8] = b"BZh";
const XZ: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z', 0];

/// The bytes without compression.
pub(in super::super) fn decompressed<'a>(bytes: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut first = Vec::new();
    let mut bytes = bytes;
    (&mut bytes).take(6).read_to_end(&mut first)?;
    let is_zstd = first.starts_with(ZSTD)
        || (first.get(1..4) == Some(ZSTD_SKIPPED) && first[0] & 0xf0 == 0x50);
    let kind = first.clone();
    let whole = BufReader::with_capacity(BUFFER, io::Cursor::new(first).chain(bytes));
    if kind.starts_with(GZIP) {
        // Several members make one stream, as `gzip` has it.
        return Ok(Box::new(MultiGzDecoder::new(whole)));
    }
    if is_zstd {
        return Ok(Box::new(zstd(whole)?));
    }
    for (magic, name) in [(BZIP2, "bzip2"), (XZ, "xz")] {
        if kind.starts_with(magic) {
            let said = format!("{name} is not supported; gzip, zstd and plain archives are");
            return Err(io::Error::new(io::ErrorKind::Unsupported, said));
        }
    }
    Ok(Box::new(whole))
}

fn zstd<R: BufRead>(bytes: R) -> io::Result<impl Read + use<R>> {
    const MAX_WINDOW_LOG: u32 = 27;
    let mut decoder = zstd::Decoder::with_buffer(bytes)?;
    decoder.window_log_max(MAX_WINDOW_LOG)?;
    Ok(decoder)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::decompressed;

    fn plain(bytes: &[u8]) -> std::io::Result<String> {
        let mut text = String::new();
        decompressed(bytes)?.read_to_string(&mut text).map(|_| text)
    }

    #[test]
    fn the_first_bytes_tell_the_compression() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"one").unwrap();
        let gzip = gzip.finish().unwrap();
        assert_eq!(plain(&[gzip.clone(), gzip].concat()).unwrap(), "oneone");
        let zstd = zstd::encode_all(&b"two"[..], 0).unwrap();
        assert_eq!(plain(&zstd).unwrap(), "two");
        let skipped = [&[0x53, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9][..], &zstd].concat();
        assert_eq!(plain(&skipped).unwrap(), "two");
        assert_eq!(plain(b"three").unwrap(), "three");
        assert_eq!(plain(b"").unwrap(), "");
        let error = plain(b"\xfd7zXZ\0").unwrap_err().to_string();
        assert!(error.starts_with("xz is not supported"), "{error}");
    }

    #[test]
    fn what_is_cut_is_an_error() {
        let zstd = zstd::encode_all(&[7; 1000][..], 0).unwrap();
        assert!(plain(&zstd[..zstd.len() - 1]).is_err());
        assert!(plain(&[0x1f, 0x8b, 8]).is_err());
    }
}
