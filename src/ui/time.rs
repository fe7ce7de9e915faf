//! Moments, in the local time zone and as Docker writes them.
//!
//! In: seconds or nanoseconds since 1970. Out: text. What no calendar reaches becomes the nearest
//! moment that one does.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};

/// `2026-11-23 12:45:51 +0000 UTC`, from seconds.
pub fn full(seconds: i64) -> String {
    in_zone(i128::from(seconds) * 1_000_000_000, local()).strftime("%F %T %z %Z").to_string()
}

/// `2026-11-23 12:47:22.068332`, from nanoseconds.
pub fn event(nanoseconds: i64) -> String {
    in_zone(nanoseconds.into(), local()).strftime("%F %T.%6f").to_string()
}

/// `2026-11-23T12:47:22.0683Z`, from nanoseconds: with as many decimals as it takes.
pub fn rfc3339(nanoseconds: i64) -> String {
    rfc3339_in(nanoseconds, local())
}

/// The same in universal time.
pub fn rfc3339_utc(nanoseconds: i64) -> String {
    rfc3339_in(nanoseconds, TimeZone::UTC)
}

/// Now, as lines of logs show it: always with nine decimals.
pub fn log_now() -> String {
    log_time(&ZonedDateTime::now())
}

fn log_time(moment: &ZonedDateTime) -> String {
    format!("{}{}", moment.strftime("%FT%T.%9f"), offset(moment))
}

fn rfc3339_in(nanoseconds: i64, zone: TimeZone) -> String {
    let moment = in_zone(nanoseconds.into(), zone);
    format!("{}{}", moment.strftime("%FT%T%.f"), offset(&moment))
}

/// `Z`, or `+01:00`.
fn offset(moment: &ZonedDateTime) -> String {
    if moment.offset().is_zero() { "Z".to_owned() } else { moment.strftime("%:z").to_string() }
}

fn local() -> TimeZone {
    TimeZone::system()
}

fn in_zone(nanoseconds: i128, zone: TimeZone) -> ZonedDateTime {
    let nearest = if nanoseconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_nanosecond(nanoseconds).unwrap_or(nearest).to_zoned_datetime(zone)
}

#[cfg(test)]
mod tests {
    use jiff::tz::{Offset, TimeZone};

    use super::{in_zone, log_time, offset, rfc3339_in, rfc3339_utc};

    #[test]
    fn moments_are_written_as_docker_does() {
        let nanoseconds = 1_795_437_951_068_332_000;
        assert_eq!(rfc3339_utc(nanoseconds), "2026-11-23T12:45:51.068332Z");
        assert_eq!(rfc3339_utc(1_795_437_951_000_000_000), "2026-11-23T12:45:51Z");
        let berlin = TimeZone::fixed(Offset::constant(1));
        assert_eq!(rfc3339_in(nanoseconds, berlin.clone()), "2026-11-23T13:45:51.068332+01:00");
        let moment = in_zone(nanoseconds.into(), berlin);
        assert_eq!(log_time(&moment), "2026-11-23T13:45:51.068332000+01:00");
        assert_eq!(offset(&in_zone(i128::MAX, TimeZone::UTC)), "Z");
    }
}
