//! Privileges, the kernel, and its limits.

use std::path::Path;

use rustix::process::Resource;

use super::Finding;
use crate::runtime::native::container::probe;

/// What containers cannot be made without: names and numbers of capabilities.
const NEEDED: &[(&str, u8)] = &[
    ("CHOWN", 0),
    ("DAC_OVERRIDE", 1),
    ("FOWNER", 3),
    ("KILL", 5),
    ("SETGID", 6),
    ("SETUID", 7),
    ("SETPCAP", 8),
    ("NET_ADMIN", 12),
    ("SYS_CHROOT", 18),
    ("SYS_ADMIN", 21),
    ("MKNOD", 27),
];
/// Controllers that limits need, by their names in version 1 and 2.
const CONTROLLERS: &[(&str, &str)] = &[
    ("memory", "memory"),
    ("pids", "pids"),
    ("cpu", "cpu"),
    ("cpuset", "cpuset"),
    ("blkio", "io"),
];
/// As many files as containers like to open.
const FILES: u64 = 1 << 16;

/// Whether we may make containers.
pub(super) fn privileges() -> Finding {
    let subject = "privileges";
    let user = rustix::process::geteuid();
    if !user.is_root() {
        let found = format!(
            "this is user {}: the native runtime needs root (it cannot work without yet)",
            user.as_raw()
        );
        let remedy = "run Ketch as root (`sudo ketch …`), or install a Docker Engine";
        return Finding::missing(subject, found, remedy);
    }
    let held = rustix::thread::capabilities(None).map(|sets| sets.effective.bits()).unwrap_or(0);
    let lacking: Vec<_> = NEEDED
        .iter()
        .filter(|(_, number)| held & 1 << number == 0)
        .map(|(name, _)| *name)
        .collect();
    if lacking.is_empty() {
        return Finding::good(subject, "root with all that containers need");
    }
    let found = format!("root, but without the capabilities {}", lacking.join(", "));
    let remedy = "where Ketch runs in a container itself, give that one `privileged: true`";
    Finding::missing(subject, found, remedy)
}

/// Whether the kernel is new enough: its calls are tried.
pub(super) fn version() -> Finding {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let missing = probe::missing_calls();
    if missing.is_empty() {
        return Finding::good("kernel", format!("Linux {release}"));
    }
    let found = format!("Linux {release} does not have (or forbids) {}", missing.join(", "));
    let remedy = "run a kernel of at least 5.12; where Ketch runs in a container itself, start \
                  that one with `security_opt: [seccomp=unconfined]`";
    Finding::missing("kernel", found, remedy)
}

/// Whether namespaces can be made.
pub(super) fn namespaces(may: bool) -> Finding {
    let subject = "namespaces";
    let names = ["cgroup", "ipc", "mnt", "net", "pid", "uts"];
    let there = |name: &&str| Path::new("/proc/self/ns").join(name).exists();
    let lacking: Vec<_> = names.into_iter().filter(|name| !there(name)).collect();
    if !lacking.is_empty() {
        let found = format!("this kernel has no namespaces for {}", lacking.join(", "));
        let remedy = "run a kernel with CONFIG_NAMESPACES, CONFIG_PID_NS, CONFIG_NET_NS, \
                      CONFIG_IPC_NS, CONFIG_UTS_NS and CONFIG_CGROUPS";
        return Finding::missing(subject, found, remedy);
    }
    match probe::namespaces() {
        Err(errno) if may => {
            let found = format!("the kernel refuses to make them: {errno}");
            let remedy = "raise the limits: `sysctl user.max_mnt_namespaces \
                          user.max_net_namespaces user.max_pid_namespaces` shows them";
            Finding::missing(subject, found, remedy)
        }
        _ => Finding::good(subject, names.join(", ")),
    }
}

/// Which cgroups there are, and whether we may make some.
pub(super) fn cgroups(may: bool) -> Finding {
    let subject = "cgroups";
    let (kind, controllers) = probe::cgroups();
    if kind == "none" {
        let remedy = "mount them: `mount -t cgroup2 none /sys/fs/cgroup`";
        return Finding::missing(subject, "none are mounted", remedy);
    }
    if may && let Err(error) = probe::make_cgroup() {
        let remedy = "mount them writable: `mount -o remount,rw /sys/fs/cgroup`; where Ketch runs \
                      in a container itself, give that one `privileged: true`";
        return Finding::missing(subject, format!("{kind}: none can be made: {error}"), remedy);
    }
    let has = |names: &&(&str, &str)| {
        controllers.iter().any(|controller| controller == names.0 || controller == names.1)
    };
    let lacking: Vec<_> =
        CONTROLLERS.iter().filter(|names| !has(names)).map(|names| names.0).collect();
    let found = format!("{kind}, with {}", controllers.join(", "));
    if lacking.is_empty() {
        return Finding::good(subject, found);
    }
    let words = lacking.join(", ");
    let remedy = format!("boot with `cgroup_enable={}`", lacking.join(" cgroup_enable="));
    Finding::weak(subject, format!("{found}; limits of {words} cannot be set"), remedy)
}

/// Whether system calls can be filtered.
pub(super) fn seccomp() -> Finding {
    let subject = "seccomp";
    if Path::new("/proc/sys/kernel/seccomp/actions_avail").exists() {
        return Finding::good(subject, "system calls can be filtered");
    }
    let remedy = "run a kernel with CONFIG_SECCOMP_FILTER, or say `security_opt: \
                  [seccomp=unconfined]` in every service";
    Finding::missing(subject, "this kernel filters no system calls", remedy)
}

/// How many files may be open.
pub(super) fn files() -> Finding {
    let subject = "files";
    let most = rustix::process::getrlimit(Resource::Nofile).maximum;
    match most {
        Some(most) if most < FILES => {
            let remedy = format!("raise it before Ketch is started: `ulimit -Hn {FILES}`");
            let found = format!("a process may open {most} files, and so may those of containers");
            Finding::weak(subject, found, remedy)
        }
        Some(most) => Finding::good(subject, format!("a process may open {most}")),
        None => Finding::good(subject, "a process may open any number"),
    }
}

/// Security modules whose labels and profiles are not set by this runtime.
pub(super) fn policies() -> Vec<Finding> {
    let mut findings = Vec::new();
    if Path::new("/sys/fs/selinux/enforce").exists() {
        let remedy = "where SELinux stops a container, name the types of its files yourself: \
                      `chcon -Rt container_file_t PATH`";
        let found = "SELinux is on; Ketch sets no labels (`z`, `Z`, `security_opt: label=…`)";
        findings.push(Finding::weak("selinux", found, remedy));
    }
    let profiles = Path::new("/sys/module/apparmor/parameters/enabled");
    if profiles.exists() {
        let found = "profiles named in `security_opt` are used; there is none by default";
        findings.push(Finding::good("apparmor", found));
    }
    findings
}
