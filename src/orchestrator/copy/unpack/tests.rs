//! Archives, honest and hostile, unpacked on a real file system.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use tar::{EntryType, Header};
use tokio::sync::mpsc::channel;

use super::{Owners, unpack};
use crate::runtime::Bytes;

/// An entry of an archive: its kind, its path, and what it holds or leads to.
type Told<'a> = (EntryType, &'a str, &'a str);

const FILE: EntryType = EntryType::Regular;
const DIRECTORY: EntryType = EntryType::Directory;
const LINK: EntryType = EntryType::Symlink;
const HARD: EntryType = EntryType::Link;

/// An archive that no honest program writes: paths go in unchecked.
fn archive(entries: &[Told<'_>]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (kind, path, content) in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(if *kind == DIRECTORY { 0o750 } else { 0o4751 });
        header.set_mtime(1_000_000_000);
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        let data = if *kind == FILE { content.as_bytes() } else { b"" };
        if *kind != FILE {
            header.as_old_mut().linkname[..content.len()].copy_from_slice(content.as_bytes());
        }
        header.set_size(data.len() as u64);
        header.set_cksum();
        archive.append(&header, data).expect("memory");
    }
    archive.into_inner().expect("memory")
}

fn unpacked(entries: &[Told<'_>], directory: &Path, name: &str) -> io::Result<Vec<PathBuf>> {
    let (sender, receiver) = channel(1);
    let bytes = archive(entries);
    let sending = std::thread::spawn(move || {
        for piece in bytes.chunks(700) {
            if sender.blocking_send(Bytes::copy_from_slice(piece)).is_err() {
                return;
            }
        }
    });
    let done = unpack(receiver, (directory, name), Owners::Mine);
    sending.join().expect("no panic");
    done
}

/// A directory to unpack in, with a neighbour that must not change.
struct World {
    home: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a directory");
        fs::create_dir(home.path().join("in")).expect("made");
        fs::create_dir(home.path().join("out")).expect("made");
        fs::write(home.path().join("out/kept"), "kept").expect("written");
        Self { home }
    }

    fn inside(&self) -> PathBuf {
        self.home.path().join("in")
    }

    fn outside(&self) -> PathBuf {
        self.home.path().join("out")
    }

    /// Unpacking fails, and nothing outside has changed.
    fn refuses(&self, entries: &[Told<'_>]) {
        let done = unpacked(entries, &self.inside(), "x");
        assert!(done.is_err(), "{entries:?}");
        self.is_unharmed();
    }

    fn is_unharmed(&self) {
        let outside: Vec<_> = fs::read_dir(self.outside())
            .expect("listed")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        assert_eq!(outside, ["kept"]);
        let file = self.outside().join("kept");
        assert_eq!(text(&file), "kept");
        let metadata = fs::metadata(&file).expect("there");
        assert_eq!(metadata.nlink(), 1);
        let beside = fs::read_dir(self.home.path()).expect("listed").count();
        assert_eq!(beside, 2);
    }
}

#[expect(clippy::disallowed_methods, reason = "a test")]
fn text(path: &Path) -> String {
    fs::read_to_string(path).expect("readable")
}

#[test]
fn a_tree_gets_its_new_name_with_permissions_and_times() {
    let world = World::new();
    let entries = [
        (DIRECTORY, "d/", ""),
        (DIRECTORY, "d/s/", ""),
        (FILE, "d/s/f", "text"),
        (LINK, "d/l", "s/f"),
        (HARD, "d/h", "d/s/f"),
        (EntryType::Fifo, "d/p", ""),
    ];
    let left_out = unpacked(&entries, &world.inside(), "new").expect("unpacked");
    assert_eq!(left_out, [Path::new("new/p")]);
    let new = world.inside().join("new");
    assert_eq!(text(&new.join("l")), "text");
    let file = fs::metadata(new.join("h")).expect("there");
    assert_eq!((file.nlink(), file.mtime()), (2, 1_000_000_000));
    assert_eq!(file.permissions().mode() & 0o7777, 0o751, "no set-user-id bit");
    let directory = fs::metadata(new.join("s")).expect("there");
    assert_eq!(
        (directory.permissions().mode() & 0o7777, directory.mtime()),
        (0o750, 1_000_000_000)
    );
}

#[test]
fn the_content_of_a_directory_goes_right_in() {
    let world = World::new();
    let entries = [(DIRECTORY, "./", ""), (FILE, "./f", "text")];
    unpacked(&entries, &world.inside(), "").expect("unpacked");
    assert_eq!(text(&world.inside().join("f")), "text");
    unpacked(&entries, &world.inside(), "n").expect("unpacked");
    assert_eq!(text(&world.inside().join("n/f")), "text");
    unpacked(&[(FILE, "f", "other")], &world.inside(), "f").expect("unpacked");
    assert_eq!(text(&world.inside().join("f")), "other");
}

#[test]
fn no_link_of_the_archive_is_followed_out() {
    let world = World::new();
    let out = world.outside().display().to_string();
    world.refuses(&[(DIRECTORY, "d/", ""), (LINK, "d/l", &out), (FILE, "d/l/new", "bad")]);
    world.refuses(&[(DIRECTORY, "d/", ""), (LINK, "d/l", &out), (DIRECTORY, "d/l/", "")]);
    world.refuses(&[(DIRECTORY, "d/", ""), (LINK, "d/m", &out), (HARD, "d/h", "d/m/kept")]);
    world.refuses(&[
        (DIRECTORY, "d/", ""),
        (LINK, "d/n", "../../out"),
        (DIRECTORY, "d/n/deep/", ""),
    ]);
    // The link is the root itself.
    world.refuses(&[(LINK, "d", &out), (FILE, "d/new", "bad")]);
}

#[test]
fn a_file_in_the_place_of_a_link_replaces_it() {
    let world = World::new();
    let kept = world.outside().join("kept").display().to_string();
    let entries = [(DIRECTORY, "d/", ""), (LINK, "d/l", kept.as_str()), (FILE, "d/l", "new")];
    unpacked(&entries, &world.inside(), "x").expect("unpacked");
    world.is_unharmed();
    assert_eq!(text(&world.inside().join("x/l")), "new");
}

#[test]
fn no_path_leads_out() {
    let world = World::new();
    world.refuses(&[(DIRECTORY, "d/", ""), (FILE, "d/../../out/new", "bad")]);
    world.refuses(&[(FILE, "../out/new", "bad")]);
    world.refuses(&[(DIRECTORY, "d/", ""), (HARD, "d/h", "../out/kept")]);
    // An absolute path is one below the directory.
    let path = world.outside().join("new").display().to_string();
    let _ = unpacked(&[(DIRECTORY, "d/", ""), (FILE, &path, "bad")], &world.inside(), "x");
    world.is_unharmed();
}

#[test]
fn links_that_were_there_before_are_not_followed_either() {
    let world = World::new();
    symlink(world.outside(), world.inside().join("x")).expect("linked");
    world.refuses(&[(DIRECTORY, "d/", ""), (FILE, "d/new", "bad")]);
    fs::remove_file(world.inside().join("x")).expect("removed");
    fs::create_dir(world.inside().join("x")).expect("made");
    symlink(world.outside(), world.inside().join("x/s")).expect("linked");
    world.refuses(&[(DIRECTORY, "d/", ""), (FILE, "d/s/kept", "bad")]);
}

#[test]
fn directories_and_others_do_not_replace_each_other() {
    let world = World::new();
    world.refuses(&[(DIRECTORY, "d/", ""), (FILE, "d/f", ""), (DIRECTORY, "d/f/", "")]);
    world.refuses(&[(DIRECTORY, "d/", ""), (DIRECTORY, "d/g/", ""), (FILE, "d/g", "")]);
}

#[test]
fn an_archive_that_is_cut_is_an_error() {
    let world = World::new();
    let (sender, receiver) = channel(8);
    let bytes = archive(&[(FILE, "f", &"x".repeat(2000))]);
    sender.blocking_send(Bytes::copy_from_slice(&bytes[..1500])).expect("room");
    drop(sender);
    assert!(unpack(receiver, (&world.inside(), "f"), Owners::Mine).is_err());
}
