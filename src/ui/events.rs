//! `events`: what happens to containers, one line or object each.
//!
//! In: a [`Happening`]. Out: text as Docker Compose prints it.

use serde_json::json;

use super::listing::compact;
use super::text::printable;
use super::time;
use crate::model::{Dict, label};

/// Something that happened to a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Happening {
    /// When, in nanoseconds since 1970.
    pub time: i64,
    /// The service of the container.
    pub service: String,
    /// The id of the container.
    pub container: String,
    /// `start`, `die` and so on.
    pub action: String,
    /// Labels of the container and details; the labels of Compose itself are left out.
    pub attributes: Dict,
}

impl Happening {
    fn shown_attributes(&self) -> impl Iterator<Item = (&String, &String)> {
        self.attributes.iter().filter(|(name, _)| !name.starts_with(label::PREFIX))
    }

    /// For people: a line, and an empty one as with Docker Compose.
    pub fn human(&self) -> String {
        let attributes: Vec<String> =
            self.shown_attributes().map(|(name, value)| format!("{name}={value}")).collect();
        let attributes = attributes.join(", ");
        let time = time::event(self.time);
        let line = format!("{time} container {} {} ({attributes})", self.action, self.container);
        format!("{}\n\n", printable(&line))
    }

    /// For programs: an object on one line.
    pub fn json(&self) -> String {
        let attributes: Dict =
            self.shown_attributes().map(|(name, value)| (name.clone(), value.clone())).collect();
        compact(&json!({
            "action": self.action,
            "attributes": attributes,
            "id": self.container,
            "service": self.service,
            "time": time::rfc3339(self.time),
            "type": "container",
        })) + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::Happening;
    use crate::model::label;

    #[test]
    fn events_as_compose_prints_them() {
        let happening = Happening {
            time: 1_795_437_951_068_332_345,
            service: "b".to_owned(),
            container: "d08b".to_owned(),
            action: "die".to_owned(),
            attributes: [("name", "p-b-1"), ("exitCode", "137"), (label::SERVICE, "b")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        };
        // Only the time zone of the machine may differ.
        let human = happening.human();
        assert!(human.ends_with(".068332 container die d08b (exitCode=137, name=p-b-1)\n\n"));
        let json = happening.json();
        assert!(json.starts_with(
            "{\"action\":\"die\",\"attributes\":{\"exitCode\":\"137\",\"name\":\"p-b-1\"},\
             \"id\":\"d08b\",\"service\":\"b\",\"time\":\"2026-11-2"
        ));
        assert!(json.contains(".068332345") && json.ends_with("\"type\":\"container\"}\n"));
    }
}
