//! Scalars and lists of scalars in the form that the model wants.

use crate::diagnostic::{Code, Diagnostic};
use crate::model::{Bytes, Duration};
use crate::project::node::{Node, Value};
use crate::project::session::Session;
use crate::project::{interpolate, words};

use super::{Fit, Misfit, text_at};

fn unexpected(wanted: &str, node: &Node) -> Misfit {
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

/// Fractions are cut off, as Compose cuts them.
pub(super) fn int(node: &Node) -> Fit {
    let number = match &node.value {
        Value::Int(number) => i64::try_from(*number).ok(),
        Value::Float(number) => whole(*number),
        Value::Str(text) => text.parse().ok(),
        _ => None,
    };
    number.map(|number| Value::Int(number.into())).ok_or_else(|| unexpected("a whole number", node))
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn whole(number: f64) -> Option<i64> {
    (number.abs() < 9.0e18).then_some(number as i64)
}

pub(super) fn unsigned(node: &Node, limit: u64) -> Fit {
    let number = match &node.value {
        Value::Int(number) => Some(*number),
        Value::Float(number) => whole(*number).map(i128::from),
        _ => None,
    };
    match number {
        Some(number) if (0..=i128::from(limit)).contains(&number) => Ok(Value::Int(number)),
        Some(_) => Err(unexpected(&format!("between 0 and {limit}"), node)),
        None => Err(unexpected("a whole number", node).hint("write it without quotes")),
    }
}

#[expect(clippy::cast_precision_loss, reason = "as precise as the model's own type")]
pub(super) fn float(node: &Node) -> Fit {
    let number = match &node.value {
        Value::Int(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        Value::Str(text) => text.parse().ok(),
        _ => None,
    };
    number.map(Value::Float).ok_or_else(|| unexpected("a number", node))
}

pub(super) fn text(node: &Node) -> Fit {
    match &node.value {
        Value::Str(text) => Ok(Value::Str(text.clone())),
        Value::Int(number) => Ok(Value::Str(number.to_string())),
        _ => Err(unexpected("a string", node).hint("put quotes around it")),
    }
}

pub(super) fn duration(node: &Node) -> Fit {
    let text = node.scalar_text().unwrap_or_default();
    match Duration::parse(&text) {
        Ok(duration) => Ok(Value::Int(duration.0.into())),
        Err(error) => Err(Misfit::new(format!("is not valid: {error}"))
            .hint("write a number with a unit: `30s`, `1m30s`, `500ms`")),
    }
}

/// Compose reads a fraction without a unit as nothing at all; so does Ketch, but it says so.
pub(super) fn bytes(session: &mut Session<'_>, node: &Node) -> Fit {
    match &node.value {
        Value::Int(number) => i64::try_from(*number)
            .map(|number| Value::Int(number.into()))
            .map_err(|_| unexpected("a size", node)),
        Value::Str(text) => match Bytes::parse(text) {
            Ok(bytes) => Ok(Value::Int(bytes.0.into())),
            Err(error) => Err(Misfit::new(format!("is not valid: {error}"))
                .hint("write a number with a unit: `512m`, `2g`")),
        },
        _ => {
            session.report(
                Diagnostic::warning(Code::InvalidValue, "a fraction of a byte is ignored")
                    .at(node.span, "has no effect")
                    .hint("put it in quotes with a unit: `\"1.5g\"`"),
            );
            Ok(Value::Int(0))
        }
    }
}

/// Text is octal; a number is the mode itself.
pub(super) fn file_mode(node: &Node) -> Fit {
    let mode = match &node.value {
        Value::Int(mode) => i64::try_from(*mode).ok(),
        Value::Str(text) => i64::from_str_radix(text, 8).ok(),
        _ => None,
    };
    mode.map(|mode| Value::Int(mode.into()))
        .ok_or_else(|| unexpected("a file mode in octal", node).hint("for example `\"0440\"`"))
}

/// `all` is -1.
pub(super) fn device_count(node: &Node) -> Fit {
    let count = match &node.value {
        Value::Int(count) => i64::try_from(*count).ok(),
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
        Err(error) => Err(Misfit::new(format!("is not valid: {error}"))
            .hint("write the command as a list: `[\"sh\", \"-c\", \"…\"]`")),
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
