//! Brings a project up, and asks the user where data would be lost.

use std::collections::BTreeMap;

use super::Engine;
use crate::cli::exit::Failure;
use crate::cli::prompt::ask;
use crate::model::Project;
use crate::model::spec::ProviderAction;
use crate::orchestrator::{Converged, Lock, OrchestrationError, Supplied, Target};
use crate::plan::{ChangedVolumes, Op, Plan, Up};
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
    /// Takes the lock of a project for this command.
    pub(in crate::cli) async fn lock(&self, project: &Project) -> Result<Lock, Failure> {
        Ok(self.orchestrator().lock(&project.name, self.session.command()).await?)
    }

    /// Gives a project its ports, under its lock. `scale` replaces numbers of containers.
    pub(in crate::cli) async fn settle(
        &self,
        target: &mut Target,
        scale: &BTreeMap<String, u64>,
        lock: &mut Lock,
    ) -> Result<(), Failure> {
        let source = self.session.source();
        Ok(self.orchestrator().settle(source, target, (scale, lock)).await?)
    }

    /// Asks the runtime something, until Ctrl-C, and tells if that takes long.
    pub(in crate::cli) async fn asking<T>(
        &self,
        work: impl Future<Output = crate::runtime::Result<T>>,
    ) -> Result<T, Failure> {
        Ok(self.orchestrator().asking(work).await?)
    }

    /// Finds the programs that run services, to take those down. What is not there is drawn, and
    /// the rest can go on; returns whether all is well.
    pub(in crate::cli) async fn find_providers(
        &mut self,
        target: &mut Target,
        action: ProviderAction,
    ) -> bool {
        let found = self.orchestrator().find_providers(target, action).await;
        if let Err(OrchestrationError::Refused { problems, sources }) = &found {
            self.progress.finish();
            self.session.draw(sources, problems, Warnings::Full);
        }
        found.is_ok()
    }

    /// Observes, plans, asks where data would be lost, and runs the plan. What external programs
    /// run comes first.
    pub(in crate::cli) async fn bring_up(
        &mut self,
        target: &Target,
        up: Up<'_>,
        consent: Consent,
    ) -> Result<Converged, Failure> {
        let Supplied { project, unknown } = self.orchestrator().supply(target, up.project).await?;
        let up = Up { project: &project, unknown, ..up };
        let plan = self.agreed_plan(target, up.clone(), consent).await?;
        Ok(self.orchestrator().carry_out(&up, &plan).await?)
    }

    /// Observes, plans, and asks where data would be lost.
    pub(in crate::cli) async fn agreed_plan(
        &mut self,
        target: &Target,
        mut up: Up<'_>,
        consent: Consent,
    ) -> Result<Plan, Failure> {
        let mut plan = self.orchestrator().plan_up(target, &up).await?;
        if consent == Consent::Ask && !self.session.global.dry_run && !self.agree(&plan)? {
            up.changed_volumes = ChangedVolumes::Keep;
            plan = self.orchestrator().plan_up(target, &up).await?;
        }
        Ok(plan)
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
}
