//! Numbers in words: sizes, percentages and times, as Docker writes them.
//!
//! In: bytes, seconds. Out: text.

use std::time::Duration;

/// Bytes in decimal units with so many significant digits: `1.98MB`.
pub fn decimal(bytes: u64, digits: usize) -> String {
    scaled(bytes, digits, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"])
}

/// Bytes in binary units with four significant digits: `23.54GiB`.
pub fn binary(bytes: u64) -> String {
    scaled(bytes, 4, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"])
}

fn scaled(bytes: u64, digits: usize, base: f64, units: &[&str]) -> String {
    #[expect(clippy::cast_precision_loss, reason = "at most four digits are shown")]
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= base && unit + 1 < units.len() {
        size /= base;
        unit += 1;
    }
    format!("{}{}", significant(size, digits), units[unit])
}

/// A number as `%.Ng` of C writes it.
fn significant(number: f64, digits: usize) -> String {
    if number == 0.0 {
        return "0".to_owned();
    }
    let scientific = format!("{number:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let shown = i32::try_from(digits).unwrap_or(i32::MAX);
    if (-4..shown).contains(&exponent) {
        let decimals = usize::try_from(shown - 1 - exponent).unwrap_or(0);
        return without_zeros(&format!("{number:.decimals$}")).to_owned();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", without_zeros(mantissa), exponent.abs())
}

fn without_zeros(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

/// How long something lasts: `About a minute`.
pub fn words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let minutes = seconds / 60;
    let hours = (seconds + 1800) / 3600;
    match (seconds, minutes, hours) {
        (0, ..) => "Less than a second".to_owned(),
        (1, ..) => "1 second".to_owned(),
        (2..60, ..) => format!("{seconds} seconds"),
        (_, 1, _) => "About a minute".to_owned(),
        (_, 2..60, _) => format!("{minutes} minutes"),
        (_, _, 1) => "About an hour".to_owned(),
        (_, _, 2..48) => format!("{hours} hours"),
        (_, _, 48..336) => format!("{} days", hours / 24),
        (_, _, 336..1440) => format!("{} weeks", hours / 24 / 7),
        (_, _, 1440..17520) => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{binary, decimal, words};

    #[test]
    fn sizes_are_those_of_docker() {
        let sizes = [0, 806, 999, 1000, 1110, 1_982_394, 999_900, 123_456_789_000];
        assert_eq!(
            sizes.map(|size| decimal(size, 3)),
            ["0B", "806B", "999B", "1kB", "1.11kB", "1.98MB", "1e+03kB", "123GB"]
        );
        assert_eq!(decimal(1_982_394, 4), "1.982MB");
        assert_eq!([671_744, 25_274_000_000].map(binary), ["656KiB", "23.54GiB"]);
        assert_eq!(binary(1023), "1023B");
    }

    const DAY: u64 = 86_400;

    #[test]
    fn times_are_those_of_docker() {
        let told = |seconds| words(Duration::from_secs(seconds));
        assert_eq!(
            [0, 1, 59, 60, 119, 120, 3599, 3600, 5399, 5400].map(told),
            [
                "Less than a second",
                "1 second",
                "59 seconds",
                "About a minute",
                "About a minute",
                "2 minutes",
                "59 minutes",
                "About an hour",
                "About an hour",
                "2 hours"
            ]
        );
        assert_eq!(
            [DAY, 2 * DAY, 14 * DAY, 60 * DAY, 730 * DAY, 1200 * DAY].map(told),
            ["24 hours", "2 days", "2 weeks", "2 months", "2 years", "3 years"]
        );
    }
}
