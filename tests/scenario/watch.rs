//! `watch`: files that change are in the containers, and what follows from them has been done.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use futures_util::TryStreamExt as _;

use super::{LIMIT, Running, Scenario, scenario, until, within};

/// A file of the project.
fn save(it: &Scenario, name: &str, text: &str) {
    let path = it.dir().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Starts a watch and waits until it watches.
fn watching(it: &Scenario, arguments: &str) -> Running {
    let running = it.start(arguments);
    until("it watches", || running.stderr().contains("Watch enabled"));
    running
}

/// Ends a watch as the user does.
fn end(mut running: Running) -> String {
    running.signal("INT");
    assert_eq!(running.end(), Some(130), "{}", running.stderr());
    running.stderr()
}

/// What a file in a container holds; empty if it is not there.
fn content(it: &Scenario, short: &str, path: &str) -> String {
    let (code, text) = it.place.exec(&it.name(short), &["cat", path]);
    if code == 0 { text } else { String::new() }
}

fn told(running: &Running, text: &str) -> usize {
    running.stderr().matches(text).count()
}

#[test]
fn every_replica_has_what_is_saved_and_check_says_so() {
    let file = "services: {web: {<<: *app, scale: 2, user: '1000:1000', develop: {watch: [
        {path: ./src, action: sync, target: /srv/app, ignore: [node_modules, '*.log']}]}}}\n";
    scenario("watch-sync", file, |it| {
        save(it, "src/a", "1");
        save(it, "src/node_modules/x", "1");
        let running = watching(it, "watch");
        for web in ["web-1", "web-2"] {
            until("what was there is brought", || content(it, web, "/srv/app/a") == "1");
        }
        it.exec("web-1", &["ls", "/srv/app"]);
        save(it, "src/d/e/f", "deep");
        save(it, "src/a.log", "no");
        fs::rename(it.dir().join("src/a"), it.dir().join("src/b")).unwrap();
        for web in ["web-1", "web-2"] {
            until("the new is there", || content(it, web, "/srv/app/d/e/f") == "deep");
            until("the old is gone", || {
                it.exec(web, &["ls", "/srv/app"]).split_whitespace().eq(["b", "d"])
            });
        }
        let checked = it.ok("watch --check").stdout;
        assert_eq!(checked.matches("in step").count(), 2, "{checked}");
        end(running);
        save(it, "src/b", "later");
        let checked = it.ends(1, "watch --check").stdout;
        assert!(checked.contains("/srv/app/b: other content"), "{checked}");
        let running = watching(it, "watch --no-up");
        until("it is in step again", || content(it, "web-2", "/srv/app/b") == "later");
        end(running);
        // What goes while nobody watches.
        fs::remove_dir_all(it.dir().join("src/d")).unwrap();
        let checked = it.ends(1, "watch --check").stdout;
        assert!(checked.contains("/srv/app/d/e/f: left over"), "{checked}");
        let running = watching(it, "watch --no-up");
        for web in ["web-1", "web-2"] {
            until("it is gone", || it.exec(web, &["ls", "/srv/app"]) == "b\n");
        }
        assert_eq!(it.ok("watch --check").stdout.matches("in step").count(), 2);
        end(running);
    });
}

#[test]
fn what_is_replaced_keeps_its_owner_and_mode() {
    let file = "services: {web: {<<: *app, command: [sh, -c, 'mkdir -p /srv/app; echo old > \
        /srv/app/a; chown 7:8 /srv/app/a; chmod 640 /srv/app/a; exec sleep 1000'], develop: {watch: [
        {path: ./src, action: sync, target: /srv/app}]}}}\n";
    scenario("watch-owner", file, |it| {
        it.ok("up -d");
        until("it has begun", || content(it, "web-1", "/srv/app/a") == "old\n");
        save(it, "src/a", "new");
        save(it, "src/tool", "tool");
        fs::set_permissions(it.dir().join("src/tool"), fs::Permissions::from_mode(0o700)).unwrap();
        let running = watching(it, "watch --no-up");
        until("both are there", || content(it, "web-1", "/srv/app/tool") == "tool");
        let words = ["busybox", "stat", "-c", "%u:%g %a %n", "/srv/app/a", "/srv/app/tool"];
        assert_eq!(it.exec("web-1", &words), "7:8 640 /srv/app/a\n0:0 755 /srv/app/tool\n");
        fs::set_permissions(it.dir().join("src/tool"), fs::Permissions::from_mode(0o600)).unwrap();
        let mode = ["busybox", "stat", "-c", "%a", "/srv/app/tool"];
        until("a mode alone is followed", || it.exec("web-1", &mode) == "644\n");
        end(running);
    });
}

#[test]
fn one_burst_is_one_restart_and_mounted_code_restarts_too() {
    let file = "services:\n  web: {<<: *app, develop: {watch: [
        {path: ./conf, action: sync+restart, target: /srv/conf}]}}\n  bind: {<<: *app,
        volumes: ['./code:/code'], develop: {watch: [
        {path: ./code, action: sync+restart, target: /code}]}}\n";
    scenario("watch-restart", file, |it| {
        save(it, "conf/a", "1");
        save(it, "code/a", "1");
        let running = watching(it, "watch");
        until("it is in step, which took a restart", || told(&running, "web: restarted") == 1);
        let (web, bind) = (it.began("web-1"), it.began("bind-1"));
        for number in 0..300 {
            save(it, &format!("staged/{number}"), "2");
        }
        fs::rename(it.dir().join("staged"), it.dir().join("conf/all")).unwrap();
        until("it was restarted", || told(&running, "web: restarted") == 2);
        assert_eq!(content(it, "web-1", "/srv/conf/all/299"), "2", "files come before the restart");
        assert!(it.began("web-1") > web);
        save(it, "code/a", "2");
        until("mounted code restarts", || told(&running, "bind: restarted") == 1);
        assert!(it.began("bind-1") > bind);
        let text = end(running);
        assert_eq!(text.matches("web: restarted").count(), 2, "{text}");
        assert!(!text.contains("bind: synced"), "{text}");
    });
}

#[test]
fn a_command_runs_once_for_each_batch_and_its_failure_is_told() {
    let file = "services: {web: {<<: *app, develop: {watch: [{path: ./src, action: sync+exec,
        target: /srv/app, exec: {command: [sh, -c, 'echo x >> /tmp/runs; test ! -e /srv/app/bad']}}]}}}\n";
    scenario("watch-exec", file, |it| {
        fs::create_dir(it.dir().join("src")).unwrap();
        let running = watching(it, "--progress json watch");
        save(it, "src/a", "1");
        until("it ran", || content(it, "web-1", "/tmp/runs") == "x\n");
        save(it, "src/bad", "1");
        until("it is told", || running.stderr().contains("exited with code 1"));
        fs::remove_file(it.dir().join("src/bad")).unwrap();
        until("it ran again", || content(it, "web-1", "/tmp/runs") == "x\nx\nx\n");
        let events: Vec<serde_json::Value> =
            end(running).lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let deeds = |deed: &str| events.iter().filter(|it| it["deed"] == deed).count();
        assert!(deeds("synced") >= 3 && deeds("executed") >= 2, "{events:#?}");
    });
}

#[test]
fn a_command_that_does_not_end_is_left_at_the_second_ctrl_c() {
    let file = "services: {web: {<<: *app, develop: {watch: [{path: ./src, action: sync+exec,
        target: /srv/app, exec: {command: [sh, -c, 'echo x > /tmp/runs; exec sleep 1000']}}]}}}\n";
    scenario("watch-endless", file, |it| {
        fs::create_dir(it.dir().join("src")).unwrap();
        let mut running = watching(it, "watch");
        save(it, "src/a", "1");
        until("it runs", || content(it, "web-1", "/tmp/runs") == "x\n");
        // Two that come at once count as one.
        until("it ends", || {
            let has_ended = running.child.try_wait().unwrap().is_some();
            if !has_ended {
                running.signal("INT");
            }
            has_ended
        });
        assert_eq!(running.end(), Some(130), "{}", running.stderr());
    });
}

#[test]
fn containers_that_come_anew_or_again_are_in_step() {
    let file = "services: {web: {<<: *app, develop: {watch: [
        {path: ./src, action: sync, target: /etc/app}]}}}\n";
    scenario("watch-anew", file, |it| {
        save(it, "src/a", "1");
        let running = watching(it, "watch");
        until("it is in step", || content(it, "web-1", "/etc/app/a") == "1");
        let before = it.id("web-1");
        it.ok("up -d --force-recreate");
        assert_ne!(it.id("web-1"), before);
        until("the new one is in step", || content(it, "web-1", "/etc/app/a") == "1");
        it.ok("kill");
        save(it, "src/a", "2");
        it.ok("start");
        until("the old one is in step", || content(it, "web-1", "/etc/app/a") == "2");
        it.ok("up -d --scale web=2");
        until("one more is in step", || content(it, "web-2", "/etc/app/a") == "2");
        end(running);
    });
}

#[test]
fn what_does_not_fit_is_told_and_nothing_half_is_left() {
    let file = "services: {web: {<<: *app, tmpfs: ['/small:size=64k,mode=755'], develop: {watch: [
        {path: ./src, action: sync, target: /small}]}}}\n";
    scenario("watch-full", file, |it| {
        save(it, "src/a", "old");
        let running = watching(it, "watch");
        until("it is in step", || content(it, "web-1", "/small/a") == "old");
        save(it, "src/a", &"x".repeat(200_000));
        until("it is told", || running.stderr().contains("No space left"));
        assert_eq!(it.exec("web-1", &["ls", "-A", "/small"]), "a\n");
        assert_eq!(content(it, "web-1", "/small/a"), "old");
        save(it, "src/a", "new");
        until("it goes on", || content(it, "web-1", "/small/a") == "new");
        end(running);
    });
}

#[test]
fn a_build_that_fails_and_a_start_that_fails_leave_what_ran() {
    let file = "services: {web: {build: ., stop_signal: SIGKILL, develop: {watch: [
        {path: ./Dockerfile, action: rebuild}]}}}\n";
    let dockerfile = |line: &str| format!("FROM corpus/busybox:1\n{line}\n");
    let image = |it: &Scenario| format!("{}-web", it.project);
    scenario("watch-build", file, |it| {
        save(it, "Dockerfile", &dockerfile("CMD [\"sleep\", \"1000\"]"));
        let running = watching(it, "watch");
        let first = it.id("web-1");
        save(it, "Dockerfile", &dockerfile("RUN false"));
        until("it is told", || running.stderr().contains("the build failed"));
        assert_eq!(it.id("web-1"), first);
        save(it, "Dockerfile", &dockerfile("CMD [\"/nosuch\"]"));
        until("it is told", || running.stderr().contains("one of the image before runs again"));
        assert_eq!(it.states(), ["web-1 running"]);
        let kept = format!("{}:kept", image(it));
        it.place.tag_of(&image(it), &kept);
        save(it, "Dockerfile", &dockerfile("ENV A=b\nCMD [\"sleep\", \"1001\"]"));
        until("it is replaced", || running.stderr().contains("its containers replaced"));
        assert_eq!(it.exec("web-1", &["sh", "-c", "echo $A"]), "b\n");
        end(running);
        let found = it.place.ask(it.place.runtime.find_image(&kept)).unwrap();
        assert!(found.is_some(), "an image with another name stays");
        it.ok("down");
        for image in [image(it), kept] {
            let _ = it.place.ask(it.place.runtime.remove_image(&image));
        }
    });
}

#[test]
fn up_watches_too_and_outlives_a_container_that_a_change_revives() {
    let file = "services: {web: {<<: *app, command: [sh, -c, 'echo begun; cat /srv/app/a; exec sleep 1000'],
        develop: {watch: [{path: ./src, action: sync+restart, target: /srv/app}]}}}\n";
    scenario("watch-up", file, |it| {
        save(it, "src/a", "first\n");
        let running = watching(it, "up --watch");
        until("it has what is there", || running.stdout().contains("first"));
        it.ok("kill");
        until("its end is told", || running.stdout().contains("exited with code"));
        save(it, "src/a", "second\n");
        until("it lives again", || running.stdout().contains("second"));
        let text = end(running);
        assert!(text.contains("web: restarted"), "{text}");
        assert_eq!(it.states(), ["web-1 exited"]);
    });
}

#[test]
fn up_that_ends_with_a_container_ends_though_it_watches_once_it_is_its_turn() {
    let file = "services: {web: {<<: *app, develop: {watch: [
        {path: ./src, action: sync, target: /srv/app}]}}}\n";
    scenario("watch-abort", file, |it| {
        save(it, "src/a", "1");
        let first = watching(it, "watch");
        let mut up = it.start("up --watch --exit-code-from web");
        until("it waits", || up.stderr().contains("which watches this project"));
        assert!(!up.stderr().contains("Watch enabled"), "{}", up.stderr());
        end(first);
        until("it watches", || up.stderr().contains("Watch enabled"));
        it.ok("kill");
        assert_eq!(up.end(), Some(137), "{}", up.stderr());
    });
}

#[test]
fn what_cannot_be_watched_is_refused_before_anything_runs() {
    scenario("watch-none", "services: {web: *app}\n", |it| {
        let output = it.ends(1, "watch");
        assert!(output.stderr.contains("none of the selected services"), "{output:?}");
        let output = it.ends(1, "up --watch");
        assert!(output.stderr.contains("none of the selected services"), "{output:?}");
        it.ends(1, "up -d --watch");
        assert!(it.left().is_empty());
    });
}

/// Random edits of several writers: when it is quiet, both sides are equal. `KETCH_TEST_EDITS` is
/// how many.
#[test]
fn after_random_edits_both_sides_are_equal() {
    let number =
        std::env::var("KETCH_TEST_EDITS").ok().and_then(|it| it.parse().ok()).unwrap_or(300);
    let file = "services: {web: {<<: *app, develop: {watch: [
        {path: ./src, action: sync, target: /srv/app}]}}}\n";
    scenario("watch-random", file, |it| {
        save(it, "src/a", "1");
        let running = watching(it, "watch");
        let writers: Vec<_> = (1..=3)
            .map(|seed| {
                let root = it.dir().join("src");
                std::thread::spawn(move || edits(&root, seed, number / 3))
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        let host = tree(&it.dir().join("src"));
        let equal = within(LIMIT, || inside(it) == host);
        assert!(equal, "{:#?}\n{}", different(&host, &inside(it)), running.stderr());
        let checked = it.ok("watch --check").stdout;
        assert!(checked.contains("in step"), "{checked}");
        end(running);
    });
}

/// What is not the same on both sides.
fn different<'t>(
    host: &'t BTreeMap<String, String>,
    inside: &'t BTreeMap<String, String>,
) -> BTreeMap<&'t String, [Option<&'t String>; 2]> {
    let paths = host.keys().chain(inside.keys());
    let both = paths.map(|path| (path, [host.get(path), inside.get(path)]));
    both.filter(|(_, [here, there])| here != there).collect()
}

/// Does so many random things to a tree.
fn edits(root: &Path, seed: u64, number: usize) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut random = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    for _ in 0..number {
        let mut path = || {
            let depth = random(3) + 1;
            (0..depth).fold(root.to_owned(), |path, _| path.join(format!("n{}", random(5))))
        };
        let (one, other) = (path(), path());
        // Whatever cannot be done is left out: another writer was faster.
        let _ = match random(9) {
            0 | 1 => fs::create_dir_all(&one),
            2 => fs::remove_file(&one),
            3 if random(4) == 0 => fs::remove_dir_all(&one),
            4 => fs::rename(&one, &other),
            5 => symlink("n1", &one),
            6 => fs::set_permissions(&one, fs::Permissions::from_mode(0o755)),
            _ => fs::write(&one, format!("{}", random(1000))),
        };
    }
}

/// What is below a directory: kind or content by path.
fn tree(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in walkdir::WalkDir::new(root).min_depth(1) {
        let entry = entry.unwrap();
        let path = entry.path().strip_prefix(root).unwrap().display().to_string();
        let kind = if entry.file_type().is_dir() {
            "directory".to_owned()
        } else if entry.file_type().is_symlink() {
            format!("link {}", fs::read_link(entry.path()).unwrap().display())
        } else {
            format!("file {}", fs::read_to_string(entry.path()).unwrap())
        };
        found.insert(path, kind);
    }
    found
}

/// The same of the container, which takes no part in it.
fn inside(it: &Scenario) -> BTreeMap<String, String> {
    let archive = it.place.runtime.copy_out(&it.name("web-1"), "/srv/app");
    let Ok(pieces) = it.place.ask(archive.try_collect::<Vec<_>>()) else { return BTreeMap::new() };
    let bytes = pieces.concat();
    let mut tar = tar::Archive::new(bytes.as_slice());
    let mut found = BTreeMap::new();
    for entry in tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let path = path.trim_start_matches("app/").trim_end_matches('/').to_owned();
        let kind = match entry.header().entry_type() {
            tar::EntryType::Directory => "directory".to_owned(),
            tar::EntryType::Symlink => {
                format!("link {}", entry.link_name().unwrap().unwrap().display())
            }
            _ => {
                let mut text = String::new();
                entry.read_to_string(&mut text).unwrap();
                format!("file {text}")
            }
        };
        if !path.is_empty() {
            found.insert(path, kind);
        }
    }
    found
}
