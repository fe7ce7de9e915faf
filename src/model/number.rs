//! Numbers as Go writes them, which is how Compose writes them.
//!
//! In: floating point numbers. Out: text. Every form has the fewest digits that still name the
//! same number; the functions differ in when they turn to an exponent.
//!
//! Not here: whole numbers, which need no rules.

/// Writes a number as `%v` does: with an exponent below 0.0001 and from a million on.
///
/// This is the form of numbers that become text, as in `environment`.
pub fn general(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let (digits, exponent) = scientific(value);
    if (-4..6).contains(&exponent) {
        return value.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

/// Writes a number as JSON: with an exponent below 0.000001 and from 10²¹ on.
///
/// JSON has no word for infinity and for what is not a number: both become `null`.
pub fn json(value: f64) -> String {
    if !value.is_finite() {
        return "null".to_owned();
    }
    if value == 0.0 || (1e-6..1e21).contains(&value.abs()) {
        return value.to_string();
    }
    let (digits, exponent) = scientific(value);
    let sign = if exponent < 0 { "" } else { "+" };
    format!("{digits}e{sign}{exponent}")
}

/// Widens a number without making it longer: 0.1 stays 0.1.
pub fn single(value: f32) -> f64 {
    value.to_string().parse().unwrap_or_else(|_| f64::from(value))
}

/// The fewest digits of a finite number, as `-1.25`, and the power of ten behind them.
fn scientific(value: f64) -> (String, i32) {
    let text = format!("{value:e}");
    let (digits, exponent) =
        text.split_once('e').expect("the format of an exponent has an `e` in it");
    let exponent = exponent.parse().expect("the exponent of a 64-bit number has few digits");
    (digits.to_owned(), exponent)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::{general, json, single};

    #[test]
    fn text_gets_the_general_form() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.1, "0.1"),
            (-1.5, "-1.5"),
            (100_000.0, "100000"),
            (123_456.0, "123456"),
            (999_999.5, "999999.5"),
            (1_000_000.0, "1e+06"),
            (1_234_567.5, "1.2345675e+06"),
            (12_345_678.25, "1.234567825e+07"),
            (123_456_789.0, "1.23456789e+08"),
            (1e20, "1e+20"),
            (1e21, "1e+21"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1e-7, "1e-07"),
            (1.5e300, "1.5e+300"),
            (1.234_567_890_123_456_8e29, "1.2345678901234568e+29"),
            (5e-324, "5e-324"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(general(value), expected);
        }
    }

    #[test]
    fn json_gets_few_exponents() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1_000_000.0, "1000000"),
            (123_456_789.0, "123456789"),
            (1.5e20, "150000000000000000000"),
            (1e21, "1e+21"),
            (-1e22, "-1e+22"),
            (0.00001, "0.00001"),
            (0.000_001, "0.000001"),
            (1e-7, "1e-7"),
            (1.5e-10, "1.5e-10"),
            (5e-324, "5e-324"),
            (1.5e300, "1.5e+300"),
            (f64::NAN, "null"),
            (f64::INFINITY, "null"),
        ] {
            assert_eq!(json(value), expected);
        }
    }

    #[test]
    fn a_single_keeps_its_digits() {
        for value in [0.1_f32, 1.1, 0.5, 16_777_217.0, 1e-7, 3.4e38, -0.3] {
            assert_eq!(single(value).to_string(), value.to_string());
        }
        assert!(single(f32::NAN).is_nan());
        assert!(single(f32::INFINITY).is_infinite());
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(value in any::<f64>()) {
            if value.is_finite() {
                prop_assert_eq!(general(value).parse::<f64>().unwrap().to_bits(), value.to_bits());
                prop_assert_eq!(json(value).parse::<f64>().unwrap().to_bits(), value.to_bits());
            }
        }
    }
}
