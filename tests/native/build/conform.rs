//! Images built by the native runtime, beside those of an engine's own builder.
//!
//! Where an engine answers, both build the same Dockerfile; the engine then unpacks both images,
//! and files and settings are compared. So it is with `buildah`, where that is installed.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{put, site};
use crate::docker::IMAGE;

fn docker(words: &[&str]) -> Option<Vec<u8>> {
    let output = Command::new("docker").args(words).env("DOCKER_BUILDKIT", "0").output().ok()?;
    if !output.status.success() {
        println!("docker {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    Some(output.stdout)
}

/// What an image is: each path with what it is, and its settings.
fn contents(image: &str) -> Contents {
    let id = docker(&["create", image, "x"]).unwrap();
    let id = String::from_utf8(id).unwrap().trim().to_owned();
    let tar = docker(&["export", &id]).unwrap();
    docker(&["rm", &id]).unwrap();
    let mut files = BTreeMap::new();
    let mut archive = tar::Archive::new(&tar[..]);
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().trim_end_matches('/').to_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        let header = entry.header();
        let link = entry.link_name().unwrap().map(|link| link.display().to_string());
        let shown = format!(
            "{:?} {:o} {}:{} {} {:?}",
            header.entry_type(),
            header.mode().unwrap(),
            header.uid().unwrap(),
            header.gid().unwrap(),
            link.unwrap_or_default(),
            Sha256::digest(&bytes),
        );
        files.insert(path, shown);
    }
    let config = docker(&["image", "inspect", "--format", "{{json .Config}}", image]).unwrap();
    let mut config: Value = serde_json::from_slice(&config).unwrap();
    let object = config.as_object_mut().unwrap();
    // What the engine remembers of its own containers; and labels of the project.
    for name in ["Image", "Hostname", "Labels", "AttachStdin", "AttachStdout", "AttachStderr"] {
        object.remove(name);
    }
    object.retain(|_, value| !value.is_null() && value.as_str() != Some(""));
    object.retain(|_, value| value.as_array().is_none_or(|list| !list.is_empty()));
    (files, config)
}

/// Images of an engine that go in the end.
struct Images(Vec<String>);

impl Drop for Images {
    fn drop(&mut self) {
        for image in &self.0 {
            docker(&["rmi", "-f", image]);
        }
    }
}

/// Builds both ways and compares. `but`: paths about which both differ, for a reason.
fn conforms(test: &str, files: &[(&str, &str)], but: &[&str]) {
    conforms_with(test, (files, but), |_| {});
}

/// The same with more in the context.
fn conforms_with(test: &str, (files, but): (&[(&str, &str)], &[&str]), more: impl FnOnce(&Path)) {
    let Some(base) = docker(&["save", IMAGE]) else { return println!("skipped {test}: no engine") };
    let Some(stage) = site(test, files) else { return };
    let place = stage.home.directory.path();
    more(&place.join("ctx"));
    std::fs::write(place.join("base.tar"), base).unwrap();
    stage.ok("image load -i base.tar");
    stage.ok("build");
    let ours = format!("{}-app", stage.name);
    let theirs = format!("{ours}:theirs");
    let others = format!("localhost/{ours}:buildah");
    let images = Images(vec![ours.clone(), theirs.clone(), others.clone()]);
    stage.ok(&format!("image save {ours} -o ours.tar"));
    docker(&["load", "-i", place.join("ours.tar").to_str().unwrap()]).unwrap();
    let context = place.join("ctx");
    // No step needs a network, and engines have lost theirs.
    let words = ["build", "--network=none", "--no-cache", "--force-rm", "-q", "-t", &theirs];
    docker(&[&words[..], &[context.to_str().unwrap()]].concat()).unwrap();
    let run = ["run", "--rm", "--network=none", "--entrypoint=/bin/sh", &ours, "-c", "echo runs"];
    assert_eq!(docker(&run).unwrap(), b"runs\n", "{test}");
    let ours = contents(&ours);
    compare(test, (ours.clone(), contents(&theirs)), but);
    if buildah(place, &others) {
        let mut both = (ours, contents(&others));
        // It keeps ranges of ports, sorts variables, and has another shell for `CMD` than `SHELL`.
        for name in ["ExposedPorts", "Env", "Cmd"] {
            for (_, settings) in [&mut both.0, &mut both.1] {
                settings.as_object_mut().unwrap().remove(name);
            }
        }
        compare(&format!("{test} by buildah"), both, BUT_BUILDAH);
    }
    drop(images);
}

/// What an image is: each path with what it is, and its settings.
type Contents = (BTreeMap<String, String>, Value);

fn compare(test: &str, (mut ours, mut theirs): (Contents, Contents), but: &[&str]) {
    for path in but {
        ours.0.remove(*path);
        theirs.0.remove(*path);
    }
    for (path, theirs) in &theirs.0 {
        assert_eq!(ours.0.get(path), Some(theirs), "{test}: {path}");
    }
    let more: Vec<_> = ours.0.keys().filter(|path| !theirs.0.contains_key(*path)).collect();
    assert_eq!(more, Vec::<&String>::new(), "{test}: only ours");
    assert_eq!(ours.1, theirs.1, "{test}: the settings");
}

/// Builds the same context with `buildah`, in places of its own, for the engine; says whether there
/// is one.
fn buildah(place: &Path, image: &str) -> bool {
    let path = |name: &str| place.join(name).display().to_string();
    std::fs::write(path("storage.conf"), "[storage]\ndriver = \"vfs\"\n").unwrap();
    std::fs::write(path("names.conf"), "unqualified-search-registries = [\"localhost\"]\n")
        .unwrap();
    let run = |words: &[&str]| {
        let mut run = Command::new("buildah");
        run.args(["--root", &path("buildah"), "--runroot", &path("buildah-run")]).args(words);
        run.env("CONTAINERS_STORAGE_CONF", path("storage.conf"));
        run.env("CONTAINERS_REGISTRIES_CONF", path("names.conf"));
        let output = run.stdin(Stdio::null()).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "buildah {words:?}: {said}");
        Ok::<_, std::io::Error>(())
    };
    if run(&["pull", "-q", &format!("docker-archive:{}", path("base.tar"))]).is_err() {
        println!("skipped: there is no buildah");
        return false;
    }
    let words = ["bud", "-q", "--isolation", "chroot", "--network", "host", "--pull-never"];
    let more = ["--format", "docker", "-t", image, &path("ctx")];
    run(&[&words[..], &more].concat()).unwrap();
    let archive = path("buildah.tar");
    run(&["push", "-q", image, &format!("docker-archive:{archive}")]).unwrap();
    docker(&["load", "-i", &archive]).unwrap();
    true
}

/// Where `buildah` differs from the engine: a directory to which an archive is unpacked, and a file
/// with two names when one of them is changed in another layer.
const BUT_BUILDAH: &[&str] = &["packed", "plain", "from/hard", "from/one"];

#[test]
fn settings_are_those_of_the_engine() {
    let dockerfile = "ARG TAG=1\nFROM corpus/busybox:${TAG}\nARG NAME=world\nARG EMPTY\n\
        ENV A=1 B=\"two words\" C='$A'\nENV D $A and ${B:-x} ${NONE:-none}\nENV PATH=/x:$PATH\n\
        LABEL one=1 two=\"$NAME\"\nEXPOSE 80 90/udp 100-102\nVOLUME /v1 /v2\nVOLUME [\"/v 3\"]\n\
        USER 1:2\nWORKDIR /a\nWORKDIR b/../c\nSTOPSIGNAL SIGINT\n\
        HEALTHCHECK --interval=5s --timeout=2s --retries=4 CMD test -f /x\n\
        ONBUILD RUN echo $X\nSHELL [\"/bin/sh\", \"-ec\"]\nCMD echo $NAME\nENTRYPOINT [\"go\", \"$A\"]\n\
        MAINTAINER me";
    // The directory of `WORKDIR` is root's in the engine's classic builder, and the user's elsewhere.
    conforms("settings", &[("Dockerfile", dockerfile)], &["a", "a/c"]);
}

#[test]
fn copied_files_are_those_of_the_engine() {
    let dockerfile = "FROM corpus/busybox:1\n\
        RUN mkdir -p /there/sub /real && echo old > /there/sub/old && chmod 700 /there/sub && ln -s /real /link\n\
        COPY a.txt /new\nCOPY a.txt /dir/\nCOPY a.txt /there\nCOPY a.txt run.sh /many/\nCOPY tree /tree\n\
        COPY tree /there/\nCOPY *.txt /globbed/\nCOPY tree/d* /deep/\nCOPY --chown=5:6 tree /owned/\n\
        COPY a.txt /link/through\nCOPY [\"with blank\", \"/with blank\"]\nWORKDIR /job\nCOPY a.txt .\n\
        COPY a.txt sub/x\nCOPY tolink /followed\nCOPY . /all/\nCOPY emptydir /emptied\nENV D=/by-env\nCOPY a.txt $D/\n\
        ADD a.txt /added\n";
    let files = [
        ("Dockerfile", dockerfile),
        (".dockerignore", "# no\n*.log\n!keep.log\ntree/secret*\n**/deepignored\n"),
        ("a.txt", "aaa"),
        ("b.txt", "bbb"),
        ("x.log", ""),
        ("keep.log", "kept"),
        ("run.sh*", "#!/bin/sh\n"),
        ("with blank", "w"),
        ("tolink@", "a.txt"),
        ("emptydir/", ""),
        ("tree/f", "f"),
        ("tree/d1/g", "g"),
        ("tree/d1/deepignored", "g"),
        ("tree/d2/up@", "../f"),
        ("tree/d2/dangling@", "/nowhere"),
        ("tree/secret1", "s"),
        ("tree/sub/new", "n"),
    ];
    conforms("copy", &files, &[]);
}

#[test]
fn what_commands_change_is_what_the_engine_has() {
    let dockerfile = "FROM corpus/busybox:1 AS build\nARG WHO=me\nENV E=env\n\
        RUN mkdir -p /w/d && echo one > /w/one && echo two > /w/d/two && ln /w/one /w/hard && ln -s one /w/soft\n\
        RUN rm /w/d/two && rmdir /w/d && chmod 4750 /w/one && chown 7:8 /w/one\n\
        RUN rm -rf /var && mkdir /var && echo fresh > /var/fresh\n\
        RUN echo $WHO $E $HOME > /w/said && id -u > /w/uid && pwd > /w/pwd\n\
        RUN [\"sh\", \"-c\", \"echo exec > /w/exec\"]\nUSER 9:10\nWORKDIR /tmp\nRUN touch mine && id > /tmp/id\n\
        FROM build\nUSER 0\nRUN echo more >> /w/said && mkfifo /w/fifo && rm /tmp/mine\n\
        FROM corpus/busybox:1\nCOPY --from=build /w /from/\nCOPY --from=1 /w/said /from/said2\n\
        COPY --from=corpus/busybox:1 /etc/passwd /from/passwd\nSHELL [\"/bin/sh\", \"-xec\"]\nRUN echo shell > /s\n";
    // The engine's classic builder gives all to root; BuildKit keeps owners, and so does Ketch.
    conforms("run", &[("Dockerfile", dockerfile)], &["from/one", "from/hard"]);
}

#[test]
fn archives_are_unpacked_as_by_the_engine() {
    let made = tempfile::tempdir().unwrap();
    let folder = made.path();
    put(folder, &[("in/x", "x"), ("in/y*", "y"), ("in/l@", "x"), ("top", "t")]);
    let tar = |flags: &str| {
        let mut run = Command::new("tar");
        run.args(["--owner=3", "--group=4", flags, "-", "."]).current_dir(folder);
        let mut child = run.stdout(Stdio::piped()).spawn().unwrap();
        let mut bytes = Vec::new();
        child.stdout.take().unwrap().read_to_end(&mut bytes).unwrap();
        assert!(child.wait().unwrap().success());
        bytes
    };
    let (plain, packed) = (tar("-cf"), tar("-czf"));
    let dockerfile = "FROM corpus/busybox:1\nADD a.tar /plain/\nADD b.tgz /packed\nCOPY a.tar /kept.tar\n\
        ADD notes.tar /notes\n";
    let files = [("Dockerfile", dockerfile), ("notes.tar", "no archive")];
    conforms_with("archives", (&files, &[]), |ctx| {
        std::fs::write(ctx.join("a.tar"), &plain).unwrap();
        std::fs::write(ctx.join("b.tgz"), &packed).unwrap();
    });
}

#[test]
fn a_directory_that_comes_to_be_by_a_copy_is_open_whatever_its_source_is() {
    let dockerfile = "FROM corpus/busybox:1 AS closed\n\
        RUN mkdir -p /c/sub && chmod 700 /c && chmod 710 /c/sub && echo c > /c/sub/f\n\
        FROM closed\nCOPY private /one\nCOPY private/ /deep/er/\nADD private /added\n\
        COPY --chown=5:6 private /owned\nCOPY private /c/\nCOPY pri* /globbed/\nCOPY --from=closed /c /other\n";
    let files = [("Dockerfile", dockerfile), ("private/f", "f"), ("private/sub/g", "g")];
    conforms_with("closed", (&files, &[]), |ctx| {
        use std::os::unix::fs::PermissionsExt as _;
        for (name, mode) in [("private", 0o700), ("private/sub", 0o711)] {
            let rights = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(ctx.join(name), rights).unwrap();
        }
    });
}

#[test]
fn an_image_from_nothing_has_the_settings_of_the_engine() {
    let dockerfile =
        "FROM scratch\nCOPY --from=corpus/busybox:1 / /\nENV A=$PATH:/x\nWORKDIR w\nCMD [\"x\"]\n";
    conforms("scratch", &[("Dockerfile", dockerfile)], &[]);
}
