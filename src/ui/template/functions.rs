//! The functions of templates: those of Go that make sense here, and Docker's.
//!
//! `and or not eq ne lt le gt ge len index slice print println printf`, and
//! `json split join title lower upper pad truncate`.

use std::cmp::Ordering;

use serde_json::Value;

use super::{Result, TemplateError, truth};
use crate::ui::listing::{compact, shown};

/// The most blanks that `pad` and `printf` add.
const WIDEST: usize = 10_000;

/// Whether a function leaves a heading as it is.
pub(super) fn leaves_headings(name: &str) -> bool {
    matches!(name, "json" | "split" | "join" | "title" | "lower" | "upper" | "pad" | "truncate")
}

/// Calls a function.
pub(super) fn call(name: &str, arguments: &[Value]) -> Result<Value> {
    let result = match (name, arguments) {
        ("json", [value]) => Some(Value::from(compact(value))),
        ("lower", [Value::String(text)]) => Some(Value::from(text.to_lowercase())),
        ("upper", [Value::String(text)]) => Some(Value::from(text.to_uppercase())),
        ("title", [Value::String(text)]) => Some(Value::from(title(text))),
        ("split", [Value::String(text), Value::String(by)]) => Some(split(text, by)),
        ("join", [Value::Array(items), Value::String(by)]) => {
            Some(Value::from(items.iter().map(shown).collect::<Vec<_>>().join(by)))
        }
        ("pad", [Value::String(text), before, after]) => pad(text, before, after),
        ("truncate", [Value::String(text), Value::Number(length)]) => {
            let length = length.as_u64().and_then(|length| usize::try_from(length).ok());
            length.map(|length| text.chars().take(length).collect::<String>().into())
        }
        ("print", values) => Some(Value::from(values.iter().map(shown).collect::<String>())),
        ("println", values) => {
            let words: Vec<String> = values.iter().map(shown).collect();
            Some(Value::from(words.join(" ") + "\n"))
        }
        ("printf", [Value::String(format), values @ ..]) => printf(format, values),
        ("not", [value]) => Some(Value::Bool(!truth(value))),
        ("and", [.., last]) => arguments.iter().find(|value| !truth(value)).or(Some(last)).cloned(),
        ("or", [.., last]) => arguments.iter().find(|value| truth(value)).or(Some(last)).cloned(),
        ("len", [value]) => length(value),
        ("index", [value, path @ ..]) => path.iter().try_fold(value, item).cloned(),
        ("slice", [value, ends @ ..]) => slice(value, ends),
        ("eq", [first, rest @ ..]) if !rest.is_empty() => Some(Value::Bool(rest.contains(first))),
        ("ne" | "lt" | "le" | "gt" | "ge", [one, other]) => compare(name, one, other),
        _ => None,
    };
    result.ok_or_else(|| unfit(name))
}

fn unfit(name: &str) -> TemplateError {
    const KNOWN: &str = "and or not eq ne lt le gt ge len index slice print println printf json \
                         split join title lower upper pad truncate";
    TemplateError::Function(if KNOWN.split(' ').any(|known| known == name) {
        format!("`{name}` does not take these arguments")
    } else {
        format!("function {name:?} not defined")
    })
}

/// Every word with a capital.
fn title(text: &str) -> String {
    let mut starts = true;
    let capital = |character: char| {
        let first = std::mem::replace(&mut starts, !character.is_alphanumeric());
        if first { character.to_uppercase().collect() } else { character.to_string() }
    };
    text.chars().map(capital).collect()
}

fn split(text: &str, by: &str) -> Value {
    if by.is_empty() {
        return text.chars().map(|character| Value::from(character.to_string())).collect();
    }
    text.split(by).map(Value::from).collect()
}

fn pad(text: &str, before: &Value, after: &Value) -> Option<Value> {
    let blanks = |number: &Value| {
        let number = usize::try_from(number.as_u64()?).ok()?;
        (number <= WIDEST).then(|| " ".repeat(number))
    };
    if text.is_empty() {
        return Some(Value::from(""));
    }
    Some(Value::from(blanks(before)? + text + &blanks(after)?))
}

fn length(value: &Value) -> Option<Value> {
    match value {
        Value::String(text) => Some(text.len().into()),
        Value::Array(items) => Some(items.len().into()),
        Value::Object(fields) => Some(fields.len().into()),
        _ => None,
    }
}

fn item<'v>(value: &'v Value, at: &Value) -> Option<&'v Value> {
    match at {
        Value::String(name) => value.get(name),
        number => value.get(usize::try_from(number.as_u64()?).ok()?),
    }
}

fn slice(value: &Value, ends: &[Value]) -> Option<Value> {
    let end = |at: usize| ends.get(at).map(|end| usize::try_from(end.as_u64()?).ok());
    let from = end(0).unwrap_or(Some(0))?;
    match value {
        Value::String(text) => {
            let to = end(1).unwrap_or(Some(text.len()))?;
            text.get(from..to).map(Value::from)
        }
        Value::Array(items) => {
            let to = end(1).unwrap_or(Some(items.len()))?;
            items.get(from..to).map(Value::from)
        }
        _ => None,
    }
}

fn compare(name: &str, one: &Value, other: &Value) -> Option<Value> {
    if name == "ne" {
        return Some(Value::Bool(one != other));
    }
    let ordering = match (one, other) {
        (Value::String(one), Value::String(other)) => one.cmp(other),
        (Value::Number(one), Value::Number(other)) => one.as_f64()?.total_cmp(&other.as_f64()?),
        _ => return None,
    };
    Some(Value::Bool(match name {
        "lt" => ordering == Ordering::Less,
        "le" => ordering != Ordering::Greater,
        "gt" => ordering == Ordering::Greater,
        _ => ordering != Ordering::Less,
    }))
}

/// `%s`, `%d`, `%v` and `%q`, with a width and a minus for the left edge.
fn printf(format: &str, values: &[Value]) -> Option<Value> {
    let mut text = String::new();
    let mut values = values.iter();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let end =
            rest.find(|character: char| character.is_ascii_alphabetic() || character == '%')?;
        let (flags, verb) = (&rest[..end], &rest[end..=end]);
        rest = &rest[end + 1..];
        if verb == "%" {
            text.push('%');
            continue;
        }
        let value = values.next()?;
        let value = match verb {
            "s" | "d" | "v" => shown(value),
            "q" => format!("{:?}", shown(value)),
            _ => return None,
        };
        text.push_str(&aligned(&value, flags)?);
    }
    text.push_str(rest);
    Some(Value::from(text))
}

fn aligned(value: &str, flags: &str) -> Option<String> {
    let (left, width) = flags.strip_prefix('-').map_or((false, flags), |width| (true, width));
    let width: usize = if width.is_empty() { 0 } else { width.parse().ok()? };
    if width > WIDEST {
        return None;
    }
    Some(if left { format!("{value:<width$}") } else { format!("{value:>width$}") })
}
