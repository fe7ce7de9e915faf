//! What a scalar means: go-yaml's mix of YAML 1.1 and 1.2.
//!
//! `yes` and `22:22` are strings, `010` is octal, `0o10` too, an unquoted date is a date.

use crate::project::node::Value;

use super::events::Style;

/// Why a scalar and its tag do not fit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mismatch {
    /// The tag that the text would have by itself.
    pub(super) is: &'static str,
}

/// The value of a scalar with this tag, written plainly or in quotes or as a block.
pub(super) fn resolve(text: &str, style: Style, tag: Option<&str>) -> Result<Value, Mismatch> {
    match tag {
        Some("!!binary") => base64(text).map(Value::Str).ok_or(Mismatch { is: "!!str" }),
        Some(tag @ ("!!int" | "!!float" | "!!bool" | "!!null" | "!!timestamp")) => {
            conform(plain_value(text), tag)
        }
        None if style == Style::Plain => Ok(plain_value(text)),
        // `!!str`, and tags that nobody knows: Compose keeps the text.
        _ => Ok(Value::Str(text.to_owned())),
    }
}

/// Checks a value against the tag that it was given.
fn conform(value: Value, tag: &str) -> Result<Value, Mismatch> {
    let is = match &value {
        Value::Null => "!!null",
        Value::Bool(_) => "!!bool",
        Value::Int(_) => "!!int",
        Value::Float(_) => "!!float",
        Value::Timestamp(_) => "!!timestamp",
        _ => "!!str",
    };
    match value {
        #[expect(clippy::cast_precision_loss, reason = "as every YAML parser does")]
        Value::Int(number) if tag == "!!float" => Ok(Value::Float(number.get() as f64)),
        value if is == tag => Ok(value),
        _ => Err(Mismatch { is }),
    }
}

/// The value of an unquoted scalar without a tag.
pub(super) fn plain_value(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Value::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Value::Float(f64::NEG_INFINITY),
        _ => {}
    }
    let known = match text.as_bytes()[0] {
        b'.' => number(text).map(Value::Float),
        b'0'..=b'9' | b'+' | b'-' => numeric(text),
        _ => None,
    };
    known.unwrap_or_else(|| Value::Str(text.to_owned()))
}

/// Dates and numbers: what begins with a digit or a sign.
fn numeric(text: &str) -> Option<Value> {
    if is_timestamp(text) {
        return Some(Value::Timestamp(text.to_owned()));
    }
    let digits: String = text.chars().filter(|c| *c != '_').collect();
    integer(&digits)
        .map(|number| Value::Int(number.into()))
        .or_else(|| number(&digits).map(Value::Float))
}

/// A whole number of 64 bits, with Go's prefixes `0x`, `0b`, `0o` and `0` for octal.
fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, &lower[..]),
    };
    if digits.is_empty() || digits.starts_with(['+', '-']) {
        return None;
    }
    let value = i128::from_str_radix(digits, radix).ok()?;
    let value = if negative { -value } else { value };
    (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&value).then_some(value)
}

/// A decimal fraction: `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`.
fn number(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mantissa_fits =
        digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    let exponent_fits = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    if !mantissa_fits || !exponent_fits {
        return None;
    }
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

/// `2001-12-14`, `2001-12-14 21:59:43.10` or RFC 3339, with short months and days.
fn is_timestamp(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() < 8 || bytes[4] != b'-' || !bytes[..4].iter().all(u8::is_ascii_digit) {
        return false;
    }
    let date_end = text.find(['T', 't', ' ']).unwrap_or(text.len());
    let Some(separator) = text[date_end..].chars().next() else { return is_date(text) };
    let time = &text[date_end + 1..];
    is_date(&text[..date_end])
        && if separator == ' ' { is_time(time) } else { without_zone(time).is_some_and(is_time) }
}

fn is_date(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let mut part = |longest: usize| {
        parts.next().filter(|part| !part.is_empty() && part.len() <= longest)?.parse::<u32>().ok()
    };
    let (Some(year), Some(month), Some(day)) = (part(4), part(2), part(2)) else { return false };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day)
}

/// `21:59:43` with an optional fraction.
fn is_time(text: &str) -> bool {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let limits = [23, 59, 59];
    let parts: Vec<&str> = clock.split(':').collect();
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    parts.len() == 3
        && digits(fraction)
        && parts.iter().zip(limits).all(|(part, limit)| {
            digits(part) && part.len() <= 2 && part.parse::<u32>().is_ok_and(|n| n <= limit)
        })
}

/// Takes `Z` or `+02:00` off the end.
fn without_zone(time: &str) -> Option<&str> {
    if let Some(rest) = time.strip_suffix('Z') {
        return Some(rest);
    }
    let at = time.rfind(['+', '-'])?;
    let zone = &time.as_bytes()[at + 1..];
    let fits = zone.len() == 5
        && zone[2] == b':'
        && [0, 1, 3, 4].iter().all(|index| zone[*index].is_ascii_digit());
    fits.then(|| &time[..at])
}

/// A timestamp in the form in which Go prints it: RFC 3339 without needless zeros.
pub(in crate::project) fn rfc3339(text: &str) -> String {
    let date_end = text.find(['T', 't', ' ']).unwrap_or(text.len());
    let parts: Vec<String> =
        text[..date_end].split('-').map(|part| format!("{part:0>2}")).collect();
    let date = parts.join("-");
    let rest = text.get(date_end + 1..).unwrap_or("0:0:0Z");
    let time = without_zone(rest).unwrap_or(rest);
    let zone = match rest.get(time.len()..).unwrap_or_default() {
        "" | "+00:00" | "-00:00" => "Z",
        zone => zone,
    };
    let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
    let clock: Vec<String> = clock.split(':').map(|part| format!("{part:0>2}")).collect();
    let fraction = fraction.trim_end_matches('0');
    let dot = if fraction.is_empty() { "" } else { "." };
    format!("{date}T{}{dot}{fraction}{zone}", clock.join(":"))
}

/// Decodes `!!binary`; bytes that are not text are replaced.
fn base64(text: &str) -> Option<String> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    if !digits.len().is_multiple_of(4) {
        return None;
    }
    let padding = digits.iter().rev().take_while(|byte| **byte == b'=').count();
    let mut bytes = Vec::new();
    for group in digits[..digits.len() - padding.min(2)].chunks(4) {
        let mut bits = 0_u32;
        for byte in group {
            let value = ALPHABET.iter().position(|digit| digit == byte)?;
            bits = bits << 6 | u32::try_from(value).ok()?;
        }
        bits <<= 6 * (4 - group.len());
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
