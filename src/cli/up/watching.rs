//! Watching files while the output of containers is shown: `up --watch`, and the key `w`.
//!
//! In: a project. Out: what `watch` does, beside whatever else `up` does.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use futures_util::future::{FutureExt as _, LocalBoxFuture};

use crate::cli::engine::Engine;
use crate::cli::exit::Failure;
use crate::cli::watch::{Desk, Settings, rules, start, watch};
use crate::orchestrator::{Orchestrator, Supplied, Target};
use crate::scheduler::{Stage, Trigger};
use crate::ui::diagnostics::Message;
use crate::watch::Rules;

/// A watch that goes on.
pub(super) struct Watching {
    desk: Rc<Desk>,
    /// Lets it begin nothing more.
    enough: Trigger,
    /// Cuts short what it has begun.
    cut: Trigger,
    work: LocalBoxFuture<'static, Result<(), Failure>>,
}

impl Watching {
    /// Begins to watch the files of services.
    pub(super) fn begin(
        engine: &mut Engine<'_, '_>,
        target: &Target,
        services: &BTreeSet<String>,
    ) -> Result<Self, Failure> {
        let services: Vec<String> = services.iter().cloned().collect();
        let rules = rules(target, &services)?;
        for warning in &rules.warnings {
            engine.session.screen.message(Message::warning(warning));
        }
        let (_, Supplied { project, unknown }) =
            Orchestrator::forecast_supply(target, &target.project);
        let settings = Settings { quiet: engine.quiet.build, prune: true };
        let (enough, cut) = (Trigger::default(), Trigger::default());
        let mut desk = Desk::new(engine, target, (project.into_owned(), unknown), settings);
        (desk.enough, desk.shutdown) = (enough.listen(), cut.listen());
        let desk = Rc::new(desk);
        let own = desk.clone();
        let work = async move {
            let done = alone(&own, rules).await;
            own.voice.say("Watch disabled");
            done
        };
        Ok(Self { desk, enough, cut, work: Box::pin(work) })
    }

    /// Goes on until it has been told to end, or cannot.
    pub(super) async fn ends(watching: &mut Option<Self>) -> Result<(), Failure> {
        match watching {
            Some(it) => (&mut it.work).await,
            None => std::future::pending().await,
        }
    }

    /// Goes on until it neither stops nor starts containers; it must not be asked again.
    pub(super) async fn settles(watching: &mut Option<Self>) {
        let Some(it) = watching else { return };
        poll_fn(|context| {
            let goes_on = it.work.poll_unpin(context).is_pending();
            if goes_on && it.desk.acts() { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }

    /// Lets it end what it has begun, and nothing more.
    pub(super) fn end(&self) {
        self.enough.raise(Stage::Graceful);
    }

    /// Lets the steps end that run, and skips those that would follow.
    pub(super) fn cut(&self) {
        self.cut.raise(Stage::Graceful);
    }

    /// Lets it end what it has begun; who says so again cuts short what it has begun.
    pub(super) fn escalate(&self) {
        if self.enough.escalate() == Stage::Now {
            self.cut.escalate();
        }
    }

    /// Whether it stops and starts containers right now.
    pub(super) fn acts(&self) -> bool {
        self.desk.acts()
    }
}

/// Watches once nobody else does.
async fn alone(desk: &Desk, rules: Rules) -> Result<(), Failure> {
    let _only = match desk.only_one().await {
        Err(Failure::Interrupted) => return Ok(()),
        taken => taken?,
    };
    watch(desk, &mut start(rules)?).await
}
