//! Images come first: pulls and builds what is missing, so that no plan of containers has a maybe.

use super::{OrchestrationError, Orchestrator, now};
use crate::model::observed::Observed;
use crate::plan::images::{self, ImageFlags};
use crate::plan::{Plan, Up};
use crate::runtime::RuntimeError;

impl Orchestrator<'_> {
    /// What would be pulled and built.
    ///
    /// # Errors
    ///
    /// The runtime fails.
    pub async fn forecast_images(
        &self,
        up: &Up<'_>,
        flags: &ImageFlags,
    ) -> Result<Plan, OrchestrationError> {
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
        let platform = self.environment.get("DOCKER_DEFAULT_PLATFORM");
        ImageFlags { now: now(), platform: platform.cloned().unwrap_or_default(), ..flags.clone() }
    }

    /// Pulls and builds what is missing, or shall be.
    ///
    /// # Errors
    ///
    /// A step fails, or the runtime does.
    pub async fn prepare_images(
        &self,
        up: &Up<'_>,
        flags: &ImageFlags,
    ) -> Result<(), OrchestrationError> {
        if self.pretends() {
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
    ) -> Result<(), OrchestrationError> {
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
    ///
    /// # Errors
    ///
    /// The runtime fails.
    pub async fn observe_images(
        &self,
        references: &[String],
    ) -> Result<Observed, OrchestrationError> {
        let find = references.iter().map(async |reference| {
            let image = self.runtime.find_image(reference).await?;
            Ok::<_, RuntimeError>(image.map(|image| (reference.clone(), image)))
        });
        let found = self.asking(futures_util::future::try_join_all(find)).await?;
        Ok(Observed { images: found.into_iter().flatten().collect(), ..Observed::default() })
    }
}
