//! Replaces `${…}` in every value, and casts the text that results.
//!
//! Keys are never interpolated. What cannot be replaced or cast is reported and is taken out, so
//! that the phases after this one still see the rest.

use crate::diagnostic::{Code, Diagnostic, Span};

use super::attribute::Cast;
use super::cursor::Cursor;
use super::node::{Node, Value, VariableSource};
use super::parallel;
use super::session::Session;
use super::template::{self, Outcome, TemplateError};
use super::variables::Variables;

/// Interpolates a document.
pub(super) fn interpolate(session: &mut Session<'_>, node: &mut Node, variables: &Variables) {
    Interpolation { session, variables }.node(node, &Cursor::top());
}

struct Interpolation<'s, 'a> {
    session: &'s mut Session<'a>,
    variables: &'s Variables,
}

impl Interpolation<'_, '_> {
    /// Interpolates a node. False if it could not be and has to go.
    fn node(&mut self, node: &mut Node, cursor: &Cursor<'_>) -> bool {
        match &mut node.value {
            Value::Str(_) => self.text(node, cursor),
            Value::Seq(items) => {
                let mut index = 0;
                items.retain_mut(|item| {
                    index += 1;
                    self.node(item, &cursor.item(index - 1))
                });
                true
            }
            Value::Map(map) => {
                let variables = self.variables;
                parallel::retain(self.session, map, cursor, |session, entry, cursor| {
                    Interpolation { session, variables }.node(&mut entry.node, cursor)
                });
                true
            }
            _ => true,
        }
    }

    fn text(&mut self, node: &mut Node, cursor: &Cursor<'_>) -> bool {
        let Value::Str(text) = &node.value else { return true };
        if text.contains('$') {
            match template::expand(text, &|name| self.variables.lookup(name)) {
                Ok(expanded) => {
                    if !self.apply(node, expanded) {
                        return false;
                    }
                }
                Err(error) => {
                    self.fail(node, cursor, &error);
                    return false;
                }
            }
        }
        self.cast(node, cursor)
    }

    /// Puts the expanded text in, and notes where its variables come from.
    fn apply(&mut self, node: &mut Node, expanded: template::Expanded) -> bool {
        let Value::Str(text) = &node.value else { return true };
        for used in &expanded.uses {
            let from = match used.outcome {
                Outcome::Set => self.variables.origin(&used.name),
                Outcome::Default => VariableSource::DefaultValue,
                Outcome::Unset => {
                    let place = self.place(node, text, &used.at);
                    self.session.unset(&used.name, place);
                    VariableSource::Unset
                }
            };
            node.trail.push_variable(&used.name, from);
        }
        if !self.session.afford((1, expanded.text.len()), node.span) {
            return false;
        }
        node.value = Value::Str(expanded.text);
        true
    }

    fn fail(&mut self, node: &Node, cursor: &Cursor<'_>, error: &TemplateError) {
        let text = node.as_str().unwrap_or_default();
        let diagnostic = match error {
            TemplateError::Invalid { at } => {
                let fault = template::fault(text, at.start);
                let message = format!("`${{` in `{cursor}` {}", fault.message);
                Diagnostic::error(Code::Interpolation, message)
                    .at(self.place(node, text, &fault.at), fault.label)
                    .hint(fault.hint)
            }
            TemplateError::Required { variable, reason, at } => {
                if self.session.lacks_variables {
                    return self.session.taint(cursor);
                }
                let mut message = format!("required variable `{variable}` is missing a value");
                if !reason.is_empty() {
                    message = format!("{message}: {reason}");
                }
                Diagnostic::error(Code::RequiredVariable, message)
                    .at(self.place(node, text, at), "required here")
                    .hint(format!("set `{variable}` in the environment or in an env file"))
            }
            TemplateError::TooDeep { at } => {
                Diagnostic::error(Code::TooLarge, format!("`{cursor}`: {error}"))
                    .at(self.place(node, text, at), "one too many")
            }
            TemplateError::TooLarge => Diagnostic::error(
                Code::TooLarge,
                format!("`{cursor}` expands to more than Ketch reads"),
            )
            .at(node.span, "this value"),
        };
        self.session.report_at(diagnostic, node, cursor);
    }

    /// The place of a part of the text, if the text stands in the file as it is.
    fn place(&self, node: &Node, text: &str, part: &std::ops::Range<usize>) -> Span {
        let written = self.session.report.sources.text(node.span);
        let Some(expression) = text.get(part.clone()) else { return node.span };
        let offset = match written.find(text) {
            Some(start) => Some(start + part.start),
            None => written.find(expression),
        };
        offset.map_or(node.span, |offset| {
            let start = node.span.start as usize + offset;
            Span::new(node.span.file, start, start + expression.len())
        })
    }

    fn cast(&mut self, node: &mut Node, cursor: &Cursor<'_>) -> bool {
        let Value::Str(text) = &node.value else { return true };
        let cast = cursor.attribute().cast;
        let (value, wanted) = match cast {
            Cast::Text => return true,
            Cast::Int => (
                text.parse::<i128>().ok().map(|number| Value::Int(number.into())),
                "a whole number",
            ),
            Cast::Float => (float(text).map(Value::Float), "a number"),
            Cast::Bool => match self.boolean(node, text) {
                Some(value) => (Some(Value::Bool(value)), ""),
                None => (None, "`true` or `false`"),
            },
        };
        if let Some(value) = value {
            node.value = value;
            return true;
        }
        let diagnostic = if cast == Cast::Float && is_number(text) {
            let message = format!("`{cursor}` is larger than the largest possible number");
            Diagnostic::error(Code::InvalidValue, message).at(node.span, "does not fit")
        } else {
            let message = format!("`{cursor}` must be {wanted}, not {}", node.brief());
            Diagnostic::error(Code::WrongType, message).at(node.span, format!("is not {wanted}"))
        };
        self.session.report_at(diagnostic, node, cursor);
        false
    }

    fn boolean(&mut self, node: &Node, text: &str) -> Option<bool> {
        boolean(self.session, node.span, text)
    }
}

/// Text as a number; one that is too large is none.
fn float(text: &str) -> Option<f64> {
    let value: f64 = text.parse().ok()?;
    (value.is_finite() || !has_digits(text)).then_some(value)
}

/// Whether a text that is not taken as a number is one nevertheless.
fn is_number(text: &str) -> bool {
    has_digits(text) && text.parse::<f64>().is_ok()
}

fn has_digits(text: &str) -> bool {
    text.contains(|c: char| c.is_ascii_digit())
}

/// Text as a boolean: those of YAML 1.1, with a warning.
pub(super) fn boolean(session: &mut Session<'_>, span: Span, text: &str) -> Option<bool> {
    let lower = text.to_lowercase();
    let value = match lower.as_str() {
        "true" | "y" | "yes" | "on" => true,
        "false" | "n" | "no" | "off" => false,
        _ => return None,
    };
    if lower != "true" && lower != "false" {
        session.report(
            Diagnostic::warning(
                Code::AmbiguousBoolean,
                format!("`{text}` is a string in YAML 1.2"),
            )
            .at(span, "taken as a boolean here")
            .hint(format!("write `{value}`")),
        );
    }
    Some(value)
}
