//! Which compression some bytes have, and what they are without it.
//!
//! In: bytes. Out: bytes. What something says that it is does not count: its first bytes do.
//!
//! # Invariants
//!
//! - Memory is bounded: a frame of zstd that wants a window above 128 MiB is refused, and xz that
//!   wants more than that. bzip2 has less than 4 MiB.

use std::io::{self, BufRead, BufReader, Read};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use liblzma::bufread::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};

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
    if kind.starts_with(BZIP2) {
        return Ok(Box::new(MultiBzDecoder::new(whole)));
    }
    if kind.starts_with(XZ) {
        return Ok(Box::new(xz(whole)?));
    }
    Ok(Box::new(whole))
}

/// The strongest preset of `xz` wants 65 MiB.
fn xz<R: BufRead>(bytes: R) -> io::Result<impl Read + use<R>> {
    const MAX_MEMORY: u64 = 128 << 20;
    let stream = Stream::new_stream_decoder(MAX_MEMORY, CONCATENATED)?;
    Ok(XzDecoder::new_stream(bytes, stream))
}

/// Whether bytes are refused for the memory that they want, and not because they are none of this
/// kind.
pub(in super::super) fn wants_too_much(error: &io::Error) -> bool {
    let cause = error.get_ref();
    let xz = cause.and_then(|cause| cause.downcast_ref::<liblzma::stream::Error>());
    // zstd gives its errors as text.
    xz == Some(&liblzma::stream::Error::MemLimit)
        || cause.is_some_and(|cause| cause.to_string().contains("too much memory"))
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

    use super::{decompressed, wants_too_much};

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
        let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bzip2.write_all(b"four").unwrap();
        let bzip2 = bzip2.finish().unwrap();
        assert_eq!(plain(&[bzip2.clone(), bzip2].concat()).unwrap(), "fourfour");
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 9);
        xz.write_all(b"five").unwrap();
        let xz = xz.finish().unwrap();
        assert_eq!(plain(&[xz.clone(), xz].concat()).unwrap(), "fivefive");
    }

    #[test]
    fn xz_that_wants_much_memory_is_refused_before_it_has_it() {
        use liblzma::stream::{Check, Filters, LzmaOptions, Stream};
        let mut options = LzmaOptions::new_preset(0).unwrap();
        options.dict_size(1 << 29);
        let mut filters = Filters::new();
        filters.lzma2(&options);
        let stream = Stream::new_stream_encoder(&filters, Check::None).unwrap();
        let mut xz = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
        xz.write_all(b"x").unwrap();
        let error = plain(&xz.finish().unwrap()).unwrap_err();
        assert!(wants_too_much(&error), "{error}");
        let error = plain(b"\xfd7zXZ\0 and so on, but not as it should").unwrap_err();
        assert!(!wants_too_much(&error), "{error}");
        // A frame whose window has 2 GiB.
        let error = plain(b"\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00").unwrap_err();
        assert!(wants_too_much(&error), "{error}");
    }

    #[test]
    fn what_is_cut_is_an_error() {
        let zstd = zstd::encode_all(&[7; 1000][..], 0).unwrap();
        assert!(plain(&zstd[..zstd.len() - 1]).is_err());
        assert!(plain(&[0x1f, 0x8b, 8]).is_err());
    }
}
