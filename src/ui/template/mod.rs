//! The part of Go's template language that people use with `--format`.
//!
//! In: a template and a [`Row`]. Out: text.
//!
//! Covered: `{{.Field}}`, `{{.Field.Inner}}`, `{{.}}`, `{{.Label "name"}}`, pipelines and
//! parentheses, texts and whole numbers, `true` and `false`, `if`/`else if`/`else`, `with`,
//! `range`, comments, `{{-` and `-}}`, and the functions of `functions`. Outside actions `\t`
//! and `\n` are a tab and a line break. Not covered: variables (`$x`), `define` and `template`,
//! `break` and `continue`; they are errors. A whole engine (`gtmpl`) was weighed: it has had no
//! release for years and lacks the functions of Docker.
//!
//! # Invariants
//!
//! - Any text is either a template or an error, in time in proportion to its length.

mod functions;
mod parse;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use super::listing::{Row, shown};
use parse::{Argument, Node, Pipeline};

/// Why a template cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It is not well-formed.
    #[error("template parsing error: {0}")]
    Syntax(String),
    /// There is no such field.
    #[error("template parsing error: no field `{name}`; there are {known}")]
    NoField {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// There is no such function, or it does not take this.
    #[error("template parsing error: {0}")]
    Function(String),
}

type Result<T> = std::result::Result<T, TemplateError>;

/// A template that was understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Template(Vec<Node>);

/// What a template is filled from.
enum Source<'a> {
    Row(&'a Row),
    /// Every field is its heading, and functions leave it as it is.
    Headings(&'a BTreeMap<&'static str, &'static str>),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    ///
    /// If it is not well-formed or uses what is not covered.
    pub fn parse(text: &str) -> Result<Self> {
        Ok(Self(parse::parse(&text.replace("\\t", "\t").replace("\\n", "\n"))?))
    }

    /// Fills it from a row.
    ///
    /// # Errors
    ///
    /// If it names what is not there, or a function does not take what it gets.
    pub fn render(&self, row: &Row) -> Result<String> {
        Source::Row(row).fill(&self.0)
    }

    /// Fills it with the headings of the fields.
    ///
    /// # Errors
    ///
    /// If it names what is not there.
    pub fn heading(&self, headings: &BTreeMap<&'static str, &'static str>) -> Result<String> {
        Source::Headings(headings).fill(&self.0)
    }
}

impl Source<'_> {
    fn fill(&self, nodes: &[Node]) -> Result<String> {
        let mut text = String::new();
        self.write(nodes, &self.whole(), &mut text)?;
        Ok(text)
    }

    /// What `.` is at the start.
    fn whole(&self) -> Value {
        match self {
            Self::Row(row) => {
                let field = |(name, value): (&&str, &Value)| ((*name).to_owned(), value.clone());
                Value::Object(row.fields.iter().map(field).collect())
            }
            Self::Headings(headings) => {
                let field =
                    |(name, heading): (&&str, &&str)| ((*name).to_owned(), Value::from(*heading));
                Value::Object(headings.iter().map(field).collect())
            }
        }
    }

    fn write(&self, nodes: &[Node], dot: &Value, text: &mut String) -> Result<()> {
        for node in nodes {
            match node {
                Node::Text(plain) => text.push_str(plain),
                Node::Show(pipeline) => text.push_str(&shown(&*self.pipeline(pipeline, dot)?)),
                Node::If { condition, then, otherwise } => {
                    let holds = truth(&*self.pipeline(condition, dot)?);
                    self.write(if holds { then } else { otherwise }, dot, text)?;
                }
                Node::With { value, then, otherwise } => {
                    let value = self.pipeline(value, dot)?;
                    if truth(&value) {
                        self.write(then, &value, text)?;
                    } else {
                        self.write(otherwise, dot, text)?;
                    }
                }
                Node::Range { values, then, otherwise } => {
                    let values = self.pipeline(values, dot)?;
                    match &*values {
                        Value::Array(items) if !items.is_empty() => {
                            items.iter().try_for_each(|item| self.write(then, item, text))?;
                        }
                        Value::Array(_) | Value::Null => self.write(otherwise, dot, text)?,
                        _ if matches!(self, Self::Headings(_)) => {}
                        _ => return Err(wrong("`range` needs a list")),
                    }
                }
            }
        }
        Ok(())
    }

    /// The value of a pipeline: each command gets the result of the one before as last argument.
    fn pipeline<'v>(&'v self, pipeline: &'v Pipeline, dot: &'v Value) -> Result<Cow<'v, Value>> {
        let mut result: Option<Cow<'v, Value>> = None;
        for command in &pipeline.0 {
            result = Some(self.command(command, dot, result)?);
        }
        result.ok_or_else(|| wrong("an empty action"))
    }

    fn command<'v>(
        &'v self,
        command: &'v [Argument],
        dot: &'v Value,
        piped: Option<Cow<'v, Value>>,
    ) -> Result<Cow<'v, Value>> {
        let Some((head, rest)) = command.split_first() else {
            return Err(wrong("an empty action"));
        };
        let mut arguments = Vec::with_capacity(rest.len() + 1);
        for argument in rest {
            arguments.push(self.argument(argument, dot)?.into_owned());
        }
        arguments.extend(piped.map(Cow::into_owned));
        match head {
            Argument::Name(name) => self.call(name, &arguments).map(Cow::Owned),
            Argument::Field(path) if path.as_slice() == ["Label"] => {
                self.label(&arguments).map(Cow::Owned)
            }
            _ if !arguments.is_empty() => Err(wrong("arguments for what is no function")),
            other => self.argument(other, dot),
        }
    }

    fn argument<'v>(&'v self, argument: &'v Argument, dot: &'v Value) -> Result<Cow<'v, Value>> {
        match argument {
            Argument::Dot => Ok(Cow::Borrowed(dot)),
            Argument::Field(path) => field(path, dot).map(Cow::Borrowed),
            Argument::Literal(value) => Ok(Cow::Borrowed(value)),
            Argument::Name(name) => self.call(name, &[]).map(Cow::Owned),
            Argument::Inner(pipeline) => self.pipeline(pipeline, dot),
        }
    }

    fn call(&self, name: &str, arguments: &[Value]) -> Result<Value> {
        match (self, arguments) {
            (Self::Headings(_), [value, ..]) if functions::leaves_headings(name) => {
                Ok(value.clone())
            }
            _ => functions::call(name, arguments),
        }
    }

    fn label(&self, arguments: &[Value]) -> Result<Value> {
        let [Value::String(name)] = arguments else { return Err(wrong("`.Label` needs a name")) };
        Ok(Value::from(match self {
            Self::Row(row) => row.labels.get(name).cloned().unwrap_or_default(),
            Self::Headings(_) => name.rsplit('.').next().unwrap_or_default().to_uppercase(),
        }))
    }
}

fn field<'v>(path: &[String], dot: &'v Value) -> Result<&'v Value> {
    path.iter().try_fold(dot, |value, name| {
        value.get(name).ok_or_else(|| TemplateError::NoField {
            name: name.clone(),
            known: match value {
                Value::Object(fields) => fields.keys().cloned().collect::<Vec<_>>().join(", "),
                _ => "none here".to_owned(),
            },
        })
    })
}

/// Whether a value counts as true: it is not empty.
fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

fn wrong(what: &str) -> TemplateError {
    TemplateError::Function(what.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Template, TemplateError};
    use crate::ui::listing::Row;

    fn row() -> Row {
        let fields = [
            ("Name", json!("p-web-1")),
            ("Image", json!("a/b:1")),
            ("Empty", json!("")),
            ("Exit", json!(3)),
            ("Ports", json!([{ "URL": "::", "Port": 80 }, { "URL": "", "Port": 7 }])),
        ];
        Row {
            fields: fields.into_iter().collect(),
            labels: [("a.b".to_owned(), "c".to_owned())].into(),
        }
    }

    fn shown(template: &str) -> String {
        let rendered = Template::parse(template).and_then(|template| template.render(&row()));
        rendered.unwrap_or_else(|error| error.to_string())
    }

    #[test]
    fn fields_and_functions() {
        for (template, expected) in [
            ("{{.Name}}: {{ .Exit }}\\t|", "p-web-1: 3\t|"),
            ("pretty", "pretty"),
            ("{{.Label \"a.b\"}}{{.Label `x`}}", "c"),
            (
                "{{json .Name}} {{.Name | json}} {{json .Ports}}",
                "\"p-web-1\" \"p-web-1\" [{\"URL\":\"::\",\"Port\":80},{\"URL\":\"\",\"Port\":7}]",
            ),
            ("{{.Ports}}", "[{:: 80} { 7}]"),
            ("{{upper .Name}} {{lower \"AB\"}} {{title .Name}}", "P-WEB-1 ab P-Web-1"),
            ("{{join (split .Image \":\") \"+\"}}", "a/b+1"),
            ("{{index (split .Image \":\") 1}} {{len .Name}} {{slice .Name 0 2}}", "1 7 p-"),
            ("[{{pad .Name 2 3}}] {{truncate .Name 3}}", "[  p-web-1   ] p-w"),
            ("{{printf \"%-9s|%3d|%q|%v%%\" .Name 5 \"x\" .Exit}}", "p-web-1  |  5|\"x\"|3%"),
            ("{{println .Name}}", "p-web-1\n"),
            ("{{eq .Exit 3}} {{ne .Name \"x\"}} {{lt 1 2}} {{not true}}", "true true true false"),
            ("{{or .Empty .Name}} {{and .Empty .Name}}", "p-web-1 "),
        ] {
            assert_eq!(shown(template), expected, "{template}");
        }
    }

    #[test]
    fn control_structures() {
        for (template, expected) in [
            ("{{if .Empty}}a{{else if eq .Exit 3}}b{{else}}c{{end}}", "b"),
            ("{{if .Name}}a{{end}}{{if .Empty}}b{{end}}", "a"),
            ("{{range .Ports}}<{{.URL}}{{.Port}}>{{else}}none{{end}}", "<::80><7>"),
            ("{{with .Name}}{{.}}{{end}}{{with .Empty}}x{{else}}y{{end}}", "p-web-1y"),
            ("a {{- /* gone */ -}} b{{- .Exit -}}  c", "ab3c"),
        ] {
            assert_eq!(shown(template), expected, "{template}");
        }
    }

    #[test]
    fn mistakes_are_told() {
        for (template, expected) in [
            ("{{", "unclosed action"),
            ("{{.Foo}}", "no field `Foo`; there are Empty, Exit, Image, Name, Ports"),
            ("{{foo}}", "function \"foo\" not defined"),
            ("{{if .Name}}", "unexpected end"),
            ("{{end}}", "unexpected {{end}}"),
            ("{{$x := 1}}", "unexpected \"$\""),
            ("{{\"a}}", "unterminated"),
            ("{{upper}}", "upper"),
            ("{{index .Ports 9}}", "index"),
            ("{{slice .Name 5 2}}", "slice"),
            ("{{pad .Name 999999999999 1}}", "pad"),
            ("{{}}", "empty action"),
            ("{{.Name .Exit}}", "arguments"),
        ] {
            let told = shown(template);
            assert!(told.contains(expected), "{template}: {told}");
        }
        let deep = "(".repeat(100_000);
        assert!(matches!(Template::parse(&format!("{{{{{deep}")), Err(TemplateError::Syntax(_))));
        let nested = "{{if .Name}}".repeat(10_000);
        assert!(matches!(Template::parse(&nested), Err(TemplateError::Syntax(_))));
    }

    #[test]
    fn headings_take_the_place_of_fields() {
        let headings = [("Name", "NAME"), ("Exit", "EXIT CODE")].into_iter().collect();
        let template = Template::parse("{{.Name}}\\t{{lower .Exit}}\\t{{.Label \"a.b\"}}");
        let heading = template.and_then(|template| template.heading(&headings));
        assert_eq!(heading, Ok("NAME\tEXIT CODE\tB".to_owned()));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "[{}().|\\-\"`$a-z /*0-9\\\\]{0,60}") {
            let _ = Template::parse(&text).and_then(|template| template.render(&row()));
        }
    }
}
