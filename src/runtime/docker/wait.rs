//! Waiting for containers, without polling.
//!
//! In: a container and a milestone. Out: that it was reached, or why it no longer can be. Events
//! (`hub`) say when to look; looking says what is. While a health check has not succeeded yet,
//! `probe` may run it more often than the engine does.
//!
//! # Invariants
//!
//! - Events are subscribed to before the container is looked at: nothing is missed.
//! - A container has at most one probe at a time.

mod hub;
mod probe;

use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{ContainerInspectResponse, Health as Report, HealthStatusEnum};
use bollard::query_parameters::WaitContainerOptions;
use futures_util::future::{BoxFuture, OptionFuture};
use futures_util::{FutureExt as _, StreamExt as _};

use super::Docker;
use crate::model::observed::{Health, Milestone, State};
use crate::runtime::{Result, RuntimeError};

pub(super) use hub::Hub;

use hub::{News, Turn};
use probe::{Outcome, Test};

/// How long a health check may take when it does not say itself.
const CHECK_LIMIT: Duration = Duration::from_secs(30);

/// What a look at a container shows.
#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    id: String,
    name: String,
    state: State,
    exit_code: i64,
    health: Health,
    /// What the health check printed last.
    output: String,
    /// Its health check, if it has one.
    test: Option<Test>,
}

/// What a look means for a milestone.
#[derive(Debug)]
enum Verdict {
    Reached,
    NotYet,
    Failed(RuntimeError),
}

/// A probe that runs, and what it holds.
struct Probing<'a> {
    outcome: BoxFuture<'static, Outcome>,
    _turn: Turn<'a>,
}

impl Docker {
    pub(super) async fn wait_for(&self, container: &str, milestone: Milestone) -> Result<()> {
        let mut news = self.hub.listen();
        let mut probing: Option<Probing<'_>> = None;
        let mut hangs = !self.settings.eager_probes || milestone == Milestone::Completed;
        loop {
            let seen = self.look(container).await?;
            match judge(&seen, milestone) {
                Verdict::Reached => return Ok(()),
                Verdict::Failed(error) => return Err(error),
                Verdict::NotYet => {}
            }
            if seen.health == Health::Starting && probing.is_none() && !hangs {
                probing = self.probing(&seen);
            }
            let probe = OptionFuture::from(probing.as_mut().map(|probing| &mut probing.outcome));
            tokio::select! {
                passed = news.about(&seen.id) => {
                    if passed == News::Passed && milestone != Milestone::Completed {
                        return Ok(());
                    }
                }
                Some(outcome) = probe => {
                    probing = None;
                    match outcome {
                        Outcome::Passed => {
                            self.hub.tell(&seen.id, News::Passed);
                            return Ok(());
                        }
                        Outcome::Hung => hangs = true,
                        // The container will be looked at when something happens to it.
                        Outcome::Impossible => {}
                    }
                }
            }
        }
    }

    /// Begins to probe a container, unless somebody else does.
    fn probing(&self, seen: &Seen) -> Option<Probing<'_>> {
        let test = seen.test.clone()?;
        let turn = self.hub.turn(&seen.id)?;
        let outcome = probe::run(self.client.clone(), seen.id.clone(), test).boxed();
        Some(Probing { outcome, _turn: turn })
    }

    async fn look(&self, container: &str) -> Result<Seen> {
        let found = self.client.inspect_container(container, None).await;
        found.map(seen).map_err(|error| self.failure(error))
    }

    pub(super) async fn wait_for_end(&self, container: &str) -> Result<i64> {
        let options = WaitContainerOptions { condition: "not-running".to_owned() };
        let mut waiting = std::pin::pin!(self.patient.wait_container(container, Some(options)));
        match waiting.next().await {
            Some(Ok(end)) => Ok(end.status_code),
            Some(Err(Error::DockerContainerWaitError { error, code })) if error.is_empty() => {
                Ok(code)
            }
            Some(Err(Error::DockerContainerWaitError { error, .. })) => {
                Err(RuntimeError::Refused(error))
            }
            Some(Err(error)) => Err(self.failure(error)),
            None => Err(RuntimeError::Refused(format!(
                "the engine does not tell how `{container}` ended"
            ))),
        }
    }
}

fn seen(found: ContainerInspectResponse) -> Seen {
    let state = found.state.unwrap_or_default();
    let test = found.config.as_ref().and_then(probe::test);
    let report = state.health.unwrap_or_default();
    let status = state.status.and_then(|status| State::from_word(status.as_ref()));
    // An engine may have words that are not known here, for what has not ended.
    let status = status.unwrap_or(State::Running);
    let health = health(&report).unwrap_or(match test {
        Some(_) if status == State::Running => Health::Starting,
        _ => Health::None,
    });
    Seen {
        id: found.id.unwrap_or_default(),
        name: found.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        state: status,
        exit_code: state.exit_code.unwrap_or_default(),
        health,
        output: last_output(&report),
        test,
    }
}

/// What the check says; `None` if nothing, perhaps because it has not begun.
fn health(report: &Report) -> Option<Health> {
    match report.status? {
        HealthStatusEnum::HEALTHY => Some(Health::Healthy),
        HealthStatusEnum::UNHEALTHY => Some(Health::Unhealthy),
        HealthStatusEnum::STARTING => Some(Health::Starting),
        HealthStatusEnum::NONE | HealthStatusEnum::EMPTY => None,
    }
}

fn last_output(report: &Report) -> String {
    let last = report.log.as_ref().and_then(|log| log.last());
    let output = last.and_then(|result| result.output.as_deref()).unwrap_or_default();
    output.trim().to_owned()
}

fn judge(seen: &Seen, milestone: Milestone) -> Verdict {
    let container = seen.name.clone();
    match seen.state {
        State::Running | State::Paused if milestone.is_reached_by(seen.health) => Verdict::Reached,
        State::Running | State::Paused => match (milestone, seen.health) {
            (Milestone::Completed, _) | (_, Health::Starting) => Verdict::NotYet,
            (_, Health::None) => Verdict::Failed(RuntimeError::NoHealthcheck(container)),
            (_, Health::Unhealthy | Health::Healthy) => {
                let output = seen.output.clone();
                Verdict::Failed(RuntimeError::Unhealthy { container, output })
            }
        },
        State::Created | State::Restarting => Verdict::NotYet,
        State::Exited | State::Removing | State::Dead => {
            let may_end = matches!(milestone, Milestone::Completed | Milestone::ReadyOrCompleted);
            if may_end && seen.exit_code == 0 && seen.state == State::Exited {
                return Verdict::Reached;
            }
            Verdict::Failed(RuntimeError::Exited { container, code: seen.exit_code })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Health, Milestone, Seen, State, Verdict, judge, seen};

    fn verdict(state: State, health: Health, exit_code: i64, milestone: Milestone) -> String {
        let seen = Seen {
            name: "web".to_owned(),
            output: "refused".to_owned(),
            state,
            health,
            exit_code,
            ..Seen::default()
        };
        match judge(&seen, milestone) {
            Verdict::Reached => "reached".to_owned(),
            Verdict::NotYet => "not yet".to_owned(),
            Verdict::Failed(error) => error.to_string(),
        }
    }

    #[test]
    fn what_runs_is_judged_by_its_health() {
        let of = |health, milestone| verdict(State::Running, health, 0, milestone);
        use Health::{Healthy, None, Starting, Unhealthy};
        use Milestone::{Completed, Ready, ReadyOrCompleted};
        assert_eq!(of(Healthy, Milestone::Healthy), "reached");
        assert_eq!(of(Starting, Milestone::Healthy), "not yet");
        assert_eq!(of(None, Milestone::Healthy), "container web has no healthcheck configured");
        assert_eq!(of(Unhealthy, Milestone::Healthy), "container web is unhealthy");
        for ready in [Ready, ReadyOrCompleted] {
            assert_eq!(of(None, ready), "reached");
            assert_eq!(of(Healthy, ready), "reached");
            assert_eq!(of(Starting, ready), "not yet");
            assert_eq!(of(Unhealthy, ready), "container web is unhealthy");
        }
        for health in [None, Starting, Healthy, Unhealthy] {
            assert_eq!(of(health, Completed), "not yet");
        }
    }

    #[test]
    fn what_has_ended_is_judged_by_its_exit_code() {
        let of = |code, milestone| verdict(State::Exited, Health::None, code, milestone);
        for milestone in [Milestone::Completed, Milestone::ReadyOrCompleted] {
            assert_eq!(of(0, milestone), "reached");
            assert_eq!(of(3, milestone), "container web exited (3)");
        }
        for milestone in [Milestone::Healthy, Milestone::Ready] {
            assert_eq!(of(0, milestone), "container web exited (0)");
        }
        let dead = verdict(State::Dead, Health::None, 0, Milestone::Completed);
        assert_eq!(dead, "container web exited (0)");
    }

    #[test]
    fn what_may_still_come_is_waited_for() {
        for state in [State::Created, State::Restarting] {
            assert_eq!(verdict(state, Health::None, 1, Milestone::Ready), "not yet");
        }
    }

    #[test]
    fn a_check_that_has_not_begun_is_no_missing_check() {
        let of = |test: &str| {
            let text = format!(
                r#"{{"Id": "1", "Name": "/web", "State": {{"Status": "running"}},
                    "Config": {{"Healthcheck": {{"Test": {test}}}}}}}"#
            );
            seen(serde_json::from_str(&text).unwrap())
        };
        assert_eq!(of(r#"["CMD", "true"]"#).health, Health::Starting);
        assert_eq!(of(r#"["NONE"]"#).health, Health::None);
        assert_eq!(of("null").name, "web");
    }

    #[test]
    fn the_last_words_of_a_check_are_kept() {
        let text = r#"{"State": {"Status": "running", "Health": {"Status": "unhealthy",
            "Log": [{"Output": "a"}, {"Output": " refused\n"}]}}}"#;
        let found = seen(serde_json::from_str(text).unwrap());
        assert_eq!((found.health, found.output.as_str()), (Health::Unhealthy, "refused"));
    }
}
