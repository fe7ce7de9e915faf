//! Spans of time as Compose reads and writes them.
//!
//! In: `1h30m`, `1.5s`, `2w3d`. Out: nanoseconds, and the form that Go prints: `1h30m0s`.
//!
//! Not here: how a duration stands in a file or a schema.

use std::fmt::{self, Display, Formatter};

use thiserror::Error;

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

/// A span of time in nanoseconds; may be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(pub i64);

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DurationError {
    /// There is no number where one is needed.
    #[error("`{0}` is not a duration such as `1m30s`")]
    Invalid(String),
    /// A number has no unit behind it.
    #[error("`{0}` has a number without a unit such as `s` or `ms`")]
    MissingUnit(String),
    /// A unit that does not exist.
    #[error("`{unit}` in `{text}` is not a unit of time; these are: ns, us, ms, s, m, h, d, w")]
    UnknownUnit {
        /// The unit.
        unit: String,
        /// The whole text.
        text: String,
    },
    /// More than about 292 years.
    #[error("`{0}` is longer than the longest possible duration, 292 years")]
    TooLong(String),
}

impl Duration {
    /// Reads a duration: a sign, then numbers with units, or just `0`.
    ///
    /// # Errors
    ///
    /// If it has another form or does not fit.
    pub fn parse(text: &str) -> Result<Self, DurationError> {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        if unsigned == "0" {
            return Ok(Self(0));
        }
        if unsigned.is_empty() {
            return Err(DurationError::Invalid(text.to_owned()));
        }
        let mut rest = unsigned;
        let mut total = 0_i64;
        while !rest.is_empty() {
            let (part, behind) = read_part(rest, text)?;
            total =
                total.checked_add(part).ok_or_else(|| DurationError::TooLong(text.to_owned()))?;
            rest = behind;
        }
        Ok(Self(if text.starts_with('-') { -total } else { total }))
    }

    /// The same as the standard library's duration; a negative one becomes zero.
    pub fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_nanos(u64::try_from(self.0).unwrap_or(0))
    }
}

/// Reads one number with its unit, in nanoseconds; `text` is the whole, for errors.
fn read_part<'t>(rest: &'t str, text: &str) -> Result<(i64, &'t str), DurationError> {
    let (whole, behind) = digits(rest);
    let (fraction, behind) = behind.strip_prefix('.').map_or(("", behind), digits);
    if whole.is_empty() && fraction.is_empty() {
        return Err(DurationError::Invalid(text.to_owned()));
    }
    let length = behind.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(behind.len());
    let (name, behind) = behind.split_at(length);
    if name.is_empty() {
        return Err(DurationError::MissingUnit(text.to_owned()));
    }
    let Some(unit) = unit(name) else {
        return Err(DurationError::UnknownUnit { unit: name.to_owned(), text: text.to_owned() });
    };
    let whole = if whole.is_empty() { Some(0) } else { whole.parse::<i64>().ok() };
    whole
        .and_then(|whole| whole.checked_mul(unit))
        .and_then(|whole| whole.checked_add(part_of(fraction, unit)))
        .map(|part| (part, behind))
        .ok_or_else(|| DurationError::TooLong(text.to_owned()))
}

/// Splits the digits off that a text begins with.
fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

fn unit(name: &str) -> Option<i64> {
    Some(match name {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 24 * 3_600_000_000_000,
        "w" => 7 * 24 * 3_600_000_000_000,
        _ => return None,
    })
}

/// The fraction `0.digits` of a unit, rounded as Compose does: down, from floating point.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "Compose calculates in floating point, and the result is less than one unit"
)]
fn part_of(digits: &str, unit: i64) -> i64 {
    let mut fraction = 0_i64;
    let mut scale = 1.0_f64;
    for digit in digits.bytes().map(|byte| i64::from(byte - b'0')) {
        let Some(next) = fraction.checked_mul(10).and_then(|more| more.checked_add(digit)) else {
            break;
        };
        fraction = next;
        scale *= 10.0;
    }
    (fraction as f64 * (unit as f64 / scale)) as i64
}

impl Display for Duration {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let nanoseconds = self.0.unsigned_abs();
        if self.0 < 0 {
            f.write_str("-")?;
        }
        match nanoseconds {
            0 => f.write_str("0s"),
            1..MICROSECOND => write!(f, "{nanoseconds}ns"),
            MICROSECOND..MILLISECOND => {
                write!(f, "{}\u{b5}s", Decimal { value: nanoseconds, places: 3 })
            }
            MILLISECOND..SECOND => write!(f, "{}ms", Decimal { value: nanoseconds, places: 6 }),
            SECOND.. => {
                let minutes = nanoseconds / SECOND / 60;
                if minutes >= 60 {
                    write!(f, "{}h", minutes / 60)?;
                }
                if minutes > 0 {
                    write!(f, "{}m", minutes % 60)?;
                }
                write!(f, "{}s", Decimal { value: nanoseconds % (60 * SECOND), places: 9 })
            }
        }
    }
}

/// A number with its last digits behind the point, written without zeros at the end.
struct Decimal {
    value: u64,
    places: u32,
}

impl Display for Decimal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let one = 10_u64.pow(self.places);
        write!(f, "{}", self.value / one)?;
        let fraction = self.value % one;
        if fraction == 0 {
            return Ok(());
        }
        let width = usize::try_from(self.places).unwrap_or(0);
        let digits = format!("{fraction:0width$}");
        write!(f, ".{}", digits.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::{Duration, DurationError};

    #[test]
    fn durations_are_read_and_written_as_in_compose() {
        for (text, expected) in [
            ("0", "0s"),
            ("-0", "0s"),
            ("0s", "0s"),
            ("1m30s", "1m30s"),
            ("90s", "1m30s"),
            ("1w2d", "216h0m0s"),
            ("1.5h", "1h30m0s"),
            ("1.5d", "36h0m0s"),
            ("-1m", "-1m0s"),
            ("+5s", "5s"),
            (".5s", "500ms"),
            ("1.s", "1s"),
            ("1.1ns", "1ns"),
            ("1µs", "1µs"),
            ("1μs", "1µs"),
            ("1500us", "1.5ms"),
            ("1500ms", "1.5s"),
            ("100ms", "100ms"),
            ("999ns", "999ns"),
            ("1s20ns", "1.00000002s"),
            ("0.000000000001s", "0s"),
            ("100000h", "100000h0m0s"),
            ("9223372036854775807ns", "2562047h47m16.854775807s"),
            ("2562047h47m16.854775807s", "2562047h47m16.854775807s"),
            ("1.99999999999999999999999999s", "2s"),
        ] {
            assert_eq!(Duration::parse(text).map(|d| d.to_string()).as_deref(), Ok(expected));
        }
        assert_eq!(Duration(i64::MIN).to_string(), "-2562047h47m16.854775808s");
    }

    #[test]
    fn what_is_not_a_duration_is_told_apart() {
        for text in ["", "-", ".", "s", "--5s", ".s", " 1s", "é"] {
            assert_eq!(Duration::parse(text), Err(DurationError::Invalid(text.to_owned())));
        }
        for text in ["1", "1m30", "00", "-5", "1.5"] {
            assert_eq!(Duration::parse(text), Err(DurationError::MissingUnit(text.to_owned())));
        }
        for (text, unit) in [("1y", "y"), ("1m 30s", "m "), ("1S", "S"), ("1sé2", "sé")] {
            let unit = unit.to_owned();
            let expected = DurationError::UnknownUnit { unit, text: text.to_owned() };
            assert_eq!(Duration::parse(text), Err(expected));
        }
        for text in
            ["9999999h", "9223372036854775808ns", "2562047h2562047h", "99999999999999999999s"]
        {
            assert_eq!(Duration::parse(text), Err(DurationError::TooLong(text.to_owned())));
        }
    }

    #[test]
    fn a_negative_duration_is_no_time_at_all() {
        assert_eq!(Duration(-5).to_std(), std::time::Duration::ZERO);
        assert_eq!(Duration(1_500_000_000).to_std(), std::time::Duration::from_millis(1500));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in any::<String>(), syntax in "[-+.0-9nuµmshdwé]*") {
            let _ = Duration::parse(&text);
            let _ = Duration::parse(&syntax);
        }

        #[test]
        fn what_is_written_reads_back(nanoseconds in -(1_i64 << 50)..(1_i64 << 50)) {
            let duration = Duration(nanoseconds);
            assert_eq!(Duration::parse(&duration.to_string()), Ok(duration));
        }
    }
}
