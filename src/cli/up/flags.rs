//! Flags of `up` and `create` to what they mean.

use std::collections::BTreeMap;

use crate::cli::args::{CreateFlags, UpArgs};
use crate::cli::engine::{Consent, Quiet};
use crate::cli::usage::UsageError;
use crate::plan::images::{BuildMode, ImageFlags};
use crate::plan::{Orphans, Recreate};

/// Refuses flags that contradict each other.
pub(super) fn check_up(args: &UpArgs) -> Result<(), UsageError> {
    let attach = [
        (!args.attach.is_empty(), "--attach"),
        (args.attach_dependencies, "--attach-dependencies"),
    ];
    let attached = attach.into_iter().find(|(given, _)| *given).map(|(_, flag)| flag);
    let abort = [
        (args.abort_on_container_exit, "--abort-on-container-exit"),
        (args.abort_on_container_failure, "--abort-on-container-failure"),
        (args.exit_code_from.is_some(), "--exit-code-from"),
    ];
    let aborts = abort.into_iter().find(|(given, _)| *given).map(|(_, flag)| flag);
    check_create(&args.create)?;
    let pairs = [
        (args.detach.then_some("--detach"), args.watch.then_some("--watch")),
        (args.wait.then_some("--wait"), args.watch.then_some("--watch")),
        (args.create.no_build.then_some("--no-build"), args.watch.then_some("--watch")),
        (args.detach.then_some("--detach"), attached),
        (args.detach.then_some("--detach"), aborts),
        (args.wait.then_some("--wait"), attached),
        (args.wait.then_some("--wait"), aborts),
        (
            args.abort_on_container_exit.then_some("--abort-on-container-exit"),
            args.abort_on_container_failure.then_some("--abort-on-container-failure"),
        ),
        (
            (!args.attach.is_empty()).then_some("--attach"),
            args.attach_dependencies.then_some("--attach-dependencies"),
        ),
        (
            args.create.no_recreate.then_some("--no-recreate"),
            args.renew_anon_volumes.then_some("--renew-anon-volumes"),
        ),
        (
            args.create.no_recreate.then_some("--no-recreate"),
            args.always_recreate_deps.then_some("--always-recreate-deps"),
        ),
    ];
    if args.wait_timeout.is_some_and(|seconds| seconds < 0) {
        return Err(UsageError::Other("--wait-timeout must not be negative".to_owned()));
    }
    exclusive(&pairs)
}

/// Refuses flags that contradict each other.
pub(super) fn check_create(flags: &CreateFlags) -> Result<(), UsageError> {
    exclusive(&[
        (flags.build.then_some("--build"), flags.no_build.then_some("--no-build")),
        (
            flags.force_recreate.then_some("--force-recreate"),
            flags.no_recreate.then_some("--no-recreate"),
        ),
    ])
}

fn exclusive(pairs: &[(Option<&'static str>, Option<&'static str>)]) -> Result<(), UsageError> {
    match pairs.iter().find_map(|(one, other)| one.zip(*other)) {
        Some((one, other)) => Err(UsageError::Incompatible(one, other)),
        None => Ok(()),
    }
}

/// What the flags say about images.
pub(in crate::cli) fn images(flags: &CreateFlags) -> Result<ImageFlags, UsageError> {
    let pull = match flags.pull.as_str() {
        "policy" | "" => String::new(),
        word @ ("always" | "missing" | "never" | "build" | "if_not_present") => word.to_owned(),
        word => return Err(UsageError::Other(format!("invalid --pull option {word:?}"))),
    };
    let build = match (flags.build, flags.no_build) {
        (true, _) => BuildMode::Always,
        (_, true) => BuildMode::Never,
        _ => BuildMode::Missing,
    };
    Ok(ImageFlags { pull, build, ..ImageFlags::default() })
}

pub(super) fn recreate(flags: &CreateFlags) -> Recreate {
    match (flags.force_recreate, flags.no_recreate) {
        (true, _) => Recreate::Force,
        (_, true) => Recreate::Never,
        _ => Recreate::Diverged,
    }
}

pub(super) fn recreate_dependencies(flags: &CreateFlags) -> Recreate {
    if flags.no_recreate { Recreate::Never } else { Recreate::Diverged }
}

pub(super) fn orphans(flags: &CreateFlags) -> Orphans {
    if flags.remove_orphans { Orphans::Remove } else { Orphans::Tell }
}

/// `--quiet-pull` and `--quiet-build`; the former quietens builds too, as in Docker Compose.
pub(super) fn quiet(flags: &CreateFlags) -> Quiet {
    Quiet { pull: flags.quiet_pull, build: flags.quiet_build || flags.quiet_pull }
}

pub(super) fn consent(flags: &CreateFlags) -> Consent {
    if flags.yes { Consent::Given } else { Consent::Ask }
}

/// Reads `--scale SERVICE=NUM`.
pub(super) fn scale(words: &[String]) -> Result<BTreeMap<String, u64>, UsageError> {
    numbers(words).map_err(|word| {
        UsageError::Other(format!("invalid --scale option {word:?}. Should be SERVICE=NUM"))
    })
}

/// Reads the arguments of `scale`.
pub(super) fn scale_words(words: &[String]) -> Result<BTreeMap<String, u64>, UsageError> {
    numbers(words).map_err(|word| UsageError::Other(format!("invalid scale specifier: {word}")))
}

fn numbers(words: &[String]) -> Result<BTreeMap<String, u64>, String> {
    let pair = |word: &String| {
        let (service, number) = word.split_once('=').ok_or_else(|| word.clone())?;
        Ok((service.to_owned(), number.parse().map_err(|_| word.clone())?))
    };
    words.iter().map(pair).collect()
}
