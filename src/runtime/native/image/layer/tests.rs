//! Archives, good and hostile, to directories and back.

#![expect(clippy::disallowed_methods, reason = "tests read what they have written")]
#![expect(clippy::print_stdout, reason = "tests tell what they skipped")]

use std::fs;
use std::io::{self, Cursor, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, XattrFlags, lgetxattr, lsetxattr, mknodat};
use tar::{EntryType, Header};
use tempfile::TempDir;

use super::super::digest::Digest;
use super::super::overlay::{Privilege, is_opaque};
use super::super::record::LayerInfo;
use super::*;

/// An archive that is written by hand: nobody checks it.
#[derive(Clone, Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn entry(mut self, path: &str, kind: EntryType, link: &str, content: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(if kind == EntryType::Directory { 0o750 } else { 0o640 });
        header.set_mtime(1_000_000);
        header.set_size(content.len() as u64);
        self.raw(header, content)
    }

    fn raw(&mut self, mut header: Header, content: &[u8]) -> Self {
        header.set_uid(rustix::process::geteuid().as_raw().into());
        header.set_gid(rustix::process::getegid().as_raw().into());
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self.clone()
    }

    fn file(self, path: &str, content: &str) -> Self {
        self.entry(path, EntryType::Regular, "", content.as_bytes())
    }

    fn dir(self, path: &str) -> Self {
        self.entry(path, EntryType::Directory, "", b"")
    }

    fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(path, EntryType::Symlink, target, b"")
    }

    fn link(self, path: &str, target: &str) -> Self {
        self.entry(path, EntryType::Link, target, b"")
    }

    fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut text = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while length != rest + length.to_string().len() {
                length = rest + length.to_string().len();
            }
            text.extend_from_slice(format!("{length} {key}=").as_bytes());
            text.extend_from_slice(value);
            text.push(b'\n');
        }
        self.entry("pax", EntryType::XHeader, "", &text)
    }

    fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

/// A layer that was unpacked.
struct Layer {
    dir: TempDir,
    info: LayerInfo,
}

impl Layer {
    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join("root").join(path)
    }

    fn text(&self, path: &str) -> String {
        String::from_utf8(fs::read(self.path(path)).unwrap()).unwrap()
    }

    fn is_opaque(&self, path: &str) -> bool {
        is_opaque(fs::File::open(self.path(path)).unwrap(), Privilege::own()).unwrap()
    }

    fn is_whiteout(&self, path: &str) -> bool {
        let found = self.path(path).symlink_metadata().unwrap();
        found.file_type().is_char_device() && found.rdev() == 0
    }

    fn again(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        Archive::open(self.dir.path()).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    }
}

fn unpack_on(archive: &[u8], lowers: Option<&[PathBuf]>) -> io::Result<Layer> {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { bytes: 1 << 20, entries: 1000, header: 64 << 10 };
    let info = unpack(Cursor::new(archive), &Job { into: dir.path(), lowers, limits })?;
    Ok(Layer { dir, info })
}

fn unpacked(tar: Tar) -> Layer {
    let bytes = tar.end();
    let layer = unpack_on(&bytes, Some(&[])).unwrap();
    assert_eq!(layer.info.diff_id, Digest::of(&bytes));
    assert_eq!(layer.info.archive_size, bytes.len() as u64);
    assert!(layer.again() == bytes, "the archive is not written again as it was");
    layer
}

fn refusal(tar: Tar) -> String {
    match unpack_on(&tar.end(), Some(&[])) {
        Ok(_) => panic!("it was unpacked"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn files_keep_what_their_headers_say() {
    let layer = unpacked(
        Tar::default()
            .dir("./")
            .dir("a/")
            .file("a/f", "hello")
            .link("a/l", "a/f")
            .symlink("a/s", "/etc/passwd")
            .pax(&[("path", "é".repeat(120).as_bytes()), ("mtime", b"5.25")])
            .file("short", "long"),
    );
    let file = layer.path("a/f").metadata().unwrap();
    assert_eq!((file.mode() & 0o7777, file.mtime(), file.nlink()), (0o640, 1_000_000, 2));
    let directory = layer.path("a").metadata().unwrap();
    assert_eq!((directory.mode() & 0o7777, directory.mtime()), (0o750, 1_000_000));
    assert_eq!(fs::read_link(layer.path("a/s")).unwrap(), Path::new("/etc/passwd"));
    assert_eq!(layer.path("a/s").symlink_metadata().unwrap().mtime(), 1_000_000);
    let long = layer.path(&"é".repeat(120)).metadata().unwrap();
    assert_eq!((long.mtime(), long.mtime_nsec()), (5, 250_000_000));
    assert_eq!((layer.info.size, layer.text("a/l").as_str()), (9, "hello"));
}

#[test]
fn long_names_of_gnu_are_read() {
    let long = format!("d/{}", "x".repeat(200));
    let name = |kind| {
        let text = format!("{long}\0");
        Tar::default().dir("d/").entry("././@LongLink", kind, "", text.as_bytes())
    };
    assert_eq!(unpacked(name(EntryType::GNULongName).file("d/x", "1")).text(&long), "1");
    let layer = unpacked(name(EntryType::GNULongLink).symlink("s", "cut"));
    assert_eq!(fs::read_link(layer.path("s")).unwrap(), Path::new(&long));
}

#[test]
fn attributes_are_set_but_for_those_that_steer_overlayfs() {
    let layer = unpacked(
        Tar::default()
            .pax(&[
                ("SCHILY.xattr.user.note", b"a\nb\0c"),
                ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
                ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
                ("SCHILY.xattr.user.overlay.opaque", b"y"),
            ])
            .dir("d/"),
    );
    let mut value = [0; 16];
    let length = match lgetxattr(layer.path("d"), "user.note", &mut value[..]) {
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NODATA) => {
            return println!("skipped: no attributes of users on this file system");
        }
        length => length.unwrap(),
    };
    assert_eq!(&value[..length], b"a\nb\0c");
    for name in ["trusted.overlay.opaque", "trusted.overlay.redirect", "user.overlay.opaque"] {
        assert!(lgetxattr(layer.path("d"), name, &mut value[..]).is_err(), "{name}");
    }
}

#[test]
fn what_is_removed_becomes_a_whiteout() {
    let layer = unpacked(
        Tar::default()
            .dir("a/")
            .file("a/.wh.gone", "")
            .dir("o/")
            .file("o/.wh..wh..opq", "")
            .file("o/new", "n")
            // What the same layer has stays, and hides what is below.
            .dir("d/")
            .file(".wh.d", "")
            .file("f", "f")
            .file(".wh.f", "")
            // What comes after its whiteout takes its place.
            .file(".wh.x", "")
            .dir("x/")
            .file(".wh.y", "")
            .file("y", "y")
            .file(".wh..wh.plnk", ""),
    );
    assert!(layer.is_whiteout("a/gone"));
    assert!(layer.is_opaque("o") && layer.is_opaque("d") && layer.is_opaque("x"));
    assert!(!layer.is_opaque("a"));
    assert_eq!(layer.text("f") + &layer.text("y") + &layer.text("o/new"), "fyn");
    assert_eq!(fs::read_dir(layer.path("")).unwrap().count(), 6);
}

#[test]
fn the_last_entry_of_a_name_wins_and_nothing_is_lost() {
    let layer = unpacked(
        Tar::default()
            .file("f", "one")
            .file("f", "two")
            .dir("d/")
            .file("d/x", "deep")
            .file("d", "flat")
            .file("e", "file")
            .dir("e/")
            .file("e/y", "y")
            .symlink("s", "f")
            .file("s", "not through the link"),
    );
    assert_eq!((layer.text("f").as_str(), layer.text("d").as_str()), ("two", "flat"));
    assert_eq!(layer.text("s"), "not through the link");
    assert!(layer.is_opaque("e"));
    assert_eq!(layer.text("e/y"), "y");
}

#[test]
fn a_link_on_the_way_stays_within_the_layer() {
    let layer = unpacked(
        Tar::default()
            .dir("usr/")
            .dir("usr/lib/")
            .symlink("lib", "usr/lib")
            .file("lib/a", "a")
            .symlink("abs", "/usr")
            .file("abs/b", "b")
            .symlink("up", "../../../../usr")
            .file("up/c", "c")
            .symlink("usr/round", "../abs/lib")
            .file("usr/round/d", "d"),
    );
    assert_eq!(layer.text("usr/lib/a") + &layer.text("usr/b") + &layer.text("usr/c"), "abc");
    assert_eq!(layer.text("usr/lib/d"), "d");
}

#[test]
fn hostile_archives_are_refused() {
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().display().to_string();
    let deep = "d/".repeat(400);
    let cases: Vec<(&str, Tar)> = vec![
        ("`..` leads out", Tar::default().file("../evil", "")),
        ("`..` leads out", Tar::default().file("a/../../evil", "")),
        ("`..` leads out", Tar::default().link("l", "../../etc/passwd")),
        ("links to nothing", Tar::default().link("l", "/etc/hostname")),
        ("links to nothing", Tar::default().symlink("s", &target).link("l", "s/x")),
        ("links to itself", Tar::default().file("l", "").link("l", "l")),
        ("links to the root", Tar::default().link("l", "/")),
        ("too many links", Tar::default().symlink("a", "b").symlink("b", "a").file("a/x", "")),
        ("is no directory", Tar::default().file("f", "").file("f/x", "")),
        ("removes nothing", Tar::default().file("a/.wh...", "")),
        ("removes nothing", Tar::default().file(".wh.", "")),
        ("root of a layer", Tar::default().file(".", "x")),
        ("too deep", Tar::default().pax(&[("path", format!("{deep}f").as_bytes())]).file("f", "")),
        (
            "headers are too large",
            Tar::default().entry("n", EntryType::GNULongName, "", &[b'x'; 70 << 10]).file("f", ""),
        ),
        (
            "more than 1048576 bytes",
            Tar::default().entry("f", EntryType::Regular, "", &[0; (1 << 20) + 1]),
        ),
        (
            "more than 1000 entries",
            (0..1001).fold(Tar::default(), |tar, at| tar.file(&at.to_string(), "")),
        ),
        ("is unknown", Tar::default().entry("f", EntryType::new(b'M'), "", b"")),
        ("`uid` is too large", Tar::default().pax(&[("uid", b"4294967295")]).file("f", "")),
        (
            "extended header is damaged",
            Tar::default().entry("p", EntryType::XHeader, "", b"99 a=b\n").file("f", ""),
        ),
    ];
    for (expected, tar) in cases {
        let said = refusal(tar);
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn writing_through_a_link_lands_in_the_layer() {
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().display().to_string();
    let layer = unpacked(Tar::default().symlink("out", &target).file("out/evil", "x"));
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    assert_eq!(layer.text(&format!("{}/evil", &target[1..])), "x");
    // A second name of a link is a link too: the file replaces it.
    let outer = outside.path().join("f");
    fs::write(&outer, "safe").unwrap();
    let target = outer.display().to_string();
    let layer = unpacked(Tar::default().symlink("s", &target).link("l", "s").file("l", "x"));
    assert_eq!((fs::read(&outer).unwrap(), layer.text("l").as_str()), (b"safe".to_vec(), "x"));
}

#[test]
fn a_cut_or_damaged_archive_is_refused() {
    let whole = Tar::default().file("f", &"x".repeat(1000)).end();
    for length in [100, 512, 700, 1500] {
        let error = unpack_on(&whole[..length], Some(&[])).err().unwrap().to_string();
        assert!(error.contains("cut off") || error.contains("fill whole buffer"), "{error}");
    }
    let mut damaged = whole.clone();
    damaged[1] ^= 1;
    let error = unpack_on(&damaged, Some(&[])).err().unwrap().to_string();
    assert!(error.contains("checksum"), "{error}");
    assert!(unpack_on(b"PK\x03\x04", Some(&[])).is_err());
}

#[test]
fn sparse_files_have_holes() {
    let map = b"2\n0\n4\n1000000\n4\n";
    let mut content = map.to_vec();
    content.resize(512, 0);
    content.extend_from_slice(b"headtail");
    let records: &[(&str, &[u8])] = &[
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", b"sparse"),
        ("GNU.sparse.realsize", b"1000004"),
    ];
    let tar = Tar::default().pax(records);
    let layer = unpacked(tar.entry("GNUSparseFile.0/x", EntryType::Regular, "", &content));
    let bytes = fs::read(layer.path("sparse")).unwrap();
    assert_eq!(
        (bytes.len(), &bytes[..4], &bytes[1_000_000..]),
        (1_000_004, &b"head"[..], &b"tail"[..])
    );
    assert!(layer.path("sparse").metadata().unwrap().blocks() * 512 < 100_000);
    let mut header = Header::new_gnu();
    header.set_path("old").unwrap();
    header.set_entry_type(EntryType::GNUSparse);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_size(4);
    let gnu = header.as_gnu_mut().unwrap();
    gnu.sparse[0].offset.copy_from_slice(b"00000000100\0");
    gnu.sparse[0].numbytes.copy_from_slice(b"00000000004\0");
    gnu.realsize.copy_from_slice(b"00000001000\0");
    let layer = unpacked(Tar::default().raw(header.clone(), b"data"));
    let bytes = fs::read(layer.path("old")).unwrap();
    assert_eq!((bytes.len(), &bytes[64..68]), (512, &b"data"[..]));
    header.as_gnu_mut().unwrap().realsize.copy_from_slice(b"77777777777\0");
    assert!(refusal(Tar::default().raw(header, b"data")).contains("more than"));
}

#[test]
fn what_the_archive_leaves_out_comes_from_below() {
    let bottom = unpacked(
        Tar::default()
            .dir("tmp/")
            .symlink("lib", "usr/lib")
            .dir("usr/")
            .dir("usr/lib/")
            .file("usr/f", "f"),
    );
    let hidden = unpacked(Tar::default().file(".wh.old", "").dir("usr/"));
    fs::set_permissions(bottom.path("tmp"), std::os::unix::fs::PermissionsExt::from_mode(0o1777))
        .unwrap();
    let lowers = [bottom.path(""), hidden.path("")];
    let tar =
        Tar::default().file("tmp/x", "x").file("lib/y", "y").link("l", "usr/f").file("new/z", "z");
    let bytes = tar.end();
    let alone = unpack_on(&bytes, None).err().unwrap();
    assert!(NeedsLower::is_why(&alone), "{alone}");
    let layer = unpack_on(&bytes, Some(&lowers)).unwrap();
    assert_eq!(layer.path("tmp").metadata().unwrap().mode() & 0o7777, 0o1777);
    assert_eq!(layer.text("usr/lib/y") + &layer.text("l") + &layer.text("new/z"), "yfz");
    assert!(!layer.path("lib").exists());
    assert_eq!(layer.path("new").metadata().unwrap().mode() & 0o7777, 0o755);
    assert!(layer.again() == bytes);
    // What is whole needs nobody.
    assert!(unpack_on(&Tar::default().dir("a/").file("a/f", "").file("g", "").end(), None).is_ok());
}

#[test]
fn devices_are_made_by_root_and_left_out_for_others() {
    let mut header = Header::new_gnu();
    header.set_path("null").unwrap();
    header.set_entry_type(EntryType::Char);
    header.set_mode(0o666);
    header.set_mtime(0);
    header.set_size(0);
    header.set_device_major(1).unwrap();
    header.set_device_minor(3).unwrap();
    let tar = Tar::default().raw(header, b"").entry("pipe", EntryType::Fifo, "", b"");
    let layer = unpacked(tar);
    assert!(layer.path("pipe").metadata().unwrap().file_type().is_fifo());
    match layer.path("null").metadata() {
        Ok(found) => assert_eq!((found.rdev(), found.mode() & 0o777), (0x103, 0o666)),
        Err(_) => assert_eq!(Privilege::own(), Privilege::User),
    }
}

#[test]
fn what_a_container_wrote_becomes_a_layer() {
    let upper = tempfile::tempdir().unwrap();
    let path = |name: &str| upper.path().join(name);
    fs::create_dir_all(path("d/e")).unwrap();
    fs::write(path("d/e/f"), "content").unwrap();
    fs::hard_link(path("d/e/f"), path("d/l")).unwrap();
    std::os::unix::fs::symlink("/abs", path("s")).unwrap();
    fs::write(path("x".repeat(150).as_str()), "long").unwrap();
    mknodat(CWD, path("gone"), FileType::CharacterDevice, Mode::empty(), 0).unwrap();
    super::super::overlay::make_opaque(fs::File::open(path("d")).unwrap(), Privilege::own())
        .unwrap();
    let attributes = lsetxattr(path("d/e/f"), "user.note", b"n", XattrFlags::empty()).is_ok();
    let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
    let mut bytes = Vec::new();
    pack(upper.path(), &mut bytes, Newest::Any).unwrap();
    let layer = unpack_on(&bytes, Some(&[])).unwrap();
    assert!(layer.is_whiteout("gone") && layer.is_opaque("d") && !layer.is_opaque("d/e"));
    assert_eq!(layer.text("d/l"), "content");
    assert_eq!(layer.path("d/l").metadata().unwrap().nlink(), 2);
    assert_eq!(layer.text(&"x".repeat(150)), "long");
    assert_eq!(fs::read_link(layer.path("s")).unwrap(), Path::new("/abs"));
    assert!(!layer.path("socket").exists());
    let mut value = [0; 4];
    let found = lgetxattr(layer.path("d/e/f"), "user.note", &mut value[..]).is_ok();
    assert_eq!(found, attributes);
    let mut again = Vec::new();
    pack(upper.path(), &mut again, Newest::Any).unwrap();
    assert!(bytes == again, "the order differs");
    fs::write(path("d/.wh.f"), "").unwrap();
    let error = pack(upper.path(), &mut again, Newest::Any).unwrap_err().to_string();
    assert!(error.contains("`/d`: `.wh.f`: in layers `.wh.` begins the marks"), "{error}");
}
