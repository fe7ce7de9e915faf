//! What a container is kept from.

use std::fs::File;
use std::path::Path;

use super::refused;
use crate::model::spec::ContainerSpec;
use crate::model::{Service, label};
use crate::runtime::native::container::config::{Seccomp, Security};
use crate::runtime::{Result, RuntimeError};

/// What is empty for containers, as in Docker.
const MASKED: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
/// What they cannot write to.
const READ_ONLY: &[&str] =
    &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// What a container is kept from.
pub(super) fn security(spec: &ContainerSpec) -> Result<Security> {
    let service = &spec.service;
    let owned = |paths: &[&str]| paths.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut security = Security {
        privileged: service.privileged,
        masked_paths: owned(MASKED),
        readonly_paths: owned(READ_ONLY),
        seccomp: Seccomp::Default,
        apparmor: String::new(),
    };
    if service.privileged {
        security.seccomp = Seccomp::Unconfined;
        security.masked_paths.clear();
        security.readonly_paths.clear();
    }
    for option in &service.security_opt {
        apply(option, spec, &mut security)?;
    }
    Ok(security)
}

/// An option: `NAME=VALUE`; `:` stands for `=` in old files.
fn split(option: &str) -> (&str, &str) {
    option.split_once(['=', ':']).unwrap_or((option, ""))
}

fn apply(option: &str, spec: &ContainerSpec, security: &mut Security) -> Result<()> {
    match split(option) {
        ("no-new-privileges", _) => {}
        ("seccomp", "unconfined") => security.seccomp = Seccomp::Unconfined,
        ("seccomp", "builtin") => security.seccomp = Seccomp::Default,
        ("seccomp", path) => security.seccomp = Seccomp::Profile(Box::new(profile(spec, path)?)),
        ("apparmor", "unconfined") => security.apparmor.clear(),
        ("apparmor", profile) => profile.clone_into(&mut security.apparmor),
        ("systempaths", "unconfined") => {
            security.masked_paths.clear();
            security.readonly_paths.clear();
        }
        ("label", label) => label_is_harmless(label)?,
        _ => return Err(refused(format!("invalid `security_opt`: `{option}`"))),
    }
    Ok(())
}

/// Whether programs gain no rights by being started.
pub(super) fn no_new_privileges(service: &Service) -> Result<bool> {
    let mut is_on = false;
    for option in &service.security_opt {
        is_on = match split(option) {
            ("no-new-privileges", "" | "true" | "1" | "t" | "T" | "TRUE" | "True") => true,
            ("no-new-privileges", "false" | "0" | "f" | "F" | "FALSE" | "False") => false,
            ("no-new-privileges", other) => {
                return Err(refused(format!("invalid `no-new-privileges`: `{other}`")));
            }
            _ => is_on,
        };
    }
    Ok(is_on)
}

/// Where SELinux is not on, labels mean nothing to anybody.
fn label_is_harmless(label: &str) -> Result<()> {
    if label == "disable" || !super::support::has_selinux() {
        return Ok(());
    }
    Err(refused(format!("`security_opt: label={label}`: labels of SELinux are not set yet")))
}

/// A profile. Its path stands relative to the project.
fn profile(spec: &ContainerSpec, path: &str) -> Result<serde_json::Value> {
    let folder = spec.labels.get(label::WORKING_DIR).map_or("", String::as_str);
    let path = Path::new(folder).join(path);
    let failed = |source| RuntimeError::Io {
        action: format!("read the seccomp profile `{}`", path.display()),
        source,
    };
    let file = File::open(&path).map_err(failed)?;
    let reader = std::io::BufReader::new(std::io::Read::take(file, 16 << 20));
    serde_json::from_reader(reader).map_err(|error| failed(error.into()))
}
