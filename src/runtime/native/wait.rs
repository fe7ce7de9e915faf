//! Waiting for containers, without polling.
//!
//! In: a container and a milestone. Out: that it was reached, or why it no longer can be. The
//! files of the container tell when to look.

use super::Native;
use super::names::{self, Named};
use super::recover::Seen;
use crate::model::observed::{Health, Milestone};
use crate::runtime::Result;
use crate::runtime::judge::{Look, judge};

impl Native {
    pub(super) async fn wait_for(&self, container: &str, milestone: Milestone) -> Result<()> {
        let named = names::the(&self.root, container)?;
        let mut watch = self.watch(&self.root.container(&named.id));
        loop {
            let seen = self.seen(&named).await?.ok_or_else(|| names::missing(container))?;
            if let Some(verdict) = verdict(&seen, &named, milestone) {
                return verdict;
            }
            watch.changed().await?;
        }
    }

    pub(super) async fn wait_for_end(&self, container: &str) -> Result<i64> {
        let named = names::the(&self.root, container)?;
        let mut watch = self.watch(&self.root.container(&named.id));
        loop {
            let seen = self.seen(&named).await?.ok_or_else(|| names::missing(container))?;
            if !seen.status.phase.is_up() {
                return Ok(seen.status.exit_code);
            }
            watch.changed().await?;
        }
    }
}

fn verdict(seen: &Seen, named: &Named, milestone: Milestone) -> Option<Result<()>> {
    let status = &seen.status;
    let report = status.health.as_ref();
    let look = Look {
        container: &named.name,
        state: status.phase.into(),
        health: report.map_or(Health::None, |report| report.verdict.into()),
        output: report.map_or("", |report| &report.output),
        exit_code: status.exit_code,
    };
    judge(look, milestone)
}
