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
use crate::runtime::judge::{Look, judge};
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

/// A probe that runs, and what it holds.
struct Probing<'a> {
    outcome: BoxFuture<'static, Outcome>,
    _turn: Turn<'a>,
}

impl Seen {
    fn look(&self) -> Look<'_> {
        let Self { name, output, .. } = self;
        let (state, health, exit_code) = (self.state, self.health, self.exit_code);
        Look { container: name, state, health, output, exit_code }
    }
}

impl Docker {
    pub(super) async fn wait_for(&self, container: &str, milestone: Milestone) -> Result<()> {
        let mut news = self.hub.listen();
        let mut probing: Option<Probing<'_>> = None;
        let mut hangs = !self.settings.eager_probes || milestone == Milestone::Completed;
        loop {
            let seen = self.look(container).await?;
            if let Some(verdict) = judge(seen.look(), milestone) {
                return verdict;
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
        let outcome = probe::run(self.streaming.clone(), seen.id.clone(), test).boxed();
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

#[cfg(test)]
mod tests {
    use super::{Health, seen};

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
