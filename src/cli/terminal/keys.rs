//! The keys that detach from a process: `ctrl-p,ctrl-q` or what the user says. Pure.
//!
//! In: what the user types. Out: what the process gets, until the keys came.

use crate::cli::usage::UsageError;

/// `ctrl-p`, `ctrl-q`.
const DEFAULT: [u8; 2] = [0x10, 0x11];

/// Looks for a sequence of keys in input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct DetachKeys {
    keys: Vec<u8>,
    /// How many of them have been typed in a row.
    matched: usize,
}

/// What becomes of a piece of input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// The process gets this.
    Pass(Vec<u8>),
    /// The process gets this; then the keys came.
    Detach(Vec<u8>),
}

impl Default for DetachKeys {
    fn default() -> Self {
        Self { keys: DEFAULT.to_vec(), matched: 0 }
    }
}

impl DetachKeys {
    /// No keys detach.
    pub(in crate::cli) fn none() -> Self {
        Self { keys: Vec::new(), matched: 0 }
    }

    /// Reads `--detach-keys`: letters and `ctrl-X`, with commas between.
    pub(in crate::cli) fn parse(text: &str) -> Result<Self, UsageError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let keys: Option<Vec<u8>> = text.split(',').map(key).collect();
        let invalid = || UsageError::Other(format!("invalid detach keys ({text}) provided"));
        Ok(Self { keys: keys.ok_or_else(invalid)?, matched: 0 })
    }

    /// Takes in what was typed. Keys that may be the beginning of the sequence are held back.
    pub(super) fn take(&mut self, typed: &[u8]) -> Typed {
        let mut passed = Vec::with_capacity(typed.len());
        for byte in typed {
            if self.keys.get(self.matched) == Some(byte) {
                self.matched += 1;
                if self.matched == self.keys.len() {
                    self.matched = 0;
                    return Typed::Detach(passed);
                }
                continue;
            }
            passed.extend_from_slice(&self.keys[..self.matched]);
            self.matched = usize::from(self.keys.len() > 1 && self.keys.first() == Some(byte));
            if self.matched == 0 {
                passed.push(*byte);
            }
        }
        Typed::Pass(passed)
    }

    /// What was held back, at the end of the input.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        let rest = self.keys[..self.matched].to_vec();
        self.matched = 0;
        rest
    }
}

/// The byte that a key sends.
fn key(name: &str) -> Option<u8> {
    if let Some(letter) = name.strip_prefix("ctrl-") {
        return match letter.as_bytes() {
            [letter @ b'a'..=b'z'] => Some(letter - b'a' + 1),
            [b'@'] => Some(0),
            [letter @ b'['..=b'_'] => Some(letter - b'[' + 27),
            _ => None,
        };
    }
    match name.as_bytes() {
        [letter] if letter.is_ascii_graphic() => Some(*letter),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{DetachKeys, Typed};

    fn pass(bytes: &[u8]) -> Typed {
        Typed::Pass(bytes.to_vec())
    }

    #[test]
    fn keys_have_names() {
        let keys = DetachKeys::parse("ctrl-a,x,ctrl-[,ctrl-@").expect("keys");
        assert_eq!(keys.keys, [1, b'x', 27, 0]);
        assert_eq!(DetachKeys::parse("").expect("default"), DetachKeys::default());
        assert!(DetachKeys::parse("ctrl-1").is_err());
        assert!(DetachKeys::parse("xy").is_err());
    }

    #[test]
    fn the_sequence_detaches_however_it_is_cut() {
        let mut keys = DetachKeys::default();
        assert_eq!(keys.take(b"ab\x10"), pass(b"ab"));
        assert_eq!(keys.take(b"\x11c"), Typed::Detach(Vec::new()));
        assert_eq!(keys.take(b"x\x10\x11"), Typed::Detach(b"x".to_vec()));
    }

    #[test]
    fn a_beginning_that_does_not_go_on_is_passed() {
        let mut keys = DetachKeys::default();
        assert_eq!(keys.take(b"\x10"), pass(b""));
        assert_eq!(keys.take(b"l"), pass(b"\x10l"));
        assert_eq!(keys.take(b"\x10\x10"), pass(b"\x10"));
        assert_eq!(keys.take(b"\x11"), Typed::Detach(Vec::new()));
        assert_eq!(keys.take(b"a\x10"), pass(b"a"));
        assert_eq!(keys.rest(), b"\x10");
    }

    #[test]
    fn no_keys_never_detach() {
        let mut keys = DetachKeys::none();
        assert_eq!(keys.take(b"\x10\x11"), pass(b"\x10\x11"));
        let mut one = DetachKeys::parse("q").expect("a key");
        assert_eq!(one.take(b"aq"), Typed::Detach(b"a".to_vec()));
    }
}
