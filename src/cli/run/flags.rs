//! Flags of `run` to what they mean.

use std::path::Path;

use crate::cli::args::{CreateFlags, RunArgs};

use crate::cli::exit::Failure;
use crate::cli::session::Session;
use crate::cli::terminal::{TtyFlag, TtyFlags};
use crate::cli::up;
use crate::cli::usage::{UsageError, switched};
use crate::model::hash::hex;
use crate::model::spec::OneOff;
use crate::model::{BindOptions, Dict, Environment, Mount, Port, ShellCommand, VolumeOptions};
use crate::orchestrator::Target;
use crate::plan::images::ImageFlags;
use crate::plan::one_off::{Aliases, Ports, Run};
use crate::project::short::{self, MountKind};
use crate::project::{dotenv, words};

/// Bytes in a slug.
const SLUG: usize = 32;

/// Refuses flags that contradict each other.
pub(super) fn check(args: &RunArgs) -> Result<(), UsageError> {
    if args.service_ports && !args.publish.is_empty() {
        return Err(UsageError::Incompatible("--service-ports", "--publish"));
    }
    TtyFlag::new(TtyFlags { tty: args.tty, no_tty: args.no_tty }).map(|_| ())
}

/// What the flags say about the image of the service.
pub(super) fn images(args: &RunArgs) -> Result<ImageFlags, UsageError> {
    let pull = args.pull.clone();
    up::flags::images(&CreateFlags { pull, build: args.build, ..CreateFlags::default() })
}

/// What the flags say about the container.
pub(super) fn run(args: &RunArgs, target: &Target, session: &Session<'_>) -> Result<Run, Failure> {
    let (service, command) =
        args.words.split_first().map_or(("", &[][..]), |(service, rest)| (service, rest));
    let tty = TtyFlag::new(TtyFlags { tty: args.tty, no_tty: args.no_tty })?;
    let interactive = switched("--interactive", &args.interactive)?;
    let cwd = session.request()?.cwd;
    Ok(Run {
        service: service.to_owned(),
        name: args.name.clone().unwrap_or_default(),
        slug: slug()?,
        command: (!command.is_empty()).then(|| command.to_vec()),
        entrypoint: entrypoint(args.entrypoint.as_deref())?,
        user: args.user.clone().unwrap_or_default(),
        working_dir: args.workdir.clone().unwrap_or_default(),
        environment: environment(args, target, session)?,
        labels: labels(&args.label),
        cap_add: args.cap_add.clone(),
        cap_drop: args.cap_drop.clone(),
        mounts: args.volume.iter().map(|text| mount(text, &cwd)).collect::<Result<_, _>>()?,
        ports: ports(args)?,
        aliases: if args.use_aliases { Aliases::Service } else { Aliases::Own },
        tty: tty.settle(session.screen),
        one_off: OneOff { auto_remove: args.rm, interactive },
    })
}

/// Random digits.
fn slug() -> Result<String, Failure> {
    let mut bytes = [0; SLUG];
    let failed = |error: rustix::io::Errno| Failure::Other(format!("no random name: {error}"));
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).map_err(failed)?;
    Ok(hex(&bytes))
}

fn entrypoint(text: Option<&str>) -> Result<ShellCommand, UsageError> {
    let invalid = |error| UsageError::Other(format!("invalid --entrypoint: {error}"));
    text.map(words::split).transpose().map_err(invalid)
}

/// `--env-from-file`, then `--env`. A name alone takes its value from the project's variables.
fn environment(
    args: &RunArgs,
    target: &Target,
    session: &Session<'_>,
) -> Result<Environment, Failure> {
    let known = |name: &str| target.variables.get(name).map(|variable| variable.value.clone());
    let mut environment = Environment::new();
    for path in &args.env_from_file {
        let text = session.read(path)?;
        let earlier = |name: &str| environment.get(name).cloned().flatten();
        let parsed = dotenv::parse(&text, &known, &earlier)
            .map_err(|error| Failure::Other(format!("cannot read `{path}`: {error}")))?;
        let assigned = parsed.assignments.into_iter();
        environment.extend(assigned.map(|(name, it)| (name, Some(it.value))).collect::<Vec<_>>());
    }
    for word in &args.env {
        match word.split_once('=') {
            Some((name, value)) => environment.insert(name.to_owned(), Some(value.to_owned())),
            None => match known(word) {
                Some(value) => environment.insert(word.clone(), Some(value)),
                None => continue,
            },
        };
    }
    Ok(environment)
}

fn labels(words: &[String]) -> Dict {
    let pair = |word: &String| {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        (name.to_owned(), value.to_owned())
    };
    words.iter().map(pair).collect()
}

/// Reads `--volume`. A path of the host starts where the command was called.
fn mount(text: &str, cwd: &Path) -> Result<Mount, UsageError> {
    let invalid = |error| UsageError::Other(format!("invalid --volume `{text}`: {error}"));
    let found = short::volume(text).map_err(invalid)?;
    let mut mount = Mount {
        kind: "volume".to_owned(),
        source: found.source,
        target: found.target,
        read_only: found.read_only,
        ..Mount::default()
    };
    if found.kind == MountKind::Bind {
        "bind".clone_into(&mut mount.kind);
        mount.source = short::clean(&cwd.join(&mount.source).to_string_lossy());
        mount.bind = Some(BindOptions {
            create_host_path: true,
            propagation: found.propagation,
            selinux: found.selinux,
            ..BindOptions::default()
        });
    } else {
        mount.volume = Some(VolumeOptions { nocopy: found.nocopy, ..VolumeOptions::default() });
    }
    Ok(mount)
}

fn ports(args: &RunArgs) -> Result<Ports, UsageError> {
    if args.service_ports {
        return Ok(Ports::Service);
    }
    let mut ports = Vec::new();
    for text in &args.publish {
        let invalid = |error| UsageError::Other(format!("invalid --publish `{text}`: {error}"));
        ports.extend(short::ports(text).map_err(invalid)?.into_iter().map(|port| Port {
            mode: "ingress".to_owned(),
            host_ip: port.host_ip,
            target: u32::from(port.target),
            published: port.published,
            protocol: port.protocol,
            ..Port::default()
        }));
    }
    Ok(if ports.is_empty() { Ports::None } else { Ports::These(ports) })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{labels, mount, slug};

    #[test]
    fn slugs_differ() {
        let (one, other) = (slug().expect("random"), slug().expect("random"));
        assert_eq!(one.len(), 64);
        assert_ne!(one, other);
    }

    #[test]
    fn labels_may_have_no_value() {
        let words = ["a=b=c".to_owned(), "d".to_owned()];
        let found = labels(&words);
        assert_eq!((found["a"].as_str(), found["d"].as_str()), ("b=c", ""));
    }

    #[test]
    fn paths_of_the_host_start_where_the_command_was_called() {
        let read = |text: &str| mount(text, Path::new("/here")).expect("a mount");
        let bind = read("./x:/y:ro");
        assert_eq!((&*bind.kind, &*bind.source, &*bind.target), ("bind", "/here/x", "/y"));
        assert!(bind.read_only && bind.bind.is_some_and(|bind| bind.create_host_path));
        let volume = read("data:/y");
        assert_eq!((&*volume.kind, &*volume.source), ("volume", "data"));
        assert_eq!(read("/y").source, "");
    }
}
