//! Points in time as users write them.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::cli::usage::UsageError;
use crate::model::duration::Duration;

/// `42m` ago, `2026-11-23T12:00:00Z`, a date, or seconds since 1970, as the runtime takes it:
/// seconds since 1970, with decimals where there are any.
pub(in crate::cli) fn moment(text: &str) -> Result<String, UsageError> {
    if text.is_empty() || text.parse::<f64>().is_ok() {
        return Ok(text.to_owned());
    }
    if let Ok(span) = Duration::parse(text) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i128::try_from(since.as_nanos()).unwrap_or(i128::MAX);
        return Ok(decimal(now - i128::from(span.0)));
    }
    let seconds = timestamp(text).ok_or_else(|| UsageError::Moment(text.to_owned()))?;
    Ok(decimal(seconds))
}

/// Nanoseconds as seconds with nine decimals.
pub(in crate::cli) fn decimal(nanoseconds: i128) -> String {
    let second = 1_000_000_000;
    format!("{}.{:09}", nanoseconds.div_euclid(second), nanoseconds.rem_euclid(second))
}

/// Reads RFC 3339, with the parts behind the date optional; without a zone it is UTC.
fn timestamp(text: &str) -> Option<i128> {
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00:00"));
    let (time, offset) = zone(time)?;
    let mut date = date.splitn(3, '-').map(str::parse::<i64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let mut time = time.splitn(3, ':');
    let hour: i64 = time.next()?.parse().ok()?;
    let minute: i64 = time.next().unwrap_or("0").parse().ok()?;
    let second: f64 = time.next().unwrap_or("0").parse().ok()?;
    let in_range = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0.0..61.0).contains(&second);
    if !in_range {
        return None;
    }
    let whole = (days(year, month, day) * 24 + hour) * 3600 + minute * 60 - offset;
    #[expect(clippy::cast_possible_truncation, reason = "below 61 seconds, so it fits")]
    let nanoseconds = (second * 1e9).round() as i64;
    Some(i128::from(whole) * 1_000_000_000 + i128::from(nanoseconds))
}

/// The time without its zone, and the zone in seconds east of Greenwich.
fn zone(time: &str) -> Option<(&str, i64)> {
    if let Some(time) = time.strip_suffix(['Z', 'z']) {
        return Some((time, 0));
    }
    let Some(at) = time.rfind(['+', '-']) else { return Some((time, 0)) };
    let (time, zone) = time.split_at(at);
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = zone[1..].split_once(':')?;
    let seconds = hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60;
    Some((time, sign * seconds))
}

/// Days since 1970-01-01, after the civil calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // March is the first month, so that the leap day is the last of the year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap + (month * 153 + 2) / 5 + day - 719_469
}

#[cfg(test)]
mod tests {
    use super::{decimal, moment, timestamp};

    fn read(text: &str) -> String {
        timestamp(text).map_or_else(|| "none".to_owned(), decimal)
    }

    #[test]
    fn timestamps_are_seconds_since_1970() {
        assert_eq!(read("1970-01-01"), "0.000000000");
        assert_eq!(read("2026-11-23T12:00:00Z"), "1795435200.000000000");
        assert_eq!(read("2026-11-23T12:00:00.25+02:00"), "1795428000.250000000");
        assert_eq!(read("2024-02-29T00:00"), "1709164800.000000000");
        assert_eq!(read("2024-13-01"), "none");
        assert_eq!(read("soon"), "none");
        assert_eq!(moment("1795435200.5").expect("seconds"), "1795435200.5");
        assert!(moment("soon").is_err());
    }
}
