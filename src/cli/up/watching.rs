//! Watching files while the output of containers is shown: `up --watch`, and the key `w`.
//!
//! In: a project. Out: what `watch` does, beside whatever else `up` does.

use std::collections::BTreeSet;
use std::rc::Rc;

use futures_util::future::LocalBoxFuture;

use crate::cli::engine::{Engine, Supplied, Target};
use crate::cli::exit::Failure;
use crate::cli::watch::{Desk, Settings, rules, start, watch};
use crate::scheduler::{Stage, Trigger};
use crate::ui::diagnostics::Message;

/// A watch that goes on.
pub(super) struct Watching {
    desk: Rc<Desk>,
    trigger: Trigger,
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
        let (_, Supplied { project, unknown }) = Engine::forecast_supply(target, &target.project);
        let settings = Settings { quiet: engine.quiet.build, prune: true };
        let trigger = Trigger::default();
        let mut desk = Desk::new(engine, target, (project.into_owned(), unknown), settings);
        desk.shutdown = trigger.listen();
        let desk = Rc::new(desk);
        let own = desk.clone();
        let work = async move {
            let mut watcher = start(rules)?;
            let done = watch(&own, &mut watcher).await;
            own.voice.say("Watch disabled");
            done
        };
        Ok(Self { desk, trigger, work: Box::pin(work) })
    }

    /// Goes on until it has been told to end, or cannot.
    pub(super) async fn ends(watching: &mut Option<Self>) -> Result<(), Failure> {
        match watching {
            Some(it) => (&mut it.work).await,
            None => std::future::pending().await,
        }
    }

    /// Lets it end what it has begun, and nothing more.
    pub(super) fn end(&self) {
        self.trigger.raise(Stage::Graceful);
    }

    /// Whether it stops and starts containers right now.
    pub(super) fn acts(&self) -> bool {
        self.desk.acts()
    }
}
