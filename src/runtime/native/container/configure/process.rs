//! What runs, as Docker merges the words of image and service.

use std::path::{Component, Path, PathBuf};

use super::{ImageSettings, refused};
use crate::model::{Environment, Service, Ulimit};
use crate::runtime::Result;
use crate::runtime::native::container::config::{CapabilitySet, Process, Rlimit};
use crate::runtime::native::container::layout;

/// The `PATH` of images that have none.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// As many files as Docker lets a container open, where the host does.
const FILES: u64 = 1 << 20;

/// What the process takes over.
pub(super) struct Named<'a> {
    /// The host name of the container.
    pub(super) hostname: &'a str,
    /// Its image.
    pub(super) image: &'a ImageSettings,
}

/// The first process of a container.
pub(super) fn process(service: &Service, named: &Named<'_>) -> Result<Process> {
    let image = named.image;
    let or = |own: &String, other: &String| if own.is_empty() { other } else { own }.clone();
    let capabilities = if service.privileged {
        CapabilitySet::all()
    } else {
        let adapted = CapabilitySet::adapted(&service.cap_add, &service.cap_drop);
        adapted.map_err(|name| refused(format!("invalid capability: `{name}`")))?
    };
    let score = service.oom_score_adj.clamp(-1000, 1000);
    Ok(Process {
        args: args(service, image)?,
        environment: environment(service, named),
        working_dir: directory(&or(&service.working_dir, &image.working_dir)),
        user: or(&service.user, &image.user),
        groups: service.group_add.clone(),
        terminal: service.tty,
        capabilities,
        no_new_privileges: super::security::no_new_privileges(service)?,
        rlimits: rlimits(service)?,
        oom_score_adj: i32::try_from(score).ok(),
    })
}

/// The words: an entrypoint of the service takes the command of the image away.
fn args(service: &Service, image: &ImageSettings) -> Result<Vec<String>> {
    let own_command = service.command.clone().unwrap_or_default();
    let own_entrypoint = service.entrypoint.clone().filter(|words| words != &[""]);
    let was_given = service.entrypoint.is_some();
    let own = own_entrypoint.unwrap_or_default();
    let command = match (own.is_empty(), own_command.is_empty()) {
        (true, true) => image.command.clone(),
        _ => own_command,
    };
    let entrypoint = if was_given { own } else { image.entrypoint.clone() };
    let all: Vec<String> = entrypoint.into_iter().chain(command).collect();
    if all.is_empty() { Err(refused("no command specified")) } else { Ok(all) }
}

/// The variables: the system's own, then those of the image, then those of the service. A name
/// without a value takes one away.
fn environment(service: &Service, named: &Named<'_>) -> Vec<String> {
    let mut lines = vec![format!("PATH={USUAL_PATH}")];
    lines.push(format!("HOSTNAME={}", named.hostname));
    if service.tty {
        lines.push("TERM=xterm".to_owned());
    }
    for line in &named.image.environment {
        let name = line.split('=').next().unwrap_or_default();
        put(&mut lines, name, Some(line.clone()));
    }
    let own: &Environment = &service.environment;
    for (name, value) in own {
        put(&mut lines, name, value.as_ref().map(|value| format!("{name}={value}")));
    }
    lines
}

fn put(lines: &mut Vec<String>, name: &str, line: Option<String>) {
    let position = lines.iter().position(|old| old.split('=').next() == Some(name));
    match (position, line) {
        (Some(at), Some(line)) => lines[at] = line,
        (Some(at), None) => {
            lines.remove(at);
        }
        (None, Some(line)) => lines.push(line),
        (None, None) => {}
    }
}

/// An absolute path without `.` and `..`.
pub(super) fn directory(path: &str) -> String {
    let mut clean = PathBuf::from("/");
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean.to_string_lossy().into_owned()
}

/// Limits of processes. Files may be opened in plenty, as under Docker's own service.
fn rlimits(service: &Service) -> Result<Vec<Rlimit>> {
    let mut rlimits = Vec::new();
    if !service.ulimits.contains_key("nofile") {
        let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
        let most = most.unwrap_or(FILES).min(FILES);
        rlimits.push(Rlimit { name: "nofile".to_owned(), soft: most, hard: most });
    }
    for (name, limit) in &service.ulimits {
        if layout::resource(name).is_none() {
            return Err(refused(format!("invalid ulimit type: `{name}`")));
        }
        let Ulimit { single, soft, hard } = *limit;
        let value = |value: i64| {
            let value = if value == 0 { single } else { value };
            u64::try_from(value).unwrap_or(u64::MAX)
        };
        let (soft, hard) = (value(soft), value(hard));
        if soft > hard {
            let text = format!("ulimit `{name}`: the soft limit is greater than the hard limit");
            return Err(refused(text));
        }
        rlimits.push(Rlimit { name: name.clone(), soft, hard });
    }
    Ok(rlimits)
}
