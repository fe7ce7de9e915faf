//! Images as `image inspect` shows them: with the names that Docker has for everything.
//!
//! In: an [`Image`]. Out: a [`Row`].

use serde_json::{Value, json};

use crate::runtime::native::image::Image;
use crate::ui::listing::Row;
use crate::ui::time::rfc3339_utc;

/// All about an image.
pub(super) fn row(image: &Image) -> Row {
    let config = &image.config;
    let tagged = i64::from(image.tagged.1) + image.tagged.0.saturating_mul(1_000_000_000);
    let comment = config.history.last().map(|last| last.comment.as_str()).unwrap_or_default();
    let layers: Vec<String> = image.layers.iter().map(|it| it.display().to_string()).collect();
    let fields: [(&'static str, Value); 14] = [
        ("Architecture", json!(config.platform.architecture)),
        ("Author", json!(config.author)),
        ("Comment", json!(comment)),
        ("Config", json!(config.config)),
        ("Created", json!(config.created)),
        ("GraphDriver", json!({ "Name": "ketch", "Data": { "Layers": layers } })),
        ("Id", json!(image.id)),
        ("Metadata", json!({ "LastTagTime": rfc3339_utc(tagged) })),
        ("Os", json!(config.platform.os)),
        ("RepoDigests", json!(image.digests)),
        ("RepoTags", json!(image.names)),
        ("RootFS", json!({ "Type": "layers", "Layers": config.rootfs.diff_ids })),
        ("Size", json!(image.size)),
        ("Variant", json!(config.platform.variant)),
    ];
    let labels = config.config.labels.clone().into_iter().collect();
    Row { fields: fields.into_iter().collect(), labels }
}
