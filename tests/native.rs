//! The native runtime for tests: in places of its own, with an image that is made on the spot.
//!
//! Skipped where the user is not root, or where no static busybox lies about.

mod build;
mod bundle;
mod fault;
mod host;
mod inside;
mod lease;
mod life;
mod snapshot;
mod stage;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use indexmap::IndexMap;
use ketch::runtime::native::image::{Input, Store};
use ketch::runtime::native::{Native, Settings};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::docker::IMAGE;

/// Why there is no native runtime here.
pub(crate) static MISSING: LazyLock<Option<String>> = LazyLock::new(|| {
    Native::forbidden().or_else(|| match busybox() {
        Some(_) => None,
        None => Some("there is no busybox at /bin/busybox".to_owned()),
    })
});

/// A native runtime with files of its own.
pub(crate) struct Home {
    pub(crate) directory: TempDir,
}

fn busybox() -> Option<PathBuf> {
    Some(PathBuf::from("/bin/busybox")).filter(|path| path.is_file())
}

impl Home {
    /// Places with the image `corpus/busybox:1`, or why they cannot be had.
    pub(crate) fn new() -> Result<Self, String> {
        if let Some(reason) = &*MISSING {
            return Err(reason.clone());
        }
        Ok(Self::at(tempfile::tempdir().unwrap()))
    }

    /// Places in a directory, with the image.
    fn at(directory: TempDir) -> Self {
        let home = Self { directory };
        let archive = home.directory.path().join("busybox.tar");
        write_image(&archive);
        std::fs::create_dir_all(home.state().join("images")).unwrap();
        let store = Store::open(&home.state().join("images")).unwrap();
        store.load(Input::Path(&archive), None, &|_| {}).unwrap();
        home
    }

    /// Places on the file system of `/`, without an image; or why they cannot be had.
    pub(crate) fn on_the_root() -> Result<Self, String> {
        if let Some(reason) = Native::forbidden() {
            return Err(reason);
        }
        let device = |path: &str| std::fs::metadata(path).map(|found| found.dev());
        let is_there = |path: &&str| device(path).is_ok_and(|own| own == device("/").unwrap());
        let place = ["/var/tmp", "/tmp", "/"].into_iter().find(is_there).unwrap();
        Ok(Self { directory: tempfile::tempdir_in(place).unwrap() })
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    pub(crate) fn run(&self) -> PathBuf {
        self.directory.path().join("run")
    }

    /// What the environment of `ketch` must say.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        vec![
            ("KETCH_RUNTIME", "native".to_owned()),
            ("KETCH_STATE_DIR", text(self.state())),
            ("KETCH_RUN_DIR", text(self.run())),
        ]
    }

    /// The runtime in these places.
    pub(crate) fn open(&self) -> Native {
        let environment: IndexMap<String, String> =
            self.environment().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Native::open(Settings { environment }).unwrap()
    }
}

/// Writes busybox with all its commands as `docker save` would.
fn write_image(path: &Path) {
    let layer = layer();
    let diff = hex(&layer);
    let config = serde_json::json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": { "Cmd": ["sh"], "Env": ["PATH=/bin"] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{diff}")] },
    });
    let config = config.to_string();
    let name = format!("{}.json", hex(config.as_bytes()));
    let manifest = serde_json::json!([
        { "Config": name, "RepoTags": [IMAGE], "Layers": ["layer.tar"] }
    ]);
    let mut archive = tar::Builder::new(File::create(path).unwrap());
    for (name, content) in [
        (name.as_str(), config.as_bytes()),
        ("layer.tar", &layer),
        ("manifest.json", manifest.to_string().as_bytes()),
    ] {
        append(&mut archive, name, content);
    }
    archive.into_inner().unwrap().flush().unwrap();
}

fn layer() -> Vec<u8> {
    let path = busybox().unwrap();
    let mut program = Vec::new();
    File::open(&path).unwrap().read_to_end(&mut program).unwrap();
    let list = Command::new(&path).arg("--list").output().unwrap();
    let mut layer = tar::Builder::new(Vec::new());
    append(&mut layer, "bin/busybox", &program);
    for command in String::from_utf8(list.stdout).unwrap().lines() {
        if command == "busybox" {
            continue;
        }
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Link);
        header.set_size(0);
        header.set_mode(0o755);
        layer.append_link(&mut header, format!("bin/{command}"), "bin/busybox").unwrap();
    }
    for (directory, mode) in [("tmp", 0o1777), ("etc", 0o755), ("var", 0o755), ("root", 0o700)] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_size(0);
        header.set_mode(mode);
        layer.append_data(&mut header, format!("{directory}/"), std::io::empty()).unwrap();
    }
    append(&mut layer, "etc/passwd", b"root:x:0:0:root:/srv:/bin/sh\n");
    append(&mut layer, "etc/group", b"root:x:0:\n");
    layer.into_inner().unwrap()
}

fn append(archive: &mut tar::Builder<impl std::io::Write>, name: &str, content: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o755);
    archive.append_data(&mut header, name, content).unwrap();
}

fn hex(bytes: &[u8]) -> String {
    ketch::model::hash::hex(&Sha256::digest(bytes))
}
