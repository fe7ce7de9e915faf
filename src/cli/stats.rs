//! `ketch stats`: shows what containers use.
//!
//! In: a service, and samples of its containers. Out: a listing; without `--no-stream` again and
//! again, with the containers that come and without those that end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::{join_all, ready};
use futures_util::stream::{BoxStream, SelectAll};
use futures_util::{StreamExt as _, stream};
use tokio::time::{MissedTickBehavior, interval};

use super::args::StatsArgs;
use super::engine::{Engine, Sight, interruptible};
use super::exit::Failure;
use super::session::Session;
use crate::model::label;
use crate::model::observed::ObservedContainer;
use crate::runtime::{LogOptions, Repeat, Runtime, RuntimeEvent, Sample};
use crate::ui::Screen;
use crate::ui::listing::Truncation;
use crate::ui::stats::{CLEAR, Usage, listing};

/// How often a listing is drawn; engines measure once a second.
const PERIOD: Duration = Duration::from_millis(500);

/// Shows what containers use.
pub(super) async fn run(args: &StatsArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    let sight = Sight::find(session)?;
    let services = sight.named(args.service.as_slice())?;
    let engine = Engine::connect(session).await?;
    let options = LogOptions { follow: true, ..LogOptions::default() };
    let events = engine.runtime.events(&sight.name, &options);
    let containers = engine.containers(Some(&sight.name)).await?;
    let containers: Vec<&ObservedContainer> = containers
        .iter()
        .filter(|container| args.all || container.is_up())
        .filter(|container| services.is_empty() || services.contains(container.service()))
        .collect();
    let runtime = &*engine.runtime;
    let screen = &mut *engine.session.screen;
    let show = async {
        if args.no_stream {
            let usages = join_all(containers.iter().map(|container| once(runtime, container)));
            return Ok(screen.data(&text(&usages.await, args)?)?);
        }
        let mut table = Table::new(runtime, args, services);
        for container in containers {
            table.add(&container.id, &container.name);
        }
        table.keep_drawing(events, screen).await
    };
    interruptible(engine.interrupts.shutdown(), show).await?;
    Ok(0)
}

fn text(usages: &[Usage], args: &StatsArgs) -> Result<String, Failure> {
    let truncation = if args.no_trunc { Truncation::Full } else { Truncation::Short };
    Ok(listing(usages, truncation).format(args.format.as_deref().unwrap_or_default())?)
}

/// One sample of a container; one that has ended meanwhile has none.
async fn once(runtime: &dyn Runtime, container: &ObservedContainer) -> Usage {
    let sample = runtime.stats(&container.id, Repeat::Once).next().await;
    let measured = sample.and_then(Result::ok);
    Usage { id: container.id.clone(), name: container.name.clone(), measured }
}

/// A listing that goes on.
struct Table<'r> {
    runtime: &'r dyn Runtime,
    args: &'r StatsArgs,
    services: BTreeSet<String>,
    /// Containers by name and id.
    usages: BTreeMap<(String, String), Usage>,
    samples: SelectAll<BoxStream<'static, (String, Sample)>>,
}

impl<'r> Table<'r> {
    fn new(runtime: &'r dyn Runtime, args: &'r StatsArgs, services: BTreeSet<String>) -> Self {
        Self { runtime, args, services, usages: BTreeMap::new(), samples: SelectAll::new() }
    }

    fn add(&mut self, id: &str, name: &str) {
        let usage = Usage { id: id.to_owned(), name: name.to_owned(), measured: None };
        self.usages.insert((name.to_owned(), id.to_owned()), usage);
        let own = id.to_owned();
        let samples = self.runtime.stats(id, Repeat::Forever);
        // Whatever ends the samples, the events tell what became of the container.
        let samples = samples
            .filter_map(move |sample| ready(sample.ok().map(|sample| (own.clone(), sample))));
        self.samples.push(samples.boxed());
    }

    /// Heeds that a container came or ended.
    fn heed(&mut self, event: &RuntimeEvent) {
        let attribute = |name: &str| event.attributes.get(name).map_or("", String::as_str);
        let is_meant =
            self.services.is_empty() || self.services.contains(attribute(label::SERVICE));
        match event.action.as_str() {
            "start" if is_meant => {
                self.forget(&event.container);
                self.add(&event.container, attribute("name"));
            }
            "die" if !self.args.all => self.forget(&event.container),
            "destroy" => self.forget(&event.container),
            _ => {}
        }
    }

    fn forget(&mut self, id: &str) {
        self.usages.retain(|_, usage| usage.id != id);
    }

    fn set(&mut self, id: &str, sample: &Sample) {
        if let Some(usage) = self.usages.values_mut().find(|usage| usage.id == id) {
            usage.measured = Some(*sample);
        }
    }

    async fn keep_drawing(
        mut self,
        events: crate::runtime::Stream<'static, RuntimeEvent>,
        screen: &mut Screen,
    ) -> Result<(), Failure> {
        let clear = if screen.out_is_terminal() { CLEAR } else { "" };
        // An engine that stops telling is no reason to stop measuring.
        let mut events = events.filter_map(|event| ready(event.ok())).chain(stream::pending());
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some((id, sample)) = self.samples.next() => self.set(&id, &sample),
                Some(event) = events.next() => self.heed(&event),
                _ = ticks.tick() => {
                    let usages: Vec<Usage> = self.usages.values().cloned().collect();
                    screen.data(&format!("{clear}{}", text(&usages, self.args)?))?;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Table;
    use crate::cli::args::StatsArgs;
    use crate::model::label;
    use crate::runtime::fake::Fake;
    use crate::runtime::{RuntimeEvent, Sample};

    fn event(action: &str, id: &str, service: &str) -> RuntimeEvent {
        RuntimeEvent {
            container: id.to_owned(),
            action: action.to_owned(),
            attributes: [("name".to_owned(), format!("p-{service}-1"))]
                .into_iter()
                .chain([(label::SERVICE.to_owned(), service.to_owned())])
                .collect(),
            ..RuntimeEvent::default()
        }
    }

    #[tokio::test]
    async fn containers_come_and_go() {
        let (runtime, args) = (Fake::new(), StatsArgs::default());
        let mut table = Table::new(&runtime, &args, ["web".to_owned()].into());
        let names = |table: &Table<'_>| {
            table.usages.values().map(|usage| usage.name.clone()).collect::<Vec<_>>().join(" ")
        };
        table.heed(&event("start", "1", "web"));
        table.heed(&event("start", "2", "db"));
        assert_eq!(names(&table), "p-web-1");
        table.set("1", &Sample { memory: 5, ..Sample::default() });
        let usage = table.usages.values().next().and_then(|usage| usage.measured);
        assert_eq!(usage.map(|it| it.memory), Some(5));
        table.heed(&event("die", "1", "web"));
        assert_eq!(names(&table), "");
        table.set("1", &Sample::default());
        assert_eq!(names(&table), "");
    }

    #[tokio::test]
    async fn with_all_only_what_is_removed_goes() {
        let (runtime, args) = (Fake::new(), StatsArgs { all: true, ..StatsArgs::default() });
        let mut table = Table::new(&runtime, &args, [].into());
        table.add("1", "p-web-1");
        table.heed(&event("die", "1", "web"));
        assert_eq!(table.usages.len(), 1);
        table.heed(&event("destroy", "1", "web"));
        assert_eq!(table.usages.len(), 0);
    }
}
