//! How `ketch graph` shows what needs what.
//!
//! In: [`Relations`]. Out: a tree for people, or the languages of Graphviz, Mermaid and JSON.
//!
//! # Invariants
//!
//! - In the tree a service is shown with all that it needs once; elsewhere it is only named.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::report::pretty;
use super::text::printable;
use crate::model::relations::{Edge, Kind, Relation, Relations, Thing};

const STRONG: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();
const TERMS: Style = AnsiColor::Cyan.on_default();

/// A tree, from the services that no other one needs.
pub fn tree(relations: &Relations) -> String {
    let mut tree = Tree { relations, shown: BTreeSet::new(), repeats: false, text: String::new() };
    let services = relations.things.iter().filter(|thing| thing.kind == Kind::Service);
    // Roots first; what is left then stands in circles.
    for name in relations.roots().into_iter().chain(services.map(|it| it.name.as_str())) {
        if !tree.shown.contains(name) {
            let _ = writeln!(tree.text, "{STRONG}{}{STRONG:#}", printable(name));
            tree.needs(name, "");
        }
    }
    if tree.repeats {
        let _ = writeln!(tree.text, "\n* shown with all that it needs above");
    }
    tree.text
}

struct Tree<'r> {
    relations: &'r Relations,
    /// Services that were shown with what they need.
    shown: BTreeSet<&'r str>,
    /// Whether one of them was only named another time.
    repeats: bool,
    text: String,
}

impl<'r> Tree<'r> {
    /// Shows what a service needs, behind an indentation.
    fn needs(&mut self, service: &str, indent: &str) {
        let edges: Vec<&'r Edge> = self.relations.needs(service).collect();
        if let Some(first) = edges.first() {
            self.shown.insert(&first.from);
        }
        for (at, edge) in edges.iter().enumerate() {
            let is_last = at + 1 == edges.len();
            let branch = if is_last { "└── " } else { "├── " };
            let deeper = if is_last { "    " } else { "│   " };
            self.line(edge, &format!("{indent}{branch}"));
            if edge.to.kind == Kind::Service && !self.is_again(edge) {
                self.needs(&edge.to.name, &format!("{indent}{deeper}"));
            }
        }
    }

    /// Whether an edge leads to a service that was shown already.
    fn is_again(&self, edge: &Edge) -> bool {
        edge.to.kind == Kind::Service && self.shown.contains(&*edge.to.name)
    }

    fn line(&mut self, edge: &Edge, indent: &str) {
        let again = self.is_again(edge);
        let name = printable(&edge.to.name);
        let _ = write!(self.text, "{FAINT}{indent}{FAINT:#}");
        let _ = match edge.to.kind {
            Kind::Service => write!(self.text, "{STRONG}{name}{STRONG:#}"),
            kind => write!(self.text, "{} {name}", kind.word()),
        };
        let external = self.relations.external.contains(&edge.to).then(|| "external".to_owned());
        let words = Some(edge.how.words()).filter(|words| !words.is_empty());
        let notes: Vec<String> = words.into_iter().chain(external).collect();
        if !notes.is_empty() {
            let _ = write!(self.text, " {TERMS}({}){TERMS:#}", printable(&notes.join(", ")));
        }
        self.repeats |= again;
        let _ = writeln!(self.text, "{}", if again { " *" } else { "" });
    }
}

/// The language of Graphviz.
pub fn dot(relations: &Relations) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let id = |kind: Kind, name: &str| quoted(&format!("{}:{name}", kind.word()));
    let mut text = "digraph {\n  rankdir=LR\n".to_owned();
    for thing in &relations.things {
        let shape = match thing.kind {
            Kind::Service => "box",
            Kind::Image => "component",
            Kind::Network => "ellipse",
            Kind::Volume => "cylinder",
            Kind::Config | Kind::Secret => "note",
            Kind::Provider | Kind::Model => "hexagon",
        };
        let dashed = if relations.external.contains(thing) { " style=dashed" } else { "" };
        let (id, label) = (id(thing.kind, &thing.name), quoted(&thing.name));
        let _ = writeln!(text, "  {id} [label={label} shape={shape}{dashed}]");
    }
    for edge in &relations.edges {
        let (from, to) = (id(Kind::Service, &edge.from), id(edge.to.kind, &edge.to.name));
        let label = label(edge).map(|label| format!(" [label={}]", quoted(&label)));
        let _ = writeln!(text, "  {from} -> {to}{}", label.unwrap_or_default());
    }
    text + "}\n"
}

/// The language of Mermaid, which Markdown may hold.
pub fn mermaid(relations: &Relations) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "#quot;"));
    let ids: BTreeMap<&Thing, usize> =
        relations.things.iter().enumerate().map(|(id, thing)| (thing, id)).collect();
    let mut text = "flowchart LR\n".to_owned();
    for (thing, id) in &ids {
        let (open, close) = match thing.kind {
            Kind::Service => ("[", "]"),
            Kind::Image => ("[[", "]]"),
            Kind::Network => ("([", "])"),
            Kind::Volume => ("[(", ")]"),
            Kind::Config | Kind::Secret => (">", "]"),
            Kind::Provider | Kind::Model => ("{{", "}}"),
        };
        let _ = writeln!(text, "  n{id}{open}{}{close}", quoted(&thing.name));
    }
    for edge in &relations.edges {
        let from = Thing { kind: Kind::Service, name: edge.from.clone() };
        let (Some(from), Some(to)) = (ids.get(&from), ids.get(&edge.to)) else { continue };
        let label = label(edge).map(|label| format!("|{}|", quoted(&label)));
        let _ = writeln!(text, "  n{from} -->{} n{to}", label.unwrap_or_default());
    }
    text
}

/// What stands beside an edge of a drawing: paths would clutter it.
fn label(edge: &Edge) -> Option<String> {
    let is_short = matches!(edge.how, Relation::DependsOn { .. } | Relation::BuildsFrom);
    is_short.then(|| edge.how.words())
}

/// For programs.
pub fn json(relations: &Relations) -> String {
    pretty(&serde_json::to_value(relations).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::{dot, json, mermaid, tree};
    use crate::model::Project;
    use crate::model::relations::Relations;

    const SERVICES: &str = "
web:
  image: w
  depends_on:
    db: {condition: service_healthy}
    cache: {condition: service_started, required: false}
  networks: {front: null}
cache:
  image: c
  depends_on: {db: {condition: service_completed_successfully, restart: true}}
db:
  build: {context: /db}
  volumes: [{type: volume, source: data, target: /d}]
";

    fn relations() -> Relations {
        let project = Project {
            services: serde_yaml::from_str(SERVICES).expect("canonical services"),
            networks: serde_yaml::from_str("{front: {external: true}}").expect("a network"),
            ..Project::default()
        };
        Relations::of(&project, |name, service| {
            if service.image.is_empty() { format!("p-{name}") } else { service.image.clone() }
        })
    }

    #[test]
    fn a_tree_shows_each_service_in_full_once() {
        let text = tree(&relations());
        insta::assert_snapshot!(anstream::adapter::strip_str(&text), @"
        web
        ├── cache (when started, optional)
        │   ├── db (when done, restarts with it)
        │   │   ├── image p-db (built here)
        │   │   └── volume data (at /d)
        │   └── image c
        ├── db (when healthy) *
        ├── image w
        └── network front (external)

        * shown with all that it needs above
        ");
    }

    #[test]
    fn what_external_programs_run_is_shown() {
        let services = "{cloud: {provider: {type: sky}}, web: {image: i, models: {chat: null}}}";
        let services = serde_yaml::from_str(services).expect("canonical services");
        let project = Project { services, ..Project::default() };
        let text = tree(&Relations::of(&project, |_, service| service.image.clone()));
        insta::assert_snapshot!(anstream::adapter::strip_str(&text), @"
        cloud
        └── provider sky (runs it)
        web
        ├── image i
        └── model chat
        ");
    }

    #[test]
    fn a_circle_is_shown_from_its_first_name() {
        let services = "{b: {image: i, depends_on: {a: {}}}, a: {image: i, depends_on: {b: {}}}}";
        let services = serde_yaml::from_str(services).expect("canonical services");
        let project = Project { services, ..Project::default() };
        let text = tree(&Relations::of(&project, |_, service| service.image.clone()));
        insta::assert_snapshot!(anstream::adapter::strip_str(&text), @"
        a
        ├── b (when started)
        │   ├── a (when started) *
        │   └── image i
        └── image i

        * shown with all that it needs above
        ");
    }

    #[test]
    fn drawings_have_words_on_dependencies_only() {
        insta::assert_snapshot!(dot(&relations()), @r#"
        digraph {
          rankdir=LR
          "service:cache" [label="cache" shape=box]
          "service:db" [label="db" shape=box]
          "service:web" [label="web" shape=box]
          "image:c" [label="c" shape=component]
          "image:p-db" [label="p-db" shape=component]
          "image:w" [label="w" shape=component]
          "network:front" [label="front" shape=ellipse style=dashed]
          "volume:data" [label="data" shape=cylinder]
          "service:cache" -> "service:db" [label="when done, restarts with it"]
          "service:cache" -> "image:c"
          "service:db" -> "image:p-db"
          "service:db" -> "volume:data"
          "service:web" -> "service:cache" [label="when started, optional"]
          "service:web" -> "service:db" [label="when healthy"]
          "service:web" -> "image:w"
          "service:web" -> "network:front"
        }
        "#);
        insta::assert_snapshot!(mermaid(&relations()), @r#"
        flowchart LR
          n0["cache"]
          n1["db"]
          n2["web"]
          n3[["c"]]
          n4[["p-db"]]
          n5[["w"]]
          n6(["front"])
          n7[("data")]
          n0 -->|"when done, restarts with it"| n1
          n0 --> n3
          n1 --> n4
          n1 --> n7
          n2 -->|"when started, optional"| n0
          n2 -->|"when healthy"| n1
          n2 --> n5
          n2 --> n6
        "#);
    }

    #[test]
    fn programs_get_things_and_edges() {
        let json: serde_json::Value = serde_json::from_str(&json(&relations())).expect("JSON");
        insta::assert_snapshot!(json["edges"][1].to_string(), @r#"{"from":"cache","to":{"kind":"image","name":"c"},"relation":"runs","built":false}"#);
        assert_eq!(json["things"].as_array().map(Vec::len), Some(8));
        assert_eq!(json["external"][0]["name"], "front");
    }
}
