//! `ketch build` and what builds, on the native runtime.

mod conform;
mod fresh;
mod reach;

use std::path::Path;
use std::process::Command;

use super::stage::{Stage, cgroups, read, traces, until};
use crate::binary::Output;

const COMPOSE: &str = "services: {app: {build: {context: ctx}}}\n";

/// A service that is built from these files; a name that ends with `@` is a link, with `/` a
/// directory, and `*` makes a program.
fn site(test: &str, files: &[(&str, &str)]) -> Option<Stage> {
    site_of(test, COMPOSE, files)
}

/// The same with another project file.
fn site_of(test: &str, compose: &str, files: &[(&str, &str)]) -> Option<Stage> {
    let stage = Stage::new(test, compose)?;
    put(&stage.home.directory.path().join("ctx"), files);
    Some(stage)
}

fn put(root: &Path, files: &[(&str, &str)]) {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    std::fs::create_dir_all(root).unwrap();
    for (name, text) in files {
        let path = root.join(name.trim_end_matches(['@', '*', '/']));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        match name.chars().last() {
            Some('@') => symlink(text, &path).unwrap(),
            Some('/') => std::fs::create_dir_all(&path).unwrap(),
            kind => {
                std::fs::write(&path, text).unwrap();
                let mode = if kind == Some('*') { 0o755 } else { 0o644 };
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            }
        }
    }
}

impl Stage {
    fn write(&self, name: &str, text: &str) {
        put(&self.home.directory.path().join("ctx"), &[(name, text)]);
    }

    /// Builds; gives what each step came to: `COPY CACHED`.
    fn built(&self, more: &str) -> Vec<String> {
        let output = self.ketch(&format!("build {more}"));
        assert_eq!(output.code, 0, "{}", output.stderr);
        steps(&output)
    }

    fn fails(&self, dockerfile: &str) -> String {
        self.write("Dockerfile", dockerfile);
        let output = self.ketch("build");
        assert_eq!(output.code, 1, "{}", output.stderr);
        output.stderr
    }
}

/// What each step came to.
fn steps(output: &Output) -> Vec<String> {
    let step = |line: &str| {
        // How long it took is another matter.
        let line =
            line.rsplit_once(" DONE ").map_or(line.to_owned(), |(it, _)| it.to_owned() + " DONE");
        let (step, came) = line.rsplit_once(' ')?;
        let word = step.split_once("] ")?.1.split(' ').next()?;
        ["CACHED", "DONE"].contains(&came).then(|| format!("{word} {came}"))
    };
    output.stderr.lines().filter_map(step).collect()
}

#[test]
fn a_step_is_done_again_exactly_when_its_inputs_change() {
    let dockerfile = "FROM corpus/busybox:1\nARG X=1\nWORKDIR /w\nCOPY a b /in/\nRUN cat /in/a > out\nCOPY c /c\n";
    let files = [("Dockerfile", dockerfile), ("a", "1"), ("b", "1"), ("c", "1"), ("other", "1")];
    let Some(stage) = site("cache", &files) else { return };
    let all = |came: [&str; 4]| {
        let words = ["WORKDIR", "COPY", "RUN", "COPY"];
        words.iter().zip(came).map(|(word, came)| format!("{word} {came}")).collect::<Vec<_>>()
    };
    assert_eq!(stage.built(""), all(["DONE"; 4]));
    let first = stage.ok("image ls -q");
    assert_eq!(stage.built(""), all(["CACHED"; 4]));
    assert_eq!(stage.ok("image ls -q"), first, "the same image");
    stage.write("a", "1");
    stage.write("other", "2");
    assert_eq!(stage.built(""), all(["CACHED"; 4]), "written anew, with the same content");
    stage.write("c", "2");
    assert_eq!(stage.built(""), all(["CACHED", "CACHED", "CACHED", "DONE"]));
    stage.write("a", "2");
    assert_eq!(stage.built(""), all(["CACHED", "DONE", "DONE", "DONE"]));
    // What the command makes may be the same: then what follows is spared.
    assert_eq!(stage.built("--build-arg X=2")[..3], all(["CACHED", "CACHED", "DONE", "DONE"])[..3]);
    assert_eq!(stage.built("--no-cache"), all(["DONE"; 4]));
    stage.ok("system prune -f -a");
    stage.ok("image load -i busybox.tar");
    assert_eq!(stage.built(""), all(["DONE"; 4]), "the cache is gone");
}

#[test]
fn what_is_built_runs_and_is_made_anew_only_if_it_changed() {
    let files =
        [("Dockerfile", "FROM corpus/busybox:1\nCOPY a /a\nCMD [\"sleep\", \"1000\"]"), ("a", "1")];
    let Some(stage) = site("up", &files) else { return };
    stage.ok("up -d");
    let first = stage.ok("ps -q");
    stage.ok("up -d --build");
    assert_eq!(stage.ok("ps -q"), first);
    stage.write("a", "2");
    stage.ok("up -d --build -t 0");
    assert_ne!(stage.ok("ps -q"), first);
    assert_eq!(stage.ok("exec -T app cat /a"), "2");
    assert_eq!(stage.ok("run --rm --build app cat /a"), "2");
}

#[test]
fn secrets_are_seen_by_commands_and_stay_nowhere() {
    const SECRET: &str = "hunter2-and-more";
    let compose = "services: {app: {build: {context: ctx, secrets: [one, two]}}}\n\
        secrets: {one: {file: ctx/one}, two: {environment: TWO}}\n";
    let dockerfile = "FROM corpus/busybox:1\n\
        RUN --mount=type=secret,id=one --mount=type=secret,id=two,target=/two,mode=0444,uid=5 \
        test $(cat /run/secrets/one) = hunter2-and-more && test $(cat /two) = hunter2-and-more \
        && test $(stat -c %a:%u /two) = 444:5 && test $(stat -c %a /run/secrets/one) = 400 && touch /done\n\
        RUN --mount=type=secret,id=one,env=ONE test $ONE = hunter2-and-more\n\
        RUN --mount=type=secret,id=none true\n";
    // What the test itself says in clear must not be in the Dockerfile.
    let dockerfile = dockerfile.replace(SECRET, "$(cat /tmp/x || echo hunter2-and-mor)e");
    let Some(stage) = site_of("secret", compose, &[("Dockerfile", &dockerfile), ("one", SECRET)])
    else {
        return;
    };
    stage.write(".dockerignore", "one");
    let home = stage.home.environment();
    let run = crate::binary::ketch(stage.home.directory.path(), "build").env("TWO", SECRET);
    let output = home.iter().fold(run, |run, (name, value)| run.env(name, value)).output();
    assert_eq!(output.code, 0, "{}", output.stderr);
    for place in [stage.home.state(), stage.home.run()] {
        let found = Command::new("grep").arg("-rl").arg(SECRET).arg(place).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&found.stdout), "");
    }
    let missing = stage.fails("FROM corpus/busybox:1\nRUN --mount=type=secret,id=x,required true");
    assert!(missing.contains("Dockerfile:2: the secret `x` is required"), "{missing}");
}

#[test]
fn commands_see_what_is_mounted_for_them() {
    let dockerfile = "FROM corpus/busybox:1 AS tools\nRUN echo tool > /tool\n\
        FROM corpus/busybox:1\n\
        RUN --mount=type=cache,target=/c,id=x,uid=3,mode=0700 stat -c %a:%u /c > /said; echo x >> /c/times\n\
        RUN --mount=type=cache,target=/d,id=x cat /d/times >> /said\n\
        RUN --mount=type=cache,target=/d,id=x,sharing=locked --mount=type=cache,target=/e,id=x,sharing=locked test -e /d/times -a -e /e/times\n\
        RUN --mount=from=tools,source=/tool,target=/t --mount=target=/ctx cat /t /ctx/a >> /said; ls /ctx >> /said\n\
        RUN --mount=target=/ctx,rw --mount=type=tmpfs,target=/m echo lost > /ctx/lost && touch /m/lost\n\
        RUN --network=none test ! -e /sys/class/net/eth0 && echo alone >> /said\n\
        RUN <<EOF cat >> /said\nhere $HOME\nEOF\n\
        RUN <<SCRIPT\n#!/bin/sh\necho $0 >> /said\nSCRIPT\n\
        RUN <<LINES\nset -e\necho lines >> /said\nLINES\n\
        COPY <<one.txt <<\"two.txt\" /docs/\n$PATH\none.txt\n$PATH\ntwo.txt\n\
        WORKDIR /w\nRUN --mount=target=. --mount=type=tmpfs,target=./m test -e /w/a -a -d /w/m\n";
    let files = [
        ("Dockerfile", dockerfile),
        ("m/", ""),
        ("a", "file\n"),
        ("b", ""),
        (".dockerignore", "b\n"),
    ];
    let Some(stage) = site("mounts", &files) else { return };
    stage.built("");
    let said = stage.ok("run --rm app cat /said /docs/one.txt /docs/two.txt");
    let expected = "700:3\nx\ntool\nfile\nDockerfile\na\nm\nalone\nhere $HOME\n/dev/pipes/SCRIPT\nlines\n/bin\n$PATH\n";
    assert_eq!(said.replace("here /srv", "here $HOME"), expected);
    assert!(!stage.home.directory.path().join("ctx/lost").exists());
    let left = stage.ketch("run --rm app ls -d /c /d /t /ctx /m /dev/pipes /tool /said");
    assert_eq!(left.stdout, "/said\n", "places of mounts are no part of the image");
}

#[test]
fn owners_and_limits_are_inputs_of_a_command() {
    let dockerfile = "FROM corpus/busybox:1\nRUN --mount=target=/c stat -c %u /c/a > /owner\n";
    let Some(stage) = site("inputs", &[("Dockerfile", dockerfile), ("a", "1")]) else { return };
    let place = stage.home.directory.path();
    assert_eq!(stage.built(""), ["RUN DONE"]);
    assert_eq!(stage.built(""), ["RUN CACHED"]);
    std::os::unix::fs::chown(place.join("ctx/a"), Some(7), None).unwrap();
    assert_eq!(stage.built(""), ["RUN DONE"]);
    assert_eq!(stage.ok("run --rm app cat /owner"), "7\n");
    for limit in ["ulimits: {nofile: 77}", "shm_size: 8m"] {
        let compose = format!("services: {{app: {{build: {{context: ctx, {limit}}}}}}}\n");
        std::fs::write(place.join("compose.yaml"), compose).unwrap();
        assert_eq!(stage.built(""), ["RUN DONE"], "{limit}");
    }
}

#[test]
fn the_same_inputs_give_the_same_image() {
    let dockerfile = "FROM corpus/busybox:1\nCOPY a /x/a\nRUN echo 1 > /y && mkdir /z && ln /y /z/y\nWORKDIR /new\n";
    let mut images = Vec::new();
    for _ in 0..2 {
        let Some(stage) =
            Stage::new("epoch", "services: {app: {image: same, build: {context: ctx}}}\n")
        else {
            return;
        };
        stage.write("Dockerfile", dockerfile);
        stage.write("a", "1");
        let run = crate::binary::ketch(stage.home.directory.path(), "build");
        let run = run.env("SOURCE_DATE_EPOCH", "1700000000");
        let home = stage.home.environment();
        let output = home.iter().fold(run, |run, (name, value)| run.env(name, value)).output();
        assert_eq!(output.code, 0, "{}", output.stderr);
        images.push(stage.ok("image ls -q --no-trunc same"));
    }
    assert_eq!(images[0], images[1]);
}

#[test]
fn stages_are_built_at_the_same_time_and_only_those_that_are_needed() {
    let wait = |own: &str, other: &str| {
        format!(
            "RUN --mount=type=cache,target=/c touch /c/{own}; n=0; \
             while ! test -e /c/{other}; do n=$((n+1)); test $n -lt 200 || exit 1; usleep 50000; done\n"
        )
    };
    let dockerfile = format!(
        "FROM corpus/busybox:1 AS a\n{}FROM corpus/busybox:1 AS b\n{}\
         FROM corpus/busybox:1 AS no\nRUN exit 1\n\
         FROM corpus/busybox:1\nCOPY --from=a /etc/passwd /a\nCOPY --from=b /etc/passwd /b\n",
        wait("a", "b"),
        wait("b", "a")
    );
    let Some(stage) = site("stages", &[("Dockerfile", &dockerfile)]) else { return };
    assert_eq!(stage.built("").len(), 4);
    let compose = "services: {app: {build: {context: ctx, target: no}}}\n";
    std::fs::write(stage.home.directory.path().join("compose.yaml"), compose).unwrap();
    let output = stage.ketch("build");
    assert!(
        output.stderr.contains("Dockerfile:6: `RUN exit 1` failed with exit code 1"),
        "{}",
        output.stderr
    );
}

#[test]
fn mistakes_are_told_with_their_place() {
    let files = [("a", "1"), ("hidden", "1"), (".dockerignore", "# no\nhid*\n"), ("d/x", "")];
    let Some(stage) = site("mistakes", &files) else { return };
    for (dockerfile, expected) in [
        ("FROM corpus/busybox:1\nCOPY none /x", "Dockerfile:2: there is no `none` in the context"),
        (
            "FROM corpus/busybox:1\nCOPY hidden /x",
            "Dockerfile:2: `hidden` is left out by the rule `hid*` of `.dockerignore`",
        ),
        (
            "FROM corpus/busybox:1\nCOPY *.none /x",
            "Dockerfile:2: no file fits `*.none` in the context",
        ),
        (
            "FROM corpus/busybox:1\n\nCPOY a b",
            "Dockerfile:3: there is no instruction `CPOY`, did you mean `COPY`?",
        ),
        (
            "FROM corpus/busybox:1\nCOPY a d /x",
            "several files go to `/x`: a directory, which ends with `/`",
        ),
        ("FROM corpus/busybox:1\nCOPY d /etc/passwd", "`/etc/passwd` is no directory in the image"),
        (
            "FROM corpus/busybox:1\nCOPY --chown=nobody-here a /",
            "`--chown=nobody-here`: no user `nobody-here`",
        ),
        (
            "FROM corpus/busybox:1\nRUN echo last words; exit 3",
            "Dockerfile:2: `RUN echo last words; exit 3` failed with exit code 3",
        ),
        ("FROM corpus/busybox:1\nRUN [\"/none\"]", "Dockerfile:2: cannot run `/none`"),
        (
            "FROM corpus/busybox:1\nRUN --network=host true",
            "needs `build.entitlements: [network.host]`",
        ),
        (
            "# check=error=true\nFROM corpus/busybox:1\nMAINTAINER me",
            "Dockerfile: remarks are failures here: `# check=error=true`",
        ),
        (
            "FROM corpus/busybox:1\nRUN --network=$N true",
            "Dockerfile:2: `--network=$N`: it is default or none or host",
        ),
        (
            "FROM corpus/busybox:1\nRUN --mount=type=tmpfs,target=. true",
            "Dockerfile:2: `target=.` is the root, where the image is",
        ),
        ("FROM corpus/busybox:1\nADD http://127.0.0.1:1/x /x", "Dockerfile:2: cannot reach"),
        ("FROM localhost:1/none:1\nRUN x", "Dockerfile:1: "),
        ("FROM corpus/busybox:1\nCOPY --from=0 /x /y", "Dockerfile:2: `0` is no earlier stage"),
    ] {
        let said = stage.fails(dockerfile);
        assert!(said.contains(expected), "{dockerfile}: {said}");
    }
    assert_eq!(traces(&stage), Vec::<String>::new());
}

#[test]
fn odd_contexts_do_no_harm() {
    use std::os::unix::ffi::OsStrExt as _;
    let dockerfile = "FROM corpus/busybox:1\nCOPY . /all/\nCOPY out /out\nRUN ls /all | wc -l > /n; \
        test -p /all/fifo && test -L /all/loop1 && test $(cat /out) = inside";
    let files = [
        ("Dockerfile", dockerfile),
        ("loop1@", "loop2"),
        ("loop2@", "loop1"),
        ("out@", "/etc/x"),
        ("etc/x", "inside"),
    ];
    let Some(stage) = site("odd", &files) else { return };
    let context = stage.home.directory.path().join("ctx");
    let _socket = std::os::unix::net::UnixListener::bind(context.join("socket")).unwrap();
    assert!(Command::new("mkfifo").arg(context.join("fifo")).status().unwrap().success());
    std::fs::write(context.join(std::ffi::OsStr::from_bytes(b"not-\xff-text")), "x").unwrap();
    let large = std::fs::File::create(context.join("large")).unwrap();
    large.set_len(5 << 30).unwrap();
    stage.write(".dockerignore", "large\n");
    stage.built("");
    assert_eq!(stage.ok("run --rm app cat /n"), "7\n");
    let looped = stage.fails("FROM corpus/busybox:1\nCOPY loop1 /x");
    assert!(
        looped.contains("Dockerfile:2: `loop1`: Too many levels of symbolic links"),
        "{looped}"
    );
}

#[test]
fn a_build_that_is_killed_leaves_nothing_but_cache() {
    let dockerfile = "FROM corpus/busybox:1\nRUN echo one > /one\nRUN touch /begun; sleep 1000";
    let Some(stage) = site("killed", &[("Dockerfile", dockerfile)]) else { return };
    let mut build = stage.start("build");
    let containers = stage.home.state().join("containers");
    let running = || {
        let entries = std::fs::read_dir(&containers).into_iter().flatten().flatten();
        let mut found = entries.map(|it| it.path()).filter(|it| it.join("upper/begun").exists());
        found.next()
    };
    until("the second command runs", || running().is_some());
    let id = running().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    let kept = read(&format!("{}/{id}/config.json", containers.display()));
    assert!(kept.contains(&id) && !kept.contains("sleep"), "what it runs may be secret: {kept}");
    build.kill().unwrap();
    build.wait().unwrap();
    let ids = [id];
    until("its processes are gone", || {
        cgroups(&ids).iter().all(|path| read(&format!("{path}/cgroup.procs")).is_empty())
    });
    stage.ok("ps -a");
    assert_eq!(traces(&stage), Vec::<String>::new());
    assert_eq!(cgroups(&ids), Vec::<String>::new());
    stage.write("Dockerfile", "FROM corpus/busybox:1\nRUN echo one > /one\nRUN true");
    assert_eq!(stage.built(""), ["RUN CACHED", "RUN DONE"]);
}
