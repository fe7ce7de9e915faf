//! Files brought beneath a directory that stands for the root of a container.

use std::fs;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use super::{apply, compare};
use crate::model::transfer::{Difference, Stamp, Transfer, Transferred, Trust};

struct Pair {
    host: tempfile::TempDir,
    root: tempfile::TempDir,
}

impl Pair {
    fn new() -> Self {
        Self { host: tempfile::tempdir().unwrap(), root: tempfile::tempdir().unwrap() }
    }

    fn host(&self, name: &str) -> PathBuf {
        self.host.path().join(name)
    }

    fn root(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// `+a` brings the file `a` of the host to `/app/a`, `-a` removes it there.
    fn transfers(&self, words: &[&str]) -> Vec<Transfer> {
        let transfer = |word: &&str| {
            let name = &word[1..];
            let source = word.starts_with('+').then(|| self.host(name));
            let base = Path::new("/app");
            Transfer { path: base.join(name), base: base.into(), source, only: None }
        };
        words.iter().map(transfer).collect()
    }

    fn apply(&self, words: &[&str]) -> Transferred {
        let root = fs::File::open(self.root.path()).unwrap();
        apply(root.as_fd(), &self.transfers(words))
    }

    fn compare(&self, words: &[&str], trust: Trust) -> Vec<Difference> {
        let root = fs::File::open(self.root.path()).unwrap();
        let found = compare(root.as_fd(), &self.transfers(words), trust).unwrap();
        found.into_iter().map(|(_, difference)| difference).collect()
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_is_replaced_keeps_its_mode_and_what_is_new_gets_that_of_its_directory() {
    let pair = Pair::new();
    fs::create_dir(pair.root("app")).unwrap();
    set_mode(&pair.root("app"), 0o750);
    fs::write(pair.root("app/old"), "x").unwrap();
    set_mode(&pair.root("app/old"), 0o604);
    for name in ["old", "new", "tool"] {
        fs::write(pair.host(name), name).unwrap();
        set_mode(&pair.host(name), 0o600);
    }
    set_mode(&pair.host("tool"), 0o700);
    assert_eq!(pair.apply(&["+old", "+new", "+tool"]).done, 3);
    let modes = ["app/old", "app/new", "app/tool"].map(|name| mode(&pair.root(name)));
    assert_eq!(modes, [0o604, 0o640, 0o750]);
    assert_eq!(content(pair.root("app/old")).unwrap(), b"old");
    let times = [pair.host("old"), pair.root("app/old")].map(|it| fs::metadata(it).unwrap());
    assert_eq!(times[0].mtime_nsec(), times[1].mtime_nsec());
}

#[test]
fn kinds_may_change_and_directories_are_made_and_removed() {
    let pair = Pair::new();
    fs::create_dir_all(pair.host("d/e")).unwrap();
    fs::write(pair.host("d/e/f"), "f").unwrap();
    symlink("e/f", pair.host("d/l")).unwrap();
    assert_eq!(pair.apply(&["+d/l", "+d/e/f", "+d", "+d/e"]).done, 4);
    assert_eq!(fs::read_link(pair.root("app/d/l")).unwrap(), Path::new("e/f"));
    fs::remove_dir_all(pair.host("d")).unwrap();
    fs::write(pair.host("d"), "now a file").unwrap();
    assert_eq!(pair.apply(&["+d"]).failed.len(), 1, "files of the container are not lost");
    assert_eq!(pair.apply(&["+d", "-d"]).done, 2);
    assert_eq!(content(pair.root("app/d")).unwrap(), b"now a file");
    fs::remove_file(pair.host("d")).unwrap();
    fs::create_dir(pair.host("d")).unwrap();
    assert_eq!(pair.apply(&["+d", "-gone", "-gone/deep"]).done, 3);
    assert!(pair.root("app/d").is_dir());
    assert_eq!(pair.apply(&["-d"]).done, 1);
    assert!(!pair.root("app/d").exists());
    let left: Vec<_> = fs::read_dir(pair.root("app")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn no_link_of_the_container_leads_out() {
    let pair = Pair::new();
    let outside = tempfile::tempdir().unwrap();
    fs::create_dir(pair.root("app")).unwrap();
    fs::write(outside.path().join("f"), "safe").unwrap();
    fs::create_dir(outside.path().join("d")).unwrap();
    symlink(outside.path(), pair.root("app/out")).unwrap();
    symlink(outside.path().join("f"), pair.root("app/f")).unwrap();
    symlink(outside.path().join("d"), pair.root("app/d")).unwrap();
    fs::create_dir(pair.host("out")).unwrap();
    fs::create_dir(pair.host("d")).unwrap();
    fs::write(pair.host("out/f"), "mine").unwrap();
    fs::write(pair.host("f"), "mine").unwrap();
    assert_eq!(pair.compare(&["+d"], Trust::Times), [Difference::Kind]);
    pair.apply(&["+out/f", "+f", "+d", "-out/f", "-d"]);
    assert_eq!(content(outside.path().join("f")).unwrap(), b"safe");
    assert!(outside.path().join("d").is_dir());
    assert!(pair.root("app/f").symlink_metadata().unwrap().is_file());
}

#[test]
fn a_link_to_a_directory_of_the_container_is_as_good_as_one() {
    let pair = Pair::new();
    fs::create_dir_all(pair.root("srv/code")).unwrap();
    symlink("/srv/code", pair.root("app")).unwrap();
    fs::write(pair.host("f"), "x").unwrap();
    assert_eq!(pair.apply(&["+f"]).done, 1);
    assert_eq!(content(pair.root("srv/code/f")).unwrap(), b"x");
}

#[test]
fn what_the_host_removes_is_not_looked_for_behind_links_of_the_container() {
    let pair = Pair::new();
    fs::create_dir_all(pair.root("app/d")).unwrap();
    fs::write(pair.root("app/d/f"), "f").unwrap();
    symlink("d", pair.root("app/l")).unwrap();
    symlink("loop", pair.root("app/loop")).unwrap();
    fs::create_dir_all(pair.host("l")).unwrap();
    fs::create_dir_all(pair.host("loop")).unwrap();
    fs::write(pair.host("loop/f"), "x").unwrap();
    let all = ["+l", "-l/f", "+loop/f"];
    let differences = [Difference::Kind, Difference::Missing];
    assert_eq!(pair.compare(&all, Trust::Times), differences);
    assert_eq!(pair.apply(&all).done, 3);
    assert_eq!(content(pair.root("app/d/f")).unwrap(), b"f");
    assert!(pair.compare(&all, Trust::Times).is_empty());
}

#[test]
fn what_cannot_be_brought_is_told_and_the_rest_goes_on() {
    let pair = Pair::new();
    fs::write(pair.host("a"), "a").unwrap();
    fs::write(pair.host("b"), "b").unwrap();
    let mut transfers = pair.transfers(&["+a", "+gone"]);
    transfers.push(Transfer {
        path: "/app/a/below".into(),
        base: Path::new("/app/a").into(),
        source: Some(pair.host("b")),
        only: None,
    });
    let root = fs::File::open(pair.root.path()).unwrap();
    let report = apply(root.as_fd(), &transfers);
    assert_eq!((report.done, report.unsettled.len(), report.failed.len()), (1, 1, 1));
}

#[test]
fn what_was_brought_goes_only_if_it_still_is_what_it_was() {
    let pair = Pair::new();
    for name in ["same", "other", "time"] {
        fs::write(pair.host(name), "12").unwrap();
    }
    symlink("there", pair.host("link")).unwrap();
    for name in ["empty", "full"] {
        fs::create_dir(pair.host(name)).unwrap();
    }
    let names = ["+same", "+other", "+time", "+link", "+empty", "+full"];
    let mut made = pair.apply(&names).made;
    made.sort();
    assert_eq!(made, ["/app", "/app/empty", "/app/full"].map(PathBuf::from));
    assert_eq!(pair.apply(&names).made, Vec::<PathBuf>::new());
    let found = fs::metadata(pair.host("same")).unwrap();
    let file = Stamp::File { size: 2, modified: (found.mtime(), found.mtime_nsec()) };
    let stamps = [file.clone(), file.clone(), file, Stamp::Link("there".into())];
    let stamps = stamps.into_iter().chain([Stamp::Directory, Stamp::Directory]);
    let names = ["-same", "-other", "-time", "-link", "-empty", "-full"];
    let mut transfers = pair.transfers(&names);
    transfers.iter_mut().zip(stamps).for_each(|(it, stamp)| it.only = Some(stamp));
    for name in ["other", "time"] {
        fs::copy(pair.root("app/same"), pair.root("app").join(name)).unwrap();
    }
    fs::write(pair.root("app/other"), "of the container").unwrap();
    fs::write(pair.root("app/full/own"), "of the container").unwrap();
    let root = fs::File::open(pair.root.path()).unwrap();
    let found = compare(root.as_fd(), &transfers, Trust::Times).unwrap();
    let left: Vec<&Path> = found.iter().map(|(it, _)| it.path.as_path()).collect();
    assert_eq!(left, ["/app/same", "/app/link", "/app/empty"].map(Path::new));
    assert_eq!(apply(root.as_fd(), &transfers).failed, []);
    let there = fs::read_dir(pair.root("app")).unwrap().map(|it| it.unwrap().file_name());
    let mut there: Vec<_> = there.collect();
    there.sort();
    assert_eq!(there, ["full", "other", "time"]);
}

#[test]
fn many_files_come_at_once_into_directories_that_are_missing() {
    let pair = Pair::new();
    let names: Vec<String> =
        (0..300).map(|number| format!("+d{}/e/{number}", number % 3)).collect();
    for name in &names {
        fs::create_dir_all(pair.host(&name[1..]).parent().unwrap()).unwrap();
        fs::write(pair.host(&name[1..]), name).unwrap();
    }
    let words: Vec<&str> = names.iter().map(String::as_str).collect();
    let report = pair.apply(&words);
    assert_eq!((report.done, report.failed.len()), (300, 0), "{report:?}");
    assert_eq!(pair.compare(&words, Trust::Contents), []);
    let left = walkdir::WalkDir::new(pair.root("app")).into_iter().flatten();
    assert_eq!(left.count(), 300 + 7, "nothing half is left");
}

#[test]
fn differences_are_told_and_nothing_is_changed() {
    let pair = Pair::new();
    for name in ["same", "content", "missing", "mode", "kind"] {
        fs::write(pair.host(name), "12").unwrap();
    }
    let all = ["+same", "+content", "+missing", "+mode", "+kind"];
    pair.apply(&all);
    assert!(pair.compare(&all, Trust::Contents).is_empty());
    fs::write(pair.root("app/content"), "21").unwrap();
    fs::remove_file(pair.root("app/missing")).unwrap();
    set_mode(&pair.root("app/mode"), 0o755);
    fs::remove_file(pair.root("app/kind")).unwrap();
    fs::create_dir(pair.root("app/kind")).unwrap();
    fs::write(pair.root("app/extra"), "").unwrap();
    let all = ["+same", "+content", "+missing", "+mode", "+kind", "-extra", "-none"];
    let expected = [
        Difference::Content,
        Difference::Missing,
        Difference::Mode,
        Difference::Kind,
        Difference::LeftOver,
    ];
    assert_eq!(pair.compare(&all, Trust::Times), expected);
    assert_eq!(pair.compare(&all, Trust::Contents), expected);
    // Who changes a file and gives it its old time back is found out.
    let time = fs::metadata(pair.host("same")).unwrap().modified().unwrap();
    fs::write(pair.root("app/same"), "xy").unwrap();
    fs::File::options()
        .write(true)
        .open(pair.root("app/same"))
        .unwrap()
        .set_modified(time)
        .unwrap();
    assert!(pair.compare(&["+same"], Trust::Times).is_empty());
    assert_eq!(pair.compare(&["+same"], Trust::Contents), [Difference::Content]);
}

#[test]
fn what_a_container_nests_without_end_is_left_alone_and_told() {
    let pair = Pair::new();
    let mut path = pair.root("app/d");
    for _ in 0..200 {
        path.push("d");
    }
    fs::create_dir_all(&path).unwrap();
    let report = pair.apply(&["-d"]);
    assert!(report.failed[0].1.contains("levels of directories"), "{report:?}");
    fs::remove_dir_all(pair.root("app/d").join(["d"; 100].join("/"))).unwrap();
    assert_eq!(pair.apply(&["-d"]).done, 1);
    assert!(!pair.root("app/d").exists());
}

#[test]
fn only_what_is_a_file_is_opened_to_be_compared() {
    let pair = Pair::new();
    fs::write(pair.root("f"), "x").unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        pair.root("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    symlink("f", pair.root("link")).unwrap();
    let root = fs::File::open(pair.root.path()).unwrap();
    let opens =
        |name: &str| super::compare::open_regular(root.as_fd(), Path::new(name)).unwrap().is_some();
    assert_eq!(["f", "pipe", "link"].map(opens), [true, false, false]);
}

/// The content of a file.
#[expect(clippy::disallowed_methods, reason = "a test reads what it has written")]
fn content(path: impl AsRef<Path>) -> std::io::Result<Vec<u8>> {
    fs::read(path)
}
