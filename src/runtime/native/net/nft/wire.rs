//! Attributes of netfilter messages.
//!
//! In: values. Out: bytes, and from bytes the values again. Numbers in attributes are big-endian.

use super::super::netlink::HEADER;

/// This attribute holds attributes.
pub(in super::super) const NESTED: u16 = 0x8000;

/// Begins a message whose length is not known yet.
pub(in super::super) fn begin(bytes: &mut Vec<u8>, kind: u16, flags: u16, number: u32) {
    bytes.extend([0; 4]);
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(number.to_ne_bytes());
    bytes.extend([0; HEADER - 12]);
}

/// Ends the message that began at `start`.
pub(in super::super) fn end(bytes: &mut [u8], start: usize) {
    let length = u32::try_from(bytes.len() - start).unwrap_or(u32::MAX);
    bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
}

/// Appends an attribute.
pub(in super::super) fn put(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// Appends a number.
pub(in super::super) fn number(bytes: &mut Vec<u8>, kind: u16, value: u32) {
    put(bytes, kind, &value.to_be_bytes());
}

/// Appends a text.
pub(in super::super) fn text(bytes: &mut Vec<u8>, kind: u16, value: &str) {
    let mut value = value.as_bytes().to_vec();
    value.push(0);
    put(bytes, kind, &value);
}

/// Appends an attribute that holds attributes.
pub(in super::super) fn nest(bytes: &mut Vec<u8>, kind: u16, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut nested = Vec::new();
    fill(&mut nested);
    put(bytes, kind | NESTED, &nested);
}

/// The attributes of a message, as far as they are whole.
pub(in super::super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?);
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind & !NESTED, value))
    })
}
