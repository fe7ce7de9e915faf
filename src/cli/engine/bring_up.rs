//! Brings a project up: images first, then containers. What `up`, `create`, `start`, `scale` and
//! `run` have in common.

use super::{Converged, Engine, Supplied, Target, failures, now, observe};
use crate::cli::exit::Failure;
use crate::cli::explain::span_at;
use crate::cli::prompt::ask;
use crate::diagnostic::{Code, Diagnostic};
use crate::event::Event;
use crate::model::observed::Observed;
use crate::plan::images::{self, ImageFlags};
use crate::plan::{
    ChangedVolumes, Desired, Op, Plan, Until, Up, api_socket, fallen, needs, reconcile, refusals,
};
use crate::runtime::RuntimeError;
use crate::ui::diagnostics::Warnings;

/// Whether the user is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Consent {
    /// Yes.
    Ask,
    /// No: the answer is yes.
    Given,
}

impl Engine<'_, '_> {
    /// What would be pulled and built.
    pub(in crate::cli) async fn forecast_images(
        &self,
        up: &Up<'_>,
        flags: &ImageFlags,
    ) -> Result<Plan, Failure> {
        let flags = self.complete(flags);
        let references = images::references(up);
        let project = Some(up.project.name.as_str());
        let mut observed = Observed {
            containers: self.asking(self.runtime.containers(project)).await?,
            ..self.observe_images(&references).await?
        };
        self.observe_inputs(up, &mut observed, &flags).await?;
        Ok(images::forecast(up, &observed, &flags))
    }

    /// Adds what the environment says about images.
    fn complete(&self, flags: &ImageFlags) -> ImageFlags {
        let platform = self.session.environment().get("DOCKER_DEFAULT_PLATFORM");
        ImageFlags { now: now(), platform: platform.cloned().unwrap_or_default(), ..flags.clone() }
    }

    /// Pulls and builds what is missing, or shall be.
    pub(in crate::cli) async fn prepare_images(
        &mut self,
        up: &Up<'_>,
        flags: &ImageFlags,
    ) -> Result<(), Failure> {
        if self.session.global.dry_run {
            let plan = self.forecast_images(up, flags).await?;
            return if plan.is_empty() { Ok(()) } else { self.run(&plan).await.map(drop) };
        }
        let flags = self.complete(flags);
        let references = images::references(up);
        let mut observed = self.observe_images(&references).await?;
        let pulls = images::pulls(up, &observed, &flags);
        if !pulls.is_empty() {
            self.run(&pulls).await?;
            observed = self.observe_images(&references).await?;
        }
        self.observe_inputs(up, &mut observed, &flags).await?;
        let builds = images::builds(up, &observed, &flags);
        if !builds.is_empty() {
            self.run(&builds).await?;
        }
        Ok(())
    }

    /// Adds which of the images that are here would be built otherwise now.
    async fn observe_inputs(
        &self,
        up: &Up<'_>,
        observed: &mut Observed,
        flags: &ImageFlags,
    ) -> Result<(), Failure> {
        let unsure = images::unsure(up, observed, flags);
        let ask = unsure.iter().map(async |build| {
            let changed = self.runtime.changed_input(build).await?;
            Ok::<_, RuntimeError>(build.tags.first().cloned().zip(changed))
        });
        let changed = self.asking(futures_util::future::try_join_all(ask)).await?;
        observed.changed_inputs = changed.into_iter().flatten().collect();
        Ok(())
    }

    /// What is here of some images.
    pub(in crate::cli) async fn observe_images(
        &self,
        references: &[String],
    ) -> Result<Observed, Failure> {
        let find = references.iter().map(async |reference| {
            let image = self.runtime.find_image(reference).await?;
            Ok::<_, RuntimeError>(image.map(|image| (reference.clone(), image)))
        });
        let found = self.asking(futures_util::future::try_join_all(find)).await?;
        Ok(Observed { images: found.into_iter().flatten().collect(), ..Observed::default() })
    }

    /// Observes, plans, asks where data would be lost, and runs the plan. What external programs
    /// run comes first.
    pub(in crate::cli) async fn bring_up(
        &mut self,
        target: &Target,
        up: Up<'_>,
        consent: Consent,
    ) -> Result<Converged, Failure> {
        let Supplied { project, unknown } = self.supply(target, up.project).await?;
        let up = Up { project: &project, unknown, ..up };
        let is_waited_for = up.until == Until::Ready && !self.session.global.dry_run;
        let plan = self.agreed_plan(target, up.clone(), consent).await?;
        let done = self.run(&plan).await?;
        if is_waited_for {
            self.look_once_more(&up).await?;
        }
        Ok(done)
    }

    /// Fails if a container that was ready has ended while others were waited for.
    async fn look_once_more(&self, up: &Up<'_>) -> Result<(), Failure> {
        let observed = self.runtime.observe(Some(&up.project.name)).await?;
        let fallen = fallen(up, &observed);
        if fallen.is_empty() {
            return Ok(());
        }
        let failures = failures::of_fallen(&*self.runtime, &fallen).await;
        self.progress.finish();
        Err(Failure::Steps(failures))
    }

    /// Observes, plans, and asks where data would be lost.
    pub(in crate::cli) async fn agreed_plan(
        &mut self,
        target: &Target,
        mut up: Up<'_>,
        consent: Consent,
    ) -> Result<Plan, Failure> {
        let mut plan = self.plan_up(target, &up).await?;
        if consent == Consent::Ask && !self.session.global.dry_run && !self.agree(&plan)? {
            up.changed_volumes = ChangedVolumes::Keep;
            plan = self.plan_up(target, &up).await?;
        }
        Ok(plan)
    }

    /// What would be done to bring a project up.
    pub(in crate::cli) async fn plan_up(
        &mut self,
        target: &Target,
        up: &Up<'_>,
    ) -> Result<Plan, Failure> {
        let references = images::references(up);
        let observed = observe(&*self.runtime, up.project, &references);
        let observed = self.asking(observed).await?;
        self.check_external(target, &observed)?;
        Ok(reconcile(&Desired::Up(up.clone()), &observed))
    }

    /// Asks about each volume that would lose its data.
    fn agree(&mut self, plan: &Plan) -> Result<bool, Failure> {
        for step in plan.needs_consent() {
            let Op::RemoveVolume(volume) = &step.op else { continue };
            let question = format!(
                "Volume {volume:?} exists but doesn't match configuration in compose file. \
                 Recreate (data will be lost)?"
            );
            if !ask(self.session.screen, &question)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Gets a project ready for this runtime, before anything runs: refuses what cannot be done,
    /// each at its place, and puts in what only the runtime knows.
    pub(in crate::cli) async fn admit(&mut self, target: &mut Target) -> Result<(), Failure> {
        self.check_features(target)?;
        if let Some(file) = target.project.configs.get_mut(api_socket::CREDENTIALS) {
            file.content = self.runtime.registry_credentials().await?;
        }
        Ok(())
    }

    fn check_features(&mut self, target: &Target) -> Result<(), Failure> {
        let mut refused = refusals(&target.project);
        for (feature, path) in needs(&target.project) {
            let Some(reason) = self.runtime.lacks(feature) else { continue };
            if feature.is_dispensable() {
                let message = format!("{path} has no effect: {reason}");
                self.progress.apply(&Event::Warned { message });
            } else {
                refused.push((path, reason));
            }
        }
        self.refuse(target, Code::Unsupported, refused)
    }

    /// Refuses external networks and volumes that do not exist.
    fn check_external(&mut self, target: &Target, observed: &Observed) -> Result<(), Failure> {
        let project = &target.project;
        let networks = project
            .networks
            .iter()
            .filter(|(_, network)| network.external && observed.network(&network.name).is_none());
        let volumes = project
            .volumes
            .iter()
            .filter(|(_, volume)| volume.external && observed.volume(&volume.name).is_none());
        let networks = networks.map(|(key, network)| {
            let text =
                format!("network {} declared as external, but could not be found", network.name);
            (format!("networks.{key}"), text)
        });
        let volumes = volumes.map(|(key, volume)| {
            (format!("volumes.{key}"), format!("external volume {:?} not found", volume.name))
        });
        self.refuse(target, Code::MissingExternal, networks.chain(volumes).collect())
    }

    /// Draws problems at the places of their paths; fails if there is one.
    pub(super) fn refuse(
        &mut self,
        target: &Target,
        code: Code,
        problems: Vec<(String, String)>,
    ) -> Result<(), Failure> {
        if problems.is_empty() {
            return Ok(());
        }
        let Some((sources, tree)) = &target.files else {
            let texts: Vec<String> = problems.into_iter().map(|(_, text)| text).collect();
            return Err(Failure::Other(texts.join("; ")));
        };
        let diagnostics: Vec<Diagnostic> = problems
            .into_iter()
            .map(|(path, text)| match span_at(tree, &path) {
                Some(span) => Diagnostic::error(code, text).at(span, path),
                None => Diagnostic::error(code, format!("{path}: {text}")),
            })
            .collect();
        self.progress.finish();
        self.session.draw(sources, &diagnostics, Warnings::Full);
        Err(Failure::Project)
    }
}
