//! `images`: the images of containers.
//!
//! In: [`ImageLine`]s. Out: a table, JSON, or ids.

use serde_json::{Value, json};

use super::containers::ago;
use super::listing::{Truncation, compact, short_id};
use super::size::decimal;
use super::table::table;
use super::text::printable;
use super::time;

const SECOND: i64 = 1_000_000_000;

/// A container and its image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageLine {
    /// Name of the container.
    pub container: String,
    /// The reference of the image.
    pub reference: String,
    /// Its id: a digest.
    pub id: String,
    /// `OS/ARCH[/VARIANT]`.
    pub platform: String,
    /// Bytes.
    pub size: u64,
    /// When it was last tagged or pulled, in nanoseconds since 1970; `None` if unknown.
    pub tagged: Option<i64>,
}

impl ImageLine {
    /// Name and tag; one that is named by digest alone has no tag.
    fn repository_and_tag(&self) -> (&str, &str) {
        let name = self.reference.split_once('@').map_or(self.reference.as_str(), |(name, _)| name);
        if name.is_empty() || name == "sha256" || name.starts_with("sha256:") {
            return ("<none>", "<none>");
        }
        let without_tag = if name == self.reference { "latest" } else { "<none>" };
        match name.rsplit_once(':') {
            // A colon before a slash belongs to the port of a registry.
            Some((repository, tag)) if !tag.contains('/') => (repository, tag),
            _ => (name, without_tag),
        }
    }
}

/// For people; `now` in seconds since 1970.
pub fn human(images: &[ImageLine], now: i64) -> String {
    let row = |image: &ImageLine| {
        let (repository, tag) = image.repository_and_tag();
        let created =
            image.tagged.map_or_else(|| "N/A".to_owned(), |moment| ago(moment / SECOND, now));
        let id = short_id(&image.id, Truncation::Short);
        let size = decimal(image.size, 3);
        [image.container.as_str(), repository, tag, &image.platform, &id, &size, &created]
            .map(|cell| printable(cell).into_owned())
    };
    let rows: Vec<[String; 7]> = images.iter().map(row).collect();
    table(["CONTAINER", "REPOSITORY", "TAG", "PLATFORM", "IMAGE ID", "SIZE", "CREATED"], &rows)
}

/// For programs. An empty line follows, as with Docker Compose.
pub fn json(images: &[ImageLine]) -> String {
    let object = |image: &ImageLine| {
        let (repository, tag) = image.repository_and_tag();
        let mut object = json!({
            "ID": image.id,
            "ContainerName": image.container,
            "Repository": repository,
            "Tag": tag,
            "Platform": image.platform,
            "Size": image.size,
        });
        if let Some(moment) = image.tagged {
            object["LastTagTime"] = json!(time::rfc3339_utc(moment));
        }
        object
    };
    let objects: Vec<Value> = images.iter().map(object).collect();
    compact(&objects) + "\n\n"
}

/// The ids, each once.
pub fn ids(images: &[ImageLine]) -> String {
    let mut ids: Vec<&str> = images.iter().map(|image| image.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.iter().flat_map(|id| [id.strip_prefix("sha256:").unwrap_or(id), "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::{ImageLine, human, ids, json};

    #[test]
    fn images_as_compose_lists_them() {
        let image = ImageLine {
            container: "p-a-1".to_owned(),
            reference: "corpus/busybox:1".to_owned(),
            id: "sha256:e0de27ca308413ccf5ce0a25f106cbeb178147bb40f8e080a08e1079c666ab28"
                .to_owned(),
            platform: "linux/amd64".to_owned(),
            size: 1_982_394,
            tagged: Some(1_795_437_930_986_540_117),
        };
        let other = ImageLine {
            reference: "host:5000/a@sha256:00".to_owned(),
            tagged: None,
            ..image.clone()
        };
        let images = [image, other];
        assert_snapshot!(human(&images, 1_795_437_956), @"
        CONTAINER           REPOSITORY          TAG                 PLATFORM            IMAGE ID            SIZE                CREATED
        p-a-1               corpus/busybox      1                   linux/amd64         e0de27ca3084        1.98MB              26 seconds ago
        p-a-1               host:5000/a         <none>              linux/amd64         e0de27ca3084        1.98MB              N/A
        ");
        assert_snapshot!(json(&images[..1]), @r#"[{"ID":"sha256:e0de27ca308413ccf5ce0a25f106cbeb178147bb40f8e080a08e1079c666ab28","ContainerName":"p-a-1","Repository":"corpus/busybox","Tag":"1","Platform":"linux/amd64","Size":1982394,"LastTagTime":"2026-11-23T12:45:30.986540117Z"}]"#);
        assert_snapshot!(ids(&images), @"e0de27ca308413ccf5ce0a25f106cbeb178147bb40f8e080a08e1079c666ab28");
    }
}
