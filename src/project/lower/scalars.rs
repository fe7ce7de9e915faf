//! Scalars and lists of scalars in the form that the model wants.

use crate::diagnostic::{Code, Diagnostic};
use crate::model::{Bytes, Duration};
use crate::project::node::{Node, Value};
use crate::project::session::Session;
use crate::project::{interpolate, words};

use super::{Fit, Misfit, text_at};

pub(super) fn unexpected(wanted: &str, node: &Node) -> Misfit {
    Misfit::new(format!("must be {wanted}, not {}", node.brief()))
}

pub(super) fn boolean(session: &mut Session<'_>, node: &Node) -> Fit {
    match &node.value {
        Value::Bool(value) => Ok(Value::Bool(*value)),
        Value::Str(text) => interpolate::boolean(session, node.span, text)
            .map(Value::Bool)
            .ok_or_else(|| unexpected("`true` or `false`", node)),
        _ => Err(unexpected("`true` or `false`", node)),
    }
}

/// As in Compose, the upper half of the unsigned 64-bit numbers stands for the negative ones:
/// 18446744073709551615 is -1, "no limit".
pub(super) fn wrapped_int(session: &mut Session<'_>, node: &Node) -> Fit {
    let unsigned = match node.value {
        Value::Int(number) => u64::try_from(number.get()).ok().map(u64::cast_signed),
        _ => None,
    };
    let Some(negative) = unsigned.filter(|number| *number < 0) else { return int(node) };
    let message = format!("a number this large is read as {negative}");
    session.report(
        Diagnostic::warning(Code::InvalidValue, message)
            .at(node.span, "more than a signed number holds")
            .hint(format!("write `{negative}` if that is meant")),
    );
    Ok(Value::Int(negative.into()))
}

/// Fractions are cut off, as Compose cuts them.
pub(super) fn int(node: &Node) -> Fit {
    let number = match &node.value {
        Value::Int(number) => i64::try_from(number.get()).ok(),
        Value::Float(number) => whole(*number),
        Value::Str(text) => text.parse().ok(),
        _ => None,
    };
    number.map(|number| Value::Int(number.into())).ok_or_else(|| {
        too_large(node, i64::MAX.into()).unwrap_or_else(|| unexpected("a whole number", node))
    })
}

/// The misfit of a whole number that is beyond what its type holds.
fn too_large(node: &Node, limit: i128) -> Option<Misfit> {
    let negative = match &node.value {
        Value::Int(number) => number.get() < 0,
        Value::Float(number) if number.fract() == 0.0 => *number < 0.0,
        Value::Str(text) => {
            let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            text.starts_with('-')
        }
        _ => return None,
    };
    Some(Misfit::new(if negative {
        format!("is too small: the smallest number it takes is {}", -limit - 1)
    } else {
        format!("is too large: the largest number it takes is {limit}")
    }))
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn whole(number: f64) -> Option<i64> {
    (number.abs() < 9.0e18).then_some(number as i64)
}

pub(super) fn unsigned(node: &Node, limit: u64) -> Fit {
    let limit = i128::from(limit);
    let number = match &node.value {
        Value::Int(number) => Some(number.get()),
        Value::Float(number) => whole(*number).map(i128::from),
        _ => None,
    };
    match number {
        Some(number) if (0..=limit).contains(&number) => Ok(Value::Int(number.into())),
        Some(number) if number < 0 => Err(unexpected("0 or more", node)),
        Some(_) => {
            Err(Misfit::new(format!("is too large: the largest number it takes is {limit}")))
        }
        None if matches!(node.value, Value::Float(_)) => {
            Err(too_large(node, limit).unwrap_or_else(|| unexpected("a whole number", node)))
        }
        None => Err(unexpected("a whole number", node).hint("write it without quotes")),
    }
}

#[expect(clippy::cast_precision_loss, reason = "as precise as the model's own type")]
pub(super) fn float(node: &Node) -> Fit {
    let number = match &node.value {
        Value::Int(number) => Some(number.get() as f64),
        Value::Float(number) => Some(*number),
        Value::Str(text) => text.parse().ok(),
        _ => None,
    };
    number.map(Value::Float).ok_or_else(|| unexpected("a number", node))
}

pub(super) fn text(node: &Node) -> Fit {
    match &node.value {
        Value::Str(text) => Ok(Value::Str(text.clone())),
        Value::Int(number) => Ok(Value::Str(number.get().to_string())),
        _ => Err(unexpected("a string", node).hint("put quotes around it")),
    }
}

pub(super) fn duration(node: &Node) -> Fit {
    let text = node.scalar_text().unwrap_or_default();
    match Duration::parse(&text) {
        // People read it too; the model takes it as a number.
        Ok(duration) => Ok(Value::Str(duration.to_string())),
        Err(error) => Err(Misfit::new(format!("is not valid: {error}"))
            .hint("write a number with a unit: `30s`, `1m30s`, `500ms`")),
    }
}

/// Compose reads a fraction without a unit as nothing at all; so does Ketch, but it says so.
pub(super) fn bytes(session: &mut Session<'_>, node: &Node) -> Fit {
    match &node.value {
        Value::Int(number) => i64::try_from(number.get())
            .map(|number| Value::Int(number.into()))
            .map_err(|_| Misfit::new("is larger than the largest possible size, 8 EiB")),
        Value::Str(text) => match Bytes::parse(text) {
            Ok(bytes) => Ok(Value::Int(bytes.0.into())),
            Err(error) => Err(Misfit::new(format!("is not valid: {error}"))
                .hint("write a number with a unit: `512m`, `2g`")),
        },
        value => {
            let huge = matches!(value, Value::Float(number) if number.fract() == 0.0);
            let what = if huge { "a size this large" } else { "a fraction of a byte" };
            session.report(
                Diagnostic::warning(Code::InvalidValue, format!("{what} is ignored"))
                    .at(node.span, "has no effect")
                    .hint("put it in quotes with a unit: `\"1.5g\"`"),
            );
            Ok(Value::Int(0.into()))
        }
    }
}

/// Text is octal; a number is the mode itself.
pub(super) fn file_mode(node: &Node) -> Fit {
    let mode = match &node.value {
        Value::Int(mode) => i64::try_from(mode.get()).ok(),
        Value::Str(text) => i64::from_str_radix(text, 8).ok(),
        _ => None,
    };
    mode.map(|mode| Value::Int(mode.into()))
        .ok_or_else(|| unexpected("a file mode in octal", node).hint("for example `\"0440\"`"))
}

/// `all` is -1.
pub(super) fn device_count(node: &Node) -> Fit {
    let count = match &node.value {
        Value::Int(count) => i64::try_from(count.get()).ok(),
        Value::Str(text) if text.eq_ignore_ascii_case("all") => Some(-1),
        Value::Str(text) => text.parse().ok(),
        _ => None,
    };
    count.map(|count| Value::Int(count.into())).ok_or_else(|| unexpected("a number or `all`", node))
}

pub(super) fn command(session: &mut Session<'_>, node: &Node) -> Fit {
    let Value::Str(text) = &node.value else { return Ok(node.value.clone()) };
    // Every word becomes a value.
    if !session.afford((text.split_ascii_whitespace().count(), 0), node.span) {
        return Ok(Value::Seq(Vec::new()));
    }
    match words::split(text) {
        Ok(words) => Ok(Value::Seq(words.into_iter().map(|word| text_at(word, node)).collect())),
        Err(error) => Err(Misfit::new(format!("is not valid: {error}")).hint(match error {
            words::WordsError::Unclosed { .. } => {
                "close it, or write the command as a list: `[\"sh\", \"-c\", \"…\"]`"
            }
            _ => "write the command as a list: `[\"sh\", \"-c\", \"…\"]`",
        })),
    }
}

pub(super) fn health_test(node: &Node) -> Value {
    match &node.value {
        Value::Str(text) => {
            Value::Seq(vec![text_at("CMD-SHELL", node), text_at(text.clone(), node)])
        }
        value => value.clone(),
    }
}

pub(super) fn strings(node: &Node) -> Value {
    match &node.value {
        Value::Str(_) => Value::Seq(vec![node.clone()]),
        value => value.clone(),
    }
}

pub(super) fn numbers(node: &Node) -> Value {
    let text = |item: &Node| text_at(item.scalar_text().unwrap_or_default(), item);
    Value::Seq(node.as_seq().unwrap_or_default().iter().map(text).collect())
}
