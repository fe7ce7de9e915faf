//! Where a value comes from, told in reading order.
//!
//! In: a [`Node`] of the merged tree, the [`Sources`] and the values of variables. Out: text for
//! people, or JSON.
//!
//! # Invariants
//!
//! - Programs get the trail as the loader recorded it, oldest step first; people read it from the
//!   value backwards: each value that was replaced, and below it what had made it.
//! - A collection is shown as YAML that could be loaded again; the places are comments in it.
//!
//! # Not here
//!
//! Finding the node that a path names (`cli::explain`).

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use serde_json::{Value as Json, json};

use super::report;
use super::text::{place, printable, source_line};
use crate::diagnostic::{FileId, Sources, Span};
use crate::project::node::{Node, Step, Trail, Value, VariableSource};

const STRONG: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();
const PLACE: Style = AnsiColor::Cyan.on_default();

/// A value and all that is known about its origin.
#[derive(Clone, Debug)]
pub struct Explanation<'a> {
    /// The path to the value, as the user could write it.
    pub path: &'a str,
    /// The value.
    pub node: &'a Node,
    /// How it came about: its own trail, or that of the short form that it is a part of.
    pub trail: &'a Trail,
    /// Where it stands: a list or mapping where its key does.
    pub span: Span,
    /// The files.
    pub sources: &'a Sources,
    /// The values of the variables that the trail may name.
    pub variables: BTreeMap<&'a str, &'a str>,
}

impl Explanation<'_> {
    /// For people.
    pub fn human(&self) -> String {
        let path = printable(self.path);
        let mut text = format!("{STRONG}{path}{STRONG:#} =");
        match scalar(self.node) {
            Some(value) => {
                let _ = writeln!(text, " {value}");
            }
            None => text.push_str(&self.collection()),
        }
        text.push('\n');
        if !self.is_implied() {
            let line = source_line(self.sources, self.span);
            let place = place(self.sources, self.span);
            let _ = writeln!(text, "  {PLACE}{place}{PLACE:#}   {line}");
        }
        for (replaced, steps) in self.history() {
            if let Some(replaced) = replaced {
                let _ = writeln!(text, "  {}", self.sentence(replaced));
            }
            for step in steps {
                let indent = if self.is_implied() { 2 } else { 4 };
                let _ = writeln!(text, "{:indent$}{}", "", self.sentence(step));
            }
        }
        text
    }

    /// Whether the value stands in no file.
    fn is_implied(&self) -> bool {
        matches!(self.trail.last(), Some(Step::Default { .. }))
    }

    /// The steps that made the value, then each value that was replaced and the steps that had
    /// made that one, the latest first.
    fn history(&self) -> Vec<(Option<&Step>, Vec<&Step>)> {
        let mut history = vec![(None, Vec::new())];
        for step in self.trail.steps() {
            match (step, history.last_mut()) {
                (Step::Replaced { .. }, Some((replaced, _))) => {
                    *replaced = Some(step);
                    history.push((None, Vec::new()));
                }
                (_, Some((_, steps))) => steps.push(step),
                (_, None) => {}
            }
        }
        history.reverse();
        history
    }

    /// For programs.
    pub fn json(&self) -> String {
        let value = serde_json::to_value(serde_yaml::Value::from(self.node)).unwrap_or_default();
        let trail: Vec<Json> = self.trail.steps().into_iter().map(|step| self.step(step)).collect();
        report::pretty(&json!({
            "version": 1,
            "path": self.path,
            "value": value,
            "at": (!self.is_implied()).then(|| self.at(self.span)),
            "trail": trail,
        }))
    }

    /// One step for people, with its place and the line there.
    fn sentence(&self, step: &Step) -> String {
        let (text, span) = match step {
            Step::Replaced { span, was } => (format!("replaces {was}"), Some(*span)),
            Step::Variable { name, from } => self.variable(name, from),
            Step::Extended { span } => ("comes in through `extends`".to_owned(), Some(*span)),
            Step::Merged { span } => ("comes in through `<<`".to_owned(), Some(*span)),
            Step::Included { span } => ("comes in through `include`".to_owned(), Some(*span)),
            Step::File { attribute, span } => {
                (format!("comes in through `{attribute}`"), Some(*span))
            }
            Step::Default { rule } => (format!("is not written in any file: {rule}"), None),
        };
        let text = printable(&text).into_owned();
        let Some(span) = span else { return text };
        let place = printable(&self.sources.place(span)).into_owned();
        let line = source_line(self.sources, span);
        format!("{text}, from {PLACE}{place}{PLACE:#}   {line}")
    }

    fn variable(&self, name: &str, from: &VariableSource) -> (String, Option<Span>) {
        let value = match self.variables.get(name) {
            Some(value) => format!("${{{name}}} is {}", Json::from(*value)),
            None => format!("${{{name}}} is set"),
        };
        match from {
            VariableSource::Process => (format!("{value}, from the environment"), None),
            VariableSource::File(span) => (value, Some(*span)),
            VariableSource::Ketch => (format!("{value}, set by Ketch"), None),
            VariableSource::Unset => {
                (format!("${{{name}}} is not set, which leaves a blank"), None)
            }
            VariableSource::DefaultValue => {
                (format!("${{{name}}} is not set, so the default in the expression counts"), None)
            }
        }
    }

    /// One step for programs.
    fn step(&self, step: &Step) -> Json {
        match step {
            Step::Replaced { span, was } => {
                json!({ "step": "replaced", "was": was, "at": self.at(*span) })
            }
            Step::Variable { name, from } => self.variable_step(name, from),
            Step::Extended { span } => json!({ "step": "extended", "at": self.at(*span) }),
            Step::Merged { span } => json!({ "step": "merged", "at": self.at(*span) }),
            Step::Included { span } => json!({ "step": "included", "at": self.at(*span) }),
            Step::File { attribute, span } => {
                json!({ "step": "file", "attribute": attribute, "at": self.at(*span) })
            }
            Step::Default { rule } => json!({ "step": "default", "rule": rule }),
        }
    }

    fn variable_step(&self, name: &str, from: &VariableSource) -> Json {
        let (from, at) = match from {
            VariableSource::Process => ("environment", None),
            VariableSource::File(span) => ("file", Some(self.at(*span))),
            VariableSource::Ketch => ("ketch", None),
            VariableSource::Unset => ("unset", None),
            VariableSource::DefaultValue => ("default", None),
        };
        let value = self.variables.get(name);
        json!({ "step": "variable", "name": name, "value": value, "from": from, "at": at })
    }

    fn at(&self, span: Span) -> Json {
        let position = self.sources.position(span);
        json!({
            "file": self.sources.get(span.file).name,
            "line": position.line,
            "column": position.column,
            "source": source_line(self.sources, span),
        })
    }

    /// A list or mapping as YAML, each value with its place beside it.
    fn collection(&self) -> String {
        const WIDEST: usize = 60;
        let mut lines = Vec::new();
        outline(self.node, 1, &mut lines);
        let widths = lines.iter().map(|(text, _)| text.chars().count());
        let width = widths.filter(|width| *width <= WIDEST).max().unwrap_or_default();
        let mut lines_of = Lines::default();
        let mut all = String::from("\n");
        for (text, origin) in lines {
            match origin {
                None => {
                    let _ = writeln!(all, "{text}");
                }
                Some(node) => {
                    let origin = printable(&lines_of.origin(self.sources, node)).into_owned();
                    let _ = writeln!(all, "{text:width$}   {FAINT}# {origin}{FAINT:#}");
                }
            }
        }
        all
    }
}

/// The value as YAML on one line; `None` for a list or mapping that holds something.
fn scalar(node: &Node) -> Option<String> {
    match &node.value {
        Value::Str(text) | Value::Timestamp(text) => {
            Some(printable(&Json::from(text.as_str()).to_string()).into_owned())
        }
        Value::Null => Some("null".to_owned()),
        Value::Seq(items) => items.is_empty().then(|| "[]".to_owned()),
        Value::Map(map) => map.is_empty().then(|| "{}".to_owned()),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => node.scalar_text(),
    }
}

/// A text as short as YAML takes it, if it fits one line.
fn plain(node: &Node) -> Option<String> {
    // What YAML 1.1 takes for a boolean stays in quotes, as `config` writes it.
    const WORDS: [&str; 6] = ["y", "n", "yes", "no", "on", "off"];
    let text = node.as_str()?;
    if WORDS.iter().any(|word| text.eq_ignore_ascii_case(word)) {
        return None;
    }
    let text = serde_yaml::to_string(text).ok()?;
    let line = text.trim_end();
    (!line.contains('\n')).then(|| printable(line).into_owned())
}

/// The lines of a collection, each with the scalar that stands on it.
fn outline<'a>(node: &'a Node, depth: usize, lines: &mut Vec<(String, Option<&'a Node>)>) {
    let children: Vec<(String, &Node)> = match &node.value {
        Value::Map(map) => map
            .iter()
            .map(|(key, entry)| (format!("{}:", plain_or_quoted(key)), &entry.node))
            .collect(),
        Value::Seq(items) => items.iter().map(|item| ("-".to_owned(), item)).collect(),
        _ => return,
    };
    for (lead, child) in children {
        let indent = "  ".repeat(depth);
        if let Some(value) = plain(child).or_else(|| scalar(child)) {
            lines.push((format!("{indent}{lead} {value}"), Some(child)));
            continue;
        }
        let first = lines.len();
        lines.push((format!("{indent}{lead}"), None));
        outline(child, depth + 1, lines);
        // The first line of an item stands beside its dash.
        if lead == "-" && first + 1 < lines.len() {
            let (text, origin) = lines.remove(first + 1);
            lines[first] = (format!("{indent}- {}", text.trim_start()), origin);
        }
    }
}

/// A key as YAML takes it.
fn plain_or_quoted(key: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "._-/".contains(character);
    let starts = key.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    if starts && key.chars().all(plain) {
        return key.to_owned();
    }
    printable(&Json::from(key).to_string()).into_owned()
}

/// Where lines begin, so that a whole project can be outlined without reading a file again for
/// each value.
#[derive(Default)]
struct Lines(HashMap<FileId, Vec<usize>>);

impl Lines {
    /// Where a value comes from, in a few words.
    fn origin(&mut self, sources: &Sources, node: &Node) -> String {
        let default = node.trail.steps().into_iter().find_map(|step| match step {
            Step::Default { rule } => Some((*rule).to_owned()),
            _ => None,
        });
        default.unwrap_or_else(|| {
            let line = self.line(sources, node.span);
            format!("{}:{line}", sources.get(node.span.file).name)
        })
    }

    fn line(&mut self, sources: &Sources, span: Span) -> usize {
        let breaks = self.0.entry(span.file).or_insert_with(|| {
            let text = &sources.get(span.file).text;
            text.match_indices('\n').map(|(offset, _)| offset).collect()
        });
        breaks.partition_point(|offset| *offset < span.start as usize) + 1
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use anstream::adapter::strip_str;
    use insta::assert_snapshot;

    use super::Explanation;
    use crate::diagnostic::{FileId, Sources, Span};
    use crate::project::node::{Entry, Map, Node, Step, Value, VariableSource};

    struct Files {
        sources: Sources,
        base: FileId,
        dev: FileId,
        env: FileId,
    }

    fn files() -> Files {
        let mut sources = Sources::default();
        let base = sources.add("compose.yaml", "services:\n  web:\n    image: shop/web:latest\n");
        let dev = "services:\n  web:\n    image: shop/web:${TAG}\n    ports:\n      - 80\n";
        let dev = sources.add("compose.dev.yaml", dev);
        let env = sources.add(".env", "A=1\nTAG=1.4\n");
        Files { sources, base, dev, env }
    }

    impl Files {
        fn span(&self, file: FileId, word: &str) -> Span {
            let start = self.sources.get(file).text.find(word).expect("the text has the word");
            Span::new(file, start, start + word.len())
        }

        fn explain<'a>(&'a self, path: &'a str, node: &'a Node) -> Explanation<'a> {
            let variables = BTreeMap::from([("TAG", "1.4")]);
            let trail = &node.trail;
            Explanation { path, node, trail, span: node.span, sources: &self.sources, variables }
        }
    }

    fn image(files: &Files) -> Node {
        let was = "\"shop/web:latest\"".to_owned();
        Node::string("shop/web:1.4", files.span(files.dev, "shop/web:${TAG}"))
            .with(Step::Included { span: files.span(files.base, "web") })
            .with(Step::Replaced { span: files.span(files.base, "shop/web:latest"), was })
            .with(Step::Variable {
                name: "TAG".to_owned(),
                from: VariableSource::File(files.span(files.env, "1.4")),
            })
    }

    fn human(explanation: &Explanation<'_>) -> String {
        strip_str(&explanation.human()).to_string()
    }

    #[test]
    fn a_value_with_its_trail() {
        let files = files();
        let node = image(&files);
        let explanation = files.explain("services.web.image", &node);
        assert_snapshot!(human(&explanation), @r#"
        services.web.image = "shop/web:1.4"

          compose.dev.yaml:3:12   image: shop/web:${TAG}
            ${TAG} is "1.4", from .env:2   TAG=1.4
          replaces "shop/web:latest", from compose.yaml:3   image: shop/web:latest
            comes in through `include`, from compose.yaml:2   web:
        "#);
        assert_snapshot!(explanation.json(), @r#"
        {
          "version": 1,
          "path": "services.web.image",
          "value": "shop/web:1.4",
          "at": {
            "file": "compose.dev.yaml",
            "line": 3,
            "column": 12,
            "source": "image: shop/web:${TAG}"
          },
          "trail": [
            {
              "step": "included",
              "at": {
                "file": "compose.yaml",
                "line": 2,
                "column": 3,
                "source": "web:"
              }
            },
            {
              "step": "replaced",
              "was": "\"shop/web:latest\"",
              "at": {
                "file": "compose.yaml",
                "line": 3,
                "column": 12,
                "source": "image: shop/web:latest"
              }
            },
            {
              "step": "variable",
              "name": "TAG",
              "value": "1.4",
              "from": "file",
              "at": {
                "file": ".env",
                "line": 2,
                "column": 5,
                "source": "TAG=1.4"
              }
            }
          ]
        }
        "#);
    }

    #[test]
    fn every_kind_of_step_has_its_sentence() {
        let files = files();
        let span = files.span(files.base, "web");
        let variable = |from| Step::Variable { name: "TAG".to_owned(), from };
        let node = Node::new(Value::Null, span)
            .with(variable(VariableSource::Process))
            .with(variable(VariableSource::Ketch))
            .with(variable(VariableSource::Unset))
            .with(variable(VariableSource::DefaultValue))
            .with(Step::Extended { span })
            .with(Step::Merged { span })
            .with(Step::Included { span })
            .with(Step::File { attribute: "env_file", span })
            .with(Step::Default { rule: "every service has a network" });
        assert_snapshot!(human(&files.explain("a", &node)), @r#"
        a = null

          ${TAG} is "1.4", from the environment
          ${TAG} is "1.4", set by Ketch
          ${TAG} is not set, which leaves a blank
          ${TAG} is not set, so the default in the expression counts
          comes in through `extends`, from compose.yaml:2   web:
          comes in through `<<`, from compose.yaml:2   web:
          comes in through `include`, from compose.yaml:2   web:
          comes in through `env_file`, from compose.yaml:2   web:
          is not written in any file: every service has a network
        "#);
    }

    #[test]
    fn a_collection_shows_where_each_value_comes_from() {
        let files = files();
        let dev = files.span(files.dev, "80");
        let item = Node::new(Value::Int(80.into()), dev);
        let long = Map::from([
            ("target".to_owned(), Entry { key: dev, node: item.clone() }),
            (
                "mode".to_owned(),
                Entry {
                    key: dev,
                    node: Node::string("in\ngress", dev)
                        .with(Step::Default { rule: "the usual mode" }),
                },
            ),
        ]);
        let ports = Node::new(Value::Seq(vec![item, Node::map(long, dev)]), dev);
        let empty = Node::new(Value::Seq(Vec::new()), dev);
        let entry = |node| Entry { key: dev, node };
        let web = Map::from([
            ("image".to_owned(), entry(image(&files))),
            ("ports".to_owned(), entry(ports)),
            ("a b:".to_owned(), entry(empty)),
            ("flag".to_owned(), entry(Node::string("true", dev))),
        ]);
        let node = Node::map(web, files.span(files.dev, "web"));
        assert_snapshot!(human(&files.explain("services.web", &node)), @r#"
        services.web =
          image: shop/web:1.4     # compose.dev.yaml:3
          ports:
            - 80                  # compose.dev.yaml:5
            - target: 80          # compose.dev.yaml:5
              mode: "in\ngress"   # the usual mode
          "a b:": []              # compose.dev.yaml:5
          flag: 'true'            # compose.dev.yaml:5

          compose.dev.yaml:2:3   web:
        "#);
    }
}
