//! Whether a container is started again when it has ended, and when.
//!
//! In: `restart` or `deploy.restart_policy`, and how it ended. Out: a pause, or that it stays as it
//! is. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::Service;
use crate::runtime::{Result, RuntimeError};

/// When a container is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Policy {
    /// Never.
    #[default]
    No,
    /// When it has failed; at most so many times, or (0) always.
    OnFailure(u64),
    /// Whenever it has ended.
    Always,
    /// Whenever it has ended and nobody stopped it.
    UnlessStopped,
}

/// How a container ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// Its exit code.
    pub(super) code: i64,
    /// Whether somebody asked for it.
    pub(super) by_request: bool,
    /// How often it has been started again.
    pub(super) restarts: u32,
}

impl Policy {
    /// What a service says: `deploy` before `restart`.
    pub(super) fn of(service: &Service) -> Result<Self> {
        let deployed = service.deploy.as_ref().and_then(|deploy| deploy.restart_policy.as_ref());
        let (name, attempts) = match deployed {
            Some(policy) => {
                let name = match policy.condition.as_str() {
                    "none" => "no",
                    "" | "any" => "always",
                    other => other,
                };
                (name, policy.max_attempts.map(|attempts| attempts.to_string()))
            }
            None => match service.restart.split_once(':') {
                Some((name, attempts)) => (name, Some(attempts.to_owned())),
                None => (service.restart.as_str(), None),
            },
        };
        let unknown = || RuntimeError::Refused(format!("`restart: {name}` is no restart policy"));
        match name {
            "" | "no" => Ok(Self::No),
            "always" => Ok(Self::Always),
            "unless-stopped" => Ok(Self::UnlessStopped),
            "on-failure" => {
                let attempts = attempts.unwrap_or_else(|| "0".to_owned());
                attempts.parse().map(Self::OnFailure).map_err(|_| unknown())
            }
            _ => Err(unknown()),
        }
    }

    /// Whether a container that has ended is started again.
    pub(super) fn wants(self, end: End) -> bool {
        if end.by_request {
            return false;
        }
        match self {
            Self::No => false,
            Self::Always | Self::UnlessStopped => true,
            Self::OnFailure(most) => end.code != 0 && (most == 0 || u64::from(end.restarts) < most),
        }
    }

    /// Whether a container is started when the host was started. `by_request`: somebody had
    /// stopped it before.
    pub(super) fn outlives_boot(self, end: End) -> bool {
        match self {
            Self::Always => true,
            Self::UnlessStopped => !end.by_request,
            Self::No | Self::OnFailure(_) => false,
        }
    }
}

/// The pauses before restarts: ever longer, until the container has run for a while.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pauses {
    last: Option<Duration>,
}

impl Pauses {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_mins(1);
    /// A container that has run so long has started well.
    const WELL: Duration = Duration::from_secs(10);

    /// The pause before the next start of a container that ran so long.
    pub(super) fn next(&mut self, ran: Duration) -> Duration {
        let pause = match self.last {
            Some(last) if ran < Self::WELL => (last * 2).min(Self::LONGEST),
            _ => Self::FIRST,
        };
        self.last = Some(pause);
        pause
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{End, Pauses, Policy};
    use crate::model::Service;

    fn of(yaml: &str) -> crate::runtime::Result<Policy> {
        let service: Service = serde_yaml::from_str(yaml).unwrap();
        Policy::of(&service)
    }

    #[test]
    fn deploy_wins_over_restart() {
        assert_eq!(of("{image: x}").unwrap(), Policy::No);
        assert_eq!(of("{restart: unless-stopped}").unwrap(), Policy::UnlessStopped);
        assert_eq!(of("{restart: 'on-failure:3'}").unwrap(), Policy::OnFailure(3));
        let both = "{restart: always, deploy: {restart_policy: {condition: none}}}";
        assert_eq!(of(both).unwrap(), Policy::No);
        let few = "{deploy: {restart_policy: {condition: on-failure, max_attempts: 2}}}";
        assert_eq!(of(few).unwrap(), Policy::OnFailure(2));
        assert!(of("{restart: sometimes}").is_err());
        assert!(of("{restart: 'on-failure:x'}").is_err());
    }

    #[test]
    fn what_was_stopped_stays_stopped_and_failures_are_counted() {
        let end = |code, by_request, restarts| End { code, by_request, restarts };
        for policy in [Policy::Always, Policy::UnlessStopped] {
            assert!(policy.wants(end(0, false, 99)) && !policy.wants(end(137, true, 0)));
        }
        let twice = Policy::OnFailure(2);
        assert!(twice.wants(end(1, false, 1)) && !twice.wants(end(1, false, 2)));
        assert!(!twice.wants(end(0, false, 0)));
        assert!(Policy::OnFailure(0).wants(end(1, false, 99)));
        assert!(!Policy::No.wants(end(1, false, 0)));
    }

    #[test]
    fn pauses_double_until_it_has_run_for_a_while() {
        let mut pauses = Pauses::default();
        let mut next = |seconds| pauses.next(Duration::from_secs(seconds)).as_millis();
        assert_eq!([next(0), next(0), next(1), next(9)], [100, 200, 400, 800]);
        assert_eq!(next(10), 100);
        let last = (0..20).map(|_| next(0)).last();
        assert_eq!(last, Some(60_000));
    }
}
