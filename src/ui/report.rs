//! Problems written for programs: JSON, SARIF and the workflow commands of GitHub.
//!
//! In: [`Diagnostic`]s and their [`Sources`]. Out: text for standard output, with a line break at
//! the end.
//!
//! # Invariants
//!
//! - Lines and columns count from one, columns in characters; the end is the place after the span.
//! - Every problem appears, in the order in which it was found.
//!
//! # Not here
//!
//! Drawing for people ([`super::diagnostics`]).

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

use crate::diagnostic::{Code, Diagnostic, Label, Severity, Sources, Span};

/// A stretch of a file, as programs want it.
#[derive(Clone, Debug, Serialize)]
struct Place<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
}

impl<'a> Place<'a> {
    fn new(sources: &'a Sources, span: Span) -> Self {
        let start = sources.position(span);
        let end = sources.position(Span { start: span.end, ..span });
        Self {
            file: &sources.get(span.file).name,
            line: start.line,
            column: start.column,
            end_line: end.line,
            end_column: end.column,
        }
    }
}

/// One problem in the JSON report.
#[derive(Serialize)]
struct Entry<'a> {
    severity: Severity,
    code: &'static str,
    message: &'a str,
    #[serde(flatten)]
    place: Option<Place<'a>>,
    labels: Vec<LabelEntry<'a>>,
    notes: &'a [String],
    hint: Option<&'a str>,
}

impl<'a> Entry<'a> {
    fn new(sources: &'a Sources, diagnostic: &'a Diagnostic) -> Self {
        let label = |label: &'a Label| LabelEntry {
            text: &label.text,
            place: Place::new(sources, label.span),
        };
        Self {
            severity: diagnostic.severity,
            code: diagnostic.code.name(),
            message: &diagnostic.message,
            place: diagnostic.span().map(|span| Place::new(sources, span)),
            labels: diagnostic.labels.iter().map(label).collect(),
            notes: &diagnostic.notes,
            hint: diagnostic.hint.as_deref(),
        }
    }
}

/// One label in the JSON report.
#[derive(Serialize)]
struct LabelEntry<'a> {
    text: &'a str,
    #[serde(flatten)]
    place: Place<'a>,
}

/// Ketch's own JSON: an object with a version and the list of problems.
pub fn json(sources: &Sources, diagnostics: &[Diagnostic]) -> String {
    let entries: Vec<Entry<'_>> =
        diagnostics.iter().map(|diagnostic| Entry::new(sources, diagnostic)).collect();
    pretty(&json!({ "version": 1, "diagnostics": entries }))
}

/// Indented JSON with a line break at the end.
pub fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// SARIF 2.1.0, which code scanning services and editors read.
pub fn sarif(sources: &Sources, diagnostics: &[Diagnostic]) -> String {
    let rules: Vec<Value> = Code::ALL
        .iter()
        .map(|code| json!({ "id": code.name(), "shortDescription": { "text": code.summary() } }))
        .collect();
    let results: Vec<Value> =
        diagnostics.iter().map(|diagnostic| sarif_result(sources, diagnostic)).collect();
    pretty(&json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "ketch",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    }))
}

fn sarif_result(sources: &Sources, diagnostic: &Diagnostic) -> Value {
    let mut result = json!({
        "ruleId": diagnostic.code.name(),
        "ruleIndex": Code::ALL.iter().position(|code| *code == diagnostic.code),
        "level": level(diagnostic.severity),
        "message": { "text": whole_message(diagnostic) },
    });
    if let Some((primary, related)) = diagnostic.labels.split_first() {
        result["locations"] = json!([sarif_location(sources, primary)]);
        if !related.is_empty() {
            let related = related.iter().map(|label| sarif_location(sources, label));
            result["relatedLocations"] = related.collect();
        }
    }
    result
}

fn sarif_location(sources: &Sources, label: &Label) -> Value {
    let place = Place::new(sources, label.span);
    let mut location = json!({ "physicalLocation": {
        "artifactLocation": { "uri": uri(place.file) },
        "region": {
            "startLine": place.line,
            "startColumn": place.column,
            "endLine": place.end_line,
            "endColumn": place.end_column,
        },
    } });
    if !label.text.is_empty() {
        location["message"] = json!({ "text": label.text });
    }
    location
}

/// A file name as a URI: relative as it is, absolute with its scheme.
fn uri(name: &str) -> String {
    let mut uri = String::from(if name.starts_with('/') { "file://" } else { "" });
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

/// Workflow commands, which GitHub shows beside the changed lines.
pub fn github(sources: &Sources, diagnostics: &[Diagnostic]) -> String {
    let mut text = String::new();
    for diagnostic in diagnostics {
        let _ = write!(text, "::{} ", level(diagnostic.severity));
        if let Some(span) = diagnostic.span() {
            let place = Place::new(sources, span);
            let file = property(place.file);
            let _ = write!(text, "file={file},line={},col={},", place.line, place.column);
        }
        let mut message = whole_message(diagnostic);
        // There is one place for each command, so the others go into its words.
        for label in diagnostic.labels.iter().skip(1).filter(|label| !label.text.is_empty()) {
            let _ = write!(message, "\nsee {}: {}", sources.place(label.span), label.text);
        }
        let (code, message) = (diagnostic.code.name(), escaped(&message));
        let _ = writeln!(text, "title={code}::{message}");
    }
    text
}

/// Escapes text for a workflow command, where a line break would end it.
fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes the value of a property, which also ends at a comma or a colon.
fn property(text: &str) -> String {
    escaped(text).replace(':', "%3A").replace(',', "%2C")
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// The message with all that belongs to it, for formats that have one text only.
fn whole_message(diagnostic: &Diagnostic) -> String {
    let mut text = diagnostic.message.clone();
    for note in &diagnostic.notes {
        let _ = write!(text, "\nnote: {note}");
    }
    if let Some(hint) = &diagnostic.hint {
        let _ = write!(text, "\nhint: {hint}");
    }
    text
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::{github, json, sarif, uri};
    use crate::diagnostic::{Code, Diagnostic, Sources, Span};

    fn example() -> (Sources, Vec<Diagnostic>) {
        let mut sources = Sources::default();
        let file = sources.add("a,b: c.yaml", "é: x\nb: [1,\n  2]\n");
        let problems = vec![
            Diagnostic::error(Code::WrongType, "100% wrong")
                .at(Span::new(file, 9, 18), "a list")
                .at(Span::new(file, 4, 5), "")
                .note("a note")
                .hint("a hint"),
            Diagnostic::warning(Code::Deprecated, "old"),
        ];
        (sources, problems)
    }

    #[test]
    fn json_has_places_and_a_version() {
        let (sources, problems) = example();
        assert_snapshot!(json(&sources, &problems), @r#"
        {
          "version": 1,
          "diagnostics": [
            {
              "severity": "error",
              "code": "wrong-type",
              "message": "100% wrong",
              "file": "a,b: c.yaml",
              "line": 2,
              "column": 4,
              "end_line": 4,
              "end_column": 1,
              "labels": [
                {
                  "text": "a list",
                  "file": "a,b: c.yaml",
                  "line": 2,
                  "column": 4,
                  "end_line": 4,
                  "end_column": 1
                },
                {
                  "text": "",
                  "file": "a,b: c.yaml",
                  "line": 1,
                  "column": 4,
                  "end_line": 1,
                  "end_column": 5
                }
              ],
              "notes": [
                "a note"
              ],
              "hint": "a hint"
            },
            {
              "severity": "warning",
              "code": "deprecated",
              "message": "old",
              "labels": [],
              "notes": [],
              "hint": null
            }
          ]
        }
        "#);
        assert_snapshot!(json(&sources, &[]), @r#"
        {
          "version": 1,
          "diagnostics": []
        }
        "#);
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "most of it is the snapshot")]
    fn sarif_has_rules_and_regions() {
        let (sources, problems) = example();
        let text = sarif(&sources, &problems);
        let log: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let run = &log["runs"][0];
        assert_snapshot!(format!("{:#}", run["results"]), @r#"
        [
          {
            "ruleId": "wrong-type",
            "ruleIndex": 13,
            "level": "error",
            "message": {
              "text": "100% wrong\nnote: a note\nhint: a hint"
            },
            "locations": [
              {
                "physicalLocation": {
                  "artifactLocation": {
                    "uri": "a%2Cb%3A%20c.yaml"
                  },
                  "region": {
                    "startLine": 2,
                    "startColumn": 4,
                    "endLine": 4,
                    "endColumn": 1
                  }
                },
                "message": {
                  "text": "a list"
                }
              }
            ],
            "relatedLocations": [
              {
                "physicalLocation": {
                  "artifactLocation": {
                    "uri": "a%2Cb%3A%20c.yaml"
                  },
                  "region": {
                    "startLine": 1,
                    "startColumn": 4,
                    "endLine": 1,
                    "endColumn": 5
                  }
                }
              }
            ]
          },
          {
            "ruleId": "deprecated",
            "ruleIndex": 41,
            "level": "warning",
            "message": {
              "text": "old"
            }
          }
        ]
        "#);
        let rules = run["tool"]["driver"]["rules"].as_array().expect("rules");
        assert_eq!(rules.len(), Code::ALL.len());
        for result in run["results"].as_array().expect("results") {
            let index = result["ruleIndex"].as_u64().expect("an index");
            let rule = &rules[usize::try_from(index).expect("small")];
            assert_eq!(rule["id"], result["ruleId"]);
        }
    }

    #[test]
    fn github_escapes_what_would_end_a_command() {
        let (sources, problems) = example();
        assert_snapshot!(github(&sources, &problems), @"
        ::error file=a%2Cb%3A c.yaml,line=2,col=4,title=wrong-type::100%25 wrong%0Anote: a note%0Ahint: a hint
        ::warning title=deprecated::old
        ");
    }

    #[test]
    fn uris_are_relative_where_names_are() {
        assert_eq!(uri("../a b/ü.yaml"), "../a%20b/%C3%BC.yaml");
        assert_eq!(uri("/srv/a:b"), "file:///srv/a%3Ab");
    }
}
