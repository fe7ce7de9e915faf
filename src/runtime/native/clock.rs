//! The time, as files and options have it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds of a second.
pub(super) const SECOND: i64 = 1_000_000_000;

/// Nanoseconds since 1970.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// Nanoseconds since 1970 of `SECONDS[.FRACTION]`; `None` if it is empty or no time.
pub(super) fn parse(text: &str) -> Option<i64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = seconds.parse().ok()?;
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanoseconds: i64 = digits.parse().ok()?;
    seconds.checked_mul(SECOND)?.checked_add(nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn times_are_seconds_with_a_fraction() {
        assert_eq!(parse("12"), Some(12_000_000_000));
        assert_eq!(parse("12.5"), Some(12_500_000_000));
        assert_eq!(parse("12.000000001"), Some(12_000_000_001));
        assert_eq!(parse(""), None);
        assert_eq!(parse("x"), None);
        assert_eq!(parse("9223372036854775807"), None);
    }
}
