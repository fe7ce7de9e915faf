//! Containers, seen from inside. They need root and a static busybox; without, they say that they
//! are skipped.

mod mounts;

use std::fs::{self, File};
use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::{
    Changes, Config, ExecConfig, Joined, Launch, Limits, Namespace, Overlay, Source, StartError,
    Started, Streams, exec, start,
};
use crate::runtime::Size;
use mounts::mount;

/// Programs of the test image, all busybox.
const PROGRAMS: &[&str] = &[
    "sh", "cat", "ls", "id", "env", "mkdir", "touch", "rm", "sleep", "true", "stat", "mount",
    "umount", "hostname", "echo", "grep", "readlink", "dd", "kill", "ps", "chmod", "test", "tty",
    "stty", "ip", "head", "wc", "sort", "pwd", "awk", "ln", "cp", "tr", "mknod", "unshare",
    "chroot",
];

/// A folder with an image and a container made of it; `None`: it cannot be run here.
struct Bench {
    folder: tempfile::TempDir,
    config: Config,
}

impl Bench {
    fn new() -> Option<Self> {
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].iter().find(is_static);
        let (true, Some(busybox)) = (rustix::process::geteuid().is_root(), busybox) else {
            skipped("containers need root and a static busybox");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("image");
        for directory in ["bin", "etc", "tmp", "srv/root", "srv/data", "var"] {
            fs::create_dir_all(image.join(directory)).unwrap();
        }
        fs::copy(busybox, image.join("bin/busybox")).unwrap();
        for program in PROGRAMS {
            symlink("busybox", image.join("bin").join(program)).unwrap();
        }
        fs::write(image.join("etc/passwd"), "root:x:0:0::/srv/root:\napp:x:100:101::/srv:\n")
            .unwrap();
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

    fn sh(&mut self, script: &str) -> Output {
        self.config.process.args = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        run(&self.config)
    }
}

#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
fn skipped(why: &str) {
    println!("skipped: {why}");
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what `find` passes")]
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
        id: crate::model::hash::hex(&random),
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
    finish(&started, reader)
}

fn finish(started: &Started, mut reader: File) -> Output {
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    let code = wait(started);
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
    let Some(mut bench) = Bench::new() else { return };
    let out = bench.sh("echo $$; hostname; pwd; id -u; ls /; readlink /proc/self/fd/0; exit 7");
    let expected = "1\nbox\n/\n0\nbin\ndev\netc\nproc\nsrv\nsys\ntmp\nvar\n/dev/null";
    assert_eq!(out, Output { text: expected.to_owned(), code: 7 });
}

#[test]
fn capabilities_masks_and_calls_are_dockers() {
    let Some(mut bench) = Bench::new() else { return };
    let out = bench.sh(
        "grep -E '^(Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs|Seccomp|Umask):' /proc/self/status
         cat /proc/keys; ls /sys/firmware
         echo x 2>&- >/proc/sys/vm/swappiness || echo ro; touch /sys/x 2>&- || echo ro
         unshare -m true 2>&- || echo refused; mknod /tmp/mem c 1 1 && (dd if=/tmp/mem bs=1 count=1 2>&1 | head -1)
         ls /proc/self/fd | wc -l",
    );
    let expected = "Umask:\t0022\nCapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\n\
         CapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\n\
         NoNewPrivs:\t0\nSeccomp:\t2\nro\nro\nrefused\n\
         dd: can't open '/tmp/mem': Operation not permitted\n4";
    assert_eq!(out.text, expected);
}

#[test]
fn no_new_privileges_and_no_filter_are_had_when_asked_for() {
    let Some(mut bench) = Bench::new() else { return };
    bench.config.process.no_new_privileges = true;
    bench.config.process.user = "app".to_owned();
    bench.config.security.seccomp = super::Seccomp::Unconfined;
    let out = bench.sh("grep -E '^(CapPrm|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status");
    assert_eq!(
        out.text,
        "CapPrm:\t0000000000000000\nCapBnd:\t00000000a80425fb\nNoNewPrivs:\t1\nSeccomp:\t0"
    );
}

#[test]
fn users_are_those_of_the_image() {
    for (user, groups, expected) in [
        ("app", &["44"][..], "uid=100(app) gid=101(app) groups=6(disk),44,101(app)\n/srv"),
        ("app:disk", &[], "uid=100(app) gid=6(disk) groups=6(disk)\n/srv"),
        ("1000:7", &[], "uid=1000 gid=7 groups=7\n/"),
        ("", &["disk"], "uid=0(root) gid=0(root) groups=0(root),6(disk)\n/srv/root"),
    ] {
        let Some(mut bench) = Bench::new() else { return };
        bench.config.process.user = user.to_owned();
        bench.config.process.groups = groups.iter().map(ToString::to_string).collect();
        assert_eq!(bench.sh("id; echo $HOME").text, expected, "{user}");
    }
    let Some(mut bench) = Bench::new() else { return };
    bench.config.process.user = "ghost".to_owned();
    bench.config.process.args = vec!["true".to_owned()];
    assert_eq!(failure(&bench.config).to_string(), "no user `ghost` in `/etc/passwd` of the image");
}

#[test]
fn programs_that_cannot_run_are_told_apart() {
    let Some(mut bench) = Bench::new() else { return };
    let mut fails = |program: &str| {
        bench.config.process.args = vec![program.to_owned()];
        let error = failure(&bench.config);
        (error.exit_code(), error.to_string())
    };
    let (code, text) = fails("nothing");
    let expected = "cannot run `nothing`: executable file not found in the container (looked in /usr/bin:/bin)";
    assert_eq!((code, text.as_str()), (127, expected));
    assert_eq!(fails("/nothing").0, 127);
    assert_eq!(fails("/etc/passwd"), (126, "cannot run `/etc/passwd` in the container".to_owned()));
    assert_eq!(fails("/etc").0, 126);
}

#[test]
fn a_failed_start_leaves_nothing() {
    let Some(mut bench) = Bench::new() else { return };
    bench.config.process.args = vec!["/nothing".to_owned()];
    failure(&bench.config);
    let cgroup = super::Cgroup::open(&bench.config).unwrap();
    assert_eq!(cgroup.processes().unwrap(), Vec::<i32>::new());
    assert!(cgroup.usage().is_err(), "the cgroup is gone");
    let mut ran = false;
    let (_reader, streams) = piped();
    let refused = start(&bench.config, launch(streams), |pid| {
        ran = pid > 0;
        Err(crate::runtime::RuntimeError::Refused("no network".to_owned()))
    });
    assert_eq!((ran, refused.unwrap_err().to_string()), (true, "no network".to_owned()));
    assert!(cgroup.usage().is_err(), "the cgroup is gone");
}

#[test]
fn limits_are_those_of_the_kernel() {
    let Some(mut bench) = Bench::new() else { return };
    bench.config.limits = Limits {
        memory: Some(64 << 20),
        pids: Some(20),
        cpu_quota: Some(50_000),
        cpu_period: Some(100_000),
        cpu_shares: Some(512),
        cpuset: "0".to_owned(),
        ..Limits::default()
    };
    bench.config.process.rlimits =
        vec![super::Rlimit { name: "nofile".to_owned(), soft: 100, hard: 200 }];
    bench.config.process.oom_score_adj = Some(77);
    let out = bench.sh(
        "cd /sys/fs/cgroup; cat */memory.limit_in_bytes memory.max */pids.max pids.max 2>&-
         cat */cpu.cfs_quota_us */cpu.shares cpu.max */cpuset.cpus cpuset.cpus 2>&-
         ulimit -n; cat /proc/self/oom_score_adj; grep -v ':/$' /proc/self/cgroup",
    );
    let lines: Vec<_> = out.text.lines().collect();
    assert_eq!(lines[..2], ["67108864", "20"]);
    assert_eq!(lines[lines.len() - 2..], ["100", "77"]);
}

#[test]
fn a_fork_bomb_hits_its_limit_and_dies_at_once() {
    let Some(mut bench) = Bench::new() else { return };
    bench.config.limits.pids = Some(30);
    let bomb = "f() { f | f & }; echo up; f 2>&- & exec sleep 100";
    bench.config.process.args = ["sh", "-c", bomb].map(str::to_owned).to_vec();
    let (mut reader, streams) = piped();
    let started = start(&bench.config, launch(streams), |_| Ok(())).unwrap();
    let mut two = [0; 2];
    reader.read_exact(&mut two).unwrap();
    let usage = started.cgroup.usage().unwrap();
    assert!(usage.processes <= 30, "{usage:?}");
    started.cgroup.kill().unwrap();
    assert_eq!(wait(&started), 137);
    started.cgroup.remove().unwrap();
}

#[test]
fn a_memory_bomb_is_killed_and_counted() {
    let Some(mut bench) = Bench::new() else { return };
    bench.config.limits.memory = Some(16 << 20);
    let bomb = "dd if=/dev/zero of=/dev/null bs=200M count=1";
    bench.config.process.args = ["sh", "-c", bomb].map(str::to_owned).to_vec();
    let (_reader, streams) = piped();
    let started = start(&bench.config, launch(streams), |_| Ok(())).unwrap();
    assert_eq!(wait(&started), 137);
    assert!(started.cgroup.oom_kills().unwrap() >= 1);
    started.cgroup.remove().unwrap();
}

#[test]
fn a_frozen_container_stands_still_and_can_be_killed() {
    let Some(mut bench) = Bench::new() else { return };
    bench.config.process.args = ["sleep", "100"].map(str::to_owned).to_vec();
    let (_reader, streams) = piped();
    let started = start(&bench.config, launch(streams), |_| Ok(())).unwrap();
    started.cgroup.freeze().unwrap();
    assert!(started.cgroup.is_frozen());
    started.cgroup.thaw().unwrap();
    assert!(!started.cgroup.is_frozen());
    started.cgroup.freeze().unwrap();
    started.cgroup.remove().unwrap();
    assert_eq!(wait(&started), 137);
}

#[test]
fn an_init_of_ours_reaps_and_hands_signals_on() {
    let Some(mut bench) = Bench::new() else { return };
    bench.config.init = true;
    let script = "trap 'echo got; exit 3' TERM; (sleep 0.01 & ); cat /proc/1/comm; echo $$ $PPID
                  echo up; while :; do sleep 0.05; done";
    bench.config.process.args = ["sh", "-c", script].map(str::to_owned).to_vec();
    let (mut reader, streams) = piped();
    let started = start(&bench.config, launch(streams), |_| Ok(())).unwrap();
    let mut text = String::new();
    let mut byte = [0; 1];
    while !text.contains("up\n") && reader.read(&mut byte).unwrap() > 0 {
        text.push(char::from(byte[0]));
    }
    rustix::process::pidfd_send_signal(&started.pidfd, rustix::process::Signal::TERM).unwrap();
    let rest = finish(&started, reader);
    assert_eq!(text, "ketch-init\n2 1\nup\n");
    assert_eq!(rest, Output { text: "got".to_owned(), code: 3 });
}

/// All that appears on a terminal.
fn shown(started: &Started) -> String {
    let mut terminal = File::from(started.terminal.as_ref().unwrap().try_clone().unwrap());
    let mut text = Vec::new();
    let mut buffer = [0; 512];
    // A terminal that nobody holds any more is an error to read.
    while let Ok(length @ 1..) = terminal.read(&mut buffer) {
        text.extend_from_slice(&buffer[..length]);
    }
    String::from_utf8(text).unwrap()
}

#[test]
fn a_terminal_is_the_containers_own() {
    let Some(mut bench) = Bench::new() else { return };
    bench.config.process.terminal = true;
    bench.config.process.user = "app".to_owned();
    let script =
        "tty; stty size; stat -c %u /dev/pts/0; ls -l /dev/console | head -c 1; ps | wc -l";
    bench.config.process.args = ["sh", "-c", script].map(str::to_owned).to_vec();
    let size = Size { columns: 90, rows: 30 };
    let started = start(&bench.config, launch(Streams::Terminal(size)), |_| Ok(())).unwrap();
    let text = shown(&started);
    assert!(text.starts_with("/dev/pts/0\r\n30 90\r\n100\r\nc"), "{text:?}");
    wait(&started);
    started.cgroup.remove().unwrap();
}

#[test]
fn commands_run_beside_the_first_process() {
    let Some(mut bench) = Bench::new() else { return };
    bench.config.process.environment.push("A=1".to_owned());
    bench.config.process.args = ["sleep", "100"].map(str::to_owned).to_vec();
    let (_reader, streams) = piped();
    let started = start(&bench.config, launch(streams), |_| Ok(())).unwrap();
    let run = |command: ExecConfig| {
        let (mut reader, streams) = piped();
        let running = exec(&bench.config, started.pidfd.as_fd(), &command, streams).unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        (text, wait(&running))
    };
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    let script = "id -u; pwd; env | sort; hostname; cat /proc/1/comm; ls /proc/self/fd | wc -l
                  grep CapEff /proc/self/status; cat /proc/self/cgroup | grep -v ':/$'; exit 5";
    let (text, code) = run(ExecConfig {
        args: words(&["sh", "-c", script]),
        environment: words(&["B=2", "A"]),
        working_dir: "/srv".to_owned(),
        user: "app".to_owned(),
        privileged: false,
    });
    let expected = "100\n/srv\nB=2\nHOME=/srv\nPATH=/usr/bin:/bin\nPWD=/srv\nSHLVL=1\nbox\nsleep\n4\n\
                    CapEff:\t0000000000000000\n";
    assert_eq!((text.as_str(), code), (expected, 5));
    let args = words(&["grep", "CapEff", "/proc/self/status"]);
    let (text, _) = run(ExecConfig { args, privileged: true, ..ExecConfig::default() });
    assert!(text.starts_with("CapEff:\t000001ff"), "{text}");
    let args = words(&["sh", "-c", "echo $TERM"]);
    let command = ExecConfig { args, ..ExecConfig::default() };
    let terminal = Streams::Terminal(Size { columns: 90, rows: 30 });
    let running = exec(&bench.config, started.pidfd.as_fd(), &command, terminal).unwrap();
    assert_eq!(shown(&running), "xterm\r\n");
    wait(&running);
    started.cgroup.remove().unwrap();
    wait(&started);
    let (_reader, streams) = piped();
    let command = ExecConfig { args: words(&["true"]), ..ExecConfig::default() };
    let error = exec(&bench.config, started.pidfd.as_fd(), &command, streams).unwrap_err();
    assert_eq!(error.to_string(), "the container does not run");
}

#[test]
fn namespaces_are_shared_on_demand() {
    let Some(mut bench) = Bench::new() else { return };
    bench.config.process.args =
        ["sh", "-c", "echo x >/dev/shm/f; echo up; sleep 100"].map(str::to_owned).to_vec();
    let (mut reader, streams) = piped();
    let first = start(&bench.config, launch(streams), |_| Ok(())).unwrap();
    reader.read_exact(&mut [0; 2]).unwrap();
    let Some(mut other) = Bench::new() else { return };
    let of = || Namespace::Of("first".to_owned());
    other.config.namespaces = super::Namespaces {
        network: of(),
        pid: of(),
        ipc: of(),
        uts: of(),
        ..super::Namespaces::default()
    };
    let script = "for n in net pid ipc uts; do readlink /proc/self/ns/$n; done
                  cat /dev/shm/f; hostname; cat /proc/1/comm";
    other.config.process.args = ["sh", "-c", script].map(str::to_owned).to_vec();
    let held = || Some(first.pidfd.try_clone().unwrap());
    let joined = Joined { network: held(), pid: held(), ipc: held(), uts: held() };
    let (reader, streams) = piped();
    let second = start(&other.config, Launch { streams, joined, files: &[] }, |_| Ok(())).unwrap();
    let out = finish(&second, reader);
    let of_first = ["net", "pid", "ipc", "uts"].map(|name| {
        let link = fs::read_link(format!("/proc/{}/ns/{name}", first.pid)).unwrap();
        format!("{}\n", link.display())
    });
    assert_eq!(out.text, format!("{}x\nbox\nsleep", of_first.concat()));
    first.cgroup.remove().unwrap();
    wait(&first);
}

#[test]
fn files_are_written_before_the_program_runs() {
    let Some(mut bench) = Bench::new() else { return };
    symlink("/tmp/elsewhere", bench.folder.path().join("image/run")).unwrap();
    bench.config.sysctls = [("net.ipv4.ip_forward".to_owned(), "1".to_owned())].into();
    bench.config.read_only = true;
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect();
    let memory = Source::Tmpfs { options: words(&["size=1m"]), flags: Vec::new() };
    bench.config.mounts = vec![mount(memory, "/tmp")];
    bench.config.process.working_dir = "/not/there".to_owned();
    let script =
        "cat /tmp/s/secret; stat -c '%u %g %a' /tmp/s/secret; cat /proc/sys/net/ipv4/ip_forward
                  touch /x 2>&- || echo ro; pwd";
    bench.config.process.args = ["sh", "-c", script].map(str::to_owned).to_vec();
    let file = crate::model::spec::InjectedFile {
        path: "/tmp/s/secret".to_owned(),
        content: "hidden\n".to_owned(),
        uid: 7,
        gid: 8,
        mode: 0o440,
    };
    let (reader, streams) = piped();
    let launch = Launch { streams, joined: Joined::default(), files: &[file] };
    let started = start(&bench.config, launch, |_| Ok(())).unwrap();
    assert_eq!(finish(&started, reader).text, "hidden\n7 8 440\n1\nro\n/not/there");
}

#[test]
fn the_container_dies_with_the_thread_that_started_it() {
    let Some(mut bench) = Bench::new() else { return };
    bench.config.process.user = "app".to_owned();
    bench.config.process.args = ["sleep", "100"].map(str::to_owned).to_vec();
    let config = bench.config.clone();
    let thread = std::thread::spawn(move || {
        let (_reader, streams) = piped();
        start(&config, launch(streams), |_| Ok(())).unwrap()
    });
    let started = thread.join().unwrap();
    assert_eq!(wait(&started), 137);
    started.cgroup.remove().unwrap();
}

#[test]
fn a_privileged_container_has_all_devices_and_rights() {
    let Some(mut bench) = Bench::new() else { return };
    bench.config.security = super::Security { privileged: true, ..super::Security::default() };
    bench.config.security.seccomp = super::Seccomp::Unconfined;
    bench.config.process.capabilities = super::CapabilitySet::all();
    let out = bench.sh("test -c /dev/mem && dd if=/dev/mem bs=1 count=1 2>/dev/null | wc -c
         mount -t tmpfs none /tmp && echo mounted; test -w /proc/sys/vm/swappiness && echo rw");
    let expected = if Path::new("/dev/mem").exists() { "1\nmounted\nrw" } else { "mounted\nrw" };
    assert_eq!(out.text, expected);
}

#[test]
fn a_container_learns_nothing_of_us() {
    let Some(mut bench) = Bench::new() else { return };
    bench.config.init = true;
    let out =
        bench.sh("readlink /proc/1/exe || echo hidden; cat /proc/1/environ 2>&- || echo hidden
         (echo x >/proc/1/exe) 2>&- || echo refused; ls /proc/1/fd
         cat /proc/self/environ | grep -c PATH");
    assert_eq!(out.text, "hidden\nhidden\nrefused\n1");
}
