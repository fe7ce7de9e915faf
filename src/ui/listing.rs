//! What `--format` of `ps`, `volumes` and `stats` means: a table, JSON, or a template for each row.
//!
//! In: [`Row`]s of named fields. Out: text for standard output.
//!
//! # Invariants
//!
//! - JSON is what Go's encoder prints, byte for byte: keys in order, `<`, `>` and `&` escaped.
//! - Cells of tables are neutralised; JSON and templates give data as it is.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::table::{Layout, lay_out};
use super::template::{Template, TemplateError};
use super::text::printable;
use crate::model::Dict;

/// One object of a listing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// Its fields by the names that templates and JSON use.
    pub fields: BTreeMap<&'static str, Value>,
    /// What `.Label "name"` looks up.
    pub labels: Dict,
}

/// The columns of a table: fields with their headings.
pub type Columns = &'static [(&'static str, &'static str)];

/// Rows, and how a table of them looks.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing {
    /// The objects, in order.
    pub rows: Vec<Row>,
    /// The columns that a table has if nothing else is asked for.
    pub columns: Columns,
    /// Headings of further fields.
    pub more: Columns,
    /// The template that `raw` stands for; empty: none.
    pub raw: &'static str,
}

impl Listing {
    /// The listing in the form that `--format` asks for: nothing or `table`, `json`,
    /// `raw`, `table TEMPLATE`, or a template.
    ///
    /// # Errors
    ///
    /// If the template cannot be read or does not fit the rows.
    pub fn format(&self, format: &str) -> Result<String, TemplateError> {
        match format.trim() {
            "" | "table" => Ok(self.table()),
            "raw" if !self.raw.is_empty() => self.lines(&Template::parse(self.raw)?),
            "json" => Ok(self.rows.iter().map(|row| compact(&row.fields) + "\n").collect()),
            other => match other.strip_prefix("table ") {
                Some(template) => self.templated_table(&Template::parse(template.trim())?),
                None => self.lines(&Template::parse(other)?),
            },
        }
    }

    fn table(&self) -> String {
        let heading = self.columns.iter().map(|(_, heading)| (*heading).to_owned()).collect();
        let cell = |row: &Row, field: &str| {
            row.fields.get(field).map(|value| printable(&shown(value)).into_owned())
        };
        let cells = |row: &Row| -> Vec<String> {
            self.columns.iter().map(|(field, _)| cell(row, field).unwrap_or_default()).collect()
        };
        lay_out(Layout::Docker, std::iter::once(heading).chain(self.rows.iter().map(cells)))
    }

    fn templated_table(&self, template: &Template) -> Result<String, TemplateError> {
        let headings = self.columns.iter().chain(self.more).copied().collect();
        let mut lines = vec![template.heading(&headings)?];
        for row in &self.rows {
            lines.push(template.render(row)?);
        }
        let split = |line: &String| line.split('\t').map(str::to_owned).collect::<Vec<_>>();
        Ok(lay_out(Layout::Docker, lines.iter().map(split)))
    }

    fn lines(&self, template: &Template) -> Result<String, TemplateError> {
        self.rows.iter().map(|row| Ok(template.render(row)? + "\n")).collect()
    }
}

/// A value as Go's templates print it.
pub fn shown(value: &Value) -> String {
    let list =
        |items: &mut dyn Iterator<Item = &Value>| items.map(shown).collect::<Vec<_>>().join(" ");
    match value {
        Value::Null => "<no value>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", list(&mut items.iter())),
        Value::Object(fields) => format!("{{{}}}", list(&mut fields.values())),
        other => other.to_string(),
    }
}

/// JSON on one line, with the escapes of Go's encoder.
pub fn compact(value: &impl Serialize) -> String {
    // These signs stand in strings only, so that they can be replaced in the finished text.
    let json = serde_json::to_string(value).unwrap_or_default();
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '<' => text.push_str("\\u003c"),
            '>' => text.push_str("\\u003e"),
            '&' => text.push_str("\\u0026"),
            '\u{2028}' => text.push_str("\\u2028"),
            '\u{2029}' => text.push_str("\\u2029"),
            other => text.push(other),
        }
    }
    text
}

/// Labels on one line.
pub fn labels(labels: &Dict) -> String {
    labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
}

/// Cuts a text to so many characters, the last of which is an ellipsis.
pub fn ellipsis(text: &str, limit: usize) -> String {
    if text.chars().nth(limit).is_none() {
        return text.to_owned();
    }
    text.chars().take(limit.saturating_sub(1)).chain(['…']).collect()
}

/// Whether long values are cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Truncation {
    /// They are.
    #[default]
    Short,
    /// They are not: `--no-trunc`.
    Full,
}

/// An id as it is shown.
pub fn short_id(id: &str, truncation: Truncation) -> String {
    match truncation {
        Truncation::Short => id.strip_prefix("sha256:").unwrap_or(id).chars().take(12).collect(),
        Truncation::Full => id.to_owned(),
    }
}
