//! Whether a container is as far as it has to be, for runtimes that can only look.
//!
//! In: what a look shows. Out: that a milestone is reached, that it no longer can be, or neither.

use crate::model::observed::{Health, Milestone, State};
use crate::runtime::{Result, RuntimeError};

/// What a look at a container shows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Look<'a> {
    /// Its name.
    pub(super) container: &'a str,
    /// What it does.
    pub(super) state: State,
    /// What its health check says.
    pub(super) health: Health,
    /// What the health check printed last.
    pub(super) output: &'a str,
    /// How it ended, if it did.
    pub(super) exit_code: i64,
}

/// What a look means for a milestone; `None`: not yet.
pub(super) fn judge(look: Look<'_>, milestone: Milestone) -> Option<Result<()>> {
    let container = || look.container.to_owned();
    match look.state {
        State::Running | State::Paused if milestone.is_reached_by(look.health) => Some(Ok(())),
        State::Running | State::Paused => match (milestone, look.health) {
            (Milestone::Completed, _) | (_, Health::Starting) => None,
            (_, Health::None) => Some(Err(RuntimeError::NoHealthcheck(container()))),
            (_, Health::Unhealthy | Health::Healthy) => {
                let output = look.output.trim().to_owned();
                Some(Err(RuntimeError::Unhealthy { container: container(), output }))
            }
        },
        // What is being stopped tells by its exit code how it ended.
        State::Created | State::Restarting | State::Stopping => None,
        State::Exited | State::Removing | State::Dead => {
            let may_end = matches!(milestone, Milestone::Completed | Milestone::ReadyOrCompleted);
            if may_end && look.exit_code == 0 && look.state == State::Exited {
                return Some(Ok(()));
            }
            Some(Err(RuntimeError::Exited { container: container(), code: look.exit_code }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Health, Look, Milestone, State, judge};

    use Milestone::{Completed, Healthy, Ready, ReadyOrCompleted};

    fn of(state: State, health: Health, (exit_code, milestone): (i64, Milestone)) -> String {
        let look = Look { container: "web", state, health, output: "no\n", exit_code };
        match judge(look, milestone) {
            None => "not yet".to_owned(),
            Some(Ok(())) => "reached".to_owned(),
            Some(Err(error)) => error.to_string(),
        }
    }

    #[test]
    fn what_runs_is_judged_by_its_health() {
        for state in [State::Running, State::Paused] {
            let running = |health, milestone| of(state, health, (0, milestone));
            assert_eq!(running(Health::Healthy, Healthy), "reached");
            assert_eq!(running(Health::Starting, Healthy), "not yet");
            let missing = "container web has no healthcheck configured";
            assert_eq!(running(Health::None, Healthy), missing);
            assert_eq!(running(Health::Unhealthy, Healthy), "container web is unhealthy");
            for ready in [Ready, ReadyOrCompleted] {
                assert_eq!(running(Health::None, ready), "reached");
                assert_eq!(running(Health::Healthy, ready), "reached");
                assert_eq!(running(Health::Starting, ready), "not yet");
                assert_eq!(running(Health::Unhealthy, ready), "container web is unhealthy");
            }
            for health in [Health::None, Health::Starting, Health::Healthy, Health::Unhealthy] {
                assert_eq!(running(health, Completed), "not yet");
            }
        }
    }

    #[test]
    fn what_has_ended_is_judged_by_its_exit_code() {
        let exited = |code, milestone| of(State::Exited, Health::None, (code, milestone));
        for milestone in [Completed, ReadyOrCompleted] {
            assert_eq!(exited(0, milestone), "reached");
            assert_eq!(exited(3, milestone), "container web exited (3)");
        }
        for milestone in [Ready, Healthy] {
            assert_eq!(exited(0, milestone), "container web exited (0)");
        }
        for state in [State::Removing, State::Dead] {
            assert_eq!(of(state, Health::None, (0, Completed)), "container web exited (0)");
        }
    }

    #[test]
    fn what_comes_or_goes_is_waited_for() {
        for state in [State::Created, State::Restarting, State::Stopping] {
            for milestone in [Ready, Healthy, Completed, ReadyOrCompleted] {
                assert_eq!(of(state, Health::None, (1, milestone)), "not yet");
            }
        }
    }
}
