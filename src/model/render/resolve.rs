//! Whether a plain YAML scalar is text, or would be read as something else.
//!
//! Out: `false` for what go-yaml reads as null, boolean, number or time, and for what YAML 1.1
//! reads as boolean or as a number to base 60. Such text is printed in quotes.

/// Whether plain text stays text when it is read again.
pub(super) fn is_text(text: &str) -> bool {
    let other = match text.as_bytes().first() {
        None => true,
        Some(b'0'..=b'9' | b'+' | b'-') => {
            is_special_float(text) || is_time(text) || is_number(text) || is_base_60(text)
        }
        Some(b'.') => is_special_float(text) || is_grouped_float(text),
        Some(_) => is_word(text),
    };
    !other
}

/// Whether it is a boolean of YAML 1.1 or 1.2, or null.
fn is_word(text: &str) -> bool {
    const WORDS: [&str; 4] = ["true", "false", "null", "~"];
    const OLD_WORDS: [&str; 6] = ["y", "yes", "on", "n", "no", "off"];
    let lower = text.to_ascii_lowercase();
    let known = WORDS.contains(&lower.as_str()) || OLD_WORDS.contains(&lower.as_str());
    known && is_usual_case(text)
}

/// Whether it is all lower case, all upper case, or starts with its only capital.
fn is_usual_case(text: &str) -> bool {
    let rest = text.get(1..).unwrap_or_default();
    let lower = |text: &str| !text.bytes().any(|byte| byte.is_ascii_uppercase());
    let upper = |text: &str| !text.bytes().any(|byte| byte.is_ascii_lowercase());
    lower(rest) || upper(text)
}

/// Whether it is an infinity or no number at all.
fn is_special_float(text: &str) -> bool {
    match text.strip_prefix(['+', '-']) {
        Some(rest) => matches!(rest, ".inf" | ".Inf" | ".INF"),
        None => matches!(text, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN"),
    }
}

/// Whether it is a number: whole in any notation of Go, or with a fraction.
fn is_number(text: &str) -> bool {
    let plain = text.replace('_', "");
    is_integer(&plain) || is_float(&plain) || is_prefixed(&plain)
}

/// Whether it is a whole number of 64 bits: decimal, `0x`, `0o`, `0b`, or octal with a `0`.
fn is_integer(text: &str) -> bool {
    let (sign, digits) = match text.strip_prefix(['+', '-']) {
        Some(digits) => (&text[..1], digits),
        None => ("", text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    fits(sign, digits, radix)
}

/// Whether it is a number to base 2 or 8 whose sign follows the prefix: go-yaml lets that pass.
fn is_prefixed(text: &str) -> bool {
    let radix = |prefix: &str| if prefix.ends_with('b') { 2 } else { 8 };
    ["0b", "0o"].iter().any(|prefix| {
        text.strip_prefix(prefix).is_some_and(|digits| match digits.strip_prefix(['+', '-']) {
            Some(rest) => fits(&digits[..1], rest, radix(prefix)),
            None => fits("", digits, radix(prefix)),
        })
    })
}

/// Whether the digits make a number of 64 bits, signed or, without a sign, unsigned.
fn fits(sign: &str, digits: &str, radix: u32) -> bool {
    if digits.starts_with(['+', '-']) {
        return false;
    }
    match (sign, u64::from_str_radix(digits, radix)) {
        (_, Err(_)) => false,
        ("", Ok(_)) => true,
        ("-", Ok(value)) => value <= i64::MIN.unsigned_abs(),
        (_, Ok(value)) => i64::try_from(value).is_ok(),
    }
}

/// Whether it is a decimal number, perhaps with fraction and exponent, that a double can hold.
fn is_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let starts = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    // Rust reads the same decimal numbers as Go, and words besides, which start with letters.
    starts && unsigned.parse::<f64>().is_ok_and(f64::is_finite)
}

/// Whether it is a decimal number that may have underscores between its digits.
fn is_grouped_float(text: &str) -> bool {
    let mut groups = text.split('_').peekable();
    while let Some(group) = groups.next() {
        let next = groups.peek().copied();
        let digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
        let separates =
            |next: &str| digit(group.as_bytes().last()) && digit(next.as_bytes().first());
        if !next.is_none_or(separates) {
            return false;
        }
    }
    is_float(&text.replace('_', ""))
}

/// Whether YAML 1.1 reads it as a number to base 60, such as `12:30:45`.
fn is_base_60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mut parts = unsigned.split(':');
    let first = parts.next().unwrap_or_default();
    let mut rest: Vec<&str> = parts.collect();
    let Some(last) = rest.pop() else {
        return false;
    };
    let (last, fraction) = last.split_once('.').unwrap_or((last, ""));
    rest.push(last);
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    first.starts_with(|c: char| c.is_ascii_digit())
        && digits(first)
        && digits(fraction)
        && rest.iter().all(|part| is_sixtieth(part))
}

/// Whether it is a number below 60 with one or two digits.
fn is_sixtieth(text: &str) -> bool {
    matches!(text.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9'])
}

/// Whether go-yaml reads it as a date, or as a date with a time.
fn is_time(text: &str) -> bool {
    if !text
        .as_bytes()
        .get(..5)
        .is_some_and(|start| start[4] == b'-' && start[..4].iter().all(u8::is_ascii_digit))
    {
        return false;
    }
    let Some(rest) = date(text) else {
        return false;
    };
    match rest.as_bytes().first() {
        None => true,
        Some(b'T' | b't') => clock(&rest[1..]).is_some_and(is_zone),
        Some(b' ') => clock(rest.trim_start_matches(' ')).is_some_and(str::is_empty),
        Some(_) => false,
    }
}

/// Reads `YYYY-M-D` and returns what follows.
fn date(text: &str) -> Option<&str> {
    let year: u32 = text.get(..4)?.parse().ok()?;
    let (month, rest) = short_number(text.get(5..)?)?;
    let (day, rest) = short_number(rest.strip_prefix('-')?)?;
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    (1..=days).contains(&day).then_some(rest)
}

/// Reads `H:M:S`, perhaps with a fraction, and returns what follows.
fn clock(text: &str) -> Option<&str> {
    let (hour, rest) = short_number(text)?;
    let (minute, rest) = short_number(rest.strip_prefix(':')?)?;
    let (second, rest) = short_number(rest.strip_prefix(':')?)?;
    let fraction = rest.strip_prefix(['.', ',']).unwrap_or_default();
    let after = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
    let rest = if after.len() < fraction.len() { after } else { rest };
    (hour < 24 && minute < 60 && second < 60).then_some(rest)
}

/// Whether it is `Z` or `±HH:MM`.
fn is_zone(text: &str) -> bool {
    let digit = u8::is_ascii_digit;
    match text.as_bytes() {
        b"Z" => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] => {
            // Go lets 24 hours and 60 minutes pass.
            [h1, h2, m1, m2].into_iter().all(digit) && [*h1, *h2] <= *b"24" && [*m1, *m2] <= *b"60"
        }
        _ => false,
    }
}

/// Reads a number of one or two digits.
fn short_number(text: &str) -> Option<(u32, &str)> {
    let count = text.bytes().take(2).take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at(count);
    Some((digits.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::is_text;

    #[test]
    fn what_go_yaml_reads_as_something_else_is_no_text() {
        for text in OTHER {
            assert!(!is_text(text), "{text:?}");
        }
    }

    #[test]
    fn everything_else_is_text() {
        for text in TEXT {
            assert!(is_text(text), "{text:?}");
        }
    }

    /// What docker compose 2.40.3 prints in double quotes.
    const OTHER: &[&str] = &[
        "true",
        "True",
        "TRUE",
        "false",
        "FALSE",
        "null",
        "Null",
        "~",
        "y",
        "Y",
        "yes",
        "Yes",
        "YES",
        "n",
        "No",
        "on",
        "ON",
        "off",
        ".5",
        ".5e3",
        ".0_7",
        "5.",
        "5.e3",
        "1e3",
        "1e+3",
        "1E5",
        "+1",
        "-1",
        "0",
        "00",
        "07",
        "08",
        "0777",
        "0o7",
        "0O7",
        "0o-7",
        "-0o7",
        "0b1",
        "0B1",
        "0b-1",
        "0x1F",
        "-0x1",
        "0x_1",
        "1_000",
        "1__0",
        "1_",
        "1_000.5",
        "+.5",
        "-.5",
        "+.inf",
        "-.INF",
        ".inf",
        ".nan",
        ".NaN",
        "12:30",
        "1:59.5",
        "-1:30",
        "1_2:30",
        "1:2:3:4",
        "1:2.",
        "2001-01-01",
        "2001-1-1",
        "2000-02-29",
        "2001-01-01T00:00:00Z",
        "2001-01-01t0:0:0Z",
        "2001-01-01T00:00:00.5Z",
        "2001-01-01T00:00:00,5Z",
        "2001-01-01T00:00:00+01:00",
        "2001-01-01T00:00:00+24:60",
        "9223372036854775808",
        "18446744073709551616",
        "-9223372036854775809",
        "0xffffffffffffffff",
        "22:22",
        "-0",
        "-0.0",
        "",
        "2001-01-01 00:00:00",
        "2001-01-01  0:0:0.5",
    ];

    /// What it prints plain, or in single quotes.
    const TEXT: &[&str] = &[
        "tRue",
        "TRue",
        "nuLL",
        "yEs",
        "oN",
        "oFF",
        "t",
        "yesterday",
        "-",
        "--",
        ".",
        "..",
        ".e3",
        ".5e999",
        "._7",
        ".7_",
        "1e",
        "1e999",
        "+-1",
        "0o8",
        "-0o-7",
        "0b2",
        "-0b-1",
        "0xg",
        "0x",
        "0b",
        "_1",
        ".iNF",
        ".Nan",
        "+.nan",
        "inf",
        "NaN",
        "1:60",
        "1:2.a",
        ":1",
        "a:1",
        "2001-13-01",
        "2001-02-29",
        "1900-02-29",
        "2001-1-0",
        "2001-01-01T24:00:00Z",
        "2001-01-01T00:00:60Z",
        "2001-01-01T00:00:00",
        "2001-01-01T00:00:00.Z",
        "2001-01-01T00:00:00+24:61",
        "2001-01-01T00:00:00+25:00",
        "2001-01-01T00:00:00+1:00",
        "2001-01-01Z",
        "200-1-1",
        "20011-1-1",
        "2001-01",
        "0xfffffffffffffffff",
        "-0xffffffffffffffff",
        "0x1p3",
        "10MB",
        "1.2.3",
        "0.0.0.0:80",
        "80:80",
        "<<",
        "=",
        "2001-01-01 00:00:00Z",
        "2001-01-01 00:00",
    ];
}
