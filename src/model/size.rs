//! Amounts of memory and storage as Compose reads them.
//!
//! In: `512m`, `1.5 GiB`, `1073741824`. Out: bytes. Units are powers of 1024 with or without an
//! `i`; case does not matter.
//!
//! Not here: how a size stands in a file or a schema.

use std::fmt::{self, Display, Formatter};

use thiserror::Error;

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub i64);

/// Why a text is not a size.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SizeError {
    /// There is no number, or it is none.
    #[error("`{0}` is not a size such as `512m`")]
    Invalid(String),
    /// Sizes have no sign.
    #[error("`{0}` is negative")]
    Negative(String),
    /// The unit does not exist.
    #[error("`{unit}` in `{text}` is not a unit of size; these are: b, k, m, g, t, p")]
    UnknownUnit {
        /// The unit.
        unit: String,
        /// The whole text.
        text: String,
    },
    /// More than fits in 63 bits.
    #[error("`{0}` is larger than the largest possible size, 8 EiB")]
    TooLarge(String),
}

impl Bytes {
    /// Reads a size: a number, perhaps a space, perhaps a unit. Part of a byte is dropped.
    ///
    /// # Errors
    ///
    /// If it has another form, is negative, or does not fit.
    pub fn parse(text: &str) -> Result<Self, SizeError> {
        let invalid = || SizeError::Invalid(text.to_owned());
        let is_number = |c: char| c.is_ascii_digit() || matches!(c, '.' | ' ');
        // The number ends at its last digit, so that `1e3k` is a thousand times 1024.
        let end = text.rfind(is_number).ok_or_else(invalid)? + 1;
        let (number, unit) = text.split_at(end);
        let number = number.strip_suffix(' ').unwrap_or(number);
        let number = read_number(number).ok_or_else(invalid)?;
        if number < 0.0 {
            return Err(SizeError::Negative(text.to_owned()));
        }
        let factor = factor(unit).ok_or_else(|| SizeError::UnknownUnit {
            unit: unit.to_owned(),
            text: text.to_owned(),
        })?;
        whole(number * factor).map(Self).ok_or_else(|| SizeError::TooLarge(text.to_owned()))
    }
}

/// Reads a decimal number, in which Compose lets a `_` stand between two digits.
fn read_number(text: &str) -> Option<f64> {
    let is_digit = |part: Option<char>| part.is_some_and(|c| c.is_ascii_digit());
    let mut parts = text.split('_').peekable();
    while let Some(part) = parts.next() {
        if let Some(next) = parts.peek()
            && !(is_digit(part.chars().next_back()) && is_digit(next.chars().next()))
        {
            return None;
        }
    }
    text.replace('_', "").parse().ok().filter(|number: &f64| number.is_finite())
}

/// How many bytes a unit is.
fn factor(unit: &str) -> Option<f64> {
    if unit.len() > "kib".len() {
        return None;
    }
    let unit = unit.to_lowercase();
    let Some(prefix) = unit.chars().next().filter(|prefix| *prefix != 'b') else {
        return matches!(unit.as_str(), "" | "b").then_some(1.0);
    };
    let power = "kmgtp".find(prefix)?;
    matches!(unit.get(1..), Some("" | "b" | "ib"))
        .then(|| std::iter::repeat_n(1024.0, power + 1).product())
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked, the fraction dropped")]
fn whole(number: f64) -> Option<i64> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    (number < LIMIT).then_some(number as i64)
}

impl Display for Bytes {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::{Bytes, SizeError};

    #[test]
    fn sizes_are_read_as_in_compose() {
        for (text, expected) in [
            ("0", 0),
            ("-0", 0),
            ("+5", 5),
            ("5.", 5),
            ("5 ", 5),
            ("5b", 5),
            ("5B", 5),
            ("1.9", 1),
            ("1k", 1024),
            ("1K", 1024),
            ("1.k", 1024),
            (".5k", 512),
            ("1.5k", 1536),
            ("5 k", 5120),
            ("1kb", 1024),
            ("1 kib", 1024),
            ("1KiB", 1024),
            ("1\u{212a}", 1024),
            ("1m", 1 << 20),
            ("1g", 1 << 30),
            ("1t", 1 << 40),
            ("1p", 1 << 50),
            ("1e3", 1000),
            ("1e3k", 1_024_000),
            ("1_000", 1000),
        ] {
            assert_eq!(Bytes::parse(text), Ok(Bytes(expected)), "{text}");
        }
        assert_eq!(Bytes(1536).to_string(), "1536");
    }

    #[test]
    fn what_is_not_a_size_is_told_apart() {
        for text in ["", " ", "b", ".", "5  k", " 5", "1e400", "inf ", "nan k", "1__0", "_1", "é"]
        {
            assert_eq!(Bytes::parse(text), Err(SizeError::Invalid(text.to_owned())));
        }
        for text in ["-1", "-1.5k"] {
            assert_eq!(Bytes::parse(text), Err(SizeError::Negative(text.to_owned())));
        }
        for text in ["1kbi", "1kbb", "1e", "1_", "5bb", "5eb", "1kI", "1é", "1kibb", "1bk"] {
            let unit = text[1..].to_owned();
            let expected = SizeError::UnknownUnit { unit, text: text.to_owned() };
            assert_eq!(Bytes::parse(text), Err(expected));
        }
        for text in ["9223372036854775807", "8192p", "1e300k"] {
            assert_eq!(Bytes::parse(text), Err(SizeError::TooLarge(text.to_owned())));
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in any::<String>(), syntax in "[-+._ 0-9eEkmgtpibKé]*") {
            let _ = Bytes::parse(&text);
            let _ = Bytes::parse(&syntax);
        }

        #[test]
        fn whole_numbers_keep_their_value(number in 0_i64..(1 << 53)) {
            assert_eq!(Bytes::parse(&number.to_string()), Ok(Bytes(number)));
        }
    }
}
