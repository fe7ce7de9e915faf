//! What containers see of directories, volumes, memory and images that are mounted in them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::super::{Access, Changes, Mount, Overlay, Propagation, Source};
use super::{Bench, failure, run};

pub(super) fn mount(source: Source, target: &str) -> Mount {
    Mount {
        source,
        target: target.to_owned(),
        access: Access::Write,
        propagation: Propagation::Rprivate,
    }
}

fn bind(path: PathBuf) -> Source {
    Source::Bind { path, create: true, recursive: true }
}

#[test]
fn binds_are_made_beneath_the_root() {
    let Some(mut bench) = Bench::new() else { return };
    let image = bench.folder.path().join("image");
    symlink("/run/real", image.join("var/link")).unwrap();
    symlink("../../../../../../etc", image.join("up")).unwrap();
    let host = bench.path("host");
    fs::write(host.join("file"), "of the host").unwrap();
    let read_only = Mount { access: Access::Read, ..mount(bind(host.clone()), "/a/b/c") };
    bench.config.mounts = vec![
        read_only,
        mount(bind(host.clone()), "/var/link/deep"),
        mount(bind(host.join("file")), "/up/one"),
        mount(bind(host.join("made")), "/made"),
    ];
    let out = bench
        .sh("cat /a/b/c/file /run/real/deep/file /etc/one; touch /a/b/c/x 2>&- || echo ro
         touch /made/y /var/link/deep/z; ls /made");
    assert_eq!(out.text, "of the hostof the hostof the hostro\ny");
    assert!(host.join("made/y").exists() && host.join("z").exists());
    assert!(!Path::new("/etc/one").exists(), "nothing happens on the host");
}

#[test]
fn a_missing_source_is_told_unless_it_is_to_be_made() {
    let Some(mut bench) = Bench::new() else { return };
    bench.config.process.args = vec!["true".to_owned()];
    let path = bench.folder.path().join("none");
    let source = Source::Bind { path: path.clone(), create: false, recursive: true };
    bench.config.mounts = vec![mount(source, "/x")];
    let expected = format!("bind source path does not exist: {}", path.display());
    assert_eq!(failure(&bench.config).to_string(), expected);
}

#[test]
fn proc_cannot_be_covered() {
    let Some(mut bench) = Bench::new() else { return };
    bench.config.process.args = vec!["true".to_owned()];
    let host = bench.path("host");
    bench.config.mounts = vec![mount(bind(host), "/proc/self")];
    let error = failure(&bench.config);
    assert_eq!(error.to_string(), "cannot mount at `/proc/self`");
}

#[test]
fn an_image_with_links_in_place_of_system_directories_does_not_start() {
    let Some(mut bench) = Bench::new() else { return };
    bench.config.process.args = vec!["true".to_owned()];
    symlink("/tmp", bench.folder.path().join("image/proc")).unwrap();
    assert_eq!(failure(&bench.config).to_string(), "cannot mount `proc` at `/proc`");
}

#[test]
fn volumes_are_filled_from_the_image_and_shared() {
    let Some(mut bench) = Bench::new() else { return };
    let volume = |copy_up, path: PathBuf| Source::Volume {
        name: "v".to_owned(),
        path,
        subpath: String::new(),
        copy_up,
    };
    let (data, empty) = (bench.path("data"), bench.path("empty"));
    fs::create_dir(data.join("sub")).unwrap();
    fs::remove_dir(data.join("sub")).unwrap();
    bench.config.mounts = vec![
        mount(volume(true, data.clone()), "/srv/data"),
        mount(volume(false, empty.clone()), "/srv/other"),
    ];
    let out = bench.sh("cat /srv/data/file; echo more >/srv/data/new; ls /srv/other");
    assert_eq!(out.text, "from the image");
    assert!(data.join("new").exists() && data.join("file").exists());
}

#[test]
fn a_part_of_a_volume_stays_in_it() {
    let Some(mut bench) = Bench::new() else { return };
    let data = bench.path("data");
    fs::create_dir_all(data.join("in/side")).unwrap();
    fs::write(data.join("in/side/f"), "part").unwrap();
    symlink("/etc", data.join("out")).unwrap();
    let part = |subpath: &str| Source::Volume {
        name: "v".to_owned(),
        path: data.clone(),
        subpath: subpath.to_owned(),
        copy_up: false,
    };
    bench.config.process.args = ["cat", "/x/f"].map(str::to_owned).to_vec();
    bench.config.mounts = vec![mount(part("in/side"), "/x")];
    assert_eq!(run(&bench.config).text, "part");
    for outside in ["out", "../../../etc", "none"] {
        bench.config.mounts = vec![mount(part(outside), "/x")];
        assert_eq!(failure(&bench.config).to_string(), format!("volume `v` has no `{outside}`"));
    }
}

#[test]
fn memory_and_images_are_mounted() {
    let Some(mut bench) = Bench::new() else { return };
    let layer = bench.path("layer");
    fs::create_dir(layer.join("sub")).unwrap();
    fs::write(layer.join("sub/f"), "image").unwrap();
    let work = |name: &str| {
        let changes = Changes { upper: bench.path(&format!("{name}-u")), work: bench.path(name) };
        Some(changes)
    };
    let image = |subpath: &str, changes| Source::Image {
        name: "i".to_owned(),
        files: Overlay { lower: vec![layer.clone()], changes },
        subpath: subpath.to_owned(),
    };
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect();
    let memory = Source::Tmpfs {
        options: words(&["size=1m", "uid=100"]),
        flags: words(&["noexec", "nosuid", "nodev", "exec"]),
    };
    let mounts = vec![
        mount(image("", None), "/whole"),
        mount(image("sub", work("w")), "/part"),
        mount(memory, "/tmp"),
    ];
    let changed = bench.folder.path().join("w-u/sub/g");
    bench.config.mounts = mounts;
    let out = bench.sh("cat /whole/sub/f /part/f; touch /whole/x 2>&- || echo ro; touch /part/g
         grep ' /tmp ' /proc/self/mountinfo | awk '{print $6, $NF}'; stat -c '%u %a' /tmp");
    assert_eq!(
        out.text,
        "imageimagero\nrw,nosuid,nodev,relatime rw,size=1024k,mode=755,uid=100\n100 755"
    );
    assert!(changed.exists());
}
