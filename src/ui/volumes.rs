//! `volumes`: the volumes of a project.
//!
//! In: [`ObservedVolume`]s. Out: a [`Listing`].

use serde_json::{Value, json};

use super::listing::{Columns, Listing, Row, labels};
use crate::model::observed::ObservedVolume;

const COLUMNS: Columns = &[("Driver", "DRIVER"), ("Name", "VOLUME NAME")];
const MORE: Columns = &[
    ("Availability", "AVAILABILITY"),
    ("Group", "GROUP"),
    ("Labels", "LABELS"),
    ("Links", "LINKS"),
    ("Mountpoint", "MOUNTPOINT"),
    ("Scope", "SCOPE"),
    ("Size", "SIZE"),
    ("Status", "STATUS"),
];

/// What `--format raw` stands for.
const RAW: &str = "name: {{.Name}}\ndriver: {{.Driver}}\n";

/// What `volumes` prints.
pub fn listing(volumes: &[&ObservedVolume]) -> Listing {
    let rows = volumes.iter().map(|volume| row(volume)).collect();
    Listing { rows, columns: COLUMNS, more: MORE, raw: RAW }
}

fn row(volume: &ObservedVolume) -> Row {
    // The rest is about clusters, or costs too much to find out.
    let unknown = || json!("N/A");
    let fields: [(&'static str, Value); 10] = [
        ("Availability", unknown()),
        ("Driver", json!(volume.driver)),
        ("Group", unknown()),
        ("Labels", json!(labels(&volume.labels))),
        ("Links", unknown()),
        ("Mountpoint", json!(volume.mountpoint)),
        ("Name", json!(volume.name)),
        ("Scope", json!("local")),
        ("Size", unknown()),
        ("Status", unknown()),
    ];
    Row { fields: fields.into_iter().collect(), labels: volume.labels.clone() }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::listing;
    use crate::model::observed::ObservedVolume;

    #[test]
    fn volumes_as_docker_prints_them() {
        let volume = ObservedVolume {
            name: "p_data".to_owned(),
            driver: "local".to_owned(),
            mountpoint: "/v/p_data".to_owned(),
            labels: [("a".to_owned(), "<b>".to_owned())].into(),
        };
        let shown = |format: &str| listing(&[&volume]).format(format).expect("a good format");
        assert_snapshot!(shown(""), @"
        DRIVER    VOLUME NAME
        local     p_data
        ");
        assert_snapshot!(shown("json"), @r#"{"Availability":"N/A","Driver":"local","Group":"N/A","Labels":"a=\u003cb\u003e","Links":"N/A","Mountpoint":"/v/p_data","Name":"p_data","Scope":"local","Size":"N/A","Status":"N/A"}"#);
        assert_eq!(shown("raw"), "name: p_data\ndriver: local\n\n");
    }
}
