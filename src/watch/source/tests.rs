//! Real files, real events: after every kind of edit a copy that only follows the batches is equal.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Watcher;
use crate::model::Project;
use crate::model::transfer::Transfer;
use crate::watch::Rules;
use crate::watch::directories::Directories;
use crate::watch::tree::{Changes, Tree};

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(20);

/// A watched folder `p/src`, and a copy that follows the batches.
struct Trial {
    folder: tempfile::TempDir,
    watcher: Watcher,
}

impl Trial {
    fn of(attributes: &str, prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("copy")).unwrap();
        fs::create_dir(folder.path().join("p")).unwrap();
        prepare(&folder.path().join("p"));
        let text = format!(
            "{{a: {{image: x, develop: {{watch: [{{path: {}/p/src, action: sync, target: /,
                {attributes}}}]}}}}}}",
            folder.path().display()
        );
        let services = serde_yaml::from_str(&text).unwrap();
        let project = Project { services, ..Project::default() };
        let watcher = Watcher::start(Rules::of(&project).unwrap().all).unwrap();
        let trial = Self { folder, watcher };
        let expected = trial.watcher.expected("a");
        let expected: Vec<Transfer> = expected.into_iter().map(|(_, transfer)| transfer).collect();
        trial.apply(&expected);
        trial
    }

    fn src(&self, name: &str) -> PathBuf {
        self.folder.path().join("p/src").join(name)
    }

    fn copy(&self, name: &Path) -> PathBuf {
        self.folder.path().join("copy").join(name.strip_prefix("/").unwrap())
    }

    /// As a runtime does it, but for its care.
    fn apply(&self, transfers: &[Transfer]) {
        let mut gone: Vec<_> = transfers.iter().filter(|it| it.source.is_none()).collect();
        gone.sort_by(|a, b| b.path.cmp(&a.path));
        for transfer in gone {
            let path = self.copy(&transfer.path);
            let _ = fs::remove_file(&path);
            let _ = fs::remove_dir_all(&path);
        }
        let mut there: Vec<_> =
            transfers.iter().filter_map(|it| Some((it.source.as_ref()?, &it.path))).collect();
        there.sort_by_key(|(_, path)| (*path).clone());
        for (source, path) in there {
            let to = self.copy(path);
            let Ok(found) = fs::symlink_metadata(source) else { continue };
            self.make_directory(if found.is_dir() { &to } else { to.parent().unwrap() });
            if found.is_dir() {
                continue;
            }
            // It may have been a directory for a moment: the runtime finds that out and compares.
            let _ = fs::remove_file(&to);
            let _ = fs::remove_dir_all(&to);
            if found.is_symlink() {
                // It may be gone, or something else, by now: that is told again.
                let _ = fs::read_link(source).and_then(|leads| symlink(leads, &to));
            } else {
                let _ = fs::copy(source, &to);
            }
        }
    }

    /// Makes a directory of the copy; what is in the way was a file or a link for a moment.
    fn make_directory(&self, path: &Path) {
        let copy = self.folder.path().join("copy");
        let mut way: Vec<&Path> = path.ancestors().take_while(|it| *it != copy).collect();
        while let Some(directory) = way.pop() {
            if fs::symlink_metadata(directory).is_ok_and(|it| !it.is_dir()) {
                fs::remove_file(directory).unwrap();
            }
            let _ = fs::create_dir(directory);
        }
    }

    /// Takes batches until the copy is equal; how many that took.
    async fn follows(&mut self) -> usize {
        let mut number = 0;
        let end = tokio::time::Instant::now() + LIMIT;
        while contents(&self.src("")) != contents(&self.folder.path().join("copy")) {
            let batch = tokio::time::timeout_at(end, self.watcher.batch()).await;
            let Ok(batch) = batch else {
                let (here, there) = (self.src(""), self.folder.path().join("copy"));
                assert_eq!(contents(&here), contents(&there));
                return number;
            };
            number += 1;
            for (_, work) in batch.unwrap() {
                self.apply(&work.transfers());
            }
        }
        number
    }
}

/// What lies below a directory: whether it is a directory, mode and content by path.
fn contents(root: &Path) -> BTreeMap<PathBuf, (bool, u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for entry in walkdir::WalkDir::new(root).min_depth(1) {
        let Ok(entry) = entry else { continue };
        let Ok(metadata) = entry.metadata() else { continue };
        let content = if metadata.is_file() {
            content(entry.path()).unwrap_or_default()
        } else if metadata.is_symlink() {
            fs::read_link(entry.path()).unwrap().into_os_string().into_encoded_bytes()
        } else {
            Vec::new()
        };
        let executable = if metadata.is_file() { metadata.permissions().mode() & 0o100 } else { 0 };
        let path = entry.path().strip_prefix(root).unwrap().to_owned();
        found.insert(path, (metadata.is_dir(), executable, content));
    }
    found
}

fn folder_src(root: &Path) {
    fs::create_dir(root.join("src")).unwrap();
    fs::write(root.join("src/a"), "a").unwrap();
}

#[tokio::test]
async fn however_a_file_is_saved_or_moved_it_is_followed() {
    let mut it = Trial::of("", folder_src);
    // In place.
    fs::write(it.src("a"), "b").unwrap();
    it.follows().await;
    // As most editors: beside it, then in its place.
    fs::write(it.src(".a.tmp"), "c").unwrap();
    fs::rename(it.src(".a.tmp"), it.src("a")).unwrap();
    it.follows().await;
    // As vim: the old one becomes a backup that goes away.
    fs::rename(it.src("a"), it.src("a~")).unwrap();
    fs::write(it.src("a"), "d").unwrap();
    fs::remove_file(it.src("a~")).unwrap();
    it.follows().await;
    // Only its mode.
    fs::set_permissions(it.src("a"), fs::Permissions::from_mode(0o755)).unwrap();
    it.follows().await;
    // A folder filled at once, moved, and moved within itself.
    fs::create_dir_all(it.src("d/e/f")).unwrap();
    fs::write(it.src("d/e/f/g"), "g").unwrap();
    it.follows().await;
    fs::rename(it.src("d"), it.src("d2")).unwrap();
    it.follows().await;
    fs::write(it.src("d2/e/f/g"), "h").unwrap();
    fs::write(it.src("d2/e/new"), "new").unwrap();
    it.follows().await;
    // Another one of its old name, while the moved one lives on.
    fs::rename(it.src("d2/e"), it.src("e")).unwrap();
    fs::create_dir(it.src("d2/e")).unwrap();
    fs::write(it.src("d2/e/x"), "x").unwrap();
    it.follows().await;
    fs::write(it.src("e/f/g"), "i").unwrap();
    fs::write(it.src("d2/e/x"), "y").unwrap();
    it.follows().await;
    // Links, to nowhere too; then a file and a folder in the place of each other.
    symlink("nowhere", it.src("l")).unwrap();
    it.follows().await;
    fs::remove_file(it.src("l")).unwrap();
    fs::create_dir(it.src("l")).unwrap();
    fs::write(it.src("l/in"), "in").unwrap();
    it.follows().await;
    fs::remove_dir_all(it.src("l")).unwrap();
    fs::write(it.src("l"), "file").unwrap();
    it.follows().await;
    fs::remove_dir_all(it.src("d2")).unwrap();
    it.follows().await;
}

#[tokio::test]
async fn a_path_that_comes_late_and_goes_and_comes_again_is_followed() {
    let mut it = Trial::of("", |_| {});
    assert_eq!(it.watcher.missing().len(), 1);
    folder_src(&it.folder.path().join("p"));
    it.follows().await;
    fs::rename(it.folder.path().join("p"), it.folder.path().join("q")).unwrap();
    it.follows().await;
    fs::rename(it.folder.path().join("q"), it.folder.path().join("p")).unwrap();
    fs::write(it.src("b"), "b").unwrap();
    it.follows().await;
    fs::remove_dir_all(it.folder.path().join("p")).unwrap();
    it.follows().await;
    fs::create_dir(it.folder.path().join("p")).unwrap();
    folder_src(&it.folder.path().join("p"));
    it.follows().await;
    fs::write(it.src("a"), "again").unwrap();
    it.follows().await;
}

#[tokio::test]
async fn one_save_is_one_batch_and_what_is_ignored_is_not_even_watched() {
    let mut it = Trial::of("ignore: [node_modules]", |root| {
        folder_src(root);
        for number in 0..50 {
            fs::create_dir_all(root.join(format!("src/node_modules/{number}/lib"))).unwrap();
        }
    });
    assert_eq!(it.watcher.directories.count(), 2, "`src` and what is around it");
    fs::write(it.src("node_modules/0/lib/x"), "x").unwrap();
    fs::write(it.src("a"), "new").unwrap();
    let batch = tokio::time::timeout(LIMIT, it.watcher.batch()).await.unwrap().unwrap();
    let transfers = batch["a"].transfers();
    assert_eq!(transfers.len(), 1, "{transfers:?}");
    // Reading changes nothing.
    content(it.src("a")).unwrap();
    fs::read_dir(it.src("")).unwrap().count();
    let nothing = tokio::time::timeout(Duration::from_millis(100), it.watcher.batch()).await;
    assert!(nothing.is_err(), "{nothing:?}");
}

#[tokio::test]
async fn lost_events_are_answered_with_a_look_at_everything() {
    let mut it = Trial::of("", folder_src);
    fs::create_dir(it.src("d")).unwrap();
    fs::write(it.src("d/f"), "f").unwrap();
    it.watcher.directories.lose();
    let batch = tokio::time::timeout(LIMIT, it.watcher.batch()).await.unwrap().unwrap();
    let places: Vec<PathBuf> = batch["a"].transfers().into_iter().map(|it| it.path).collect();
    for place in ["/d", "/d/f"] {
        assert!(places.contains(&PathBuf::from(place)), "{places:?}");
    }
}

#[tokio::test]
async fn what_lies_behind_a_link_in_the_place_of_a_folder_is_not_below_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["d", "other"] {
        fs::create_dir(at(name)).unwrap();
        fs::write(at(name).join("f"), "x").unwrap();
    }
    let text = format!(
        "{{a: {{image: x, develop: {{watch: [{{path: {}, action: sync, target: /}}]}}}}}}",
        folder.path().display()
    );
    let services = serde_yaml::from_str(&text).unwrap();
    let rules = Rules::of(&Project { services, ..Project::default() }).unwrap().all;
    let mut directories = Directories::listen(vec![at("")]).unwrap();
    let mut tree = Tree::default();
    tree.look_again(&rules[0], &mut directories).unwrap();
    fs::rename(at("d"), at("e")).unwrap();
    for leads in ["other", "d"] {
        symlink(leads, at("d")).unwrap();
        let mut changes = Changes::new();
        for path in [at("d"), at("d/f")] {
            tree.look_at(&[path].into(), (&rules[0], &mut directories), &mut changes).unwrap();
        }
        assert!(!tree.has(&at("d/f")) && tree.blind().is_empty(), "{changes:?}");
        fs::remove_file(at("d")).unwrap();
    }
}

/// A folder that nobody may read, not even root: a link in the place of one above it leads in
/// circles.
#[tokio::test]
async fn what_cannot_be_read_is_not_taken_away_and_is_looked_at_again() {
    let mut it = Trial::of("", folder_src);
    let (real, aside) = (it.folder.path().join("p"), it.folder.path().join("q"));
    fs::rename(&real, &aside).unwrap();
    symlink("p", &real).unwrap();
    let batch = tokio::time::timeout(LIMIT, it.watcher.batch()).await.unwrap().unwrap();
    assert!(batch.is_empty(), "{batch:?}");
    assert_eq!(it.watcher.blind().keys().collect::<Vec<_>>(), [&it.src("").join("")]);
    assert!(it.watcher.expected("a").is_empty(), "nobody is told to compare it");
    fs::write(aside.join("src/a"), "later").unwrap();
    fs::remove_file(&real).unwrap();
    fs::rename(&aside, &real).unwrap();
    it.follows().await;
    assert!(it.watcher.blind().is_empty());
}

#[tokio::test]
async fn what_goes_with_one_folder_leaves_the_target_of_another_rule_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("p/vendor/own")).unwrap();
    fs::create_dir(at("shared")).unwrap();
    fs::write(at("shared/s"), "s").unwrap();
    let text = format!(
        "{{a: {{image: x, develop: {{watch: [{{path: {0}/p, action: sync, target: /app}},
            {{path: {0}/shared, action: sync, target: /app/vendor/shared}}]}}}}}}",
        folder.path().display()
    );
    let services = serde_yaml::from_str(&text).unwrap();
    let project = Project { services, ..Project::default() };
    let mut watcher = Watcher::start(Rules::of(&project).unwrap().all).unwrap();
    // In one step, so that it is one batch.
    fs::rename(at("p/vendor"), at("gone")).unwrap();
    let batch = tokio::time::timeout(LIMIT, watcher.batch()).await.unwrap().unwrap();
    let places: Vec<PathBuf> = batch["a"].transfers().into_iter().map(|it| it.path).collect();
    assert_eq!(places, [PathBuf::from("/app/vendor/own")]);
}

#[tokio::test]
async fn patterns_that_change_count_at_once_and_take_nothing_away() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("p/log")).unwrap();
    fs::write(at("p/log/a"), "a").unwrap();
    fs::write(at("p/b"), "b").unwrap();
    let text = format!(
        "{{a: {{build: {{context: {0}}}, develop: {{watch: [{{path: {0}/p, action: sync,
            target: /app}}]}}}}}}",
        folder.path().display()
    );
    let services = serde_yaml::from_str(&text).unwrap();
    let project = Project { services, ..Project::default() };
    let mut watcher = Watcher::start(Rules::of(&project).unwrap().all).unwrap();
    let before = watcher.directories.count();
    let places = |transfers: Vec<Transfer>| -> Vec<PathBuf> {
        transfers.into_iter().map(|it| it.path).collect()
    };
    fs::write(at(".dockerignore"), "p/log\n").unwrap();
    let expected = |watcher: &Watcher| {
        places(watcher.expected("a").into_iter().map(|(_, transfer)| transfer).collect())
    };
    let end = tokio::time::Instant::now() + LIMIT;
    while expected(&watcher) != ["/app", "/app/b"].map(PathBuf::from) {
        assert!(tokio::time::Instant::now() < end, "{:?}", expected(&watcher));
        let waited = Duration::from_millis(20);
        if let Ok(batch) = tokio::time::timeout(waited, watcher.batch()).await {
            // What has just been made is brought once more.
            let transfers = batch.unwrap().remove("a").unwrap_or_default().transfers();
            assert!(transfers.iter().all(|it| it.source.is_some()), "{transfers:?}");
        }
    }
    assert_eq!(watcher.directories.count(), before - 1);
    fs::write(at(".dockerignore"), "!\n").unwrap();
    let batch = tokio::time::timeout(LIMIT, watcher.batch()).await.unwrap().unwrap();
    assert!(batch.is_empty() && watcher.unread().contains_key(&at(".dockerignore")));
    fs::remove_file(at(".dockerignore")).unwrap();
    let batch = tokio::time::timeout(LIMIT, watcher.batch()).await.unwrap().unwrap();
    let brought = places(batch["a"].transfers());
    for place in ["/app/log", "/app/log/a"] {
        assert!(brought.contains(&place.into()), "{brought:?}");
    }
    assert!(watcher.unread().is_empty());
}

#[tokio::test]
async fn a_switch_of_branches_is_few_batches() {
    let mut it = Trial::of("", |root| {
        for directory in 0..20 {
            fs::create_dir_all(root.join(format!("src/{directory}"))).unwrap();
            for file in 0..50 {
                fs::write(root.join(format!("src/{directory}/{file}")), "1").unwrap();
            }
        }
    });
    let begun = std::time::Instant::now();
    for directory in 0..20 {
        for file in 0..50 {
            fs::write(it.src(&format!("{directory}/{file}")), "2").unwrap();
        }
    }
    let took = begun.elapsed();
    let batches = it.follows().await;
    // Few at the beginning, one for each longest wait, and what came in at the end.
    let most = 5 + usize::try_from(took.as_millis() / 150).unwrap();
    assert!(batches <= most, "{batches} batches in {took:?}");
}

/// Every path that several writers touch at random is equal once they are done.
#[tokio::test]
async fn random_edits_of_several_writers_are_followed() {
    let mut it = Trial::of("", folder_src);
    let writers: Vec<_> = (0..3_u64)
        .map(|seed| {
            let root = it.src("");
            std::thread::spawn(move || edits(&root, seed, 400))
        })
        .collect();
    while writers.iter().any(|writer| !writer.is_finished()) {
        let waited = Duration::from_millis(20);
        if let Ok(batch) = tokio::time::timeout(waited, it.watcher.batch()).await {
            for (_, work) in batch.unwrap() {
                it.apply(&work.transfers());
            }
        }
    }
    it.follows().await;
}

/// Does so many random things to a tree.
fn edits(root: &Path, seed: u64, number: usize) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1;
    let mut random = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    for _ in 0..number {
        let mut path = || {
            let depth = random(3) + 1;
            (0..depth).fold(root.to_owned(), |path, _| path.join(format!("n{}", random(4))))
        };
        let (one, other) = (path(), path());
        // Whatever cannot be done is left out: another writer was faster.
        let _ = match random(8) {
            0 => fs::create_dir_all(&one),
            1 => fs::remove_file(&one),
            2 => fs::remove_dir_all(&one),
            3 => fs::rename(&one, &other),
            4 => symlink(&other, &one),
            5 => fs::set_permissions(&one, fs::Permissions::from_mode(0o755)),
            _ => fs::write(&one, format!("{}", random(1000))),
        };
    }
}

/// The content of a file.
#[expect(clippy::disallowed_methods, reason = "a test reads what it has written")]
fn content(path: impl AsRef<Path>) -> std::io::Result<Vec<u8>> {
    fs::read(path)
}
