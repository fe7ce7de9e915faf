//! Whole trees, with everything that a file can be.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, XattrFlags};

use super::super::known::{self, Known, Pages};
use super::{Copied, Copy};
use crate::runtime::Cancel;

/// A folder on the file system of the sources: the one in memory knows less.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap()
}

fn copy(from: &Path, to: &Path, live: Option<(&Path, &Known)>) -> Copied {
    Copy { from, to, live, cancel: &Cancel::default() }.run().unwrap()
}

fn mark(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::lsetxattr(path, name, value, XattrFlags::empty()).unwrap();
}

fn marked(path: &Path, name: &str) -> Vec<u8> {
    let mut value = [0; 64];
    let length = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
    value[..length].to_vec()
}

#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        println!("skipped: devices and owners need root");
    }
    is_root
}

/// A tree with one of each.
fn tree(root: &Path) {
    fs::create_dir_all(root.join("deep/er")).unwrap();
    fs::write(root.join("file"), "text").unwrap();
    fs::hard_link(root.join("file"), root.join("deep/same")).unwrap();
    fs::write(root.join(OsStr::from_bytes(b"odd \xff\n'name")), "odd").unwrap();
    symlink("/etc/passwd", root.join("link")).unwrap();
    File::create(root.join("sparse")).unwrap().write_all_at(b"x", 50 << 20).unwrap();
    UnixListener::bind(root.join("socket")).unwrap();
    let node = |name: &str, kind, device| {
        let path = root.join(name);
        rustix::fs::mknodat(CWD, path, kind, Mode::from_raw_mode(0o640), device).unwrap();
    };
    node("gone", FileType::CharacterDevice, 0);
    node("null", FileType::CharacterDevice, rustix::fs::makedev(1, 3));
    node("pipe", FileType::Fifo, 0);
    std::os::unix::fs::chown(root.join("file"), Some(999), Some(70)).unwrap();
    std::os::unix::fs::lchown(root.join("link"), Some(5), Some(6)).unwrap();
    fs::set_permissions(root.join("file"), fs::Permissions::from_mode(0o4750)).unwrap();
    fs::set_permissions(root.join("deep"), fs::Permissions::from_mode(0o1770)).unwrap();
    mark(&root.join("file"), "user.note", b"kept");
    mark(&root.join("deep"), "trusted.overlay.opaque", b"y");
    mark(&root.join("link"), "trusted.note", b"link");
    let old = fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH);
    File::open(root.join("deep")).unwrap().set_times(old).unwrap();
}

/// Length and sum of a file.
fn content(path: &Path) -> (usize, u64) {
    let mut bytes = Vec::new();
    File::open(path).unwrap().read_to_end(&mut bytes).unwrap();
    (bytes.len(), bytes.iter().map(|byte| u64::from(*byte)).sum())
}

/// What can be seen of everything below a directory.
fn seen(root: &Path) -> Vec<String> {
    let entries = walkdir::WalkDir::new(root).sort_by_file_name().into_iter();
    let line = |entry: walkdir::DirEntry| {
        let found = entry.path().symlink_metadata().unwrap();
        let path = entry.path().strip_prefix(root).unwrap();
        let link = fs::read_link(entry.path()).ok();
        let text = found.is_file().then(|| content(entry.path()));
        format!(
            "{path:?} {:o} {}:{} {} {} {}.{} {link:?} {text:?}",
            found.mode(),
            found.uid(),
            found.gid(),
            found.rdev(),
            if found.is_dir() { 0 } else { found.nlink() },
            found.mtime(),
            found.mtime_nsec(),
        )
    };
    entries.map(|entry| line(entry.unwrap())).collect()
}

#[test]
fn a_copy_has_all_that_the_original_has() {
    if !is_root() {
        return;
    }
    let folder = folder();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    fs::create_dir(&from).unwrap();
    tree(&from);
    let copied = copy(&from, &to, None);
    assert_eq!(seen(&to), seen(&from));
    assert!(copied.work.copied + copied.work.shared > 0 && copied.work.kept == 0);
    let number = |path: &str| fs::metadata(to.join(path)).unwrap().ino();
    assert_eq!(number("file"), number("deep/same"));
    assert!(fs::metadata(to.join("sparse")).unwrap().blocks() < 1000, "holes stay");
    assert_eq!(marked(&to.join("file"), "user.note"), b"kept");
    assert_eq!(marked(&to.join("deep"), "trusted.overlay.opaque"), b"y");
    assert_eq!(marked(&to.join("link"), "trusted.note"), b"link");
}

#[test]
fn only_what_has_changed_is_copied_back() {
    if !is_root() {
        return;
    }
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("live")).unwrap();
    tree(&at("live"));
    fs::write(at("live/large"), vec![7; 1 << 20]).unwrap();
    fs::write(at("live/table"), vec![8; 3 << 20]).unwrap();
    let copied = copy(&at("live"), &at("kept"), None);
    let mut marks = known::marks(&at("live"), Pages::WriteOut).unwrap();
    known::settle(&mut marks);
    let known: Known =
        copied.pairs.iter().filter_map(|(from, to)| Some((*to, *marks.get(from)?))).collect();
    if known.is_empty() {
        // Another file system: nothing is trusted.
        return;
    }
    let before = seen(&at("live"));
    let times = fs::metadata(at("live/file")).unwrap().modified().unwrap();
    // The same length, and the time is set back; files trade their places, kinds change.
    fs::write(at("live/file"), "TEXT").unwrap();
    File::open(at("live/file")).unwrap().set_modified(times).unwrap();
    let table = File::options().write(true).open(at("live/table")).unwrap();
    table.write_all_at(b"row", 1 << 20).unwrap();
    fs::remove_file(at("live/gone")).unwrap();
    fs::write(at("live/gone"), "back").unwrap();
    fs::remove_file(at("live/sparse")).unwrap();
    symlink(at("live/large"), at("live/sparse")).unwrap();
    fs::remove_dir_all(at("live/deep/er")).unwrap();
    symlink("/", at("live/deep/er")).unwrap();
    fs::write(at("live/more"), "more").unwrap();
    let back = copy(&at("kept"), &at("new"), Some((&at("live"), &known)));
    let large = |path: &str| fs::metadata(at(path)).unwrap().ino();
    assert_eq!(large("new/large"), large("live/large"), "what has not changed is the same file");
    assert!(back.work.kept >= 3 << 20, "{:?}", back.work);
    assert!(back.work.copied < 1 << 20, "one page of a large file: {:?}", back.work);
    assert_ne!(large("new/file"), large("live/file"));
    fs::remove_dir_all(at("live")).unwrap();
    assert_eq!(seen(&at("new")), before);
}

#[test]
fn a_copy_that_is_not_wanted_any_more_ends() {
    let folder = folder();
    fs::create_dir(folder.path().join("from")).unwrap();
    let cancel = Cancel::default();
    cancel.cancel();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    let done = Copy { from: &from, to: &to, live: None, cancel: &cancel }.run();
    assert_eq!(done.unwrap_err().to_string(), "interrupted");
}
