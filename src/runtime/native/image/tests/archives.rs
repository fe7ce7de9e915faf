//! Images that are saved to archives and loaded from them.

use std::fs;

use serde_json::json;

use super::super::*;
use super::{Site, gzip, read, tar};
use crate::runtime::Result;

/// An archive as old `docker save` writes it.
pub(super) fn saved(images: &[(&str, &[&[u8]])]) -> Vec<u8> {
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    let mut manifest = Vec::new();
    for (name, layers) in images {
        let diff_ids: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer)).collect();
        let config = json!({ "os": "linux", "author": name, "rootfs": { "type": "layers", "diff_ids": diff_ids } });
        let config = config.to_string().into_bytes();
        let config_name = format!("{}.json", Digest::of(&config).hex());
        let names: Vec<String> =
            layers.iter().map(|it| format!("{}/layer.tar", Digest::of(it).hex())).collect();
        manifest.push(json!({ "Config": config_name, "RepoTags": [name], "Layers": names }));
        files.push((config_name, config));
        files.extend(names.into_iter().zip(layers.iter().map(|layer| layer.to_vec())));
    }
    files.push(("manifest.json".to_owned(), json!(manifest).to_string().into_bytes()));
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(bytes.len() as u64);
        builder.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    builder.into_inner().unwrap()
}

pub(super) fn load(store: &Store, mut bytes: &[u8]) -> Result<Vec<Loaded>> {
    store.load(Input::Stream(&mut bytes), None, &|_| {})
}

#[test]
fn what_is_saved_is_loaded_again_as_it_was() {
    let (site, other, third) = (Site::new(), Site::new(), Site::new());
    let (one, two) =
        (tar(&[("a/", ""), ("a/f", "1"), ("a/f", "2")]), tar(&[("a/", ""), ("a/.wh.f", "")]));
    let archive = saved(&[("x:1", &[&one, &two]), ("box.org/y:2", &[&one])]);
    let loaded = load(&site.store, &gzip(&archive)).unwrap();
    assert_eq!([&loaded[0].names[0], &loaded[1].names[0]], ["x:1", "box.org/y:2"]);
    assert_eq!(loaded[0].image.layers[0], loaded[1].image.layers[0]);
    let mut bytes = Vec::new();
    site.store.save(&["x:1", "box.org/y:2"], Output::Archive(&mut bytes)).unwrap();
    let again = load(&other.store, &bytes).unwrap();
    let layout = site.dir.path().join("layout");
    site.store.save(&["x:1", "box.org/y:2"], Output::Directory(&layout)).unwrap();
    let from_layout = third.store.load(Input::Path(&layout), None, &|_| {}).unwrap();
    for at in 0..2 {
        assert_eq!(again[at].image.id, loaded[at].image.id);
        assert_eq!(from_layout[at].image.id, loaded[at].image.id);
        assert_eq!(from_layout[at].names, loaded[at].names);
    }
    fs::write(loaded[0].image.layers[0].join("a/f"), "3").unwrap();
    let error =
        site.store.save(&["x:1"], Output::Archive(&mut Vec::new())).unwrap_err().to_string();
    assert!(error.contains("layer on the disk has digest"), "{error}");
}

#[tokio::test]
async fn sources_of_this_machine_are_images_until_they_change() {
    let site = Site::new();
    let layer = tar(&[("f", "1")]);
    let file = site.dir.path().join("app.tar");
    fs::write(&file, saved(&[("x:1", &[&layer]), ("y:1", &[&layer])])).unwrap();
    let reference = |name: &str| format!("docker-archive:{}{name}", file.display());
    let error = site.pull(&reference("")).await.unwrap_err().to_string();
    assert!(error.contains("has several images: add one of x:1, y:1"), "{error}");
    let image = site.pull(&reference(":y:1")).await.unwrap();
    assert_eq!(image.names, [reference(":y:1")]);
    assert_eq!(site.store.find(&reference(":y:1")).unwrap(), Some(image.clone()));
    assert_eq!(site.store.find("y:1").unwrap(), None);
    fs::write(&file, saved(&[("y:1", &[&tar(&[("f", "22")])])])).unwrap();
    assert_eq!(site.store.find(&reference(":y:1")).unwrap(), None);
    let changed = site.pull(&reference("")).await.unwrap();
    assert_eq!(read(&changed, "f").as_deref(), Some("22"));
    let layout = site.dir.path().join("layout");
    site.store.tag(changed.id.as_str(), "z:3").unwrap();
    site.store.save(&["z:3"], Output::Directory(&layout)).unwrap();
    for reference in [format!("oci:{}", layout.display()), format!("oci:{}:z:3", layout.display())]
    {
        assert_eq!(site.pull(&reference).await.unwrap().id, changed.id, "{reference}");
    }
    assert!(site.pull(&format!("oci:{}:nope", layout.display())).await.is_err());
}

#[test]
fn damaged_archives_of_images_are_refused() {
    let site = Site::new();
    let layer = tar(&[("f", "1")]);
    let whole = saved(&[("x:1", &[&layer])]);
    let swap = |from: &str, to: &str| {
        let mut bytes = whole.clone();
        let at = bytes.windows(from.len()).rposition(|part| part == from.as_bytes()).unwrap();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        bytes
    };
    for (bytes, expected) in [
        (vec![], "holds no images"),
        (b"hello".to_vec(), "holds no images"),
        (vec![b'x'; 2048], ""),
        (swap("layer.tar", "layer.tax"), "unpack layer"),
        (swap("[\"x:1\"]", "[7,\"1\"]"), "cannot be understood"),
        (whole[..whole.len() - 2048].to_vec(), "holds no images"),
    ] {
        let error = load(&site.store, &bytes).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    for part in ["images", "layers", "staging"] {
        assert_eq!(site.count(part), 0, "{part}");
    }
}
