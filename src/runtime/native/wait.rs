//! Waiting for containers, without polling.
//!
//! In: a container and a milestone. Out: that it was reached, or why it no longer can be. The
//! files of the container tell when to look.

use super::Native;
use super::names::{self, Named};
use super::recover::Seen;
use super::state::{Phase, Verdict};
use crate::model::observed::{Health, Milestone};
use crate::runtime::{Result, RuntimeError};

impl Native {
    pub(super) async fn wait_for(&self, container: &str, milestone: Milestone) -> Result<()> {
        let named = names::the(&self.root, container)?;
        let mut watch = self.watch(&self.root.container(&named.id))?;
        loop {
            let seen = self.seen(&named).await?.ok_or_else(|| names::missing(container))?;
            if let Some(verdict) = judge(&seen, &named, milestone) {
                return verdict;
            }
            watch.changed().await?;
        }
    }

    pub(super) async fn wait_for_end(&self, container: &str) -> Result<i64> {
        let named = names::the(&self.root, container)?;
        let mut watch = self.watch(&self.root.container(&named.id))?;
        loop {
            let seen = self.seen(&named).await?.ok_or_else(|| names::missing(container))?;
            if !matches!(seen.status.phase, Phase::Running | Phase::Paused | Phase::Restarting) {
                return Ok(seen.status.exit_code);
            }
            watch.changed().await?;
        }
    }
}

/// What a look means for a milestone; `None`: not yet.
fn judge(seen: &Seen, named: &Named, milestone: Milestone) -> Option<Result<()>> {
    let container = named.name.clone();
    let status = &seen.status;
    let health = status.health.as_ref().map_or(Health::None, |health| health.verdict.into());
    match status.phase {
        Phase::Created | Phase::Restarting => None,
        Phase::Running | Phase::Paused if milestone.is_reached_by(health) => Some(Ok(())),
        Phase::Running | Phase::Paused => match (milestone, &status.health) {
            (Milestone::Completed, _) => None,
            (_, None) => Some(Err(RuntimeError::NoHealthcheck(container))),
            (_, Some(health)) if health.verdict == Verdict::Starting => None,
            (_, Some(health)) => {
                let output = health.output.trim().to_owned();
                Some(Err(RuntimeError::Unhealthy { container, output }))
            }
        },
        Phase::Exited | Phase::Removing => {
            let may_end = matches!(milestone, Milestone::Completed | Milestone::ReadyOrCompleted);
            if may_end && status.exit_code == 0 && status.phase == Phase::Exited {
                return Some(Ok(()));
            }
            Some(Err(RuntimeError::Exited { container, code: status.exit_code }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Milestone, Named, Phase, Seen, Verdict, judge};
    use crate::runtime::native::state::{HealthReport, Status};

    fn of(phase: Phase, verdict: Option<Verdict>, (code, milestone): (i64, Milestone)) -> String {
        let health = verdict.map(|verdict| HealthReport { verdict, ..HealthReport::default() });
        let status = Status { phase, health, exit_code: code, ..Status::default() };
        let seen = Seen { status, ..Seen::default() };
        let named = Named { name: "web".to_owned(), id: String::new() };
        match judge(&seen, &named, milestone) {
            None => "not yet".to_owned(),
            Some(Ok(())) => "reached".to_owned(),
            Some(Err(error)) => error.to_string(),
        }
    }

    #[test]
    fn what_runs_is_judged_by_its_health() {
        use Milestone::{Completed, Healthy, Ready};

        let running = |verdict, milestone| of(Phase::Running, verdict, (0, milestone));
        assert_eq!(running(None, Ready), "reached");
        assert_eq!(running(None, Healthy), "container web has no healthcheck configured");
        assert_eq!(running(Some(Verdict::Starting), Healthy), "not yet");
        assert_eq!(running(Some(Verdict::Healthy), Healthy), "reached");
        assert_eq!(running(Some(Verdict::Unhealthy), Ready), "container web is unhealthy");
        assert_eq!(running(Some(Verdict::Healthy), Completed), "not yet");
    }

    #[test]
    fn what_has_ended_is_judged_by_its_exit_code() {
        let exited = |code, milestone| of(Phase::Exited, None, (code, milestone));
        assert_eq!(exited(0, Milestone::Completed), "reached");
        assert_eq!(exited(0, Milestone::ReadyOrCompleted), "reached");
        assert_eq!(exited(3, Milestone::Completed), "container web exited (3)");
        assert_eq!(exited(0, Milestone::Ready), "container web exited (0)");
        assert_eq!(of(Phase::Restarting, None, (1, Milestone::Ready)), "not yet");
    }
}
