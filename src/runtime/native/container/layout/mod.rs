//! A config to the steps of the process that becomes the container.
//!
//! In: a [`Config`], what is joined, and the cgroup. Out: steps with everything open that they
//! need. The parent does this before the process exists.
//!
//! # Not here
//!
//! Carrying them out (`child`).

mod mounts;
mod program;
mod system;

pub(super) use program::{Request, Terminal, program, search_path, streams};

use std::ffi::{CString, c_int};
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::process::{Resource, Rlimit as Values};
use rustix::thread::ThreadNameSpaceType;

use super::cgroup::{Cgroup, DeviceRule, Entrances};
use super::child::{Limit, Step, Word};
use super::config::{Config, Namespace, Namespaces, Rlimit};
use super::error::{StartError, kernel};
use super::start::Joined;
use super::tree;

/// Everything open that a container needs.
#[derive(Debug)]
pub(super) struct Layout {
    /// The steps.
    pub(super) steps: Vec<Step>,
    /// The cgroup.
    pub(super) cgroup: Cgroup,
    /// Where the process is made, with version 2.
    pub(super) unified: Option<OwnedFd>,
    /// Its terminal.
    pub(super) terminal: Option<Terminal>,
    /// Its user, as its image knows it.
    pub(super) user: super::user::Identity,
}

/// Lays out a container.
pub(super) fn lay_out(config: &Config, joined: &Joined) -> Result<Layout, StartError> {
    let root = tree::overlay(&config.root)?;
    super::files::mark(root.as_fd())?;
    let user = super::files::identify(root.as_fd(), &config.process.user, &config.process.groups)?;
    let nodes = system::nodes(config)?;
    let rules: Vec<DeviceRule> = nodes
        .iter()
        .map(tree::Node::rule)
        .chain(config.limits.device_rules.iter().cloned())
        .collect();
    let rules = (!config.security.privileged).then_some(rules.as_slice());
    let user_mounts = mounts::prepare(config, root.as_fd())?;
    let cgroup = Cgroup::create(config, rules)?;
    let laid = Parts { config, joined, cgroup: &cgroup, nodes: &nodes };
    let steps = laid.steps(root, user_mounts, user.uid);
    if steps.is_err() {
        let _ = cgroup.remove();
    }
    let (steps, unified, terminal) = steps?;
    Ok(Layout { steps, cgroup, unified, terminal, user })
}

/// What the steps are made of.
struct Parts<'a> {
    config: &'a Config,
    joined: &'a Joined,
    cgroup: &'a Cgroup,
    nodes: &'a [tree::Node],
}

type Steps = (Vec<Step>, Option<OwnedFd>, Option<Terminal>);

impl Parts<'_> {
    fn steps(&self, root: OwnedFd, user_mounts: Vec<Step>, uid: u32) -> Result<Steps, StartError> {
        let Entrances { unified, old } = self.cgroup.entrances()?;
        let mut steps = vec![Step::Begin, Step::DieWithParent];
        steps.extend(join(&self.config.namespaces, self.joined)?);
        if !old.is_empty() {
            steps.push(Step::EnterCgroups(old));
        }
        if self.config.namespaces.cgroup == Namespace::Own {
            steps.push(Step::NewCgroupNamespace);
        }
        if self.config.namespaces.uts == Namespace::Own {
            steps.extend(self.names()?);
        }
        steps.push(Step::Root(root));
        let system = system::System { config: self.config, joined: self.joined };
        let terminal = system.mount(self.cgroup, self.nodes, uid, &mut steps)?;
        steps.extend(user_mounts);
        let directory = directory(&self.config.process.working_dir)?;
        steps.push(Step::Directory(directory));
        steps.push(Step::Wait);
        self.close_off(&mut steps)?;
        Ok((steps, unified, terminal))
    }

    /// Steps that name the container. Who shares a network is called as its owner.
    fn names(&self) -> Result<Vec<Step>, StartError> {
        let mut hostname = self.config.hostname.clone();
        if let (true, Some(other)) = (hostname.is_empty(), &self.joined.network) {
            hostname = super::files::hostname(other.as_fd())?;
        }
        let named = [
            (hostname, Step::HostName as fn(String) -> Step),
            (self.config.domainname.clone(), Step::DomainName),
        ];
        let named = named.into_iter().filter(|(name, _)| !name.is_empty());
        Ok(named.map(|(name, step)| step(name)).collect())
    }

    /// What is done last: after it, less is possible.
    fn close_off(&self, steps: &mut Vec<Step>) -> Result<(), StartError> {
        for (name, value) in &self.config.sysctls {
            let path = text(name.replace('.', "/"))?;
            steps.push(Step::Parameter(path, value.clone().into_bytes()));
        }
        for path in &self.config.security.readonly_paths {
            steps.push(Step::ReadOnly(relative(path)?));
        }
        for path in &self.config.security.masked_paths {
            steps.push(Step::Mask(relative(path)?));
        }
        if self.config.read_only {
            steps.push(Step::ReadOnlyRoot);
        }
        steps.extend(limits(&self.config.process.rlimits)?);
        steps.extend(apparmor(&self.config.security.apparmor)?);
        Ok(())
    }
}

/// Steps into the namespaces of other containers, but for that of processes.
fn join(namespaces: &Namespaces, joined: &Joined) -> Result<Vec<Step>, StartError> {
    let kinds = [
        (&namespaces.network, &joined.network, ThreadNameSpaceType::NETWORK, "network"),
        (&namespaces.ipc, &joined.ipc, ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION, "ipc"),
        (&namespaces.uts, &joined.uts, ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME, "uts"),
    ];
    let mut steps = Vec::new();
    for (wanted, process, kind, name) in kinds {
        let Namespace::Of(other) = wanted else { continue };
        steps.push(Step::Join(process_of(process.as_ref(), other, name)?, kind));
    }
    Ok(steps)
}

/// The process whose namespace is shared.
pub(super) fn process_of(
    process: Option<&OwnedFd>,
    other: &str,
    name: &str,
) -> Result<OwnedFd, StartError> {
    let missing = || {
        StartError::Invalid(format!(
            "cannot share the {name} namespace of container `{other}`: it does not run"
        ))
    };
    let process = process.ok_or_else(missing)?;
    let failed = || format!("share the {name} namespace of container `{other}`");
    process.try_clone().map_err(kernel(failed))
}

/// The namespaces that are made for a container; that of cgroups is made later, when it is in its
/// cgroup.
pub(super) fn own_namespaces(namespaces: &Namespaces) -> c_int {
    let kinds = [
        (&namespaces.network, libc::CLONE_NEWNET),
        (&namespaces.pid, libc::CLONE_NEWPID),
        (&namespaces.ipc, libc::CLONE_NEWIPC),
        (&namespaces.uts, libc::CLONE_NEWUTS),
    ];
    let own = kinds.into_iter().filter(|(namespace, _)| **namespace == Namespace::Own);
    own.fold(libc::CLONE_NEWNS, |flags, (_, flag)| flags | flag)
}

/// A text for the kernel.
pub(super) fn text(text: impl Into<Vec<u8>>) -> Result<CString, StartError> {
    let broken = |error: std::ffi::NulError| {
        let text = String::from_utf8_lossy(&error.into_vec()).into_owned();
        StartError::Invalid(format!("{text:?} holds a zero byte"))
    };
    CString::new(text).map_err(broken)
}

/// A path from the root of the container; `.` is the root itself.
pub(super) fn relative(path: &str) -> Result<CString, StartError> {
    let path = path.trim_start_matches('/');
    text(if path.is_empty() { "." } else { path })
}

/// The working directory from the root.
fn directory(path: &str) -> Result<CString, StartError> {
    relative(path)
}

/// Steps that set limits of processes.
pub(super) fn limits(rlimits: &[Rlimit]) -> Result<Vec<Step>, StartError> {
    let limit = |rlimit: &Rlimit| {
        let unknown = || StartError::Invalid(format!("`ulimits`: no limit `{}`", rlimit.name));
        let resource = resource(&rlimit.name).ok_or_else(unknown)?;
        let value = |value: u64| (value != u64::MAX).then_some(value);
        let values = Values { current: value(rlimit.soft), maximum: value(rlimit.hard) };
        Ok(Step::Limit(Limit { resource, values }))
    };
    rlimits.iter().map(limit).collect()
}

/// The resource that a limit is of.
pub(super) fn resource(name: &str) -> Option<Resource> {
    Some(match name {
        "as" => Resource::As,
        "core" => Resource::Core,
        "cpu" => Resource::Cpu,
        "data" => Resource::Data,
        "fsize" => Resource::Fsize,
        "locks" => Resource::Locks,
        "memlock" => Resource::Memlock,
        "msgqueue" => Resource::Msgqueue,
        "nice" => Resource::Nice,
        "nofile" => Resource::Nofile,
        "nproc" => Resource::Nproc,
        "rss" => Resource::Rss,
        "rtprio" => Resource::Rtprio,
        "rttime" => Resource::Rttime,
        "sigpending" => Resource::Sigpending,
        "stack" => Resource::Stack,
        _ => return None,
    })
}

/// The step that chooses a profile of AppArmor.
pub(super) fn apparmor(profile: &str) -> Result<Option<Step>, StartError> {
    if profile.is_empty() {
        return Ok(None);
    }
    if !std::path::Path::new("/sys/module/apparmor").exists() {
        let text = format!("this kernel has no AppArmor for the profile `{profile}`");
        return Err(StartError::Invalid(text));
    }
    let path = text("proc/self/attr/apparmor/exec")?;
    Ok(Some(Step::Write(Word { path, text: format!("exec {profile}").into_bytes() })))
}
