//! `ketch events`: tells what happens to containers.
//!
//! In: services and a span of time. Out: a line or an object for each event, as it comes.

use std::collections::BTreeSet;

use futures_util::StreamExt as _;

use super::args::EventsArgs;
use super::engine::{Engine, Sight, interruptible, moment};
use super::exit::Failure;
use super::session::Session;
use crate::model::label;
use crate::runtime::{LogOptions, RuntimeEvent};
use crate::ui::events::Happening;

/// Tells what happens, until the time is up or the user has seen enough.
pub(super) async fn run(args: &EventsArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    let since = moment(args.since.as_deref().unwrap_or_default())?;
    let until = moment(args.until.as_deref().unwrap_or_default())?;
    let sight = Sight::find(session)?;
    let services = sight.named(&args.services)?;
    let engine = Engine::connect(session).await?;
    let options = LogOptions { follow: true, since, until, ..LogOptions::default() };
    let mut events = engine.runtime.events(&sight.name, &options);
    let screen = &mut *engine.session.screen;
    let tell = async {
        while let Some(event) = events.next().await {
            let Some(happening) = happening(event?, &services) else { continue };
            screen.data(&if args.json { happening.json() } else { happening.human() })?;
        }
        Ok(0)
    };
    interruptible(engine.interrupts.shutdown(), tell).await
}

/// What is told of an event; `None`: nothing.
fn happening(event: RuntimeEvent, services: &BTreeSet<String>) -> Option<Happening> {
    let label = |name: &str| event.attributes.get(name).cloned().unwrap_or_default();
    let service = label(label::SERVICE);
    let is_meant = services.is_empty() || services.contains(&service);
    if label(label::ONE_OFF) == "True" || !is_meant {
        return None;
    }
    let RuntimeEvent { time, container, action, attributes } = event;
    Some(Happening { time, service, container, action, attributes })
}

#[cfg(test)]
mod tests {
    use super::happening;
    use crate::model::label;
    use crate::runtime::RuntimeEvent;

    #[test]
    fn events_of_other_services_and_of_run_are_not_told() {
        let event = |service: &str, one_off: &str| RuntimeEvent {
            attributes: [(label::SERVICE, service), (label::ONE_OFF, one_off)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            ..RuntimeEvent::default()
        };
        let web = ["web".to_owned()].into();
        assert!(happening(event("web", "False"), &web).is_some());
        assert!(happening(event("db", "False"), &web).is_none());
        assert!(happening(event("db", "False"), &[].into()).is_some());
        assert!(happening(event("web", "True"), &[].into()).is_none());
    }
}
