//! `ketch image` with the real program, against a real registry and, where one answers, an engine.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::binary::{Output, ketch};

/// A store and a home of their own.
struct Site {
    dir: TempDir,
}

impl Site {
    fn new() -> Self {
        Self { dir: TempDir::new().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn run(&self, arguments: &str) -> Output {
        self.run_with(arguments, &[])
    }

    fn run_with(&self, arguments: &str, variables: &[(&str, &str)]) -> Output {
        let home = self.dir.path().display().to_string();
        let run =
            ketch(self.dir.path(), arguments).env("KETCH_STATE_DIR", &format!("{home}/state"));
        let run = run.env("KETCH_RUN_DIR", &format!("{home}/run")).env("DOCKER_CONFIG", &home);
        variables.iter().fold(run, |run, (name, value)| run.env(name, value)).output()
    }

    fn says(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        format!("{}{}rc {}", output.stdout, output.stderr, output.code)
    }

    /// How many entries a part of the store has.
    fn count(&self, part: &str) -> usize {
        std::fs::read_dir(self.path("state/images").join(part)).unwrap().count()
    }

    /// Writes an archive of one image, as `docker save` does, with a file of this size.
    fn write_archive(&self, name: &str, size: usize) -> PathBuf {
        let layer = archive(&[("bin/", Vec::new()), ("bin/data", vec![7; size])]);
        let config = json!({
            "os": "linux", "architecture": "amd64", "created": "2020-01-02T03:04:05Z",
            "config": { "Env": ["A=b"], "Cmd": ["run"], "Labels": { "kind": "test" } },
            "rootfs": { "type": "layers", "diff_ids": [digest(&layer)] },
        });
        let manifest =
            json!([{ "Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"] }]);
        let bytes = archive(&[
            ("config.json", config.to_string().into_bytes()),
            ("layer.tar", layer),
            ("manifest.json", manifest.to_string().into_bytes()),
        ]);
        let path = self.path("image.tar");
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

fn archive(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_size(bytes.len() as u64);
        if name.ends_with('/') {
            header.set_entry_type(tar::EntryType::Directory);
        }
        builder.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    builder.into_inner().unwrap()
}

fn digest(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    let hash = sha2::Sha256::digest(bytes);
    hash.iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

#[test]
fn a_dry_run_changes_no_image() {
    let site = Site::new();
    site.write_archive("shop/app:1", 1000);
    assert_eq!(
        site.says("--dry-run image load -i image.tar"),
        "would load images from image.tar\nrc 0"
    );
    assert_eq!(site.says("image ls -q"), "rc 0");
    assert_eq!(site.run("image load -i image.tar").code, 0);
    let before = site.says("image ls");
    for (command, said) in [
        ("rm shop/app:1", "remove shop/app:1"),
        ("prune -a", "remove all images that no container uses"),
        ("tag shop/app:1 other", "give shop/app:1 the name other"),
        ("save shop/app:1 -o out.tar", "save shop/app:1 to out.tar"),
    ] {
        let expected = format!("would {said}\nrc 0");
        assert_eq!(site.says(&format!("--dry-run image {command}")), expected);
    }
    assert_eq!(site.says("image ls"), before);
    assert!(!site.path("out.tar").exists());
}

#[test]
fn what_is_loaded_may_be_named_as_an_image_is() {
    let site = Site::new();
    site.write_archive("shop/app:1", 1000);
    let loaded = "Loaded image: shop/app:1\nrc 0";
    assert_eq!(site.says("image load -i docker-archive:image.tar"), loaded);
    assert_eq!(site.says("image save shop/app:1 -o oci:layout"), "rc 0");
    assert_eq!(site.says("image load -i oci:layout"), loaded);
    std::fs::write(site.path("notes"), "no archive\n".repeat(100)).unwrap();
    let refused = site.says("image load -i notes");
    assert_eq!(
        refused,
        "error: cannot read `notes`: it is no archive of images, or is damaged\nrc 1"
    );
}

#[test]
fn images_are_loaded_named_shown_and_removed() {
    let site = Site::new();
    site.write_archive("shop/app:1", 1000);
    assert_eq!(site.says("image ls -q"), "rc 0");
    assert_eq!(site.says("image load -i image.tar"), "Loaded image: shop/app:1\nrc 0");
    assert_eq!(site.says("image tag shop/app:1 other"), "rc 0");
    let short = site.run("image ls -q").stdout;
    assert_eq!(short.trim().len(), 12);
    // How long ago it was made depends on the day of the test.
    let created = site.run("image ls --format {{.CreatedSince}} shop/app").stdout;
    assert!(created.trim().ends_with(" ago"), "{created}");
    let shown = site.run("image ls").stdout;
    let rows: Vec<Vec<&str>> = shown
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect();
    let (id, created) = (short.trim(), created.trim());
    let expected = [
        ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"],
        ["other", "latest", id, created, "1kB"],
        ["shop/app", "1", id, created, "1kB"],
    ];
    assert_eq!(rows, expected);
    let lines = "image ls --filter label=kind --filter reference=shop/* --format {{.Repository}}|{{.Tag}}|{{.Size}}";
    assert_eq!(site.says(lines), "shop/app|1|1kB\nrc 0");
    assert_eq!(site.says("image ls -q --filter label=none"), "rc 0");
    let json: Value = serde_json::from_str(&site.run("image inspect shop/app:1").stdout).unwrap();
    assert_eq!((&json[0]["RepoTags"][1], &json[0]["Size"]), (&"shop/app:1".into(), &1000.into()));
    assert_eq!(site.says("image inspect -f {{.Config.Cmd}} other"), "[run]\nrc 0");
    let missing = site.run("image inspect nope");
    assert_eq!((missing.stdout.as_str(), missing.code), ("[]\n", 1));
    assert!(missing.stderr.contains("no such image: nope"), "{}", missing.stderr);
    assert_eq!(site.says("image rm other"), "Untagged: other:latest\nrc 0");
    assert_eq!(site.says("image rm -f nope"), "rc 0");
    let declined = site.run("image prune -a");
    assert_eq!(declined.code, 1);
    assert_eq!(site.says("image prune -f"), "Total reclaimed space: 0B\nrc 0");
    let pruned = site.says("image prune -a -f");
    assert!(
        pruned.contains("Untagged: shop/app:1\n") && pruned.contains("space: 1kB\nrc 0"),
        "{pruned}"
    );
    assert_eq!(site.count("layers") + site.count("images"), 0);
}

#[test]
fn wrong_words_about_images_are_explained() {
    let site = Site::new();
    for (arguments, expected) in [
        ("image rm nope", "no such image: nope"),
        ("image tag nope x", "no such image: nope"),
        ("image load -i nope.tar", "there is no file `nope.tar`"),
        ("image load", "holds no images"),
        ("image save nope", "no such image: nope"),
        ("image pull 'a b'", "names no image"),
        ("image pull --platform x/ app", "is not a platform"),
        ("image ls --filter nope=1", "invalid filter 'nope'"),
        ("image ls --filter nope", "bad format of filter"),
        ("image nope", "nope"),
    ] {
        let output = site.run(arguments);
        assert!(output.code == 1 && output.stderr.contains(expected), "{arguments}: {output:?}");
    }
}

#[test]
fn a_load_that_is_killed_leaves_nothing_behind_the_next_command() {
    let site = Site::new();
    let bytes = std::fs::read(site.write_archive("app:1", 4 << 20)).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_ketch"))
        .args(["image", "load"])
        .env("KETCH_STATE_DIR", site.path("state"))
        .env("KETCH_RUN_DIR", site.path("run"))
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.as_mut().unwrap().write_all(&bytes[..bytes.len() / 2]).unwrap();
    wait_until("something is staged", || {
        std::fs::read_dir(site.path("state/images/staging"))
            .is_ok_and(|entries| entries.count() > 0)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(site.count("staging") > 0);
    assert_eq!(site.says("image load -i image.tar"), "Loaded image: app:1\nrc 0");
    assert_eq!((site.count("staging"), site.count("layers")), (0, 1));
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_mins(1), "not within a minute: {what}");
        std::thread::yield_now();
    }
}

/// Debian's `docker-registry` on a free port, which lets in only alice.
pub(crate) struct Registry {
    pub(crate) address: String,
    child: Child,
    dir: TempDir,
}

impl Registry {
    /// The password below, as `htpasswd -B` hashes it with few rounds.
    const USERS: &str = "alice:$2b$04$EJQ97n5HLLNBLdFq0mzX0eDrG3u9JZbo8faOjI4V9eNZzejL1XyDa";
    pub(crate) const PASSWORD: &str = "~~~???>>>";

    pub(crate) fn start() -> Option<Self> {
        Self::serve(TempDir::new().unwrap(), &json!({ "addr": "127.0.0.1:0" }))
    }

    /// The same over TLS, with a certificate that `cert.pem` vouches for.
    fn start_with_tls() -> Option<Self> {
        let dir = TempDir::new().unwrap();
        let words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem \
                     -out cert.pem -days 2 -subj /CN=trial -addext subjectAltName=IP:127.0.0.1 \
                     -addext basicConstraints=critical,CA:FALSE";
        let mut openssl = Command::new("openssl");
        openssl.args(words.split_whitespace()).current_dir(&dir).stderr(Stdio::null());
        if !openssl.status().is_ok_and(|status| status.success()) {
            println!("skipped: openssl makes no certificate");
            return None;
        }
        let path = |name: &str| dir.path().join(name).display().to_string();
        let tls = json!({ "certificate": path("cert.pem"), "key": path("key.pem") });
        Self::serve(dir, &json!({ "addr": "127.0.0.1:0", "tls": tls }))
    }

    fn serve(dir: TempDir, http: &Value) -> Option<Self> {
        let path = |name: &str| dir.path().join(name).display().to_string();
        let config = json!({
            "version": 0.1,
            "storage": { "filesystem": { "rootdirectory": path("data") } },
            "http": http,
            "auth": { "htpasswd": { "realm": "trial", "path": path("users") } }
        });
        std::fs::write(path("users"), Self::USERS).unwrap();
        std::fs::write(path("config.yml"), config.to_string()).unwrap();
        let log = std::fs::File::create(path("log")).unwrap();
        let mut command = Command::new("docker-registry");
        command.args(["serve", &path("config.yml")]).stdout(Stdio::null()).stderr(log);
        let Ok(child) = command.spawn() else {
            println!("skipped: docker-registry is not installed");
            return None;
        };
        let mut address = None;
        wait_until("the registry listens", || {
            let log = std::fs::read_to_string(path("log")).unwrap();
            let found = log.split_once("listening on ").map(|(_, rest)| rest);
            let found = found.filter(|rest| rest.contains('"'));
            address = found.and_then(|rest| rest.split(['"', ',']).next()).map(str::to_owned);
            address.is_some()
        });
        Some(Self { address: address.unwrap(), child, dir })
    }

    pub(crate) fn log_in(&self, home: &Path, password: &str) {
        let auth = STANDARD.encode(format!("alice:{password}"));
        let config = json!({ "auths": { &self.address: { "auth": auth } } });
        std::fs::write(home.join("config.json"), config.to_string()).unwrap();
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn images_go_to_a_real_registry_and_come_back() {
    let Some(registry) = Registry::start() else { return };
    let (site, other) = (Site::new(), Site::new());
    site.write_archive("app:1", 3 << 20);
    let name = format!("{}/team/app:1", registry.address);
    site.run("image load -i image.tar");
    assert_eq!(site.says(&format!("image tag app:1 {name}")), "rc 0");
    let denied = site.run(&format!("image push -q {name}"));
    assert!(denied.code == 1 && denied.stderr.contains("denies access"), "{denied:?}");
    registry.log_in(site.dir.path(), Registry::PASSWORD);
    let pushed = site.says(&format!("--progress plain image push {name}"));
    assert!(pushed.contains(" Pushed\n") && pushed.ends_with("rc 0"), "{pushed}");
    let again = site.says(&format!("--progress plain image push {name}"));
    assert!(again.contains("Layer already exists") && again.ends_with("rc 0"), "{again}");
    registry.log_in(other.dir.path(), "wrong");
    let denied = other.run(&format!("image pull {name}"));
    assert!(denied.code == 1 && denied.stderr.contains("denies access"), "{denied:?}");
    registry.log_in(other.dir.path(), Registry::PASSWORD);
    let pulled = other.run(&format!("--progress plain image pull {name}"));
    assert_eq!(
        (pulled.stdout.as_str(), pulled.code),
        (format!("{name}\n").as_str(), 0),
        "{pulled:?}"
    );
    assert_eq!(pulled.stderr.matches("Pull complete").count(), 1, "{}", pulled.stderr);
    let id = |site: &Site| site.run("image ls -q --no-trunc").stdout;
    assert_eq!(id(&site), id(&other));
    let missing = other.run(&format!("image pull -q {}/team/none", registry.address));
    assert!(missing.stderr.contains("has no image") && missing.code == 1, "{missing:?}");
}

#[test]
fn a_registry_that_speaks_tls_is_trusted_by_its_certificate_only() {
    let Some(registry) = Registry::start_with_tls() else { return };
    let site = Site::new();
    site.write_archive("app:1", 1000);
    let name = format!("{}/team/app:1", registry.address);
    site.run("image load -i image.tar");
    site.run(&format!("image tag app:1 {name}"));
    registry.log_in(site.dir.path(), Registry::PASSWORD);
    let distrusted = site.run(&format!("image push -q {name}"));
    assert_eq!(distrusted.code, 1);
    assert!(distrusted.stderr.contains("certificate"), "{}", distrusted.stderr);
    let certificate = registry.dir.path().join("cert.pem").display().to_string();
    let trust = [("SSL_CERT_FILE", certificate.as_str())];
    let pushed = site.run_with(&format!("image push -q {name}"), &trust);
    assert_eq!((pushed.code, pushed.stderr.as_str()), (0, ""));
    site.run("image prune -a -f");
    let pulled = site.run_with(&format!("image pull -q {name}"), &trust);
    assert_eq!((pulled.code, pulled.stderr.as_str()), (0, ""));
}

#[test]
fn an_engine_loads_what_is_saved() {
    let site = Site::new();
    let name = format!("himgsave{}:1", std::process::id());
    site.write_archive(&name, 1000);
    site.run("image load -i image.tar");
    assert_eq!(site.says(&format!("image save -o saved.tar {name}")), "rc 0");
    let docker = |words: &[&str]| Command::new("docker").args(words).output();
    let loaded = match docker(&["load", "-i", &site.path("saved.tar").display().to_string()]) {
        Ok(output) if output.status.success() => String::from_utf8(output.stdout).unwrap(),
        _ => return println!("skipped: no engine answers"),
    };
    let id = docker(&["image", "inspect", "-f", "{{.Id}}", &name]).unwrap().stdout;
    docker(&["rmi", "-f", &name]).unwrap();
    assert_eq!(loaded, format!("Loaded image: {name}\n"));
    assert_eq!(String::from_utf8(id).unwrap(), site.run("image ls -q --no-trunc").stdout);
}
