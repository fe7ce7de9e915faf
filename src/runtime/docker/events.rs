//! What happens to containers.
//!
//! In: a project and a span of time. Out: its containers' events. The engine is asked when the
//! stream is first polled: who must not miss anything says since when.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptions;
use futures_util::stream::StreamExt as _;

use super::{Docker, failure};
use crate::model::label;
use crate::runtime::{LogOptions, RuntimeEvent, Stream};

impl Docker {
    pub(super) fn read_events(
        &self,
        project: &str,
        options: &LogOptions,
    ) -> Stream<'static, RuntimeEvent> {
        let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        // Without an end, the engine goes on for ever.
        let until = match (options.follow, options.until.as_str()) {
            (false, "") => Some(now()),
            (_, until) => said(until),
        };
        let filters = HashMap::from([
            ("type".to_owned(), vec!["container".to_owned()]),
            ("label".to_owned(), vec![format!("{}={project}", label::PROJECT)]),
        ]);
        let options = EventsOptions { since: said(&options.since), until, filters: Some(filters) };
        self.client
            .events(Some(options))
            .map(|event| event.map(told).map_err(failure::told))
            .boxed()
    }
}

/// Seconds since 1970 with nine decimals.
fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}.{:09}", since.as_secs(), since.subsec_nanos())
}

fn told(event: EventMessage) -> RuntimeEvent {
    const NANOSECONDS: i64 = 1_000_000_000;
    let seconds = event.time.unwrap_or_default();
    let actor = event.actor.unwrap_or_default();
    RuntimeEvent {
        time: event.time_nano.unwrap_or(seconds.saturating_mul(NANOSECONDS)),
        container: actor.id.unwrap_or_default(),
        action: event.action.unwrap_or_default(),
        attributes: actor.attributes.unwrap_or_default().into_iter().collect(),
    }
}
