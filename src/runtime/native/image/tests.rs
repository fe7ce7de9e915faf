//! The store as a whole: pulling from a registry that misbehaves, loading, saving, removing.

#![expect(clippy::disallowed_methods, reason = "tests read what they have written")]

mod archives;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Mutex;

use indexmap::IndexMap;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::registry::trial::{Asked, Reply, Trial};
use super::spec::media;
use super::*;
use crate::model::spec::PullSpec;
use crate::runtime::{Commit, Credentials, Progress, Result, RuntimeError};
use archives::{load, saved};

/// A store of its own.
struct Site {
    dir: TempDir,
    store: Store,
}

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("images")).unwrap();
        Self { dir, store }
    }

    async fn pull(&self, image: &str) -> Result<Image> {
        self.pull_for(image, "").await
    }

    async fn pull_for(&self, image: &str, platform: &str) -> Result<Image> {
        let spec = PullSpec { image: image.to_owned(), platform: platform.to_owned() };
        self.store.pull(&spec, &self.credentials().await, &|_| {}).await
    }

    async fn credentials(&self) -> Credentials {
        let home = self.dir.path().display().to_string();
        let environment = IndexMap::from([("DOCKER_CONFIG".to_owned(), home)]);
        Credentials::read(&environment).await.unwrap()
    }

    fn log_in(&self, registry: &str, entry: &Value) {
        let config = json!({ "auths": { registry: entry } });
        fs::write(self.dir.path().join("config.json"), config.to_string()).unwrap();
    }

    /// How many entries a part of the store has.
    fn count(&self, part: &str) -> usize {
        fs::read_dir(self.dir.path().join("images").join(part)).unwrap().count()
    }
}

/// An archive of files and directories, all of which belong to whoever runs the test.
fn tar(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_uid(rustix::process::geteuid().as_raw().into());
        header.set_gid(rustix::process::getegid().as_raw().into());
        header.set_mtime(1);
        header.set_size(content.len() as u64);
        if path.ends_with('/') {
            header.set_entry_type(tar::EntryType::Directory);
        }
        builder.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// Bytes that no compression makes small.
fn noise(length: usize) -> String {
    let mut state = 7_u64;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'!' + u8::try_from(state >> 58).unwrap())
    };
    (0..length).map(next).collect()
}

fn read(image: &Image, path: &str) -> Option<String> {
    let layers = image.layers.iter().rev();
    layers.map(|layer| layer.join(path)).find_map(|path| fs::read_to_string(path).ok())
}

#[tokio::test]
async fn an_image_comes_for_its_platform_and_each_layer_once() {
    let (trial, site) = (Trial::start().await, Site::new());
    let (one, two) = (tar(&[("a", "1")]), tar(&[("b", "2")]));
    let layers: [(&[u8], &[u8]); 2] =
        [(&one, &gzip(&one)), (&two, &zstd::encode_all(&two[..], 0).unwrap())];
    let mut own = trial.image("own", &layers);
    own["platform"] = json!(Platform::host());
    let mut other = trial.image("other", &[]);
    other["platform"] = json!({ "os": "linux", "architecture": "s390x" });
    let index = json!({ "schemaVersion": 2, "manifests": [other, own] });
    let top = trial.manifest("1", media::DOCKER_LIST, &index);
    let name = format!("{}/app:1", trial.address);
    let image = site.pull(&name).await.unwrap();
    assert_eq!((read(&image, "a"), read(&image, "b")), (Some("1".into()), Some("2".into())));
    assert_eq!(image.names, [name.as_str()]);
    let digest = format!("{}/app@{}", trial.address, top["digest"].as_str().unwrap());
    assert_eq!(image.digests, [digest.as_str()]);
    assert_eq!((image.config.config.cmd.join(""), image.size), ("sh".to_owned(), 2));
    assert_eq!((site.count("partial"), site.count("staging")), (0, 0));
    let blobs = trial.asked("GET /v2/app/blobs").len();
    assert_eq!(blobs, 3);
    assert_eq!(site.pull(&digest).await.unwrap().id, image.id);
    assert_eq!(trial.asked("GET /v2/app/blobs").len(), blobs + 1, "only the config again");
    for reference in [name.as_str(), digest.as_str(), image.id.as_str(), &image.id.hex()[..7]] {
        assert_eq!(site.store.find(reference).unwrap().map(|it| it.id), Some(image.id.clone()));
    }
    let foreign = site.pull_for(&name, "linux/riscv64").await.unwrap_err().to_string();
    assert!(foreign.contains("not there for linux/riscv64; it is for linux/"), "{foreign}");
    let bytes = fs::read(site.dir.path().join("images/names.json")).unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&bytes).unwrap()["names"].as_object().unwrap().len(),
        2
    );
}

/// Why an image is not pulled from a registry that was prepared so. Nothing is left of it.
async fn refusal(prepare: impl FnOnce(&Trial)) -> String {
    let (trial, site) = (Trial::start().await, Site::new());
    prepare(&trial);
    let error = site.pull(&format!("{}/app:1", trial.address)).await.unwrap_err();
    let mut said = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        said = format!("{said}: {error}");
        cause = error.source();
    }
    for part in ["images", "layers", "staging", "partial"] {
        assert_eq!(site.count(part), 0, "{part} after {said}");
    }
    said
}

#[tokio::test]
async fn documents_that_cannot_be_right_are_refused() {
    let digest = Digest::of(b"x");
    let config = json!({ "digest": digest, "size": 1 });
    let evil = json!({ "config": config, "layers": [{ "digest": "sha256:../../x", "size": 1 }] });
    let both = json!({ "manifests": [], "layers": [], "config": config });
    for (expected, document) in [
        ("obsolete schema 1", json!({ "schemaVersion": 1, "fsLayers": [] })),
        ("not to be trusted", both),
        ("is not `sha256:`", evil),
        ("not there for", json!({ "schemaVersion": 2, "manifests": [] })),
        ("cannot be understood", json!("text")),
        ("cannot be understood", json!({ "config": config, "layers": 5 })),
        ("has no image", json!({ "config": config, "layers": [] })),
    ] {
        let said = refusal(|trial| {
            trial.manifest("1", media::INDEX, &document);
        })
        .await;
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let said = refusal(|trial| {
        let mut inner = trial.manifest("x", media::INDEX, &json!({ "manifests": [] }));
        for _ in 0..5 {
            inner = trial.manifest("1", media::INDEX, &json!({ "manifests": [inner] }));
        }
    })
    .await;
    assert!(said.contains("too deep"), "{said}");
}

#[tokio::test]
async fn layers_that_are_not_what_is_promised_are_refused() {
    let plain = tar(&[("a", "1")]);
    let packed = gzip(&plain);
    // A manifest whose config has this, with one layer of this digest and size.
    let publish = |trial: &Trial, config: Value, layers: &[(&Digest, usize)]| {
        trial.blob(&packed);
        let config = trial.blob(config.to_string().as_bytes());
        let layer = |(digest, size): &(&Digest, usize)| json!({ "digest": digest, "size": size });
        let layers: Vec<Value> = layers.iter().map(layer).collect();
        trial.manifest("1", media::MANIFEST, &json!({ "config": config, "layers": layers }));
    };
    let of = |id: &Digest| json!({ "rootfs": { "type": "layers", "diff_ids": [id] } });
    let (plain_id, packed_id) = (Digest::of(&plain), Digest::of(&packed));
    let whole = packed.len();
    for (expected, config, layers) in [
        ("the unpacked layer has digest", of(&packed_id), vec![(&packed_id, whole)]),
        ("longer than the 5 bytes", of(&plain_id), vec![(&packed_id, 5)]),
        ("names 1 layers, and there are 0", of(&plain_id), vec![]),
        ("is made for plan9/mips", json!({ "os": "plan9", "architecture": "mips" }), vec![]),
    ] {
        let said = refusal(|trial| publish(trial, config, &layers)).await;
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let said = refusal(|trial| {
        trial.image("1", &[(&plain, &packed)]);
        let evil = gzip(&tar(&[("a", "2")]));
        let path = packed_id.to_string();
        trial.behave(move |asked, _| asked.line.contains(&path).then(|| Reply::of(evil.clone())));
    })
    .await;
    assert!(said.contains("is promised") || said.contains("longer than"), "{said}");
    let evil = tar(&[("a/b", "1")])
        .iter()
        .map(|it| if *it == b'a' { b'.' } else { *it })
        .collect::<Vec<_>>();
    for (plain, packed) in [(&evil, &evil), (&plain, &packed[..whole - 9].to_vec())] {
        let said = refusal(|trial| drop(trial.image("1", &[(plain, packed)]))).await;
        assert!(said.contains("unpack layer"), "{said}");
    }
}

#[tokio::test]
async fn answers_that_are_none_are_refused() {
    let other = Digest::of(b"other");
    for (expected, reply) in [
        ("is promised", Reply::of("{}").header("docker-content-digest", other.as_str())),
        ("cannot be understood", Reply::of("<html>")),
        ("cut off or too long", Reply::of(vec![b' '; 9 << 20])),
        ("no address to follow", Reply::status(307).header("location", "file:///etc/passwd")),
        ("too often", Reply::status(302).header("location", "/v2/app/manifests/1")),
        ("wants fewer requests", Reply::status(429)),
        ("answers 418", Reply::status(418)),
    ] {
        let said = refusal(|trial| {
            let is_meant = |asked: &Asked| asked.line.contains("/manifests/");
            trial.behave(move |asked, _| is_meant(asked).then(|| reply.clone()));
        })
        .await;
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[tokio::test]
async fn a_download_goes_on_where_it_was_cut() {
    let plain = tar(&[("f", &noise(300_000))]);
    let packed = gzip(&plain);
    let path = format!("GET /v2/app/blobs/{}", Digest::of(&packed));
    for ignores_ranges in [false, true] {
        let (trial, site) = (Trial::start().await, Site::new());
        trial.image("1", &[(&plain, &packed)]);
        let (body, line) = (packed.clone(), path.clone());
        trial.behave(move |asked, before| {
            let cut = match before {
                0 => Some(100_000),
                1 if ignores_ranges => Some(200_000),
                _ if ignores_ranges => None,
                _ => return None,
            };
            (asked.line == line).then(|| Reply { cut, ..Reply::of(body.clone()) })
        });
        let image = site.pull(&format!("{}/app:1", trial.address)).await.unwrap();
        assert_eq!(read(&image, "f").unwrap().len(), 300_000);
        let asked = trial.asked(&path);
        assert_eq!(asked.len(), if ignores_ranges { 3 } else { 2 });
        assert!(asked[1].header("range").starts_with("bytes="), "{:?}", asked[1]);
    }
}

#[tokio::test]
async fn what_a_killed_command_has_downloaded_is_used_unless_it_is_damaged() {
    let plain = tar(&[("f", &noise(300_000))]);
    let packed = gzip(&plain);
    let path = format!("GET /v2/app/blobs/{}", Digest::of(&packed));
    for (left, requests) in [(&packed[..70_000], 1), (&vec![7; 70_000][..], 2), (&packed[..], 0)] {
        let (trial, site) = (Trial::start().await, Site::new());
        trial.image("1", &[(&plain, &packed)]);
        let partial = site.dir.path().join("images/partial").join(Digest::of(&packed).hex());
        fs::write(partial, left).unwrap();
        // And a layer that was half unpacked.
        fs::create_dir_all(site.dir.path().join("images/staging/dead/root")).unwrap();
        site.pull(&format!("{}/app:1", trial.address)).await.unwrap();
        let asked = trial.asked(&path);
        assert_eq!(asked.len(), requests, "{asked:?}");
        assert!(asked.first().is_none_or(|first| first.header("range") == "bytes=70000-"));
        assert_eq!((site.count("partial"), site.count("staging")), (0, 0));
    }
}

#[tokio::test]
async fn two_pulls_of_one_image_ask_for_each_layer_once() {
    let (trial, site) = (Trial::start().await, Site::new());
    let layers: Vec<(Vec<u8>, Vec<u8>)> = (0..4)
        .map(|at| tar(&[(&format!("f{at}"), &noise(50_000))]))
        .map(|plain| (gzip(&plain), plain))
        .map(|(packed, plain)| (plain, packed))
        .collect();
    let layers: Vec<(&[u8], &[u8])> = layers.iter().map(|(a, b)| (&a[..], &b[..])).collect();
    trial.image("1", &layers);
    let reversed: Vec<(&[u8], &[u8])> = layers.iter().rev().copied().collect();
    trial.image("2", &reversed);
    let names = ["app:1", "app:1", "app:2"].map(|name| format!("{}/{name}", trial.address));
    let pulls = names.iter().map(|name| site.pull(name));
    let images = futures_util::future::try_join_all(pulls).await.unwrap();
    assert_eq!(images[0].id, images[1].id);
    assert_eq!(
        images[0].layers.iter().rev().collect::<Vec<_>>(),
        images[2].layers.iter().collect::<Vec<_>>()
    );
    for (_, packed) in layers {
        assert_eq!(trial.asked(Digest::of(packed).as_str()).len(), 1);
    }
    assert_eq!((site.count("layers"), site.count("partial"), site.count("staging")), (4, 0, 0));
}

#[tokio::test]
async fn tokens_are_fetched_with_whatever_credentials_there_are() {
    let refresh = json!({ "identitytoken": "r3fresh" });
    // alice:secret
    let password = json!({ "auth": "YWxpY2U6c2VjcmV0" });
    for (entry, line, authorization, body) in [
        (None, "GET /token?service=trial&scope=repository%3Aapp%3Apull", "", ""),
        (
            Some(password),
            "GET /token?service=trial&scope=repository%3Aapp%3Apull&account=alice",
            "Basic YWxpY2U6c2VjcmV0",
            "",
        ),
        (Some(refresh), "POST /token", "", "refresh_token=r3fresh"),
    ] {
        let (trial, site) = (Trial::start().await, Site::new());
        let plain = tar(&[("a", "1")]);
        trial.image("1", &[(&plain, &plain)]);
        let realm = format!("Bearer realm=\"http://{}/token\",service=\"trial\"", trial.address);
        trial.behave(move |asked, _| {
            if asked.line.contains("/token") {
                return Some(Reply::of(r#"{"access_token":"t0ken"}"#));
            }
            let is_in =
                asked.header("authorization") == "Bearer t0ken" || asked.line.ends_with("/v2/");
            (!is_in).then(|| Reply::status(401).header("www-authenticate", &realm))
        });
        if let Some(entry) = entry {
            site.log_in(&trial.address, &entry);
        }
        site.pull(&format!("{}/app:1", trial.address)).await.unwrap();
        let tokens = trial.asked("/token");
        assert_eq!(tokens.len(), 1, "{tokens:?}");
        assert_eq!(
            (tokens[0].line.as_str(), tokens[0].header("authorization")),
            (line, authorization)
        );
        assert!(tokens[0].body.contains(body), "{}", tokens[0].body);
    }
}

#[tokio::test]
async fn a_wrong_password_is_told_and_never_shown() {
    let (trial, site) = (Trial::start().await, Site::new());
    site.log_in(&trial.address, &json!({ "username": "alice", "password": "hunter2" }));
    trial.behave(|asked, _| {
        let is_ping = asked.line.ends_with("/v2/");
        (!is_ping).then(|| Reply::status(401).header("www-authenticate", "Basic realm=\"x\""))
    });
    let error = site.pull(&format!("{}/app:1", trial.address)).await.unwrap_err().to_string();
    assert!(error.contains("denies access") && error.contains("docker login"), "{error}");
    assert!(!error.contains("hunter2"));
    assert_eq!(trial.asked("/manifests/").len(), 2);
}

#[tokio::test]
async fn passwords_do_not_follow_redirects_to_others() {
    let (trial, other, site) = (Trial::start().await, Trial::start().await, Site::new());
    let plain = tar(&[("a", "1")]);
    trial.image("1", &[(&plain, &plain)]);
    other.image("1", &[(&plain, &plain)]);
    site.log_in(&trial.address, &json!({ "username": "alice", "password": "hunter2" }));
    let elsewhere = other.address.clone();
    trial.behave(move |asked, _| {
        if asked.line.ends_with("/v2/") {
            return None;
        }
        if asked.header("authorization").is_empty() {
            return Some(Reply::status(401).header("www-authenticate", "Basic realm=x"));
        }
        let path = asked.line.strip_prefix("GET ").filter(|path| path.contains("/blobs/"))?;
        Some(Reply::status(307).header("location", &format!("http://{elsewhere}{path}")))
    });
    site.pull(&format!("{}/app:1", trial.address)).await.unwrap();
    let blobs = other.asked("/blobs/");
    assert_eq!(blobs.len(), 2);
    let leaks = |asked: &Asked| !asked.header("authorization").is_empty();
    assert!(!blobs.iter().any(leaks), "{blobs:?}");
}

#[tokio::test]
async fn a_layer_that_relies_on_others_is_unpacked_on_top_of_them() {
    let (trial, site) = (Trial::start().await, Site::new());
    let (bottom, top) = (tar(&[("d/", "")]), tar(&[("d/f", "x")]));
    let alone = tar(&[("e", "")]);
    trial.image("1", &[(&bottom, &gzip(&bottom)), (&top, &gzip(&top))]);
    trial.image("2", &[(&alone, &gzip(&alone)), (&top, &gzip(&top))]);
    let name = |tag: &str| format!("{}/app:{tag}", trial.address);
    let one = site.pull(&name("1")).await.unwrap();
    let two = site.pull(&name("2")).await.unwrap();
    assert_ne!(one.layers[1], two.layers[1]);
    assert_eq!((read(&one, "d/f"), read(&two, "d/f")), (Some("x".into()), Some("x".into())));
    let time = |image: &Image| {
        std::os::unix::fs::MetadataExt::mode(&image.layers[1].join("d").metadata().unwrap()) & 0o777
    };
    assert_eq!((time(&one), time(&two)), (0o755, 0o755));
    let mut saved = Vec::new();
    site.store.save(&[&name("1")], Output::Archive(&mut saved)).unwrap();
    assert_eq!(site.pull(&name("1")).await.unwrap().layers, one.layers);
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_named() {
    let site = Site::new();
    let address = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let error = site.pull(&format!("{address}/app:1")).await.unwrap_err();
    assert!(
        matches!(&error, RuntimeError::RegistryUnreachable { address: at, .. } if *at == address),
        "{error:?}"
    );
    let error = site.pull("bad name").await.unwrap_err().to_string();
    assert!(error.contains("`bad name` names no image"), "{error}");
}

#[tokio::test]
async fn progress_tells_each_layer() {
    let (trial, site) = (Trial::start().await, Site::new());
    let plain = tar(&[("f", &noise(2_000_000))]);
    trial.image("1", &[(&plain, &plain)]);
    let told = Mutex::new(Vec::new());
    let spec = PullSpec { image: format!("{}/app:1", trial.address), platform: String::new() };
    let tell = |progress: Progress| told.lock().unwrap().push(progress);
    site.store.pull(&spec, &site.credentials().await, &tell).await.unwrap();
    let told = told.into_inner().unwrap();
    let part = Digest::of(&plain).hex()[..12].to_owned();
    for status in ["Downloading", "Download complete", "Extracting", "Pull complete"] {
        let found = told.iter().find(|progress| progress.status == status);
        assert_eq!(found.map(|it| it.part.as_str()), Some(part.as_str()), "{status}: {told:?}");
    }
}

#[test]
fn names_go_first_then_the_image_and_what_is_used_stays() {
    let site = Site::new();
    let store = &site.store;
    let (shared, own) = (tar(&[("s", "")]), tar(&[("o", "")]));
    load(store, &saved(&[("x:1", &[&shared, &own]), ("y:1", &[&shared])])).unwrap();
    store.tag("x:1", "box.org/x:2").unwrap();
    let image = store.find("x:1").unwrap().unwrap();
    let holder = site.dir.path().join("c0ffee");
    fs::create_dir(&holder).unwrap();
    store.hold(&image, &holder).unwrap();
    assert_eq!(store.remove("x:1", Force::No).unwrap(), [Removed::Name("x:1".into())]);
    let error = store.remove("box.org/x:2", Force::No).unwrap_err();
    assert!(
        matches!(&error, RuntimeError::Conflict(said) if said.contains("`c0ffee`")),
        "{error:?}"
    );
    assert!(store.remove(image.id.as_str(), Force::Yes).is_err(), "it is used");
    assert_eq!(store.remove("box.org/x:2", Force::Yes).unwrap().len(), 1);
    assert!(store.find(image.id.as_str()).unwrap().unwrap().names.is_empty());
    assert_eq!(store.prune(Unneeded::Nameless, &|_| true).unwrap(), Pruned::default());
    fs::remove_dir(&holder).unwrap();
    let pruned = store.prune(Unneeded::Nameless, &|_| true).unwrap();
    assert_eq!(pruned.removed.len(), 2, "{pruned:?}");
    assert_eq!((site.count("layers"), site.count("images"), site.count("staging")), (1, 1, 0));
    assert!(matches!(store.remove("nope", Force::Yes), Err(RuntimeError::NotFound(_))));
    store.prune(Unneeded::Unused, &|image| image.names == ["z:9"]).unwrap();
    assert_eq!(site.count("images"), 1);
    store.prune(Unneeded::Unused, &|_| true).unwrap();
    assert_eq!((site.count("layers"), site.count("images"), site.count("holds")), (0, 0, 0));
}

#[test]
fn an_image_whose_layer_was_removed_meanwhile_is_not_recorded() {
    let site = Site::new();
    let layer = tar(&[("f", "1")]);
    let image = load(&site.store, &saved(&[("x:1", &[&layer])])).unwrap().remove(0).image;
    let config = site.store.config_of(&image.id).unwrap();
    let record = site.store.record_of(&image.id).unwrap().unwrap();
    site.store.remove("x:1", Force::No).unwrap();
    let recipe = store::Recipe { config, record };
    let vanished = site.store.record(&recipe, &[("docker.io/library/x:1".into(), String::new())]);
    assert!(matches!(vanished, Ok(store::Recorded::LayerVanished(_))), "{vanished:?}");
    assert!(site.store.find("x:1").unwrap().is_none() && site.count("images") == 0);
    assert!(matches!(site.store.hold(&image, Path::new("/")), Err(RuntimeError::NotFound(_))));
}

#[test]
fn what_is_recorded_already_is_not_written_again() {
    let site = Site::new();
    let layer = tar(&[("f", "1")]);
    let image = load(&site.store, &saved(&[("x:1", &[&layer])])).unwrap().remove(0).image;
    let config = site.store.config_of(&image.id).unwrap();
    let record = site.store.record_of(&image.id).unwrap().unwrap();
    let recipe = store::Recipe { config, record };
    let identity = |path: &str| fs::metadata(site.store.place.path(path)).unwrap().ino();
    let files = ["names.json".to_owned(), format!("images/{}/record.json", image.id.hex())];
    let before = files.clone().map(|path| identity(&path));
    let record = |name: &str| {
        let name = format!("docker.io/library/{name}");
        site.store.record(&recipe, &[(name, String::new())]).unwrap()
    };
    assert_eq!(record("x:1"), store::Recorded::Done(image.id.clone()));
    assert_eq!(files.clone().map(|path| identity(&path)), before);
    record("x:2");
    assert_eq!(site.store.find("x:2").unwrap().unwrap().names, ["x:1", "x:2"]);
}

#[test]
fn a_container_becomes_an_image() {
    let site = Site::new();
    let layer = tar(&[("f", "1"), ("d/", "")]);
    let base = load(&site.store, &saved(&[("x:1", &[&layer])])).unwrap().remove(0).image;
    let upper = site.dir.path().join("upper");
    fs::create_dir_all(upper.join("d")).unwrap();
    fs::write(upper.join("d/new"), "n").unwrap();
    let commit = Commit {
        reference: "x:2".into(),
        author: "somebody".into(),
        message: "why".into(),
        changes: vec!["ENV A=b".into(), "CMD [\"run\"]".into()],
        pause: true,
    };
    let snapshot = Snapshot { base: &base, upper: &upper, commit: &commit };
    let image = site.store.commit(&snapshot).unwrap();
    assert_eq!(
        (read(&image, "d/new").as_deref(), read(&image, "f").as_deref()),
        (Some("n"), Some("1"))
    );
    assert_eq!(
        (image.names.join(""), image.config.config.env.join("")),
        ("x:2".into(), "A=b".into())
    );
    let last = image.config.history.last().unwrap();
    assert_eq!((last.author.as_str(), last.comment.as_str()), ("somebody", "why"));
    assert!(image.created > 1_700_000_000 && image.config.rootfs.diff_ids.len() == 2);
    let mut bytes = Vec::new();
    site.store.save(&["x:2"], Output::Archive(&mut bytes)).unwrap();
    assert_eq!(load(&Site::new().store, &bytes).unwrap()[0].image.id, image.id);
    let root = site.store.find(&format!("rootfs:{}", upper.display())).unwrap().unwrap();
    let error = site.store.commit(&Snapshot { base: &root, ..snapshot }).unwrap_err().to_string();
    assert!(error.contains("rootfs:DIR"), "{error}");
}

#[test]
fn a_layer_that_is_there_twice_is_mounted_once() {
    let site = Site::new();
    let (twice, between) = (tar(&[("a", "1")]), tar(&[(".wh.a", "")]));
    let loaded = load(&site.store, &saved(&[("x:1", &[&twice, &between, &twice])])).unwrap();
    let image = &loaded[0].image;
    assert_eq!(image.layers.len(), 2);
    assert!(image.layers[1].join("a").is_file());
    let mut bytes = Vec::new();
    site.store.save(&["x:1"], Output::Archive(&mut bytes)).unwrap();
    assert_eq!(load(&Site::new().store, &bytes).unwrap()[0].image.id, image.id);
}

/// Does something that may wait for itself.
fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(work()));
    receiver.recv_timeout(std::time::Duration::from_secs(30)).expect("it ends")
}

#[test]
fn images_above_this_machine_are_listed_and_pruned_without_covering_it() {
    let site = Site::new();
    let host = site.store.find("rootfs:/").unwrap().unwrap();
    let (mut origin, config) = site.store.origin("rootfs:/", &host).unwrap();
    let upper = site.dir.path().join("upper");
    fs::create_dir(&upper).unwrap();
    fs::write(upper.join("f"), "x").unwrap();
    origin.push(site.store.layer_of_directory(&upper, None).unwrap());
    site.store.assemble(&origin, config, &[]).unwrap();
    assert_eq!((site.store.list().unwrap().len(), site.count("covers")), (1, 0));
    let store = site.store.clone();
    in_time(move || store.prune(Unneeded::Nameless, &|_| true)).unwrap();
    assert_eq!((site.count("images"), site.count("layers")), (0, 0));
}

#[test]
fn what_has_no_name_is_forgotten_and_what_has_one_or_is_used_stays() {
    let site = Site::new();
    let layer = tar(&[("a", "1")]);
    let image = load(&site.store, &saved(&[("x:1", &[&layer])])).unwrap().remove(0).image;
    site.store.forget(&image.id).unwrap();
    assert!(site.store.find("x:1").unwrap().is_some());
    let (origin, mut config) = site.store.origin("x:1", &image).unwrap();
    config.author = "another".to_owned();
    let nameless = site.store.assemble(&origin, config, &[]).unwrap();
    let holder = site.store.scratch().unwrap();
    site.store.hold(&nameless, holder.path()).unwrap();
    site.store.forget(&nameless.id).unwrap();
    assert_eq!(site.count("images"), 2);
    drop(holder);
    site.store.forget(&nameless.id).unwrap();
    assert_eq!((site.count("images"), site.count("layers")), (1, 1));
}

#[tokio::test]
async fn an_image_that_is_pulled_without_a_name_takes_none_away() {
    let (trial, site) = (Trial::start().await, Site::new());
    let (old, new) = (tar(&[("a", "1")]), tar(&[("a", "2")]));
    let name = format!("{}/app:1", trial.address);
    trial.image("1", &[(&old, &gzip(&old))]);
    let first = site.pull(&name).await.unwrap();
    trial.image("1", &[(&new, &gzip(&new))]);
    let spec = PullSpec { image: name.clone(), platform: String::new() };
    let credentials = site.credentials().await;
    let refuse = |_: &super::ImageConfig| Err(RuntimeError::Refused("not this one".to_owned()));
    site.store.pull_nameless(&spec, &credentials, refuse).await.unwrap_err();
    assert_eq!(site.count("layers"), 1, "none of its layers was asked for");
    let second = site.store.pull_nameless(&spec, &credentials, |_| Ok(())).await.unwrap();
    assert_eq!((second.names.len(), second.digests.len()), (0, 0));
    assert_ne!(second.id, first.id);
    site.store.forget(&second.id).unwrap();
    site.store.forget(&first.id).unwrap();
    assert_eq!(site.store.find(&name).unwrap().map(|image| image.id), Some(first.id));
    assert_eq!(site.count("images"), 1);
}
