//! Brings containers up: what can be done at all, and the plan.

use super::{Converged, OrchestrationError, Orchestrator, Supplied, Target, failures, observe};
use crate::diagnostic::Code;
use crate::plan::images;
use crate::plan::{
    Create, Desired, Orphans, Plan, Until, Up, api_socket, fallen, needs, reconcile, refusals,
};

impl Orchestrator<'_> {
    /// Runs a plan that brings a project up; where readiness is wanted it must still hold in the end.
    ///
    /// # Errors
    ///
    /// A step fails, or a container that was ready has ended while others were waited for.
    pub async fn carry_out(
        &self,
        up: &Up<'_>,
        plan: &Plan,
    ) -> Result<Converged, OrchestrationError> {
        let done = self.run(plan).await?;
        if up.until == Until::Ready && !self.pretends() {
            self.look_once_more(up).await?;
        }
        Ok(done)
    }

    /// Starts containers that exist of services and of what they depend on, and waits until they
    /// are ready. Services that the project does not have are passed over.
    ///
    /// # Errors
    ///
    /// A step fails, or the runtime does.
    pub async fn start(
        &self,
        target: &mut Target,
        services: &[String],
    ) -> Result<(), OrchestrationError> {
        let known = |name: &&String| {
            let project = &target.project;
            project.services.contains_key(*name) || project.disabled_services.contains_key(*name)
        };
        let services: Vec<String> = services.iter().filter(known).cloned().collect();
        if services.is_empty() {
            return Ok(());
        }
        let services = target.named(&services)?;
        self.admit(target).await?;
        target.keep_with_dependencies(&services);
        let up = Up {
            until: Until::Ready,
            create: Create::Nothing,
            orphans: Orphans::Ignore,
            targets: services,
            ..target.up(&[])
        };
        let Supplied { project, unknown } = self.supply(target, up.project).await?;
        let up = Up { project: &project, unknown, ..up };
        let plan = self.plan_up(target, &up).await?;
        self.carry_out(&up, &plan).await.map(drop)
    }

    /// Fails if a container that was ready has ended while others were waited for.
    async fn look_once_more(&self, up: &Up<'_>) -> Result<(), OrchestrationError> {
        let observed = self.runtime.observe(Some(&up.project.name)).await?;
        let fallen = fallen(up, &observed);
        if fallen.is_empty() {
            return Ok(());
        }
        let failures = failures::of_fallen(self.runtime, &fallen).await;
        Err(OrchestrationError::Steps(failures))
    }

    /// What would be done to bring a project up.
    ///
    /// # Errors
    ///
    /// The runtime fails, or lacks an external network or volume.
    pub async fn plan_up(&self, target: &Target, up: &Up<'_>) -> Result<Plan, OrchestrationError> {
        let references = images::references(up);
        let observed = observe(self.runtime, up.project, &references);
        let observed = self.asking(observed).await?;
        target.check_external(&observed)?;
        Ok(reconcile(&Desired::Up(up.clone()), &observed))
    }

    /// Gets a project ready for this runtime, before anything runs: refuses what cannot be done,
    /// each at its place, and puts in what only the runtime knows.
    ///
    /// # Errors
    ///
    /// Something cannot be done, or the runtime fails.
    pub async fn admit(&self, target: &mut Target) -> Result<(), OrchestrationError> {
        self.check_features(target)?;
        if let Some(file) = target.project.configs.get_mut(api_socket::CREDENTIALS) {
            file.content = self.runtime.registry_credentials().await?;
        }
        Ok(())
    }

    fn check_features(&self, target: &Target) -> Result<(), OrchestrationError> {
        let mut refused = refusals(&target.project);
        for (feature, path) in needs(&target.project) {
            let Some(reason) = self.runtime.lacks(feature) else { continue };
            if feature.is_dispensable() {
                let message = format!("{path} has no effect: {reason}");
                self.warn(message);
            } else {
                refused.push((path, reason));
            }
        }
        target.refuse(Code::Unsupported, refused)
    }
}
