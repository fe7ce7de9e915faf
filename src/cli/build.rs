//! `ketch build`: builds the images of services.
//!
//! In: flags and a project. Out: a plan that is run, or what would be built as a bake file.
//!
//! No lock is taken: containers are not touched.

use super::args::BuildArgs;
use super::engine::Engine;
use super::exit::Failure;
use super::session::Session;
use super::usage::UsageError;
use crate::event::Event;
use crate::model::spec::BuildOptions;
use crate::model::{Bytes, Environment, Service, SshKey};
use crate::orchestrator::{Dependencies, Target};
use crate::plan::Cause;
use crate::plan::images::bake::bake;
use crate::plan::images::build::{Builds, Purpose};
use crate::plan::name::Names;

/// Builds images.
pub(super) async fn run(args: &BuildArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    let options = options(args)?;
    if args.progress.is_some() {
        session.global.progress.clone_from(&args.progress);
    }
    let ssh = args.ssh.iter().map(|key| ssh_key(key)).collect::<Result<_, _>>()?;
    let mut target = Target::load(session, &args.services)?;
    let dependencies =
        if args.with_dependencies { Dependencies::Include } else { Dependencies::LeaveOut };
    target.restrict(&args.services, dependencies)?;
    check_platforms(&target)?;
    let project = &target.project;
    let builds = Builds {
        project,
        names: Names { project: &project.name, separator: target.separator },
        purpose: Purpose::Publish,
        options,
        args: build_args(&args.build_arg, &target),
        ssh,
    };
    let needs = |_: &str, _: &Service| Some(Cause::Requested);
    if args.print {
        let specs: Vec<_> = builds.specs(needs).into_iter().map(|(spec, _)| spec).collect();
        if !specs.is_empty() {
            let text = serde_json::to_string_pretty(&bake(project, &specs));
            session.screen.data(&(text.map_err(std::io::Error::from)? + "\n"))?;
        }
        return Ok(0);
    }
    let plan = builds.plan(needs);
    let mut engine = Engine::connect(session).await?;
    if args.quiet {
        engine.silence();
    }
    if plan.is_empty() {
        engine.progress.apply(&Event::Warned { message: "no services to build".to_owned() });
        return Ok(0);
    }
    let done = engine.orchestrator().run(&plan).await?;
    if args.check {
        engine.progress.finish();
        for line in done.output.values().flatten() {
            engine.session.screen.data(&format!("{line}\n"))?;
        }
    }
    Ok(0)
}

fn options(args: &BuildArgs) -> Result<BuildOptions, UsageError> {
    let memory = match args.memory.as_deref() {
        None | Some("") => 0,
        Some(text) => {
            Bytes::parse(text)
                .map_err(|error| UsageError::InvalidValue {
                    flag: "--memory".to_owned(),
                    value: text.to_owned(),
                    possible: Vec::new(),
                    reason: Some(error.to_string()),
                })?
                .0
        }
    };
    Ok(BuildOptions {
        no_cache: args.no_cache,
        pull: args.pull,
        push: args.push,
        memory,
        builder: args.builder.clone(),
        provenance: args.provenance.clone(),
        sbom: args.sbom.clone(),
        check: args.check,
        given: args.build_arg.iter().map(|word| name_of(word).to_owned()).collect(),
    })
}

/// Reads `--ssh`: `default`, `ID=PATH`, or nothing, which is `default`.
fn ssh_key(text: &str) -> Result<SshKey, UsageError> {
    let (id, path) = match text.split_once('=') {
        Some(pair) => pair,
        None if matches!(text, "" | "default") => ("default", ""),
        None => return Err(UsageError::Other(format!("invalid ssh key {text:?}"))),
    };
    Ok(SshKey { id: id.to_owned(), path: path.to_owned() })
}

/// The name in `NAME[=VALUE]`.
fn name_of(word: &str) -> &str {
    word.split_once('=').map_or(word, |(name, _)| name)
}

/// Reads `--build-arg`; one without a value has that of the variable, which the project may set.
fn build_args(words: &[String], target: &Target) -> Environment {
    let pair = |word: &String| match word.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (word.clone(), target.variables.get(word).map(|variable| variable.value.clone())),
    };
    words.iter().map(pair).collect()
}

/// Refuses a default platform for which a service cannot be built.
fn check_platforms(target: &Target) -> Result<(), Failure> {
    for (name, service) in &target.project.services {
        let platforms = service.build.as_ref().map_or(&[][..], |build| &build.platforms);
        let is_listed = platforms.is_empty() || platforms.contains(&service.platform);
        if !is_listed && !service.platform.is_empty() {
            return Err(Failure::Other(format!(
                "service {name:?} build.platforms does not support value set by \
                 DOCKER_DEFAULT_PLATFORM: {}",
                service.platform
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{options, ssh_key};
    use crate::cli::args::BuildArgs;

    #[test]
    fn keys_have_a_path_or_are_the_default() {
        let text = |word| ssh_key(word).map(|key| format!("{}:{}", key.id, key.path));
        assert_eq!(text("").expect("the default"), "default:");
        assert_eq!(text("default").expect("the default"), "default:");
        assert_eq!(text("k=/a=b").expect("a path"), "k:/a=b");
        assert_eq!(text("k").expect_err("no path").to_string(), "invalid ssh key \"k\"");
    }

    #[test]
    fn memory_has_units() {
        let with = |memory: &str| {
            options(&BuildArgs { memory: Some(memory.to_owned()), ..BuildArgs::default() })
        };
        assert_eq!(with("64m").expect("a size").memory, 64 << 20);
        let error = with("1z").expect_err("no unit").to_string();
        assert!(error.starts_with("invalid value \"1z\" for the flag `--memory`: "), "{error}");
    }
}
