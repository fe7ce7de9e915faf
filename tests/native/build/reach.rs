//! What builds take from elsewhere: other services, contexts, caches, servers, agents.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::thread;

use super::{put, site, site_of, steps};
use crate::image::Registry;
use crate::native::stage::{Stage, traces, until};

/// Serves one text to all who ask, for as long as the test runs; gives the port.
fn serve(text: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = [0; 1024];
            let _ = stream.read(&mut asked).unwrap();
            let head = "HTTP/1.1 200 OK\r\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n";
            let all = format!("{head}Content-Length: {}\r\n\r\n{text}", text.len());
            let _ = stream.write_all(all.as_bytes());
        }
    });
    port
}

#[test]
fn files_are_fetched_and_checked() {
    const SUM: &str = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
    let port = serve("foo");
    let from = format!("http://127.0.0.1:{port}");
    let dockerfile = format!(
        "FROM corpus/busybox:1\nADD {from}/a/foo.txt?x=1 /dir/\nADD --checksum={SUM} {from}/x /named\n\
         RUN stat -c '%a %Y' /dir/foo.txt > /said\n"
    );
    let Some(stage) = site("fetch", &[("Dockerfile", &dockerfile)]) else { return };
    stage.built("");
    assert_eq!(stage.ok("run --rm app cat /said /named"), "600 1445412480\nfoo");
    assert_eq!(stage.built(""), ["ADD CACHED", "ADD CACHED", "RUN CACHED"]);
    let wrong = format!("FROM corpus/busybox:1\nADD --checksum=sha256:00 {from}/x /named\n");
    let said = stage.fails(&wrong);
    assert!(
        said.contains(&format!("Dockerfile:2: `{from}/x` is {SUM}, and `--checksum`")),
        "{said}"
    );
}

/// A repository with two commits, served by `git daemon`; `None`: it cannot be.
fn repository(folder: &std::path::Path) -> Option<(Daemon, String)> {
    put(
        folder,
        &[
            ("repo/sub/file", "one"),
            ("repo/Dockerfile", "FROM corpus/busybox:1\nCOPY . /all\nCOPY sub /"),
        ],
    );
    let git = |words: &str| {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=x", "-c", "user.email=x@x", "-c", "init.defaultBranch=main"]);
        let run = git.args(words.split(' ')).current_dir(folder.join("repo")).output().ok()?;
        run.status.success().then_some(())
    };
    git("init -q")?;
    git("add .")?;
    git("commit -q -m one")?;
    git("tag v1")?;
    put(folder, &[("repo/sub/file", "two")]);
    git("commit -q -a -m two")?;
    // A port that is free now is very likely free in a moment.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let programs = Command::new("git").arg("--exec-path").output().ok()?.stdout;
    let programs = String::from_utf8(programs).ok()?;
    let mut daemon = Command::new(format!("{}/git-daemon", programs.trim()));
    daemon.args(["--export-all", "--listen=127.0.0.1", "--reuseaddr"]).stdout(Stdio::null());
    daemon.arg(format!("--port={port}")).arg(format!("--base-path={}", folder.display()));
    let daemon = Daemon(daemon.arg(folder).stderr(Stdio::null()).spawn().ok()?);
    until("the repository is served", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    Some((daemon, format!("git://127.0.0.1:{port}/repo")))
}

/// A server that ends with its test.
struct Daemon(std::process::Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn repositories_are_added_and_built_from() {
    let folder = tempfile::tempdir().unwrap();
    let Some((_daemon, address)) = repository(folder.path()) else {
        return println!("skipped: there is no git");
    };
    let dockerfile =
        format!("FROM corpus/busybox:1\nADD {address}#v1:sub /one/\nADD {address} /two\n");
    let compose = format!("services: {{app: {{build: ctx}}, far: {{build: '{address}#v1'}}}}\n");
    if let Some(stage) = site_of("git", &compose, &[("Dockerfile", &dockerfile)]) {
        let run = crate::binary::ketch(stage.home.directory.path(), "build");
        // As in a hook of `git`.
        let run = run.env("GIT_INDEX_FILE", "/none/index").env("GIT_WORK_TREE", "/none");
        let home = stage.home.environment();
        let output = home.iter().fold(run, |run, (name, value)| run.env(name, value)).output();
        assert_eq!(output.code, 0, "{}", output.stderr);
        let found = stage.ok("run --rm app cat /one/file /two/sub/file");
        assert_eq!(stage.ok("run --rm far ls -A /all"), "Dockerfile\nsub\n");
        let hidden = stage.ketch("run --rm app ls /two/.git").code;
        let far = stage.ok("run --rm far cat /file");
        assert_eq!((found.as_str(), hidden, far.as_str()), ("onetwo", 1, "one"));
    }
}

#[test]
fn services_and_contexts_are_named() {
    let compose = "services:\n\
        \x20 base: {image: kb-base, build: {context: ctx, target: own}}\n\
        \x20 app: {build: {context: ctx, args: [V], additional_contexts: {base: 'service:base', more: ./more, taken: ./more}}}\n";
    let dockerfile = "FROM corpus/busybox:1 AS taken\nRUN exit 1\nFROM corpus/busybox:1 AS own\nRUN echo base > /base\nONBUILD RUN echo $(cat /base) triggered > /trigger\n\
        FROM base\nARG V\nENV V=$V\nCOPY --from=more . /more\nCOPY --from=taken /x /taken\nRUN --mount=from=more,target=/m cat /m/x > /y";
    let Some(stage) = site_of("named", compose, &[("Dockerfile", dockerfile)]) else { return };
    let place = stage.home.directory.path();
    put(&place.join("more"), &[("x", "1"), ("y", "2"), (".dockerignore", "y\n")]);
    let ok = |words: &str| {
        let run = crate::binary::ketch(place, words).env("V", "from outside");
        let home = stage.home.environment();
        let output = home.iter().fold(run, |run, (name, value)| run.env(name, value)).output();
        assert_eq!(output.code, 0, "{}", output.stderr);
        output.stdout
    };
    ok("build");
    assert_eq!(ok("run --rm app cat /trigger /y /taken"), "base triggered\n11");
    assert_eq!(ok("run --rm app ls /more"), "x\n");
    assert!(ok("run --rm app env").contains("V=from outside\n"));
    assert!(stage.ok("plan").contains("build.args.V is gone"), "the variable is not set any more");
}

#[test]
fn services_with_the_same_inputs_share_what_was_made() {
    let compose = "services:\n  one: {build: ctx}\n  two: {build: ctx}\n\
        \x20 three: {build: {context: ctx, target: last}}\n";
    let dockerfile = "FROM corpus/busybox:1 AS first\nRUN echo x > /x; sleep 0.3\nFROM first AS last\nRUN echo y > /y\n";
    let Some(stage) = site_of("shared", compose, &[("Dockerfile", dockerfile)]) else { return };
    let output = stage.ketch("build");
    assert_eq!(output.code, 0, "{}", output.stderr);
    let done = steps(&output).into_iter().filter(|step| step.ends_with("DONE")).count();
    assert_eq!(done, 2, "{}", output.stderr);
    let ids: std::collections::BTreeSet<String> =
        stage.ok("image ls -q").lines().map(str::to_owned).collect();
    assert_eq!(ids.len(), 3, "the base, the image of two services, and that of the third");
}

#[test]
fn a_cache_moves_to_another_store() {
    let shared = tempfile::tempdir().unwrap();
    let cache = shared.path().join("cache");
    let compose = format!(
        "services: {{app: {{build: {{context: ctx, cache_to: ['type=local,dest={0}', \
         'type=local,dest=own'], cache_from: ['type=local,src={0}']}}}}}}\n",
        cache.display()
    );
    let files = [("Dockerfile", "FROM corpus/busybox:1\nRUN date > /x\nCOPY a /a"), ("a", "1")];
    let Some(one) = site_of("cacheto", &compose, &files) else { return };
    assert_eq!(one.built(""), ["RUN DONE", "COPY DONE"]);
    let own = one.home.directory.path().join("own/oci-layout");
    assert!(own.is_file(), "a path begins at the directory of the project");
    let Some(two) = site_of("cachefrom", &compose, &files) else { return };
    assert_eq!(two.built(""), ["RUN CACHED", "COPY CACHED"]);
    assert_eq!(two.ok("image ls -q").lines().count(), 2, "what was built, and its base");
    let compose = compose.replace("type=local,dest", "type=gha,dest");
    std::fs::write(two.home.directory.path().join("compose.yaml"), compose).unwrap();
    let said = two.ketch("build").stderr;
    assert!(said.contains("has caches of type registry and local, not `gha`"), "{said}");
    std::fs::write(cache.join("oci-layout"), "").unwrap();
    std::fs::remove_file(cache.join("oci-layout")).unwrap();
    let said = one.ketch("build").stderr;
    assert!(said.contains("cannot write the cache"), "a directory that is no cache stays: {said}");
}

#[test]
fn images_and_caches_go_to_a_registry_and_come_back() {
    let Some(registry) = Registry::start() else { return };
    let name = format!("{}/team/app", registry.address);
    let compose = format!(
        "services: {{app: {{image: '{name}:1', build: {{context: ctx, cache_from: ['{name}:1', \
         'type=registry,ref={name}:cache'], cache_to: ['type=registry,ref={name}:cache']}}}}}}\n"
    );
    let dockerfile = "FROM corpus/busybox:1 AS one\nRUN date > /x\n\
        FROM corpus/busybox:1\nCOPY --from=one /x /x\nCOPY a /a\n";
    let files = [("Dockerfile", dockerfile), ("a", "1")];
    let mut dates = Vec::new();
    for came in ["DONE", "CACHED"] {
        // The second time in another store.
        let Some(stage) = site_of("remote", &compose, &files) else { return };
        let place = stage.home.directory.path();
        registry.log_in(place, Registry::PASSWORD);
        let ketch = |words: &str| {
            let run = crate::binary::ketch(place, words);
            let run = run.env("DOCKER_CONFIG", place.to_str().unwrap());
            let home = stage.home.environment();
            let output = home.iter().fold(run, |run, (name, value)| run.env(name, value)).output();
            assert_eq!(output.code, 0, "{words}: {}", output.stderr);
            output
        };
        let output = ketch("build --push");
        let expected = [format!("RUN {came}"), format!("COPY {came}"), format!("COPY {came}")];
        assert_eq!(steps(&output), expected, "{}", output.stderr);
        if came == "CACHED" {
            let said = format!("the cache `{name}:1` is not used: it holds no steps");
            assert!(output.stderr.contains(&said), "{}", output.stderr);
        }
        stage.ok(&format!("image rm {name}:1"));
        ketch(&format!("image pull {name}:1"));
        dates.push(stage.ok("run --rm app cat /x"));
    }
    assert_eq!(dates[0], dates[1]);
}

#[test]
fn archives_are_unpacked_however_they_are_packed() {
    let Some(stage) = site(
        "archives",
        &[("Dockerfile", "FROM corpus/busybox:1\nADD one.txz two.tbz odd.xz /in/\n")],
    ) else {
        return;
    };
    let tar = |name: &str| {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        header.set_mode(0o640);
        tar.append_data(&mut header, name, &b"x"[..]).unwrap();
        tar.into_inner().unwrap()
    };
    let place = stage.home.directory.path().join("ctx");
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(&tar("sub/one")).unwrap();
    std::fs::write(place.join("one.txz"), xz.finish().unwrap()).unwrap();
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(&tar("two")).unwrap();
    std::fs::write(place.join("two.tbz"), bzip2.finish().unwrap()).unwrap();
    std::fs::write(place.join("odd.xz"), b"\xfd7zXZ\0 is no archive").unwrap();
    stage.built("");
    let found = stage.ok("run --rm app find /in -type f -exec stat -c %a:%n {} ;");
    let mut found: Vec<&str> = found.lines().collect();
    found.sort_unstable();
    assert_eq!(found, ["640:/in/sub/one", "640:/in/two", "644:/in/odd.xz"]);
}

#[test]
fn commands_reach_an_agent_that_has_keys() {
    let dockerfile =
        "FROM rootfs:/\nRUN --mount=type=ssh,id=k ssh-add -l | grep -c ED25519 > /count\n";
    let compose = "services: {app: {build: {context: ctx, ssh: ['k=./one,./two']}}}\n";
    let Some(stage) = site_of("keys", compose, &[("Dockerfile", dockerfile)]) else { return };
    let place = stage.home.directory.path();
    let make = |name: &str, passphrase: &str| {
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", passphrase, "-f", name]).current_dir(place);
        keygen.status().is_ok_and(|status| status.success())
    };
    if !make("one", "") || !make("two", "") || !make("locked", "secret") {
        return println!("skipped: there is no OpenSSH");
    }
    assert_eq!(stage.built(""), ["RUN DONE"]);
    assert_eq!(stage.ok("run --rm app cat /count"), "2\n");
    stage.ok("down");
    assert_eq!(traces(&stage), Vec::<String>::new());
    for (key, expected) in [
        ("./locked", "Dockerfile:2: `build.ssh: k="),
        ("./locked", "the key has a passphrase: give it to your agent"),
        ("./ctx/Dockerfile", "`ssh-add` takes it for no key"),
        ("./none", "cannot read the key: No such file"),
    ] {
        let text = format!("name: {}\n{}", stage.name, compose.replace("./one,./two", key));
        std::fs::write(place.join("compose.yaml"), text).unwrap();
        let said = stage.ketch("build --no-cache").stderr;
        assert!(said.contains(expected), "{key}: {said}");
    }
}

#[test]
fn a_file_that_no_layer_can_have_is_refused() {
    let files = [("Dockerfile", "FROM corpus/busybox:1\nRUN mkdir /d && touch /d/.wh.passwd\n")];
    let Some(stage) = site("marks", &files) else { return };
    let said = stage.ketch("build").stderr;
    assert!(said.contains("Dockerfile:2: "), "{said}");
    assert!(said.contains("`/d`: `.wh.passwd`: in layers `.wh.` begins the marks"), "{said}");
}

#[test]
fn commands_reach_an_agent() {
    let dockerfile = "FROM corpus/busybox:1\nRUN --mount=type=ssh test -S $SSH_AUTH_SOCK\n\
        RUN --mount=type=ssh,id=other,required true\n";
    let compose = "services: {app: {build: {context: ctx, ssh: [default=./socket]}}}\n";
    let Some(stage) = site_of("agent", compose, &[("Dockerfile", dockerfile)]) else { return };
    let _agent = UnixListener::bind(stage.home.directory.path().join("socket")).unwrap();
    let said = stage.ketch("build").stderr;
    assert!(said.contains("Dockerfile:3: the agent `other` is required"), "{said}");
    assert!(said.contains("RUN --mount=type=ssh test -S $SSH_AUTH_SOCK DONE "), "{said}");
    let said = stage.fails("FROM corpus/busybox:1\nRUN --mount=type=ssh,uid=7 true");
    assert!(said.contains("Dockerfile:2: `--mount=type=ssh` wants another `uid`"), "{said}");
}

#[test]
fn attributes_of_the_build_are_carried_out_or_refused() {
    let build = "context: ctx, network: none, shm_size: 8m, ulimits: {nofile: 77}, labels: {a: b}, \
        extra_hosts: ['there:1.2.3.4'], tags: ['kb-more:2'], args: {A: '1'}";
    let dockerfile = "FROM corpus/busybox:1\nARG A\nARG TARGETPLATFORM\nRUN grep -q 1.2.3.4.there /etc/hosts && \
        test $(ulimit -n) = 77 && df -m /dev/shm | grep -q ' 8 ' && test ! -e /sys/class/net/eth0 && test $A = 1 && \
        echo $TARGETPLATFORM | grep -q ^linux/\n";
    let compose = format!("services: {{app: {{build: {{{build}}}}}}}\n");
    let Some(stage) = site_of("attributes", &compose, &[("Dockerfile", dockerfile)]) else {
        return;
    };
    stage.built("");
    let labels = stage.ok("image inspect kb-more:2");
    assert!(
        labels.contains("\"a\": \"b\"") && labels.contains("com.docker.compose.service"),
        "{labels}"
    );
    let refused = |stage: &Stage, with: &str| {
        let compose = format!("services: {{app: {{build: {{context: ctx, {with}}}}}}}\n");
        std::fs::write(stage.home.directory.path().join("compose.yaml"), compose).unwrap();
        let output = stage.ketch("build");
        assert_eq!(output.code, 1, "{with}: {}", output.stderr);
        output.stderr
    };
    for (with, expected) in [
        ("platforms: [linux/s390x]", "cannot build for linux/s390x"),
        ("sbom: 'true'", "`build.sbom` of service `app`"),
        ("network: other", "`build.network: other`"),
        ("target: nowhere", "`build.target` of service `app`: there is no stage `nowhere`"),
        ("dockerfile: none", "cannot read the Dockerfile"),
    ] {
        let said = refused(&stage, with);
        assert!(said.contains(expected), "{with}: {said}");
    }
}
