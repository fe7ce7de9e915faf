//! `ketch pull`, `push`: moves images between here and registries.
//!
//! In: flags and a project. Out: a plan that is run, and a word on each service that is left out.
//!
//! No lock is taken: containers are not touched.

use super::args::{PullArgs, PushArgs};
use super::engine::Engine;
use super::exit::Failure;
use super::session::Session;
use super::usage::UsageError;
use crate::event::Event;
use crate::model::observed::Observed;
use crate::orchestrator::{Converged, Dependencies, Target};
use crate::plan::Severity;
use crate::plan::images::transfer::{self, PullFlags, Transfer};

/// Pulls the images of services.
pub(super) async fn pull(args: &PullArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    let policy = args.policy.clone().unwrap_or_default();
    if !matches!(policy.as_str(), "" | "missing" | "always") {
        let text = format!("invalid --policy option {policy:?}. Should be missing or always");
        return Err(UsageError::Other(text).into());
    }
    let mut target = Target::load(session, &args.services)?;
    let dependencies =
        if args.include_deps { Dependencies::Include } else { Dependencies::LeaveOut };
    target.restrict(&args.services, dependencies)?;
    let platform = session.environment().get("DOCKER_DEFAULT_PLATFORM");
    let flags = PullFlags {
        policy,
        platform: platform.cloned().unwrap_or_default(),
        ignore_buildable: args.ignore_buildable,
        ignore_failures: args.ignore_pull_failures,
    };
    let mut engine = Engine::connect(session).await?;
    if args.quiet {
        engine.silence();
    }
    let images = target.project.services.values().map(|service| service.image.clone());
    let images: Vec<String> = images.filter(|image| !image.is_empty()).collect();
    let observed: Observed = engine.orchestrator().observe_images(&images).await?;
    let transfer = transfer::pull(&target.project, &observed, &flags);
    let done = engine.transfer(&transfer).await?;
    let to_build = transfer::to_build(&target.project, &transfer.plan, &done.warned);
    if !to_build.is_empty() {
        let text = format!(
            "some service images must be built from source: `ketch build {}`",
            to_build.join(" ")
        );
        engine.progress.apply(&Event::Warned { message: text });
    }
    Ok(0)
}

/// Pushes the images of services.
pub(super) async fn push(args: &PushArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    let mut target = Target::load(session, &args.services)?;
    let dependencies =
        if args.include_deps { Dependencies::Include } else { Dependencies::LeaveOut };
    target.restrict(&args.services, dependencies)?;
    let failure = if args.ignore_push_failures { Severity::Warning } else { Severity::Fatal };
    let transfer = transfer::push(&target.project, failure);
    let mut engine = Engine::connect(session).await?;
    if args.quiet {
        engine.silence();
    }
    engine.transfer(&transfer).await?;
    Ok(0)
}

impl Engine<'_, '_> {
    async fn transfer(&self, transfer: &Transfer) -> Result<Converged, Failure> {
        for (service, why) in &transfer.skipped {
            self.progress.apply(&Event::Noted {
                kind: "service",
                name: service.clone(),
                message: why.clone(),
            });
        }
        Ok(self.orchestrator().run(&transfer.plan).await?)
    }
}
