//! Containers, seen from inside. They need root and a static busybox; without, they say that they
//! are skipped.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::{
    Access, Changes, Config, ExecConfig, Joined, Launch, Limits, Mount, Namespace, Overlay,
    Propagation, Source, StartError, Started, Streams, exec, start,
};
use crate::runtime::Size;

/// Programs of the test image, all busybox.
const PROGRAMS: &[&str] = &[
    "sh", "cat", "ls", "id", "env", "mkdir", "touch", "rm", "sleep", "true", "stat", "mount",
    "umount", "hostname", "echo", "grep", "readlink", "dd", "kill", "ps", "chmod", "test", "tty",
    "stty", "ip", "head", "wc", "sort", "pwd", "awk", "ln", "cp", "mknod", "unshare", "chroot",
];

/// A folder with an image and a container made of it; `None`: it cannot be run here.
struct Bench {
    folder: tempfile::TempDir,
    config: Config,
}

impl Bench {
    fn new() -> Option<Self> {
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].iter().find(|path| is_static(path));
        let (true, Some(busybox)) = (rustix::process::geteuid().is_root(), busybox) else {
            println!("skipped: containers need root and a static busybox");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("image");
        for directory in ["bin", "etc", "tmp", "root", "srv/data", "var"] {
            fs::create_dir_all(image.join(directory)).unwrap();
        }
        fs::copy(busybox, image.join("bin/busybox")).unwrap();
        for program in PROGRAMS {
            symlink("busybox", image.join("bin").join(program)).unwrap();
        }
        fs::write(image.join("etc/passwd"), "root:x:0:0::/root:\napp:x:100:101::/srv:\n").unwrap();
        fs::write(image.join("etc/group"), "root:x:0:\napp:x:101:\ndisk:x:6:app\n").unwrap();
        fs::write(image.join("srv/data/file"), "from the image").unwrap();
        let config = config(folder.path(), image);
        Some(Self { folder, config })
    }

    fn path(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        if !path.exists() {
            fs::create_dir(&path).unwrap();
        }
        path
    }

    fn sh(mut self, script: &str) -> Output {
        self.config.process.args = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        run(&self.config)
    }
}

fn is_static(path: &&&str) -> bool {
    let Ok(mut file) = File::open(path) else { return false };
    let mut bytes = Vec::new();
    // A program that wants an interpreter names it.
    file.read_to_end(&mut bytes).is_ok()
        && !bytes.windows(8).take(4096).any(|window| window == b"/ld-linu")
}

fn config(folder: &Path, image: PathBuf) -> Config {
    let (upper, work) = (folder.join("upper"), folder.join("work"));
    fs::create_dir(&upper).unwrap();
    fs::create_dir(&work).unwrap();
    let mut random = [0_u8; 32];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty()).unwrap();
    let mut config = Config {
        id: random.iter().map(|byte| format!("{byte:02x}")).collect(),
        root: Overlay { lower: vec![image], changes: Some(Changes { upper, work }) },
        hostname: "box".to_owned(),
        cgroup_parent: "ketch-test".to_owned(),
        shm_size: 64 << 20,
        ..Config::default()
    };
    config.process.environment = vec!["PATH=/usr/bin:/bin".to_owned()];
    config.process.capabilities = super::CapabilitySet::usual();
    config.security.masked_paths =
        ["/proc/kcore", "/proc/keys", "/sys/firmware", "/none"].map(str::to_owned).to_vec();
    config.security.readonly_paths = ["/proc/sys", "/proc/bus"].map(str::to_owned).to_vec();
    config
}

/// What a container wrote, and how it ended.
#[derive(Debug, PartialEq, Eq)]
struct Output {
    text: String,
    code: i32,
}

/// Streams to a pipe.
fn piped() -> (File, Streams) {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let stdin = OwnedFd::from(File::open("/dev/null").unwrap());
    let stderr = writer.try_clone().unwrap();
    (File::from(reader), Streams::Files { stdin, stdout: writer, stderr })
}

fn launch(streams: Streams) -> Launch<'static> {
    Launch { streams, joined: Joined::default(), files: &[] }
}

/// Starts a container and waits for its end.
fn run(config: &Config) -> Output {
    let (reader, streams) = piped();
    let started = start(config, launch(streams), |_| Ok(())).unwrap();
    finish(started, reader)
}

fn finish(started: Started, mut reader: File) -> Output {
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    let code = wait(&started);
    started.cgroup.remove().unwrap();
    Output { text: text.trim_end().to_owned(), code }
}

fn wait(started: &Started) -> i32 {
    let pid = rustix::process::Pid::from_raw(started.pid);
    let options = rustix::process::WaitOptions::empty();
    let (_, status) = rustix::process::waitpid(pid, options).unwrap().unwrap();
    status.exit_status().unwrap_or_else(|| 128 + status.terminating_signal().unwrap_or(0))
}

fn failure(config: &Config) -> StartError {
    let (_reader, streams) = piped();
    start(config, launch(streams), |_| Ok(())).unwrap_err()
}

#[test]
fn a_container_has_a_world_of_its_own() {
    let Some(bench) = Bench::new() else { return };
    let out = bench.sh("echo $$; hostname; pwd; id -u; ls /; readlink /proc/self/fd/0; exit 7");
    let expected = "1\nbox\n/\n0\nbin\ndev\netc\nproc\nroot\nsrv\nsys\ntmp\nvar\n/dev/null";
    assert_eq!(out, Output { text: expected.to_owned(), code: 7 });
}
