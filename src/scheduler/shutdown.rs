//! How a running plan is brought to an end before its time.
//!
//! In: a [`Trigger`], pulled from outside (signals, a lost terminal). Out: a [`Shutdown`] that the
//! scheduler listens to.
//!
//! # Invariants
//!
//! - The stage only rises. When the last trigger is gone it stays where it is.
//!
//! Not here: signals and keys (`cli`).

use tokio::sync::watch;

/// How urgent it is to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Not at all.
    #[default]
    Running,
    /// Nothing new starts and nobody waits any longer; other steps that run may end.
    Graceful,
    /// All that runs is dropped.
    Now,
}

/// Ends what listens to it.
#[derive(Debug, Default)]
pub struct Trigger(watch::Sender<Stage>);

impl Trigger {
    /// Goes to the next stage and returns it: what the first and the second Ctrl-C do.
    pub fn escalate(&self) -> Stage {
        self.set(|now| if now == Stage::Running { Stage::Graceful } else { Stage::Now })
    }

    /// Goes to a stage, unless it is there or further already; returns where it is then.
    pub fn raise(&self, stage: Stage) -> Stage {
        self.set(|now| stage.max(now))
    }

    fn set(&self, next: impl Fn(Stage) -> Stage) -> Stage {
        let mut after = Stage::Running;
        self.0.send_if_modified(|now| {
            after = next(*now);
            std::mem::replace(now, after) != after
        });
        after
    }

    /// Something that listens to this trigger.
    pub fn listen(&self) -> Shutdown {
        Shutdown(self.0.subscribe())
    }
}

/// Tells when to end.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<Stage>);

impl Shutdown {
    /// One that nobody will ever trigger.
    pub fn never() -> Self {
        Trigger::default().listen()
    }

    /// How urgent it is.
    pub fn stage(&self) -> Stage {
        *self.0.borrow()
    }

    /// Returns when it is as urgent as this.
    pub async fn reaches(mut self, stage: Stage) {
        if self.0.wait_for(|now| *now >= stage).await.is_err() {
            // The trigger is gone: it will never be.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Shutdown, Stage, Trigger};

    #[test]
    fn the_stage_only_rises() {
        let trigger = Trigger::default();
        let shutdown = trigger.listen();
        assert_eq!(shutdown.stage(), Stage::Running);
        assert_eq!(trigger.escalate(), Stage::Graceful);
        assert_eq!(trigger.escalate(), Stage::Now);
        assert_eq!(trigger.escalate(), Stage::Now);
        assert_eq!(trigger.raise(Stage::Graceful), Stage::Now);
        drop(trigger);
        assert_eq!(shutdown.stage(), Stage::Now);
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_triggers_never_ends() {
        let limit = std::time::Duration::from_hours(1);
        let ended = tokio::time::timeout(limit, Shutdown::never().reaches(Stage::Graceful)).await;
        assert!(ended.is_err());
    }
}
