//! `image ls` and `image inspect`: the images of a store.
//!
//! In: [`Entry`]s and [`Row`]s. Out: tables, JSON, templates.

use serde_json::{Value, json};

use super::listing::{Columns, Listing, Row, Truncation, labels, short_id};
use super::template::{Template, TemplateError};
use super::{containers::ago, size::decimal, time};
use crate::model::Dict;

const COLUMNS: Columns = &[
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("ID", "IMAGE ID"),
    ("CreatedSince", "CREATED"),
    ("Size", "SIZE"),
];
const WITH_DIGESTS: Columns = &[
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("Digest", "DIGEST"),
    ("ID", "IMAGE ID"),
    ("CreatedSince", "CREATED"),
    ("Size", "SIZE"),
];
const MORE: Columns = &[("CreatedAt", "CREATED AT"), ("Digest", "DIGEST"), ("Labels", "LABELS")];
/// What stands where there is no name.
const NONE: &str = "<none>";

/// A name of an image, or an image without one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The name without its tag; may be empty.
    pub repository: String,
    /// May be empty.
    pub tag: String,
    /// By which a registry gave it; may be empty.
    pub digest: String,
    /// Its identity.
    pub id: String,
    /// In seconds since 1970; 0 if unknown.
    pub created: i64,
    /// Bytes.
    pub size: u64,
    /// Its labels.
    pub labels: Dict,
}

/// Whether digests have a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digests {
    /// They have.
    Show,
    /// They have none.
    Hide,
}

/// What `image ls` prints; with the time in seconds since 1970.
pub fn listing(
    entries: &[Entry],
    digests: Digests,
    (truncation, now): (Truncation, i64),
) -> Listing {
    let rows = entries.iter().map(|entry| row(entry, truncation, now)).collect();
    let columns = if digests == Digests::Show { WITH_DIGESTS } else { COLUMNS };
    Listing { rows, columns, more: MORE, raw: "" }
}

fn row(entry: &Entry, truncation: Truncation, now: i64) -> Row {
    let or_none = |text: &str| if text.is_empty() { NONE.to_owned() } else { text.to_owned() };
    let unknown = || "N/A".to_owned();
    let is_known = entry.created > 0;
    let since = if is_known { ago(entry.created, now) } else { unknown() };
    let at = if is_known { time::full(entry.created) } else { unknown() };
    let fields: [(&'static str, Value); 8] = [
        ("CreatedAt", json!(at)),
        ("CreatedSince", json!(since)),
        ("Digest", json!(or_none(&entry.digest))),
        ("ID", json!(short_id(&entry.id, truncation))),
        ("Labels", json!(labels(&entry.labels))),
        ("Repository", json!(or_none(&entry.repository))),
        ("Size", json!(decimal(entry.size, 3))),
        ("Tag", json!(or_none(&entry.tag))),
    ];
    Row { fields: fields.into_iter().collect(), labels: entry.labels.clone() }
}

/// What `image inspect` prints: JSON, or a template for each image.
///
/// # Errors
///
/// If the template cannot be read or does not fit.
pub fn details(images: &[Row], format: &str) -> Result<String, TemplateError> {
    if matches!(format.trim(), "" | "json") {
        let objects: Vec<_> = images.iter().map(|image| &image.fields).collect();
        let mut text = Vec::new();
        let indent = serde_json::ser::PrettyFormatter::with_indent(b"    ");
        let mut out = serde_json::Serializer::with_formatter(&mut text, indent);
        // Values that are JSON already can be written.
        let _ = serde::Serialize::serialize(&objects, &mut out);
        return Ok(String::from_utf8_lossy(&text).into_owned() + "\n");
    }
    let template = Template::parse(format)?;
    images.iter().map(|image| Ok(template.render(image)? + "\n")).collect()
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn images_as_docker_prints_them() {
        let named = Entry {
            repository: "busybox".to_owned(),
            tag: "1".to_owned(),
            digest: "sha256:00ff".to_owned(),
            id: format!("sha256:{}", "0123456789abcdef".repeat(4)),
            created: 1_700_000_000,
            size: 2_007_040,
            ..Entry::default()
        };
        let nameless = Entry { id: named.id.clone(), ..Entry::default() };
        let entries = [named, nameless];
        let now = 1_700_000_000 + 3 * 3600;
        let table = |digests| {
            let listing = listing(&entries, digests, (Truncation::Short, now));
            listing.format("").expect("a good format")
        };
        assert_snapshot!(table(Digests::Hide), @"
        REPOSITORY   TAG       IMAGE ID       CREATED       SIZE
        busybox      1         0123456789ab   3 hours ago   2.01MB
        <none>       <none>    0123456789ab   N/A           0B
        ");
        assert_snapshot!(table(Digests::Show), @"
        REPOSITORY   TAG       DIGEST        IMAGE ID       CREATED       SIZE
        busybox      1         sha256:00ff   0123456789ab   3 hours ago   2.01MB
        <none>       <none>    <none>        0123456789ab   N/A           0B
        ");
        let full = listing(&entries[..1], Digests::Hide, (Truncation::Full, now));
        let lines = full.format("{{.Repository}}:{{.Tag}} {{.ID}}").expect("a good format");
        assert_eq!(lines, format!("busybox:1 {}\n", entries[0].id));
    }

    #[test]
    fn details_are_json_or_what_a_template_makes_of_them() {
        let fields = [("Id", json!("x")), ("Config", json!({"Env": ["A=b"]}))];
        let row = Row { fields: fields.into_iter().collect(), labels: Dict::default() };
        let rows = [row];
        assert_snapshot!(details(&rows, "").expect("json"), @r#"
        [
            {
                "Config": {
                    "Env": [
                        "A=b"
                    ]
                },
                "Id": "x"
            }
        ]
        "#);
        assert_eq!(details(&rows, "{{.Id}} {{index .Config.Env 0}}").expect("ok"), "x A=b\n");
        assert!(details(&rows, "{{.Nothing}}").is_err());
    }
}
