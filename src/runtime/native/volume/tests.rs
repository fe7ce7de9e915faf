//! Volumes, in folders of their own.

use super::{Root, VolumeSpec, create, data, find, hold, let_go, list, remove, sweep};
use crate::model::{Dict, Volume};
use crate::runtime::native::container::{Mount, Source};

fn spec(name: &str, options: &[(&str, &str)]) -> VolumeSpec {
    let driver_opts: Dict =
        options.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    let volume = Volume { name: name.to_owned(), driver_opts, ..Volume::default() };
    VolumeSpec { volume, labels: Dict::from([("a".to_owned(), "b".to_owned())]) }
}

fn root() -> (tempfile::TempDir, Root) {
    let directory = tempfile::tempdir().unwrap();
    let root = Root::at(&directory.path().join("state"), &directory.path().join("run"));
    std::fs::create_dir_all(root.volumes()).unwrap();
    (directory, root)
}

#[test]
fn volumes_are_made_once_found_and_removed() {
    let (_directory, root) = root();
    create(&root, &spec("v", &[])).unwrap();
    let path = data(&root, "v").unwrap().unwrap();
    std::fs::write(path.join("file"), "x").unwrap();
    create(&root, &spec("v", &[])).unwrap();
    assert!(path.join("file").exists(), "it stays as it is");
    assert_eq!(find(&root, "v").unwrap().unwrap().labels["a"], "b");
    assert_eq!(find(&root, "..").unwrap(), None);
    assert_eq!(list(&root).unwrap().len(), 1);
    for unfinished in [".new-x", ".old-y"] {
        std::fs::create_dir(root.volumes().join(unfinished)).unwrap();
    }
    sweep(&root).unwrap();
    assert_eq!(std::fs::read_dir(root.volumes()).unwrap().count(), 1, "the volume");
    remove(&root, "v").unwrap();
    remove(&root, "v").unwrap();
    assert_eq!(std::fs::read_dir(root.volumes()).unwrap().count(), 0, "nothing is left");
}

#[test]
fn a_directory_of_the_host_is_a_volume() {
    let (_directory, root) = root();
    let bind = [("type", "none"), ("o", "bind"), ("device", "/srv/x")];
    create(&root, &spec("v", &bind)).unwrap();
    assert_eq!(data(&root, "v").unwrap().unwrap().to_str(), Some("/srv/x"));
    assert!(create(&root, &spec("w", &[("size", "1")])).is_err());
    assert_eq!(find(&root, "w").unwrap(), None);
}

/// How a container mounts a volume.
fn mount(root: &Root, name: &str) -> Mount {
    let path = data(root, name).unwrap().unwrap();
    let source =
        Source::Volume { name: name.to_owned(), path, subpath: String::new(), copy_up: false };
    let (access, propagation) = Default::default();
    Mount { source, target: "/x".to_owned(), access, propagation }
}

/// Whether this process may mount; else the test is skipped, aloud.
#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
fn may_mount() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        println!("skipped: only root may mount");
    }
    is_root
}

#[test]
fn a_file_system_in_memory_is_there_as_long_as_somebody_uses_it() {
    if !may_mount() {
        return;
    }
    let (_directory, root) = root();
    create(&root, &spec("v", &[("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=1m,mode=700")]))
        .unwrap();
    let mounts = [mount(&root, "v")];
    let path = data(&root, "v").unwrap().unwrap();
    let first = hold(&root, &mounts).unwrap();
    std::fs::write(path.join("file"), "x").unwrap();
    let second = hold(&root, &mounts).unwrap();
    drop(first);
    let_go(&root, &mounts).unwrap();
    sweep(&root).unwrap();
    assert!(path.join("file").exists(), "the second has it still");
    drop(second);
    assert!(!path.join("file").exists() && path.exists(), "it went with the last");
    // A user that was killed gives nothing back but its lock.
    let mut killed = hold(&root, &mounts).unwrap();
    killed.iter_mut().for_each(super::Hold::lose);
    std::mem::forget(killed);
    std::fs::write(path.join("file"), "x").unwrap();
    let_go(&root, &mounts).unwrap();
    assert!(!path.join("file").exists(), "what nobody uses is unmounted");
    remove(&root, "v").unwrap();
    assert_eq!(std::fs::read_dir(root.mounted_volumes()).unwrap().count(), 0, "nothing is left");
}

#[test]
fn what_cannot_be_mounted_says_why() {
    if !may_mount() {
        return;
    }
    let (_directory, root) = root();
    create(&root, &spec("v", &[("type", "nosuchfs"), ("device", ":/x"), ("o", "a=b")])).unwrap();
    let error = hold(&root, &[mount(&root, "v")]).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("volume `v`: `:/x` of type `nosuchfs` with `a=b`"), "{text}");
    remove(&root, "v").unwrap();
    let bind = [("type", "none"), ("o", "bind,ro"), ("device", "/etc")];
    create(&root, &spec("w", &bind)).unwrap();
    let held = hold(&root, &[mount(&root, "w")]).unwrap();
    let path = data(&root, "w").unwrap().unwrap();
    assert!(path.join("passwd").exists());
    let written = std::fs::write(path.join("ketch-was-here"), "").unwrap_err();
    assert_eq!(written.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    drop(held);
}
