//! `ketch logs --follow`: goes on with containers that are started or replaced meanwhile.
//!
//! In: the project, and what happens to its containers. Out: their lines, and a line about each
//! that ends. It is over when no container is left that could write.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use tokio::time::sleep;

use super::Wanted;
use super::reader::{Reader, Step};
use crate::cli::engine::decimal;
use crate::cli::exit::Failure;
use crate::model::observed::State;
use crate::model::{Dict, label};
use crate::runtime::{LogOptions, Runtime, RuntimeEvent, Stream};

/// How long a container that is restarted may take from its end to its start, and an engine to
/// tell that a container has ended.
const GAP: Duration = Duration::from_secs(3);

/// Follows the containers of a project.
pub(super) struct Follow<'r> {
    runtime: &'r dyn Runtime,
    project: &'r str,
    wanted: &'r Wanted,
    reader: Reader<'r>,
    /// The containers that were read, by id.
    known: BTreeMap<String, Known>,
    /// Those that were created meanwhile and have not been started.
    created: BTreeSet<String>,
}

/// A container that was read at least once.
#[derive(Clone, Debug, Default)]
struct Known {
    name: String,
    labels: Dict,
    /// Whether it runs, as far as it was told.
    is_up: bool,
    /// Whether somebody has sent it a signal, perhaps to restart it.
    is_signalled: bool,
    /// When it last ended, in nanoseconds since 1970.
    died: Option<i64>,
    /// Exit code that has not been told yet.
    code: Option<String>,
    /// Whether it has been started again while the end of its output was still to come.
    is_back: bool,
}

impl<'r> Follow<'r> {
    /// Follows containers with a reader that reads nothing yet.
    pub(super) fn new(
        runtime: &'r dyn Runtime,
        project: &'r str,
        (wanted, reader): (&'r Wanted, Reader<'r>),
    ) -> Self {
        let (known, created) = (BTreeMap::new(), BTreeSet::new());
        Self { runtime, project, wanted, reader, known, created }
    }

    /// Follows to the end.
    pub(super) async fn run(mut self) -> Result<(), Failure> {
        let options = LogOptions { follow: true, ..LogOptions::default() };
        let mut events = self.runtime.events(self.project, &options);
        // It is asked for before the containers are listed, so that no start is missed.
        if let Some(Some(event)) = events.next().now_or_never() {
            self.heed(event?).await?;
        }
        let containers = self.runtime.containers(Some(self.project)).await?;
        for container in self.wanted.select(&containers)? {
            if !self.known.contains_key(&container.id) {
                let own = (container.name.as_str(), &container.labels);
                self.remember(&container.id, own).is_up = container.is_up();
                self.reader.open(&container.id, own, None);
            }
        }
        self.go_on(events).await?;
        Ok(self.reader.finish()?)
    }

    async fn go_on(&mut self, mut events: Stream<'static, RuntimeEvent>) -> Result<(), Failure> {
        // Whether it is worth asking who is left: something has changed since.
        let mut ask = true;
        loop {
            let (idle, patience) = (self.reader.is_idle(), self.patience());
            tokio::select! {
                over = self.reader.step(), if !idle => {
                    if let Step::Over(id) = over? {
                        self.is_over(&id).await?;
                        ask = true;
                    }
                }
                event = events.next() => {
                    let Some(event) = event else { return Ok(()) };
                    self.heed(event?).await?;
                    ask = true;
                }
                () = sleep(patience), if idle && ask => {
                    if self.nobody_is_left().await? {
                        return Ok(());
                    }
                    ask = false;
                }
            }
        }
    }

    /// How long to wait for news before it is settled that nobody is left.
    fn patience(&self) -> Duration {
        let may_return = |(id, known): (&String, &Known)| {
            !self.reader.reads(id) && (known.is_up || known.is_signalled)
        };
        if self.known.iter().any(may_return) { GAP } else { Duration::ZERO }
    }

    /// Reads a container that has been started: all that is new.
    fn open(&mut self, id: &str, own: (&str, &Dict)) {
        let known = self.remember(id, own);
        known.is_up = true;
        let died = known.died.map(|died| decimal(i128::from(died) + 1));
        self.reader.open(id, own, Some(died.unwrap_or_default()));
    }

    fn remember(&mut self, id: &str, (name, labels): (&str, &Dict)) -> &mut Known {
        let known = self.known.entry(id.to_owned()).or_default();
        name.clone_into(&mut known.name);
        known.labels.clone_from(labels);
        known.is_back = false;
        known.is_signalled = false;
        known
    }

    async fn heed(&mut self, event: RuntimeEvent) -> Result<(), Failure> {
        let RuntimeEvent { time, container: id, action, attributes } = event;
        if !self.wanted.includes(&attributes) {
            return Ok(());
        }
        match action.as_str() {
            "create" => {
                if let Some(old) = attributes.get(label::REPLACE) {
                    self.reader.say((old, &attributes), "has been recreated")?;
                }
                self.created.insert(id);
            }
            "start" => {
                self.created.remove(&id);
                let name = attributes.get("name").cloned().unwrap_or_default();
                match self.known.get_mut(&id) {
                    Some(known) if self.reader.reads(&id) => known.is_back = known.died.is_some(),
                    _ => self.open(&id, (&name, &attributes)),
                }
            }
            "kill" => {
                if let Some(known) = self.known.get_mut(&id) {
                    known.is_signalled = true;
                }
            }
            "die" => {
                if let Some(known) = self.known.get_mut(&id) {
                    known.died = Some(time);
                    known.is_up = false;
                    known.code = attributes.get("exitCode").cloned();
                    self.tell_end(&id).await?;
                }
            }
            "destroy" => {
                self.created.remove(&id);
            }
            _ => {}
        }
        Ok(())
    }

    /// A container has no more output.
    async fn is_over(&mut self, id: &str) -> Result<(), Failure> {
        self.tell_end(id).await?;
        if let Some(Known { is_back: true, name, labels, .. }) = self.known.get(id).cloned() {
            self.open(id, (&name, &labels));
        }
        Ok(())
    }

    /// Says with which code a container has ended, once all that it wrote is out.
    async fn tell_end(&mut self, id: &str) -> Result<(), Failure> {
        if self.reader.reads(id) {
            return Ok(());
        }
        let Some(known) = self.known.get_mut(id) else { return Ok(()) };
        let Some(code) = known.code.take() else { return Ok(()) };
        let known = known.clone();
        let containers = self.runtime.containers(Some(self.project)).await?;
        let is_restarting =
            containers.iter().any(|it| it.id == id && it.state == State::Restarting);
        let what = if is_restarting { " (restarting)" } else { "" };
        let text = format!("exited with code {code}{what}");
        Ok(self.reader.say((&known.name, &known.labels), &text)?)
    }

    /// Whether no container runs or is about to. One that was overlooked is read from here on.
    async fn nobody_is_left(&mut self) -> Result<bool, Failure> {
        let containers = self.runtime.containers(Some(self.project)).await?;
        let exists = |id: &str| containers.iter().any(|container| container.id == id);
        self.created.retain(|id| exists(id));
        let mut is_left = !self.created.is_empty();
        for container in &containers {
            if !container.is_up() || !self.wanted.includes(&container.labels) {
                continue;
            }
            match self.known.get(&container.id) {
                None => self.open(&container.id, (&container.name, &container.labels)),
                // It runs, but its output has ended: it cannot be read.
                Some(known) if known.is_up && container.state == State::Running => {
                    continue;
                }
                Some(_) => {}
            }
            is_left = true;
        }
        Ok(!is_left)
    }
}
