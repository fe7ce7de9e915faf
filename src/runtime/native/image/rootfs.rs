//! `rootfs:DIR`: a directory as an image, with nothing copied.
//!
//! In: a directory. Out: an [`Image`] that lies on that directory. For `rootfs:/`, the
//! host itself, a second layer lies over it that covers what is no program: everything at the
//! top but `bin`, `sbin`, `lib*`, `usr`, `etc`, `opt` and the like, everything in `var`, the
//! homes of people, and below `etc` whatever not everybody may read. So containers need no mounts
//! for that, and cannot take a cover away.
//!
//! # Invariants
//!
//! - What is not known to be a program is covered.
//! - A cover keeps owner and permissions of what it covers: all write to `/tmp`, nobody else to a home.
//!
//! # Not here
//!
//! What the host has mounted below: an overlay does not show it. What comes to be after a container
//! was made: a secret that is new in `/etc` is covered for later containers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::Image;
use super::digest::Digest;
use super::overlay::{Privilege, copy_attributes, make_opaque, whiteout};
use super::place::{Place, failed};
use super::platform::Platform;
use super::spec::{Defaults, ImageConfig, RootFs};
use super::store::Store;
use crate::runtime::{Result, RuntimeError};

/// Where programs look for programs, as a variable of images that no other gave one.
pub const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Names at the top that hold programs and what they need; `lib*` too.
const PROGRAMS: &[&str] = &["bin", "sbin", "usr", "etc", "opt", "nix", "gnu"];
/// Below these, what not everybody may read is a secret.
const SETTINGS: &[&str] = &["etc", "usr/local/etc"];
/// The label that names the directory.
pub(super) const LABEL: &str = "dev.ketch.rootfs";

/// The image of a directory.
pub(super) fn image(directory: &Path, reference: &str) -> Result<Image> {
    let root = directory.canonicalize().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            RuntimeError::NotFound(format!("there is no directory `{}`", directory.display()))
        }
        _ => failed("open", directory)(error),
    })?;
    if !root.is_dir() {
        return Err(RuntimeError::Refused(format!("`{}` is no directory", root.display())));
    }
    let config = config(&root);
    let id = Digest::of(&serde_json::to_vec(&config).map_err(|error| {
        RuntimeError::Refused(format!("the config of `{reference}` cannot be written: {error}"))
    })?);
    Ok(Image {
        id,
        names: vec![reference.to_owned()],
        digests: Vec::new(),
        created: 0,
        tagged: (0, 0),
        size: 0,
        config: Arc::new(config),
        below: Some(root),
        layers: Vec::new(),
    })
}

/// The directories of an overlay that shows a directory: it, and what covers parts of it.
pub(super) fn layers(store: &Store, root: &Path) -> Result<Vec<PathBuf>> {
    let mut layers = vec![root.to_owned()];
    if root == Path::new("/") {
        let covers = covers(root, &store.place).map_err(failed("read", root))?;
        layers.push(cover_layer(store, root, &covers)?);
    }
    Ok(layers)
}

fn config(root: &Path) -> ImageConfig {
    let labels = [(LABEL.to_owned(), root.display().to_string())].into();
    ImageConfig {
        platform: Platform::host(),
        config: Defaults { env: vec![PATH.to_owned()], labels, ..Defaults::default() },
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids: Vec::new() },
        ..ImageConfig::default()
    }
}

/// How something is covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cover {
    /// By an empty directory.
    Empty,
    /// As if it were not there.
    Gone,
}

/// What is covered, by paths below the root.
type Covers = BTreeMap<PathBuf, Cover>;

fn covers(root: &Path, place: &Place) -> io::Result<Covers> {
    let mut covers = Covers::new();
    cover_children(root, "", &is_program, &mut covers)?;
    cover_children(root, "var", &|_| false, &mut covers)?;
    for settings in SETTINGS {
        cover_secrets(root, settings, &mut covers);
    }
    // Beside the store lies the rest of Ketch's state: volumes, and the changes of other containers.
    let own = [place.path(""), place.path("..")];
    for private in homes(root).into_iter().chain(own) {
        let Ok(private) = private.canonicalize() else { continue };
        let Ok(below) = private.strip_prefix(root) else { continue };
        // A home that is one of the folders of programs is no home.
        let is_deep = below.components().count() > 1;
        if is_deep && private.is_dir() {
            covers.insert(below.to_owned(), Cover::Empty);
        }
    }
    Ok(without_nested(covers))
}

fn is_program(name: &str) -> bool {
    // `var` is looked at one by one.
    PROGRAMS.contains(&name) || name.starts_with("lib") || name == "var"
}

/// Covers what is in a directory, but for links, and what is spared.
fn cover_children(
    root: &Path,
    directory: &str,
    is_spared: &dyn Fn(&str) -> bool,
    covers: &mut Covers,
) -> io::Result<()> {
    let entries = match fs::read_dir(root.join(directory)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let kind = entry.file_type()?;
        if kind.is_symlink() || name.to_str().is_some_and(is_spared) {
            continue;
        }
        let cover = if kind.is_dir() { Cover::Empty } else { Cover::Gone };
        covers.insert(Path::new(directory).join(name), cover);
    }
    Ok(())
}

/// Covers what not everybody may read.
fn cover_secrets(root: &Path, directory: &str, covers: &mut Covers) {
    const READ_BY_ALL: u32 = 0o004;
    let mut walk = walkdir::WalkDir::new(root.join(directory)).min_depth(1).into_iter();
    // What cannot be read by us is no secret from us, and has no entry.
    while let Some(entry) = walk.next() {
        let Ok(entry) = entry else { continue };
        let (Ok(metadata), Ok(path)) = (entry.metadata(), entry.path().strip_prefix(root)) else {
            continue;
        };
        let kind = entry.file_type();
        if kind.is_symlink() || metadata.mode() & READ_BY_ALL != 0 {
            continue;
        }
        if kind.is_dir() {
            covers.insert(path.to_owned(), Cover::Empty);
            walk.skip_current_dir();
        } else {
            covers.insert(path.to_owned(), Cover::Gone);
        }
    }
}

/// The homes of people, as `passwd` has them.
fn homes(root: &Path) -> Vec<PathBuf> {
    const FIRST_PERSON: u32 = 1000;
    const NOBODY: u32 = 65534;
    let text = super::place::read(&root.join("etc/passwd")).ok().flatten().unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let home = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let uid: u32 = fields.get(2)?.parse().ok()?;
        let is_person = uid == 0 || (uid >= FIRST_PERSON && uid != NOBODY);
        let home = Path::new(fields.get(5)?).strip_prefix("/").ok()?;
        is_person.then(|| root.join(home))
    };
    text.lines().filter_map(home).collect()
}

/// The covers that are not below another one.
fn without_nested(covers: Covers) -> Covers {
    let mut kept = Covers::new();
    // In this order a directory comes before what is in it.
    for (path, cover) in covers {
        if !path.ancestors().skip(1).any(|above| kept.contains_key(above)) {
            kept.insert(path, cover);
        }
    }
    kept
}

/// The layer that covers; it is made anew only when there is something else to cover.
fn cover_layer(store: &Store, root: &Path, covers: &Covers) -> Result<PathBuf> {
    let target = store.place.path("covers").join(key(root, covers));
    let layer = target.join("root");
    if layer.is_dir() {
        return Ok(layer);
    }
    let staging = store.place.stage()?;
    let made = staging.path().join("root");
    fs::create_dir(&made).map_err(failed("make", &made))?;
    like(root, &made).map_err(failed("make", &made))?;
    for (path, cover) in covers {
        put(root, &made, path, *cover).map_err(failed("cover", &root.join(path)))?;
    }
    staging.publish(&target)?;
    Ok(layer)
}

/// Two lists of covers with the same key are the same.
fn key(root: &Path, covers: &Covers) -> String {
    let mut text = String::from("covers");
    for (path, cover) in covers {
        let metadata = root.join(path).symlink_metadata();
        let owner = metadata.map_or((0, 0, 0), |it| (it.mode(), it.uid(), it.gid()));
        // A String takes everything.
        let _ = write!(text, "\n{cover:?} {owner:?} {}", path.display());
    }
    Digest::of(text.as_bytes()).hex().to_owned()
}

/// Puts one cover, and the directories that lead to it.
fn put(root: &Path, made: &Path, path: &Path, cover: Cover) -> io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new(""));
    let mut at = PathBuf::new();
    for component in parent.components().filter(|part| matches!(part, Component::Normal(_))) {
        at.push(component);
        let directory = made.join(&at);
        if !directory.is_dir() {
            fs::create_dir(&directory)?;
            like(&root.join(&at), &directory)?;
        }
    }
    let target = made.join(path);
    match cover {
        Cover::Gone => {
            let name = path.file_name().unwrap_or_default();
            whiteout(fs::File::open(made.join(parent))?, name)
        }
        Cover::Empty => {
            fs::create_dir(&target)?;
            like(&root.join(path), &target)?;
            make_opaque(fs::File::open(&target)?, Privilege::own())
        }
    }
}

/// Makes a directory look like another one.
fn like(original: &Path, made: &Path) -> io::Result<()> {
    let original = fs::File::open(original)?;
    let stat = rustix::fs::fstat(&original)?;
    copy_attributes(&original, &stat, fs::File::open(made)?, Privilege::own())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A root with these directories (`d/`) and files, each with its permissions.
    fn root(entries: &[(&str, u32)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, mode) in entries {
            let full = root.path().join(path);
            fs::create_dir_all(full.parent().unwrap()).unwrap();
            if path.ends_with('/') {
                fs::create_dir_all(&full).unwrap();
            } else {
                fs::write(&full, "x").unwrap();
            }
            fs::set_permissions(&full, fs::Permissions::from_mode(*mode)).unwrap();
        }
        root
    }

    const ENTRIES: &[(&str, u32)] = &[
        ("bin/sh", 0o755),
        ("lib64/ld.so", 0o755),
        ("etc/hosts", 0o644),
        ("etc/shadow", 0o640),
        ("etc/ssl/private/deep/key", 0o644),
        ("etc/ssl/private/", 0o710),
        ("etc/ssl/certs", 0o644),
        ("home/me/x", 0o644),
        ("data/x", 0o644),
        ("swapfile", 0o600),
        ("tmp/", 0o1777),
        ("var/lib/db", 0o644),
        ("var/tmp/", 0o1777),
        ("opt/people/ann/x", 0o644),
        ("store/", 0o700),
    ];

    #[test]
    fn what_is_no_program_is_covered() {
        let root = root(ENTRIES);
        fs::write(root.path().join("etc/passwd"), "ann:x:1000:1000::/opt/people/ann:/bin/sh\n")
            .unwrap();
        std::os::unix::fs::symlink("lib64", root.path().join("lib")).unwrap();
        std::os::unix::fs::symlink("/run", root.path().join("var/run")).unwrap();
        let place = Place::open(&root.path().join("opt/ketch/store")).unwrap();
        let found = covers(root.path(), &place).unwrap();
        let shown: Vec<String> =
            found.iter().map(|(path, cover)| format!("{} {cover:?}", path.display())).collect();
        let expected = [
            "data Empty",
            "etc/shadow Gone",
            "etc/ssl/private Empty",
            "home Empty",
            "opt/ketch Empty",
            "opt/people/ann Empty",
            "store Empty",
            "swapfile Gone",
            "tmp Empty",
            "var/lib Empty",
            "var/tmp Empty",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_cover_looks_like_what_it_covers() {
        let root = root(ENTRIES);
        let store = Store::open(&root.path().join("store")).unwrap();
        let found = covers(root.path(), &store.place).unwrap();
        let layer = cover_layer(&store, root.path(), &found).unwrap();
        let mode = |path: &str| layer.join(path).symlink_metadata().unwrap().mode() & 0o7777;
        assert_eq!([mode("tmp"), mode("etc"), mode("etc/ssl/private")], [0o1777, 0o755, 0o710]);
        let opaque = |path: &str| {
            let directory = fs::File::open(layer.join(path)).unwrap();
            super::super::overlay::is_opaque(directory, Privilege::own()).unwrap()
        };
        assert!(opaque("tmp") && opaque("var/lib") && !opaque("etc") && !opaque("var"));
        let shadow = layer.join("etc/shadow").symlink_metadata().unwrap();
        assert_eq!((shadow.rdev(), shadow.mode() & 0o170_000), (0, 0o020_000));
        assert!(!layer.join("etc/hosts").exists() && !layer.join("bin").exists());
        assert_eq!(cover_layer(&store, root.path(), &found).unwrap(), layer);
    }

    #[test]
    fn a_directory_is_an_image_as_it_is() {
        let root = root(ENTRIES);
        let store = Store::open(&root.path().join("store")).unwrap();
        let reference = format!("rootfs:{}", root.path().display());
        let image = store.find(&reference).unwrap().unwrap();
        assert_eq!(store.files(&image).unwrap(), [root.path().canonicalize().unwrap()]);
        assert_eq!(image.names, [reference]);
        assert!(store.find("rootfs:/no/such/place").is_err());
        let host = store.find("rootfs:/").unwrap().unwrap();
        let entries = || fs::read_dir(store.place.path("covers")).unwrap().count();
        assert_eq!(entries(), 0, "who only asks for an image makes nothing");
        let files = store.files(&host).unwrap();
        assert_eq!((files.len(), files[0].as_path(), entries()), (2, Path::new("/"), 1));
        assert!(files[1].join("root").is_dir());
    }
}
